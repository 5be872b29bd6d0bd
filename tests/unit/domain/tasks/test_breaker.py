"""The circuit breaker: when a target is called, looked at, or left alone (I13)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from accountsync.domain.tasks.breaker import (
    Breaker,
    BreakerRule,
    Passage,
    half_opened,
    opened,
    passage,
    paused,
)

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RULE = BreakerRule(after=10, base=MINUTE, cap=15 * MINUTE)
OPEN = opened(Breaker(), cause="connection refused", rule=RULE, now=NOW)
PAUSED = paused(until=NOW + MINUTE, now=NOW)


@pytest.mark.parametrize(
    ("breaker", "later", "expected"),
    [
        (Breaker(), timedelta(), Passage.GO),
        (OPEN, timedelta(), Passage.WAIT),
        (OPEN, timedelta(seconds=59), Passage.WAIT),
        (OPEN, MINUTE, Passage.LOOK),
        (half_opened(OPEN), timedelta(), Passage.LOOK),
        (PAUSED, timedelta(seconds=59), Passage.WAIT),
        (PAUSED, MINUTE, Passage.TRIAL),
    ],
)
def test_the_state_and_the_time_decide(
    breaker: Breaker, later: timedelta, expected: Passage
) -> None:
    assert passage(breaker, now=NOW + later) is expected


def test_an_outage_is_looked_at_less_and_less_often_and_keeps_its_beginning() -> None:
    now, breaker = NOW, Breaker()
    waits = []
    for _ in range(8):
        breaker = opened(half_opened(breaker), cause="down", rule=RULE, now=now)
        assert breaker.probe_at is not None
        waits.append(breaker.probe_at - now)
        now = breaker.probe_at
    assert waits[:4] == [MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE]
    assert all(one <= other for one, other in pairwise(waits))
    assert waits[-1] == RULE.cap
    assert (breaker.since, breaker.failures) == (NOW, 8)


def test_a_target_that_was_well_in_between_is_down_anew() -> None:
    again = opened(Breaker(), cause="down", rule=RULE, now=NOW + MINUTE)
    assert (again.failures, again.since) == (1, NOW + MINUTE)
