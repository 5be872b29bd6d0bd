"""HR misbehaves: a run either brings the store in step or changes nothing (I1, I2)."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from traceback import format_exception_only
from typing import Any

import pytest

from accountsync.clock import utc_now
from accountsync.errors import (
    AccountSyncError,
    ConfigurationError,
    IncompleteReadError,
    TargetDownError,
    TransientError,
)
from accountsync.jobs.persons.run_request import Mode
from tests.integration.persons.hr_world import HrWorld
from tests.integration.persons.test_hr_sync_windows import last_hours

PAGE = "hr_person_info"
TOKEN = "/api/iam/auth/token"
TOKEN_ROUTE = f"POST {TOKEN}"

FAULTS: dict[str, dict[str, Any]] = {
    "a row of a page is lost": {"kind": "page_loss", "rows": 1},
    "a page is lost": {"kind": "page_loss"},
    "somebody vanishes while pages are read": {"kind": "shifting_pages", "mode": "remove"},
    "somebody enters while pages are read": {"kind": "shifting_pages", "mode": "insert"},
    "more rows are declared than sent": {"kind": "lying_totals", "off_by": 1},
    "fewer rows are declared than sent": {"kind": "lying_totals", "off_by": -1},
    "a row comes twice": {"kind": "duplicate_rows"},
    "a row comes twice, another not at all": {"kind": "duplicate_rows", "replace": True},
    "the login page instead of rows": {"kind": "html", "path": PAGE},
    "a redirect to the login page": {"kind": "redirect", "path": PAGE},
    "half an answer": {"kind": "truncated", "path": PAGE, "cut": "body"},
    "half an answer, then nothing": {"kind": "truncated", "path": PAGE, "cut": "connection"},
    "an error with HTTP 200": {"kind": "ok_with_error", "path": PAGE},
    "an empty answer with HTTP 200": {"kind": "status", "path": PAGE, "code": 200, "body": ""},
    "success without rows": {
        "kind": "status",
        "path": PAGE,
        "code": 200,
        "body": {"status": 200, "data": {"pageInfo": {"totalPages": 1, "totalRows": 0}}},
    },
    "null instead of rows": {
        "kind": "status",
        "path": PAGE,
        "code": 200,
        "body": {"status": 200, "data": None},
    },
    "an internal error": {"kind": "status", "path": PAGE, "code": 500},
    "not available": {"kind": "status", "path": PAGE, "code": 503},
    "not found": {"kind": "status", "path": PAGE, "code": 404},
    "the connection drops": {"kind": "drop_before", "path": PAGE},
    "the connection drops after the answer was made": {"kind": "drop_after", "path": PAGE},
    "too many requests": {"kind": "too_many_requests", "path": PAGE, "retry_after": 0},
    "a slow answer": {"kind": "latency", "path": PAGE, "seconds": 0.3},
    "a slow body": {"kind": "slow_body", "path": PAGE, "seconds": 0.3, "pieces": 3},
    "the token is too old": {"kind": "expired_token", "path": PAGE},
}

LASTING = [
    "a row of a page is lost",
    "somebody vanishes while pages are read",
    "fewer rows are declared than sent",
    "a row comes twice",
    "a row comes twice, another not at all",
    "the login page instead of rows",
    "a redirect to the login page",
    "an error with HTTP 200",
    "the token is too old",
]
MODES: tuple[Mode, ...] = ("incremental", "full")


def _a_busy_day(world: HrWorld) -> None:
    """The store knows HR as of yesterday; since then every sort of change happened."""
    world.sync()
    world.hr.events(join=4, move=6, leave=3, rename=3, swap_numbers=2)


def _agree(world: HrWorld) -> bool:
    """Whom HR dropped while it was read is only missed by a full run."""
    return set(world.differences().values()) <= {"not in HR"}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_that_passes_leaves_the_store_in_step_or_untouched(
    world: HrWorld, fault: dict[str, Any]
) -> None:
    """I1, I2: and the next run that nothing disturbs brings it in step."""
    for mode in MODES:
        _a_busy_day(world)
        before = world.everything()
        world.hr.faults(fault | {"skip": 1, "times": 1})
        with suppress(AccountSyncError):
            world.sync(mode)
        if world.last_run["state"] == "failed":
            assert world.everything() == before
        assert world.last_run["state"] == "failed" or _agree(world)
        assert [rule["fired"] for rule in world.hr.faults()] == [1]
        world.hr.heal()
        world.sync(mode)
        assert _agree(world)
    assert world.staged_tables() == []


@pytest.mark.parametrize("name", LASTING)
def test_a_fault_that_lasts_changes_nothing(world: HrWorld, name: str) -> None:
    """I1, I2: errors are never "no more data", and the watermark stands still."""
    _a_busy_day(world)
    before = world.everything()
    world.hr.faults(FAULTS[name])
    with pytest.raises((TransientError, ConfigurationError)) as caught:
        world.sync("full")
    assert world.everything() == before
    run = world.last_run
    assert (run["state"], run["fetched"]) == ("failed", 0)
    assert run["error"] == f"{type(caught.value).__name__}: {caught.value}"
    world.hr.heal()
    world.sync()
    assert _agree(world)


def test_a_read_that_proves_incomplete_is_made_again_three_times(world: HrWorld) -> None:
    """I2: a page that shifts under us restarts the read."""
    world.hr.fault("page_loss", rows=1, times=2)
    world.sync()
    assert world.differences() == {}
    world.hr.fault("page_loss", rows=1, times=3)
    with pytest.raises(IncompleteReadError, match="3 reads in a row"):
        world.sync("full")


def test_the_message_of_an_incomplete_read_says_what_disagreed(world: HrWorld) -> None:
    world.hr.fault("lying_totals")
    with pytest.raises(IncompleteReadError, match="41 rows declared, 40 received"):
        world.sync()


def test_a_token_that_expires_in_mid_run_is_renewed_once(world: HrWorld) -> None:
    """user-sync#546: many readers, one new token."""
    world.hr.fault("expired_token", skip=3, times=1)
    world.sync(page_size=2, rate={"concurrency": 8})
    assert world.differences() == {}
    assert world.hr.state()["requests"][TOKEN_ROUTE] == 2


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_hr_says_when_to_come_back_and_is_obeyed(world: HrWorld, form: str) -> None:
    """RFC 9110 §10.2.3: a number or a date; a date has no fractions of a second."""
    world.hr.fault("too_many_requests", path=PAGE, times=1, retry_after=2, form=form)
    start = time.monotonic()
    world.sync()
    assert time.monotonic() - start > 1
    assert world.differences() == {}


def test_no_token_is_a_matter_of_configuration(world: HrWorld) -> None:
    world.hr.fault("ok_with_error", path=TOKEN, code="401")
    with pytest.raises(ConfigurationError, match="no token"):
        world.sync()


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"mode": "auto"}, TargetDownError),
        ({"mode": "full"}, TransientError),
        ({"numbers": ["00100001"]}, TransientError),
        ({"window": last_hours(2, 1)}, TransientError),
    ],
    ids=["auto", "full", "person", "window"],
)
def test_hr_that_is_not_there_is_left_to_the_next_run_where_that_reads_the_same(
    world: HrWorld, asked: dict[str, Any], error: type[AccountSyncError]
) -> None:
    """Airflow tries a TransientError again, but no TargetDownError."""
    world.sync()
    before = world.everything()
    port = world.sims.ports["hr"]
    world.sims.ports["hr"] = 9
    try:
        with pytest.raises(error, match="cannot connect") as raised:
            world.sync(**asked)
    finally:
        world.sims.ports["hr"] = port
    assert "hieds" in "".join(format_exception_only(raised.value))
    assert world.everything() == before


def test_the_log_says_what_is_read(world: HrWorld, caplog: pytest.LogCaptureFixture) -> None:
    """I15: how many persons, not who."""
    window = last_hours(2, 1)
    for asked in ({}, {}, {"window": window}, {"numbers": ["00100001"]}):
        world.sync(**asked)
    said = [line.partition("mode=")[2] for line in caplog.messages if "read_started" in line]
    bounds = f"since={window.start.isoformat()} until={window.end.isoformat()}"
    assert said[0] == "full since=ever dry_run=False"
    assert re.fullmatch(r"incremental since=\S+\+00:00 dry_run=False", said[1])
    assert said[2] == f"window {bounds} dry_run=False"
    assert said[3] == "person numbers=1 dry_run=False"


def test_a_failed_run_says_when_and_why_without_a_word_about_anybody(world: HrWorld) -> None:
    """I15."""
    world.hr.fault("bad_rows", rows=1)
    world.hr.fault("lying_totals")
    start = utc_now()
    with pytest.raises(IncompleteReadError):
        world.sync()
    run = world.last_run
    assert start <= run["started_at"] <= run["finished_at"] <= utc_now()
    names = {row["fullName"] for row in world.hr.persons()}
    assert not [name for name in names if name in run["error"]]
