"""What is so much that a human has to look at it first (I7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accountsync.domain.plans.plan_guard import Facts, GuardRule, Limit, reasons_to_hold
from accountsync.domain.plans.risks import Risk
from accountsync.domain.reasons import Kind, Reason
from accountsync.settings.guard import AtMost, Guard, RiskLimits
from tests.conftest import REPOSITORY

RULE = Guard().rule(Risk.DISABLE)
DAY, WEEK, MONTH = (timedelta(days=days) for days in (1, 7, 30))
HOUR = timedelta(hours=1)
SIZES = (1, 3, 10, 20, 50, 100, 300, 1_000, 10_000, 100_000)
SEVERAL = settings(max_examples=200, deadline=None, database=None, print_blob=False)


def held(facts: Facts, rule: GuardRule = RULE) -> list[Reason]:
    return reasons_to_hold(Risk.DISABLE, facts, rule)


@pytest.mark.parametrize(
    ("active", "planned", "expected"),
    [
        (1, 1, False),
        (3, 2, True),
        (10, 5, False),  # a small firm's ordinary day
        (10, 6, True),
        (20, 5, False),
        (20, 6, True),
        (100, 20, False),
        (100, 21, True),
        (1_000, 20, False),
        (1_000, 21, True),
        (10_000, 200, False),
        (10_000, 201, True),
        (0, 0, False),
        (0, 6, True),
    ],
)
def test_floor_count_percentage_and_hard_stop(active: int, planned: int, expected: bool) -> None:
    assert bool(held(Facts(active=active, planned=planned))) is expected


def test_what_waits_already_counts() -> None:
    assert not held(Facts(active=1_000, planned=15))
    assert held(Facts(active=1_000, planned=15, held=6))


@pytest.mark.parametrize(
    ("facts", "kind", "numbers"),
    [
        (
            {"day": 31, "week": 31, "month": 31},
            Kind.MORE_IN_24_HOURS,
            {"asked": 41, "allowed": 40},
        ),
        (
            {"day": 0, "week": 91, "month": 91},
            Kind.MORE_IN_7_DAYS,
            {"asked": 101, "allowed": 100},
        ),
        (
            {"day": 0, "week": 0, "month": 141},
            Kind.MORE_IN_30_DAYS,
            {"asked": 151, "allowed": 150},
        ),
    ],
)
def test_a_slow_leak_is_stopped_by_the_budgets(
    facts: dict[str, int], kind: Kind, numbers: dict[str, int]
) -> None:
    found = held(Facts(active=1_000, planned=10, **facts))
    assert found == [Reason.of(kind, risk="disable", active=1_000, **numbers)]


def test_each_limit_that_is_passed_is_told_with_its_numbers() -> None:
    """I7: a longer time is told only where more went before than in the shorter one."""
    numbers = {"risk": "rename", "active": 100}
    found = reasons_to_hold(
        Risk.RENAME, Facts(active=100, planned=30, held=2, day=20, week=90, month=90), RULE
    )
    assert found == [
        Reason.of(Kind.MORE_AT_ONCE, asked=32, allowed=20, **numbers),
        Reason.of(Kind.MORE_THAN_SHARE, asked=32, allowed=20, **numbers),
        Reason.of(Kind.MORE_IN_24_HOURS, asked=52, allowed=20, **numbers),
        Reason.of(Kind.MORE_IN_7_DAYS, asked=122, allowed=20, **numbers),
    ]


def test_a_budget_that_is_smaller_than_one_plan_s_limit_holds_by_itself() -> None:
    small = Limit(count=3, percent=0)
    rule = GuardRule(
        once=Limit(count=20, percent=2),
        hard_percent=20,
        floor=5,
        day=small,
        week=small,
        month=small,
    )
    found = held(Facts(active=1_000, planned=4), rule)
    assert [reason.kind for reason in found] == [Kind.MORE_IN_24_HOURS]


def test_a_count_of_none_holds_everything_whatever_the_floor_is() -> None:
    rule = Guard(delete=RiskLimits(count=0, percent=0)).rule(Risk.DELETE)
    assert held(Facts(active=1_000, planned=1), rule)


def test_a_hundred_percent_is_no_ceiling() -> None:
    """There may be more creates than accounts."""
    guard = Guard(create=RiskLimits(count=50, percent=100, hard_percent=100))
    assert not reasons_to_hold(Risk.CREATE, Facts(active=1, planned=30), guard.rule(Risk.CREATE))


def test_a_risk_may_have_numbers_of_its_own() -> None:
    guard = Guard(
        rename=RiskLimits(
            count=1, percent=1, hard_percent=50, floor=2, budget_30d=AtMost(count=9, percent=9)
        )
    )
    own, common = guard.rule(Risk.RENAME), guard.rule(Risk.DISABLE)
    assert (own.once, own.hard_percent, own.floor) == (Limit(count=1, percent=1), 50, 2)
    assert (own.day, own.week) == (common.day, common.week)
    assert (own.month, common.month) == (Limit(count=9, percent=9), Limit(count=100, percent=15))


def test_nothing_planned_is_never_held() -> None:
    assert held(Facts(active=0, planned=0, held=500, day=500, week=500, month=500)) == []


@dataclass(slots=True, kw_only=True)
class Company:
    """Who leaves, as the planner and the guard see it, and no human ever answers."""

    active: int
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    held: int = 0
    gone: list[tuple[datetime, int]] = field(default_factory=list)

    def leave(self, leavers: int) -> bool:
        """Whether the guard let them go."""
        facts = Facts(
            active=self.active,
            planned=leavers,
            held=self.held,
            day=self.within(DAY),
            week=self.within(WEEK),
            month=self.within(MONTH),
        )
        if held(facts):
            self.held += leavers
            return False
        self.gone.append((self.now, leavers))
        self.active -= leavers
        return True

    def within(self, time: timedelta) -> int:
        return sum(leavers for at, leavers in self.gone if at > self.now - time)


def at_most(size: int, count: int, percent: float) -> float:
    """I7, as docs/planning.md says it."""
    cap = max(size * 0.2, min(5, max(1, size / 2)))
    return min(max(count, size * percent / 100), cap)


@SEVERAL
@given(
    size=st.one_of(st.sampled_from(SIZES), st.integers(1, 100_000)),
    slices=st.lists(
        st.tuples(st.sampled_from([1 / 6, 1, 5, 24, 25, 100, 400]), st.floats(0, 1)),
        min_size=1,
        max_size=60,
    ),
    answers=st.booleans(),
)
def test_no_sequence_of_plans_disables_more_than_the_budgets_without_a_human(
    size: int, slices: list[tuple[float, float]], answers: bool
) -> None:
    """I7: for any size and over any days. `answers`: HR takes back what was held, so that it does
    not stand in the way of what comes next; slices are of what would pass, and a little more."""
    company = Company(active=size)
    begin = company.now
    for hours, share in slices:
        company.now += hours * HOUR
        leavers = min(company.active, round(share * 1.1 * at_most(company.active, 20, 2)) or 1)
        if not company.leave(leavers) and answers:
            company.held = 0
        for time, count, percent in ((DAY, 40, 4), (WEEK, 100, 10), (MONTH, 100, 15)):
            assert company.within(time) <= at_most(size, count, percent)
    months = (company.now - begin) // MONTH + 1
    assert size - company.active <= months * at_most(size, 100, 15)


@pytest.mark.parametrize("size", SIZES)
def test_slices_that_just_pass_take_no_company_apart(size: int) -> None:
    """I7: every ten minutes as many as pass, for three days; then one in a hundred each day."""
    company = Company(active=size)
    for _ in range(3 * 144):
        company.now += HOUR / 6
        once = int(at_most(company.active, 20, 2))
        for leavers in (once, once // 2 or 1, 1):
            if company.active and company.leave(leavers):
                break
            company.held = 0
    assert size - company.active <= at_most(size, 100, 10)
    slow = Company(active=size)
    for _ in range(30):
        slow.now += DAY
        slow.leave(min(slow.active, -(-size // 100)))
    assert size - slow.active <= at_most(size, 100, 15)


@given(size=st.integers(1, 200_000))
def test_a_single_leaver_is_never_held(size: int) -> None:
    assert not held(Facts(active=size, planned=1))


@given(size=st.integers(20, 200_000), share=st.floats(0, 0.03))
def test_three_in_a_hundred_a_month_are_nobody_s_question(size: int, share: float) -> None:
    """A company of 1,000 loses 30 in a month, on whatever days."""
    leavers = round(size * share)
    assume(leavers)
    company = Company(active=size)
    for day in range(90):
        company.now += DAY
        due = leavers * (day % 30 + 1) // 30 - leavers * (day % 30) // 30
        assert not due or company.leave(due)
        company.active += due  # others are hired


def test_a_small_company_loses_two_in_a_week() -> None:
    company = Company(active=20)
    assert company.leave(1)
    company.now += 3 * DAY
    assert company.leave(1)


def _row(size: int) -> str:
    limits = [RULE.allowed(limit, size) for limit in (RULE.once, RULE.day, RULE.week, RULE.month)]
    return "| " + " | ".join(f"{number:,.0f}" for number in (size, *map(int, limits))) + " |"


def test_the_table_in_the_docs_is_what_the_defaults_let_through() -> None:
    """I7."""
    page = (REPOSITORY / "docs" / "planning.md").read_text(encoding="utf-8")
    assert [row for row in map(_row, SIZES) if row not in page.splitlines()] == []
