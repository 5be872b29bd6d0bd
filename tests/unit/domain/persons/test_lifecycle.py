"""Where a person stands: a specification, and the lines between days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accountsync.domain.persons.lifecycle import Lifecycle, Statuses, standing

NOON = datetime(2026, 5, 10, 12, tzinfo=UTC)
TODAY, YESTERDAY, TOMORROW = date(2026, 5, 10), date(2026, 5, 9), date(2026, 5, 11)
OLDER, OLD = date(2015, 1, 1), date(2020, 12, 31)
STATUSES = Statuses(zone="UTC", leave=["L"], left=["X"])
BLANK: dict[str, Any] = {
    "time_zone": None, "hire_date": None, "effective_date": None, "leave_date": None,
    "status": "1", "presumed_left_at": None,
}  # fmt: skip


def state(now: datetime = NOON, **facts: Any) -> str:
    return standing(BLANK | facts, STATUSES, now=now, was_used=True).state.value


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "active"),
        ({"hire_date": TODAY}, "active"),
        ({"hire_date": TOMORROW}, "prehire"),
        ({"effective_date": TOMORROW}, "prehire"),
        ({"hire_date": YESTERDAY, "effective_date": TOMORROW}, "active"),  # a mover
        ({"status": "L"}, "leave"),
        ({"status": "L", "hire_date": TOMORROW}, "prehire"),
        ({"status": "X"}, "left"),
        ({"status": "X", "leave_date": TOMORROW}, "left"),
        ({"status": "X", "hire_date": TOMORROW}, "left"),  # the hire was called off
        ({"leave_date": TODAY}, "active"),  # it is the last working day
        ({"leave_date": YESTERDAY}, "left"),
        ({"leave_date": YESTERDAY, "status": "L"}, "left"),
        ({"leave_date": date(2020, 1, 1)}, "left"),  # told late
        ({"leave_date": date(2020, 1, 1), "hire_date": YESTERDAY}, "active"),  # rehired
        ({"leave_date": date(2020, 1, 1), "hire_date": TOMORROW}, "prehire"),  # to be rehired
        ({"leave_date": YESTERDAY, "hire_date": YESTERDAY}, "left"),  # one day only
        # the first hire date is kept: rehired, or a leaver's record that HR touched afterwards
        ({"hire_date": OLD, "leave_date": OLDER, "effective_date": YESTERDAY}, "active"),
        ({"hire_date": OLDER, "leave_date": OLD, "effective_date": YESTERDAY}, "left"),
        ({"hire_date": OLDER, "leave_date": OLD, "effective_date": TOMORROW}, "left"),
        ({"hire_date": OLDER, "effective_date": TOMORROW}, "active"),
        ({"presumed_left_at": NOON}, "left"),
        ({"presumed_left_at": NOON, "hire_date": TOMORROW}, "left"),
        ({"status": None}, "active"),
        ({"leave_date": date.max, "hire_date": OLD}, "active"),  # HR says: no end
        ({"leave_date": date.max, "status": "X"}, "left"),
        ({"leave_date": date.min}, "left"),
        ({"hire_date": date.min}, "active"),
        ({"hire_date": date.max}, "prehire"),
    ],
)
def test_status_dates_and_absence_decide(facts: dict[str, Any], expected: str) -> None:
    assert state(**facts) == expected


@pytest.mark.parametrize(
    ("zone", "ends"),
    [
        ("Asia/Shanghai", datetime(2026, 5, 9, 16, tzinfo=UTC)),
        ("America/Los_Angeles", datetime(2026, 5, 10, 7, tzinfo=UTC)),
        ("UTC", datetime(2026, 5, 10, tzinfo=UTC)),
    ],
)
def test_the_last_working_day_ends_where_the_person_is(zone: str, ends: datetime) -> None:
    facts = {"leave_date": YESTERDAY, "time_zone": zone}
    before = ends - timedelta(seconds=1)
    assert state(before, **facts) == "active"
    assert state(ends, **facts) == "left"
    assert standing(BLANK | facts, STATUSES, now=before, was_used=True).next_at == ends


def test_the_first_working_day_begins_in_shanghai_before_los_angeles() -> None:
    moment = datetime(2026, 5, 10, 17, tzinfo=UTC)  # the 11th in Shanghai, the 10th elsewhere
    assert state(moment, hire_date=TOMORROW, time_zone="Asia/Shanghai") == "active"
    assert state(moment, hire_date=TOMORROW, time_zone="America/Los_Angeles") == "prehire"


def test_who_has_no_zone_lives_in_that_of_the_source() -> None:
    shanghai = Statuses(zone="Asia/Shanghai")
    moment = datetime(2026, 5, 10, 17, tzinfo=UTC)
    assert (
        standing(BLANK | {"hire_date": TOMORROW}, shanghai, now=moment, was_used=True).state
        == "active"
    )


@pytest.mark.parametrize(
    ("facts", "ended"),
    [
        ({"leave_date": YESTERDAY}, datetime(2026, 5, 10, tzinfo=UTC)),
        ({"leave_date": OLD, "presumed_left_at": NOON}, datetime(2021, 1, 1, tzinfo=UTC)),
        ({"leave_date": TOMORROW, "presumed_left_at": NOON}, NOON),
        ({"leave_date": TODAY, "status": "X"}, datetime(2026, 5, 11, tzinfo=UTC)),
        ({"status": "X"}, None),
        ({"leave_date": TODAY}, None),  # still there
    ],
)
def test_the_moment_of_leaving_is_that_of_a_date(
    facts: dict[str, Any], ended: datetime | None
) -> None:
    assert standing(BLANK | facts, STATUSES, now=NOON, was_used=True).ended_at == ended


@given(
    hire=st.none() | st.dates(), leave=st.none() | st.dates(),
    zone=st.none() | st.sampled_from(sorted(available_timezones())),
)  # fmt: skip
@example(hire=date.min, leave=date.min, zone="Asia/Shanghai")
@example(hire=date.max, leave=date(9999, 12, 30), zone="America/Los_Angeles")
@example(hire=date.max, leave=date.max, zone="Pacific/Kiritimati")
def test_no_date_and_no_zone_stops_anybody(
    hire: date | None, leave: date | None, zone: str | None
) -> None:
    """I3."""
    person = BLANK | {"hire_date": hire, "leave_date": leave, "time_zone": zone}
    assert isinstance(standing(person, STATUSES, now=NOON, was_used=True).state, Lifecycle)


def test_a_last_working_day_that_never_comes_brings_nobody_back() -> None:
    assert (
        standing(BLANK | {"leave_date": date.max}, STATUSES, now=NOON, was_used=True).next_at
        is None
    )


DAYS = st.none() | st.dates(date(2026, 5, 1), date(2026, 5, 20))


ZONES = st.sampled_from(["Asia/Shanghai", "UTC", "America/Los_Angeles"])


@given(
    hire=DAYS, effective=DAYS, leave=DAYS, zone=ZONES,
    hours=st.integers(0, 24 * 20), later=st.integers(0, 24 * 30),
)  # fmt: skip
def test_time_alone_changes_nothing_before_the_date_that_was_said(
    hire: date | None, effective: date | None, leave: date | None, zone: str, hours: int, later: int
) -> None:
    """`next_at` brings a person back whenever the state can change."""
    person = BLANK | {
        "hire_date": hire, "effective_date": effective, "leave_date": leave, "time_zone": zone,
    }  # fmt: skip
    now = datetime(2026, 5, 1, tzinfo=UTC) + timedelta(hours=hours)
    then = now + timedelta(hours=later)
    first, second = (
        standing(person, STATUSES, now=moment, was_used=True) for moment in (now, then)
    )
    if first.state is not second.state:
        assert first.next_at is not None
        assert first.next_at <= then
    assert first.next_at is None or first.next_at > now
    assert isinstance(first.state, Lifecycle)


@pytest.mark.parametrize(
    ("leave", "was_used", "expected"),
    [
        (TODAY, False, ("left", False)),  # the day before the first: called off
        (TODAY, True, ("prehire", False)),
        (OLD, False, ("prehire", True)),  # an earlier employment, or called off
        (OLD, True, ("prehire", False)),
        (TOMORROW, False, ("prehire", False)),  # one day only
    ],
)
def test_a_leave_date_before_the_hire_date_has_two_readings(
    leave: date, was_used: bool, expected: tuple[str, bool]
) -> None:
    """I19: whose account was never used was perhaps never hired."""
    facts = BLANK | {"hire_date": TOMORROW, "leave_date": leave}
    found = standing(facts, STATUSES, now=NOON, was_used=was_used)
    assert (found.state.value, found.is_doubtful) == expected
