"""The guard: what of a plan is so much that a human has to look at it first (I7)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from accountsync.domain.plans.risks import Risk
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
    """Limits for one risk in one target. `once` is for one plan with what is held already; `day`,
    `week` and `month` (24 hours, 7 and 30 days) are for what no human approved.

    None of them is ever above `hard_percent` of the active accounts. Where these are so few that
    this would stop one or two people, `floor` is allowed instead, but not more than half of them.
    """

    once: Limit
    hard_percent: float
    floor: int
    day: Limit
    week: Limit
    month: Limit

    def ceiling(self, active: int) -> float:
        """Above this no limit goes, however large its count is. There may be more creates than
        active accounts, so 100 % means that there is no ceiling."""
        if self.hard_percent >= 100:
            return inf
        return max(active * self.hard_percent / 100, min(self.floor, max(1, active / 2)))

    def allowed(self, limit: Limit, active: int) -> float:
        return min(limit.of(active), self.ceiling(active))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Numbers about one risk in one target.

    `active`: active accounts. `planned`: tasks of this plan. `held`: tasks of earlier plans that
    nobody has decided about. `day`, `week`, `month`: persons of whom a task was let through in the
    last 24 hours, 7 and 30 days without a human.
    """

    active: int
    planned: int
    held: int = 0
    day: int = 0
    week: int = 0
    month: int = 0


def reasons_to_hold(risk: Risk, facts: Facts, rule: GuardRule) -> list[Reason]:
    """Why tasks of this risk are held; no reason: they go on."""
    if not facts.planned:
        return []
    asked, active = facts.planned + facts.held, facts.active
    reasons = []
    if asked > rule.once.of(active):
        reasons.append(_more(Kind.MORE_AT_ONCE, risk, asked, active, rule.once.of(active)))
    if asked > rule.ceiling(active):
        reasons.append(_more(Kind.MORE_THAN_SHARE, risk, asked, active, rule.hard_percent))
    return reasons + _beyond_budgets(risk, facts, rule, has_reasons=bool(reasons))


def _beyond_budgets(
    risk: Risk, facts: Facts, rule: GuardRule, *, has_reasons: bool
) -> list[Reason]:
    """A budget is told where more went before than in the shorter time, or where nothing else has
    been told: what a plan asks for by itself needs no more than one reason."""
    asked, active = facts.planned + facts.held, facts.active
    reasons: list[Reason] = []
    told = 0
    for kind, before, limit in (
        (Kind.MORE_IN_24_HOURS, facts.day, rule.day),
        (Kind.MORE_IN_7_DAYS, facts.week, rule.week),
        (Kind.MORE_IN_30_DAYS, facts.month, rule.month),
    ):
        allowed = rule.allowed(limit, active)
        if before + asked > allowed and (before > told or not (has_reasons or reasons)):
            reasons.append(_more(kind, risk, before + asked, active, allowed))
            told = before
    return reasons


def _more(kind: Kind, risk: Risk, asked: int, active: int, allowed: float) -> Reason:
    return Reason.of(kind, risk=risk.value, asked=asked, active=active, allowed=allowed)
