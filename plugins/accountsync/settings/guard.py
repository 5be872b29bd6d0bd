"""When a plan's operations are held for a human (I7)."""

from __future__ import annotations

from pydantic import Field, NonNegativeInt

from accountsync.domain.accounts.account import Operation
from accountsync.domain.plans.plan_guard import GuardRule, Limit
from accountsync.settings.parts import Group, Percent


class AtMost(Group):
    """The larger of the two; `percent` is of the target's active accounts."""

    count: NonNegativeInt = Field(description="held above it …")
    percent: Percent = Field(description="… and above this share of the active accounts")

    @property
    def limit(self) -> Limit:
        return Limit(count=self.count, percent=self.percent)


class Guard(Group):
    """More than this of one operation in one target is held until a human approves it."""

    disable: AtMost = Field(AtMost(count=20, percent=2), description="by one plan")
    delete: AtMost = Field(AtMost(count=20, percent=2), description="by one plan")
    hard_percent: Percent = Field(20, description="held above this even below `count` …")
    floor: NonNegativeInt = Field(5, description="… unless it is so few")
    budget_24h: AtMost = Field(
        AtMost(count=40, percent=4), description="within 24 hours, without those a human approved"
    )
    budget_7d: AtMost = Field(
        AtMost(count=100, percent=10), description="within 7 days, without those a human approved"
    )

    def rule(self, operation: Operation) -> GuardRule:
        return GuardRule(
            once=(self.delete if operation == Operation.DELETE else self.disable).limit,
            hard_percent=self.hard_percent,
            floor=self.floor,
            day=self.budget_24h.limit,
            week=self.budget_7d.limit,
        )
