"""A second HR system, of another shape, known from the YAML of docs/hr-sources.md only: OAuth2,
cursors, nested records, times in milliseconds. Its host and client are in an Airflow Connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine

from accountsync import connections, settings, wiring
from accountsync.clock import utc_now
from accountsync.errors import AccountSyncError, ConfigurationError, TargetDownError
from accountsync.jobs.persons.run_request import Mode, RunRequest, Window
from accountsync.jobs.persons.sync_hr_persons import SyncResult
from simulators import run
from simulators.client import HrClient
from simulators.run import HrOptions, Sims
from tests.conftest import DATABASE_VARIABLE
from tests.integration.persons.hr_world import HrWorld
from tests.integration.world import stamp
from tests.unit.settings.test_hr_sources_document import SOURCES

pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern")  # Airflow's own

PAGE = "/v2/workers"


class StaffWorld(HrWorld):
    @property
    def hr(self) -> HrClient:
        return self.sims.staff

    def read(self, mode: Mode = "full", **asked: Any) -> SyncResult:
        document = {"hr": [SOURCES["staff"]], "targets": {}}
        parsed = settings.parse(document, origin="docs/hr-sources.md")
        return wiring.sync_source(parsed, "staff", request=RunRequest(mode=mode, **asked))

    def is_in_step(self) -> bool:
        """The store, told in the words of the other system's rows, is HR."""
        query = (
            "SELECT source_key, employee_number, full_name, english_name, person_type, status,"
            " department_code, phone, hire_date::text, leave_date::text,"
            " extract(epoch FROM source_updated_at)::bigint AS changed FROM accountsync.person"
        )
        return {tuple(row.values()) for row in self.rows(query)} == {
            _as_person(row) for row in self.hr.persons()
        }


def _as_person(row: dict[str, Any]) -> tuple[Any, ...]:
    from simulators.staff import worker_of

    return (
        f"w-{row['personId']}", row["employeeNumber"], row["fullName"], row["englishName"] or None,
        row["personType"], row["employeeStatus"], row["personDept"][0]["department_code"],
        row["telephoneNumber1"], row["originalHireDate"], row["disableDate"],
        worker_of(row)["changedAt"] // 1000,
    )  # fmt: skip


@pytest.fixture(scope="module")
def _sims() -> Iterator[Sims]:
    with run.running(staff=HrOptions(persons=35)) as sims:
        yield sims


@pytest.fixture
def world(engine: Engine, _sims: Sims, monkeypatch: pytest.MonkeyPatch) -> Iterator[StaffWorld]:
    _sims.staff.heal()
    _sims.staff.reset()
    url = engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv(DATABASE_VARIABLE, url)
    _connect(monkeypatch, _sims.staff.url)
    yield StaffWorld(engine=engine, sims=_sims)
    connections._engine(url).dispose()


def _connect(monkeypatch: pytest.MonkeyPatch, url: str, **facts: Any) -> None:
    parts = urlsplit(url)
    connection = {
        "conn_type": "http", "schema": parts.scheme, "host": parts.hostname, "port": parts.port,
        "login": "accountsync", "password": "staff-secret",
    } | facts  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_STAFF_API", json.dumps(connection))


def test_everybody_comes_with_all_fields_and_then_the_changes(world: StaffWorld) -> None:
    assert world.read().inserted == 35
    assert world.is_in_step()
    world.hr.events(join=3, move=4, leave=2, rename=2)
    changes = world.read("incremental")
    assert (changes.inserted, changes.updated) == (3, 8)
    assert world.is_in_step()
    again = world.read()
    assert (again.inserted, again.updated, again.unchanged) == (0, 0, 38)


def test_a_window_is_asked_for_with_both_its_ends(world: StaffWorld) -> None:
    """I5."""
    world.read()
    day = utc_now().replace(microsecond=0) - timedelta(days=30)
    rows = world.hr.persons()[:3]
    for n, row in enumerate(rows):
        changed = stamp(day + timedelta(hours=n))
        world.hr.put_persons(row | {"fullName": f"新{n}", "lastUpdateDate": changed})
    window = Window(start=day + timedelta(minutes=30), end=day + timedelta(hours=2))
    result = world.read("window", window=window)
    assert (result.fetched, result.updated) == (1, 1)


FAULTS: dict[str, dict[str, Any]] = {
    "a redirect": {"kind": "redirect", "path": PAGE},
    "the login page": {"kind": "html", "path": PAGE},
    "an error with HTTP 200": {"kind": "ok_with_error", "path": PAGE},
    "half an answer": {"kind": "truncated", "path": PAGE, "cut": "connection"},
    "not available": {"kind": "status", "path": PAGE, "code": 503},
    "too many requests, in seconds": {"kind": "too_many_requests", "path": PAGE, "retry_after": 0},
    "too many requests, by a date": {
        "kind": "too_many_requests", "path": PAGE, "retry_after": 0, "form": "date",
    },
    "a slow page": {"kind": "slow_body", "path": PAGE, "seconds": 0.2, "pieces": 3},
    "a dropped connection": {"kind": "drop_after", "path": PAGE},
    "a token that is too old": {"kind": "expired_token"},
    "the token's endpoint is away": {"kind": "status", "path": "/oauth/token", "code": 503},
    "cursors that are forgotten": {"kind": "forgotten_cursors"},
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_that_passes_leaves_the_store_in_step_or_untouched(
    world: StaffWorld, fault: dict[str, Any]
) -> None:
    """I1, I2: in the middle of the pages where there are pages."""
    skip = 0 if fault.get("path") == "/oauth/token" else 1
    world.hr.faults(fault | {"skip": skip, "times": 1})
    try:
        world.read()
    except AccountSyncError:
        assert world.rows("SELECT 1 FROM accountsync.person") == []
    assert [rule["fired"] for rule in world.hr.faults()] == [1]
    world.hr.heal()
    world.read()
    assert world.is_in_step()


def test_a_token_that_expires_in_mid_run_is_fetched_once_more(world: StaffWorld) -> None:
    world.hr.faults({"kind": "expired_token", "skip": 2, "times": 1})
    world.read()
    requests = world.hr.state()["requests"]
    assert requests == {"POST /oauth/token": 2, "GET /v2/workers": 5}
    assert world.is_in_step()


def _wrong_secret(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    _connect(monkeypatch, url, password="wrong-secret")


def _unreachable_proxy(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    _connect(monkeypatch, url, extra={"proxy": "http://127.0.0.1:1"})


def _no_connection(monkeypatch: pytest.MonkeyPatch, _: str) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_STAFF_API")


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (_wrong_secret, ConfigurationError),
        (_unreachable_proxy, TargetDownError),
        (_no_connection, ConfigurationError),
    ],
)
def test_host_client_and_proxy_are_the_connections(
    world: StaffWorld,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[pytest.MonkeyPatch, str], None],
    error: type[AccountSyncError],
) -> None:
    """I15: and none of them is in the message."""
    spoil(monkeypatch, world.hr.url)
    with pytest.raises(error) as raised:
        world.read("auto")
    assert "secret" not in str(raised.value)
    assert world.rows("SELECT 1 FROM accountsync.person") == []
