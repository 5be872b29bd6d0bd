"""Where a person stands between joining and leaving, in the person's own zone.

The first of these that holds decides:

| fact                                                             | state   |
|------------------------------------------------------------------|---------|
| missing from HR, and that is taken for leaving                   | left    |
| a status that says so (a hire that was called off, too)          | left    |
| the hire was called off: see below                               | left    |
| the last working day has ended                                   | left    |
| the first working day has not begun                              | prehire |
| a status that says so                                            | leave   |
| anything else: the rules decide who gets what                    | active  |

A last working day before the first one has two readings. It is that of an earlier employment, so
that the person is rehired; or HR has called the hire off, often by the day before the first one.
Whose account was ever used is rehired. Of all others the hire is called off where the last day is
the day before the first, and only a human can say where it is an earlier one. With the last day of
the calendar, 9999-12-31, HR says that there is none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

_FIRST_OF_ALL = datetime.min.replace(tzinfo=UTC)
_LAST_OF_ALL = datetime.max.replace(tzinfo=UTC)


class Lifecycle(StrEnum):
    """Where a person stands: the table on top."""

    PREHIRE = "prehire"
    ACTIVE = "active"
    LEAVE = "leave"
    LEFT = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statuses:
    """What a source's statuses mean, and the zone of its persons who have none of their own."""

    zone: str = "UTC"
    leave: Collection[str] = ()
    left: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`starts_at`: when the first working day begins, if it is known. `next_at`: when time alone
    changes the state. `ended_at`: of who has left, when; None where no date says so.
    `is_doubtful`: the person is rehired, or the hire was called off."""

    state: Lifecycle
    is_doubtful: bool = False
    is_presumed: bool = False
    """The person has left because HR lacks the person."""
    starts_at: datetime | None = None
    next_at: datetime | None = None
    ended_at: datetime | None = None


def standing(
    person: Mapping[str, Any], statuses: Statuses, *, now: datetime, was_used: bool
) -> Standing:
    """`was_used`: whether an account of the person was ever used."""
    zone = person["time_zone"] or statuses.zone
    first = person["hire_date"] or person["effective_date"]
    starts_at = begin_of(first, zone) if first else None
    ends_at = _ends_at(person["leave_date"], first, zone)
    dates = [moment for moment in (starts_at, ends_at) if moment and moment > now]
    next_at = min(dates, default=None)
    gap = None if was_used else _days_before(person["leave_date"], first)
    state = Lifecycle.LEFT if gap == 1 else _state(person, statuses, starts_at, ends_at, now)
    has_ended = ends_at is not None and ends_at <= now
    left_at = ends_at if has_ended else person["presumed_left_at"] or ends_at
    has_left = state is Lifecycle.LEFT
    return Standing(
        state=state,
        is_doubtful=gap is not None and not has_left,
        is_presumed=has_left and person["presumed_left_at"] is not None,
        starts_at=starts_at,
        next_at=next_at,
        ended_at=left_at if has_left else None,
    )


def _days_before(last: date | None, first: date | None) -> int | None:
    """How many days the last working day lies before the first one; None: it does not."""
    return (first - last).days if last and first and last < first else None


def _ends_at(last: date | None, first: date | None, zone: str) -> datetime | None:
    if last is None or last == date.max or (first is not None and last < first):
        return None
    return begin_of(last + timedelta(days=1), zone)


def _state(
    person: Mapping[str, Any],
    statuses: Statuses,
    starts_at: datetime | None,
    ends_at: datetime | None,
    now: datetime,
) -> Lifecycle:
    has_ended = ends_at is not None and ends_at <= now
    if person["presumed_left_at"] or person["status"] in statuses.left or has_ended:
        return Lifecycle.LEFT
    if starts_at is not None and starts_at > now:
        return Lifecycle.PREHIRE
    return Lifecycle.LEAVE if person["status"] in statuses.leave else Lifecycle.ACTIVE


@lru_cache(maxsize=4096)
def begin_of(day: date, zone: str) -> datetime:
    """The first moment of a day in a zone, in UTC; for the first and last days of the calendar, the
    nearest moment that a datetime can hold."""
    try:
        return datetime.combine(day, time.min, ZoneInfo(zone)).astimezone(UTC)
    except OverflowError:
        return _FIRST_OF_ALL if day.year == date.min.year else _LAST_OF_ALL
