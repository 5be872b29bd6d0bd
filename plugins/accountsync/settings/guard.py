"""When tasks of a plan are held for a human (I7)."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, NonNegativeInt

from accountsync.domain.plans.plan_guard import GuardRule, Limit
from accountsync.domain.plans.risks import Risk
from accountsync.settings.parts import Duration, Group, Percent


class AtMost(Group):
    """The larger of the two; `percent` is of the target's active accounts."""

    count: NonNegativeInt = Field(description="held above it …")
    percent: Percent = Field(description="… and above this share of the active accounts")

    @property
    def limit(self) -> Limit:
        return Limit(count=self.count, percent=self.percent)


class RiskLimits(AtMost):
    """By one plan; the rest in place of the common numbers."""

    hard_percent: Percent | None = Field(None, description="default: the common one")
    floor: NonNegativeInt | None = Field(None, description="default: the common one")
    budget_24h: AtMost | None = Field(None, description="default: the common one")
    budget_7d: AtMost | None = Field(None, description="default: the common one")
    budget_30d: AtMost | None = Field(None, description="default: the common one")


_USUAL = RiskLimits(count=20, percent=2)


class Guard(Group):
    """More than this in one target is held until a human approves it."""

    disable: RiskLimits = Field(_USUAL, description="disables")
    delete: RiskLimits = Field(_USUAL, description="deletes")
    enable: RiskLimits = Field(_USUAL, description="enables, but those of joiners")
    create: RiskLimits = Field(_USUAL, description="creates, but those of joiners")
    rename: RiskLimits = Field(
        _USUAL, description="renames, and updates of an attribute that is made from a name"
    )
    lost_membership: RiskLimits = Field(
        _USUAL, description="updates that take somebody out of a group or role"
    )
    emptied_attribute: RiskLimits = Field(
        _USUAL, description="updates that clear an attribute which had a value"
    )
    joiner: Duration = Field(
        timedelta(days=60),
        description="who was hired within this time is a joiner, whose account needs no other"
        " explanation",
    )
    hard_percent: Percent = Field(
        20, description="never more than this share, whatever `count` is; 100: no such rule"
    )
    floor: NonNegativeInt = Field(
        5, description="where `hard_percent` is less, so many, but at most half of all"
    )
    budget_24h: AtMost = Field(
        AtMost(count=40, percent=4), description="within 24 hours, without those a human approved"
    )
    budget_7d: AtMost = Field(
        AtMost(count=100, percent=10), description="within 7 days, without those a human approved"
    )
    budget_30d: AtMost = Field(
        AtMost(count=100, percent=15), description="within 30 days, without those a human approved"
    )

    def rule(self, risk: Risk) -> GuardRule:
        own = self._own(risk)
        return GuardRule(
            once=own.limit,
            hard_percent=self.hard_percent if own.hard_percent is None else own.hard_percent,
            floor=self.floor if own.floor is None else own.floor,
            day=(own.budget_24h or self.budget_24h).limit,
            week=(own.budget_7d or self.budget_7d).limit,
            month=(own.budget_30d or self.budget_30d).limit,
        )

    def _own(self, risk: Risk) -> RiskLimits:
        return {
            Risk.DISABLE: self.disable,
            Risk.DELETE: self.delete,
            Risk.CREATE: self.create,
            Risk.ENABLE: self.enable,
            Risk.RENAME: self.rename,
            Risk.LOST_MEMBERSHIP: self.lost_membership,
            Risk.EMPTIED_ATTRIBUTE: self.emptied_attribute,
        }[risk]
