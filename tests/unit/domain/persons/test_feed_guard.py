"""What stops a feed, and what does not (I4, I7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accountsync.domain.persons.feed_guard import Feed, FieldChange, Limits, reasons_to_stop
from accountsync.domain.reasons import Kind, Reason
from accountsync.settings.hr_source import FeedGuard

LIMITS = Limits(**FeedGuard().model_dump())
QUIET = Feed(is_complete=True, received=1000, rejected=0, known=1000, matched=1000, changes=[])


def _change(field: str, changed: int, emptied: int = 0) -> FieldChange:
    return FieldChange(field=field, changed=changed, emptied=emptied, examples=("1",))


def _with(*changes: FieldChange, matched: int = 1000) -> Feed:
    return replace(QUIET, changes=changes, matched=matched)


def _beyond(kind: Kind, field: str, affected: int, of: int, allowed: float) -> Reason:
    return Reason.of(kind, field=field, affected=affected, of=of, allowed=allowed)


STOPPED = {
    "nobody at all": (
        replace(QUIET, received=0, matched=0),
        Reason.of(Kind.NOT_ONE_ROW, known=1000),
    ),
    "nobody, where few were": (
        replace(QUIET, received=0, matched=0, known=3),
        Reason.of(Kind.NOT_ONE_ROW, known=3),
    ),
    "many rejected": (
        replace(QUIET, rejected=101),
        Reason.of(Kind.NEWLY_REJECTED, affected=101, of=1000, allowed=10.0),
    ),
    "departments blank": (
        _with(_change("department_code", 101, 101)),
        _beyond(Kind.FIELD_EMPTIED, "department_code", 101, 1000, 10.0),
    ),
    "statuses blank": (
        _with(_change("status", 500, 500)),
        _beyond(Kind.FIELD_EMPTIED, "status", 500, 1000, 10.0),
    ),
    "e-mails changed": (
        _with(_change("email", 301)),
        _beyond(Kind.FIELD_CHANGED, "email", 301, 1000, 30.0),
    ),
    "numbers changed": (
        _with(_change("employee_number", 301)),
        _beyond(Kind.FIELD_CHANGED, "employee_number", 301, 1000, 30.0),
    ),
    "those few who had one lose it": (
        _with(FieldChange(field="leave_date", changed=30, emptied=30, had=90, examples=())),
        _beyond(Kind.FIELD_EMPTIED, "leave_date", 30, 90, 10.0),
    ),
    "leavers are back": (
        _with(
            FieldChange(field="status", changed=30, emptied=0, back=30, had_left=90, examples=())
        ),
        _beyond(Kind.LEAVERS_BACK, "status", 30, 90, 10.0),
    ),
    "few changes, all of them blank": (
        _with(_change("full_name", 25, 25), matched=25),
        _beyond(Kind.FIELD_EMPTIED, "full_name", 25, 25, 10.0),
    ),
}


@pytest.mark.parametrize(("feed", "reason"), STOPPED.values(), ids=STOPPED)
def test_a_feed_that_would_poison_the_store_is_stopped_with_a_reason(
    feed: Feed, reason: Reason
) -> None:
    assert reasons_to_stop(feed, LIMITS) == [reason]


MERGED = {
    "nothing happened": QUIET,
    "half of HR is missing": replace(QUIET, received=500, matched=500),
    "everybody is marked as left": _with(_change("status", 1000), _change("leave_date", 1000)),
    "nobody in a read of changes": replace(QUIET, is_complete=False, received=0, matched=0),
    "nobody, where nobody was": replace(QUIET, received=0, known=0, matched=0),
    "some rejected": replace(QUIET, rejected=100),
    "a department is dissolved": _with(_change("department_code", 300)),
    "a field that is no key field": _with(_change("phone", 1000, 1000)),
    "a handful, below the floor": _with(_change("full_name", 19, 19), matched=19),
    "a reorganisation among changes": _with(_change("department_code", 200), matched=200),
}


@pytest.mark.parametrize("feed", MERGED.values(), ids=MERGED)
def test_a_feed_that_only_looks_unusual_is_merged(feed: Feed) -> None:
    assert reasons_to_stop(feed, LIMITS) == []


def test_all_reasons_are_told() -> None:
    feed = replace(_with(_change("email", 900), _change("department_code", 400, 400)), rejected=500)
    assert [reason.kind for reason in reasons_to_stop(feed, LIMITS)] == [
        Kind.NEWLY_REJECTED, Kind.FIELD_EMPTIED, Kind.FIELD_CHANGED,
    ]  # fmt: skip
