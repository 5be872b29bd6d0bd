"""The guard: which operations of a plan are so many that a human has to look at them (I7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from accountsync.domain.reasons import Kind, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The larger of a count and a percentage of the target's active accounts."""

    count: int
    percent: float

    def of(self, active: int) -> float:
        return max(self.count, active * self.percent / 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRule:
    once: Limit
    hard_percent: float
    floor: int
    day: Limit
    week: Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Numbers about one operation in one target.

    `active`: active accounts. `planned`: tasks of this plan. `held`: tasks of earlier plans that
    nobody has decided about. `day`, `week`: tasks let through in the last 24 hours and 7 days
    without a human.
    """

    active: int
    planned: int
    held: int = 0
    day: int = 0
    week: int = 0


def reasons_to_hold(facts: Facts, rule: GuardRule) -> list[Reason]:
    """Why the operation is held; no reason: it goes on."""
    return list(_reasons(facts, rule)) if facts.planned else []


def _reasons(facts: Facts, rule: GuardRule) -> Iterator[Reason]:
    asked, active, percent = facts.planned + facts.held, facts.active, rule.hard_percent
    if asked > rule.once.of(active):
        yield _more(Kind.MORE_AT_ONCE, asked, active, rule.once.of(active))
    if asked > rule.floor and asked > active * percent / 100:
        yield _more(Kind.MORE_THAN_SHARE, asked, active, percent)
    if facts.day + asked > rule.day.of(active):
        yield _more(Kind.MORE_IN_24_HOURS, facts.day + asked, active, rule.day.of(active))
    if facts.week + asked > rule.week.of(active):
        yield _more(Kind.MORE_IN_7_DAYS, facts.week + asked, active, rule.week.of(active))


def _more(kind: Kind, asked: int, active: int, allowed: float) -> Reason:
    return Reason.of(kind, asked=asked, active=active, allowed=allowed)
