"""What is so much that a human has to look at it first (I7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.domain.plans.plan_guard import Facts, reasons_to_hold
from accountsync.domain.reasons import Kind, Reason
from accountsync.settings.guard import Guard

RULE = Guard().rule("disable")


@pytest.mark.parametrize(
    ("active", "planned", "held"),
    [
        (10, 5, False),  # a small firm's ordinary day
        (10, 6, True),
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
def test_floor_count_percentage_and_hard_stop(active: int, planned: int, held: bool) -> None:
    assert bool(reasons_to_hold(Facts(active=active, planned=planned), RULE)) is held


def test_what_waits_already_counts() -> None:
    assert not reasons_to_hold(Facts(active=1_000, planned=15), RULE)
    assert reasons_to_hold(Facts(active=1_000, planned=15, held=6), RULE)


@pytest.mark.parametrize(
    ("facts", "kind", "numbers"),
    [
        ({"day": 31, "week": 31}, Kind.MORE_IN_24_HOURS, {"asked": 41, "allowed": 40}),
        ({"day": 0, "week": 91}, Kind.MORE_IN_7_DAYS, {"asked": 101, "allowed": 100}),
    ],
)
def test_a_slow_leak_is_stopped_by_the_budgets(
    facts: dict[str, int], kind: Kind, numbers: dict[str, int]
) -> None:
    found = reasons_to_hold(Facts(active=1_000, planned=10, **facts), RULE)
    assert found == [Reason.of(kind, active=1_000, **numbers)]


def test_each_limit_that_is_passed_is_told_with_its_numbers() -> None:
    """I7: at once the larger of 20 and 2 %, 20 % however few, 40 or 4 % a day, 100 or 10 % a
    week."""
    found = reasons_to_hold(Facts(active=100, planned=30, held=2, day=20, week=90), RULE)
    assert found == [
        Reason.of(Kind.MORE_AT_ONCE, asked=32, active=100, allowed=20),
        Reason.of(Kind.MORE_THAN_SHARE, asked=32, active=100, allowed=20),
        Reason.of(Kind.MORE_IN_24_HOURS, asked=52, active=100, allowed=40),
        Reason.of(Kind.MORE_IN_7_DAYS, asked=122, active=100, allowed=100),
    ]


@given(
    active=st.integers(30, 5_000),
    lots=st.lists(st.integers(0, 60), max_size=60),
)
def test_no_leak_however_slow_passes_the_weeks_budget(active: int, lots: list[int]) -> None:
    passed = 0
    for lot in lots:  # all within one day: the tighter budget holds too
        if not reasons_to_hold(Facts(active=active, planned=lot, day=passed, week=passed), RULE):
            passed += lot
    assert passed <= max(40, active * 0.04)


def test_nothing_planned_is_never_held() -> None:
    assert reasons_to_hold(Facts(active=0, planned=0, held=500, day=500, week=500), RULE) == []
