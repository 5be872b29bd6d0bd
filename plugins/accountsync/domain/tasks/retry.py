"""When a failed attempt is tried again: a pure decision (I13)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from accountsync.errors import AccountSyncError, TransientError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRule:
    """The n-th retry waits base · 2ⁿ⁻¹, at most `cap`, spread by jitter; after `max_attempts` the
    task is given up."""

    max_attempts: int
    base: timedelta
    cap: timedelta

    def delay(self, attempts: int, *, jitter: float) -> timedelta:
        """How long to wait after `attempts` attempts (≥ 1). `jitter` in [0, 1) spreads the wait
        over its upper half."""
        doublings = min(attempts - 1, 20)
        doubled = self.base * (1 << doublings)
        return min(doubled, self.cap) * (0.5 + jitter / 2)


def next_attempt_at(
    error: AccountSyncError, *, attempts: int, rule: RetryRule, now: datetime, jitter: float
) -> datetime | None:
    """The time of the next attempt; None: there is none. A target's own Retry-After is obeyed."""
    if not isinstance(error, TransientError) or attempts >= rule.max_attempts:
        return None
    return now + max(rule.delay(attempts, jitter=jitter), asked_to_wait(error))


def asked_to_wait(error: AccountSyncError) -> timedelta:
    """How long the target itself asked us to wait, with Retry-After; nothing if it did not."""
    seconds = error.retry_after if isinstance(error, TransientError) else None
    return timedelta(seconds=seconds or 0)
