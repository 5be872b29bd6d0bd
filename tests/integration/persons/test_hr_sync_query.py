"""A query as a source: a real PostgreSQL, through an Airflow Connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from traceback import format_exception
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from accountsync import connections, settings, wiring
from accountsync.errors import ConfigurationError, TransientError
from accountsync.hr.source import Ask
from accountsync.hr.sql import SqlHrSource
from accountsync.jobs.persons.run_request import Mode, RunRequest
from accountsync.jobs.persons.sync_hr_persons import SyncResult
from accountsync.settings.hr import SqlSource
from accountsync.store.engine import make_engine
from tests.conftest import DATABASE_VARIABLE
from tests.unit.settings.test_hr_sources_document import SOURCES

pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern")  # Airflow's own

_STAFF = """
CREATE TABLE staff (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), number numeric(8) NOT NULL,
  name text, kind text DEFAULT 'staff', active boolean, department text, hired date,
  changed timestamptz);
INSERT INTO staff (number, name, active, department, hired, changed) VALUES
  (100001, '欧阳婷', true, 'D1', '2020-02-29', '2026-05-01 08:00+08'),
  (100002, '单于', false, null, '2019-01-01', '2026-05-02 08:00+08'),
  (100003, null, true, 'D2', null, null)
"""
_ID_ONLY = dict.fromkeys(("source_key", "employee_number", "full_name"), "id")


class Warehouse:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def execute(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement))

    def scalar(self, query: str) -> Any:
        with self.engine.connect() as connection:
            return connection.scalar(text(query))

    def sync(self, mode: Mode = "full", **more: Any) -> SyncResult:
        document = {"hr": [SOURCES["warehouse"] | more], "targets": {}}
        parsed = settings.parse(document, origin="docs/hr-sources.md")
        return wiring.sync_source(parsed, "warehouse", request=RunRequest(mode=mode))


def connection_to(engine: Engine, **extra: Any) -> str:
    url = engine.url
    return json.dumps(
        {
            "conn_type": "postgres",
            "host": url.host,
            "port": url.port,
            "login": url.username,
            "password": url.password,
            "schema": url.database,
            "extra": extra,
        }  # fmt: skip
    )


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """As a superuser: the database of the store is that of HR, too, and is filled by the tests."""
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def warehouse(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    url = engine.url
    monkeypatch.setenv("AIRFLOW_CONN_HR_WAREHOUSE", connection_to(engine))
    monkeypatch.setenv(DATABASE_VARIABLE, url.render_as_string(hide_password=False))
    found = Warehouse(engine)
    found.execute(_STAFF)
    yield found
    connections._engine(url.render_as_string(hide_password=False)).dispose()


def test_rows_of_a_database_become_persons_with_their_types(warehouse: Warehouse) -> None:
    result = warehouse.sync()
    assert (result.inserted, result.rejected) == (2, 1)
    stored = (
        "SELECT json_agg(json_build_array(employee_number, full_name, status, department_code,"
        " hire_date, source_updated_at AT TIME ZONE 'UTC') ORDER BY 1) FROM accountsync.person"
    )
    assert sorted(warehouse.scalar(stored)) == [
        ["100001", "欧阳婷", "1", "D1", "2020-02-29", "2026-05-01T00:00:00"],
        ["100002", "单于", "2", None, "2019-01-01", "2026-05-02T00:00:00"],
    ]


def test_what_is_no_json_has_a_text_or_rejects_its_row(warehouse: Warehouse) -> None:
    """I3."""
    odd = (
        "SELECT id, number, name, kind, active, department, hired, changed,"
        " '10.1.0.7'::inet AS address, interval '1 day 2 hours' AS probation, time '08:30' AS at,"
        " ARRAY[id, NULL] AS ids, ARRAY[[1.5]] AS grades, '{\"a\": [1]}'::jsonb AS more,"
        " CASE number WHEN 100002 THEN 'NaN'::float ELSE 1 END AS share FROM staff"
    )
    assert warehouse.sync(query=odd).rejected == 2
    kept = warehouse.scalar("SELECT attributes FROM accountsync.person")
    odd_ones = [kept[name] for name in ("address", "probation", "at", "grades", "more", "share")]
    assert odd_ones == ["10.1.0.7", "P1DT2H", "08:30:00", [["1.5"]], {"a": [1]}, 1.0]
    assert kept["ids"] == [kept["id"], None]


def test_a_column_that_has_no_text_is_named(warehouse: Warehouse) -> None:
    for value in ("'\\x00'::bytea", "ARRAY['\\x00'::bytea]", "int4range(1, 2)"):
        with pytest.raises(ConfigurationError, match="column 'photo' .* leave it out of the query"):
            warehouse.sync(query=f"SELECT *, {value} AS photo FROM staff")


def test_a_column_that_comes_twice_is_named(warehouse: Warehouse) -> None:
    """Everybody would have the name of a department, or their boss."""
    query = "SELECT s.*, 'Finance' AS name FROM staff s"
    with pytest.raises(ConfigurationError, match="more than one column name"):
        warehouse.sync(query=query)


def test_a_date_of_no_calendar_is_named_and_can_mean_none(warehouse: Warehouse) -> None:
    for day in ("infinity", "10000-01-01", "0044-03-15 BC"):
        with pytest.raises(ConfigurationError, match="infinite, before the year 1 or after 9999"):
            warehouse.sync(query=f"SELECT *, date '{day}' AS born FROM staff")
    fields = dict(SOURCES["warehouse"]["fields"])
    fields["leave_date"] = {"path": "ends", "translate": {"infinity": ""}}
    ends = "SELECT *, CAST(date 'infinity' AS text) AS ends FROM staff"
    assert warehouse.sync(query=ends, fields=fields).inserted == 2


def test_changes_are_asked_for_by_the_query(warehouse: Warehouse) -> None:
    warehouse.sync()
    warehouse.execute(
        "UPDATE staff SET name = '单雄信', changed = '2026-05-03 08:00+08' WHERE number = 100002"
    )
    changes = warehouse.sync("incremental")
    assert (changes.fetched, changes.updated) == (1, 1)


def test_a_column_without_a_zone_is_asked_in_the_zone_of_the_source(warehouse: Warehouse) -> None:
    """I5: whatever zone the session of the other database has."""
    asked = "SELECT :since AS since, :until AS until, 1 AS id"
    local = SOURCES["warehouse"] | {"query": asked, "bounds": "local", "zone": "Europe/Berlin"}
    local["fields"] = _ID_ONLY
    engine = connections._sql_engine("hr_warehouse")

    async def rows(since: datetime, until: datetime) -> list[Any]:
        source = SqlHrSource(SqlSource.model_validate(local), engine=engine)
        return [page.rows[0] async for page in source.pages(Ask(since=since, until=until))]

    try:
        (summer,) = asyncio.run(
            rows(datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 2, tzinfo=UTC))
        )
        put_back = datetime(2026, 10, 25, 1, tzinfo=UTC)
        (fold,) = asyncio.run(rows(put_back - timedelta(minutes=1), put_back))
    finally:
        engine.dispose()
    assert (summer["since"], summer["until"]) == ("2026-07-01T02:00:00", "2026-07-02T02:00:00")
    assert (fold["since"], fold["until"]) == ("2026-10-25T01:59:00", "2026-10-25T03:00:00")


def test_the_database_makes_no_more_rows_than_were_taken(warehouse: Warehouse) -> None:
    """Memory stays flat: with a client-side cursor every row would have been made at once."""
    warehouse.execute("CREATE SEQUENCE made")
    source = SqlSource.model_validate(
        SOURCES["warehouse"]
        | {"query": "SELECT n AS id, nextval('made') AS made FROM generate_series(1, 20000) n"}
        | {"fields": _ID_ONLY}
    )
    engine = connections._sql_engine("hr_warehouse")

    async def first_page() -> int:
        pages = SqlHrSource(source, engine=engine).pages(Ask())
        async for page in pages:
            assert page.rows[0] == {"id": 1, "made": 1}
            break
        made = int(warehouse.scalar("SELECT last_value FROM made"))
        await pages.aclose()  # type: ignore[attr-defined]
        return made

    try:
        assert asyncio.run(first_page()) <= 4000
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("SELECT no_such_column FROM staff", ConfigurationError),
        ("SELECT *, 1 / 0 FROM staff", ConfigurationError),
        ("SELECT id, number, name FROM staff", ConfigurationError),
        ("SELECT *, :sinc FROM staff", ConfigurationError),
        ("SELECT *, pg_terminate_backend(pg_backend_pid()) FROM staff", TransientError),
    ],
)
def test_a_query_that_fails_is_the_configurations_fault_and_a_lost_connection_is_not(
    warehouse: Warehouse, query: str, error: type[Exception]
) -> None:
    """I2, I15: nothing is changed, and the statement, which may hold data, is not quoted."""
    with pytest.raises(error) as raised:
        warehouse.sync(query=query)
    assert "SELECT" not in str(raised.value)
    assert warehouse.scalar("SELECT count(*) FROM accountsync.person") == 0


def test_what_the_other_database_quotes_is_in_no_traceback(warehouse: Warehouse) -> None:
    """I15: Airflow logs an error with all that it came from."""
    with pytest.raises(ConfigurationError, match="InvalidDatetimeFormat") as raised:
        warehouse.sync(query="SELECT *, CAST(name AS date) AS born FROM staff")
    assert "欧阳婷" not in "".join(format_exception(raised.value))


def test_the_encryption_that_a_connection_demands_is_demanded_of_both_databases(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I15: the server of the tests has no TLS, so who insists on it gets no connection."""
    strict = connection_to(warehouse.engine, sslmode="verify-full", sslrootcert="system")
    monkeypatch.setenv("AIRFLOW_CONN_HR_WAREHOUSE", strict)
    with pytest.raises(TransientError, match="server does not support SSL, but SSL was required"):
        warehouse.sync()
    monkeypatch.delenv(DATABASE_VARIABLE)
    monkeypatch.setenv("AIRFLOW_CONN_ACCOUNTSYNC_DB", strict)
    parsed = settings.parse({"hr": [SOURCES["warehouse"]], "targets": {}}, origin="test")
    with pytest.raises(OperationalError, match="server does not support SSL, but SSL was required"):
        connections.open_store(parsed)
    lax = connection_to(warehouse.engine, sslmode="prefer", options="-c work_mem=5MB", cursor="x")
    monkeypatch.setenv("AIRFLOW_CONN_ACCOUNTSYNC_DB", lax)
    store = connections.open_store(parsed)
    with store.connect() as connection:
        said = "SELECT current_setting('work_mem') || ' ' || current_setting('timezone')"
        assert connection.scalar(text(said)) == "5MB UTC"
    store.dispose()


def test_a_connection_that_cannot_serve_is_the_configurations_fault(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HR_WAREHOUSE", "http://127.0.0.1")
    with pytest.raises(ConfigurationError, match="is not one of a SQL database"):
        warehouse.sync()
    misspelt = connection_to(warehouse.engine, ssl_mode="verify-full")
    monkeypatch.setenv("AIRFLOW_CONN_HR_WAREHOUSE", misspelt)
    with pytest.raises(ConfigurationError, match="its extra has ssl_mode, which is no option"):
        warehouse.sync()
