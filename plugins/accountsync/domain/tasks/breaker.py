"""The breaker decides whether a target is called at all, without a clock or a store (I13).

| state     | meaning                                                          |
|-----------|------------------------------------------------------------------|
| closed    | calls go out                                                     |
| open      | the target is down, and nothing is sent before `probe_at`        |
| half_open | the target is being looked at; then one call is made, on trial   |
| paused    | the target itself has asked us to wait until `probe_at`          |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

STATES = ("closed", "open", "half_open", "paused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """`failures`: looks in a row that found the target down. `since`: when the first one did.
    `trial_task`: the task that was tried last while it was down; the next trial takes another."""

    state: str = "closed"
    failures: int = 0
    since: datetime | None = None
    probe_at: datetime | None = None
    cause: str | None = None
    trial_task: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRule:
    """It opens after `after` calls in a row without a proper answer; the n-th look waits
    base · 2ⁿ⁻¹, at most `cap`."""

    after: int
    base: timedelta
    cap: timedelta


class Passage(Enum):
    """What a processor may do with a target."""

    GO = "go"
    TRIAL = "trial"
    """One call is made first, and all the others once it was answered."""
    LOOK = "look"
    """The connection is tested first; then as TRIAL."""
    WAIT = "wait"


def passage(breaker: Breaker, *, now: datetime) -> Passage:
    if breaker.state == "closed":
        return Passage.GO
    if breaker.state == "half_open":  # the processor that looked has died
        return Passage.LOOK
    if breaker.probe_at is not None and now < breaker.probe_at:
        return Passage.WAIT
    return Passage.TRIAL if breaker.state == "paused" else Passage.LOOK


def half_opened(breaker: Breaker) -> Breaker:
    return replace(breaker, state="half_open", probe_at=None)


def opened(
    breaker: Breaker,
    *,
    cause: str,
    rule: BreakerRule,
    now: datetime,
    trial_task: int | None = None,
) -> Breaker:
    """The breaker after a look that found the target down; `since` stays that of the first one."""
    failures = breaker.failures + 1
    wait = min(rule.base * (1 << min(failures - 1, 20)), rule.cap)
    return Breaker(
        state="open",
        failures=failures,
        since=breaker.since or now,
        probe_at=now + wait,
        cause=cause,
        trial_task=trial_task or breaker.trial_task,
    )


def paused(*, until: datetime, now: datetime) -> Breaker:
    return Breaker(state="paused", since=now, probe_at=until, cause="the target asked us to wait")
