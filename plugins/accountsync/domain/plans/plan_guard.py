"""The judgement about a plan: what is so much that a human has to look at it (I7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


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
    """Of one operation in one target. `planned`: by this plan. `held`: by earlier ones, undecided.
    `day`, `week`: let through in the last 24 hours and 7 days without a human."""

    active: int
    planned: int
    held: int = 0
    day: int = 0
    week: int = 0


def reasons(facts: Facts, rule: GuardRule) -> list[str]:
    """Why the operation is held; nothing: it goes on."""
    return list(_reasons(facts, rule)) if facts.planned else []


def _reasons(facts: Facts, rule: GuardRule) -> Iterator[str]:
    asked, active = facts.planned + facts.held, facts.active
    said = f"{asked} of {active} active accounts"
    if asked > rule.once.of(active):
        yield f"{said}, more than {rule.once.of(active):.0f} at once"
    hard = active * rule.hard_percent / 100
    if asked > rule.floor and asked > hard:
        yield f"{said}, more than {rule.hard_percent:g} %"
    for what, done, limit in (("24 hours", facts.day, rule.day), ("7 days", facts.week, rule.week)):
        if done + asked > limit.of(active):
            yield f"{done + asked} within {what}, more than {limit.of(active):.0f}"
