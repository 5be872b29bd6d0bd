"""Whether a feed is stopped because it would change too much. Absence and leaving never stop one
(I4, I7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

from accountsync.domain.reasons import Kind, Reason

LEAVING_FIELDS = frozenset({"status", "leave_date"})
"""These change when somebody leaves, and that is judged by the plan's guard. The feed guard counts
where they are emptied and where leavers come back by them, which no other guard would stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """A leaver is known by one of the `statuses`, or by a last day before `today`."""

    statuses: Sequence[str]
    today: date


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """How many persons a feed changes in one field, how many of them it leaves without a value.

    `had`: persons of the source who had a value, where that was counted. `back`: persons who are
    leavers no more by this field. `had_left`: leavers of the source by this field, where that was
    counted. `examples`: employee numbers. `shifts`: old value, new value, persons; only the most
    frequent ones, and only of fields whose values are codes.
    """

    field: str
    changed: int
    emptied: int
    examples: tuple[str, ...]
    had: int | None = None
    back: int = 0
    had_left: int | None = None
    shifts: tuple[tuple[str | None, str | None, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """`known`: persons of the source, where that was counted · `matched`: rows about persons of the
    store · `rejected`: rows rejected now that were not before."""

    is_complete: bool
    received: int
    rejected: int
    known: int
    matched: int
    changes: Sequence[FieldChange]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Percentages. `floor`: fewer affected rows never stop a feed."""

    floor: int
    rejects_percent: float
    emptied_percent: float
    changed_percent: float
    fields: Sequence[str]


def reasons_to_stop(feed: Feed, limits: Limits) -> list[Reason]:
    """Why the feed is stopped; no reason: it may be merged."""
    if feed.is_complete and feed.received == 0 and feed.known > 0:
        return [Reason.of(Kind.NOT_ONE_ROW, known=feed.known)]
    reasons = []
    if _exceeds(feed.rejected, feed.received, limits.rejects_percent, limits.floor):
        reasons.append(
            Reason.of(
                Kind.NEWLY_REJECTED,
                affected=feed.rejected,
                of=feed.received,
                allowed=limits.rejects_percent,
            )
        )
    watched = [change for change in feed.changes if change.field in limits.fields]
    for change in sorted(watched, key=lambda change: change.field):
        reasons += _about(change, feed, limits)
    return reasons


def _about(change: FieldChange, feed: Feed, limits: Limits) -> list[Reason]:
    beyond = partial(_beyond, field=change.field, floor=limits.floor)
    bearers = feed.matched if change.had is None else min(feed.matched, change.had)
    lost = beyond(Kind.FIELD_EMPTIED, change.emptied, bearers, limits.emptied_percent)
    if lost:
        return lost
    if change.field in LEAVING_FIELDS:
        leavers = feed.matched if change.had_left is None else min(feed.matched, change.had_left)
        return beyond(Kind.LEAVERS_BACK, change.back, leavers, limits.emptied_percent)
    population = max(feed.known, feed.matched)
    return beyond(Kind.FIELD_CHANGED, change.changed, population, limits.changed_percent)


def _beyond(
    kind: Kind, affected: int, of: int, percent: float, *, field: str, floor: int
) -> list[Reason]:
    if not _exceeds(affected, of, percent, floor):
        return []
    return [Reason.of(kind, field=field, affected=affected, of=of, allowed=percent)]


def _exceeds(affected: int, of: int, percent: float, floor: int) -> bool:
    return affected >= floor and affected * 100 > of * percent
