"""When a failed attempt is tried again (I13)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.domain.tasks.retry import RetryRule, asked_to_wait, next_attempt_at
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    ConfigurationError,
    IncompleteReadError,
    InvalidPersonError,
    NeedsDataError,
    RejectedByTargetError,
    SafetyStopError,
    TargetDownError,
    TransientError,
    UnknownOutcomeError,
)

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
RULE = RetryRule(max_attempts=5, base=timedelta(seconds=30), cap=timedelta(hours=6))


@pytest.mark.parametrize(
    ("attempts", "jitter", "seconds"),
    [
        (1, 0.0, 15),
        (1, 0.5, 22.5),
        (2, 0.0, 30),
        (3, 0.0, 60),
        (4, 0.0, 120),
        (10, 0.0, 7_680),
        (11, 0.0, 10_800),
        (12, 0.0, 10_800),
        (1_000_000, 0.0, 10_800),
    ],
)
def test_the_wait_doubles_up_to_the_cap(attempts: int, jitter: float, seconds: float) -> None:
    assert RULE.delay(attempts, jitter=jitter) == timedelta(seconds=seconds)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_jitter_spreads_over_the_upper_half(attempts: int, jitter: float) -> None:
    longest = 2 * RULE.delay(attempts, jitter=0)
    assert longest / 2 <= RULE.delay(attempts, jitter=jitter) <= longest <= RULE.cap


@pytest.mark.parametrize(
    ("attempts", "retry_after", "wait"),
    [
        (1, None, timedelta(seconds=15)),
        (1, 0, timedelta(seconds=15)),
        (1, 10, timedelta(seconds=15)),
        (1, 3600, timedelta(hours=1)),
        (4, 10, timedelta(minutes=2)),
        (4, 86_400, timedelta(days=1)),
        (5, None, None),
        (5, 10, None),
        (6, None, None),
    ],
)
def test_a_transient_error_is_retried_not_before_the_target_asked(
    attempts: int, retry_after: float | None, wait: timedelta | None
) -> None:
    at = next_attempt_at(
        TransientError("busy", retry_after=retry_after),
        attempts=attempts,
        rule=RULE,
        now=NOW,
        jitter=0,
    )
    assert at == (None if wait is None else NOW + wait)


@pytest.mark.parametrize(
    "error",
    [
        AccountExistsError("x"),
        AccountMissingError("x"),
        ConfigurationError("x"),
        InvalidPersonError("x"),
        NeedsDataError("x"),
        RejectedByTargetError("x"),
        SafetyStopError("x"),
        TargetDownError("x"),
        UnknownOutcomeError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_nothing_else_is_retried(error: AccountSyncError) -> None:
    """Data errors stay what they are, and an unknown outcome is probed, not repeated (I9)."""
    assert next_attempt_at(error, attempts=1, rule=RULE, now=NOW, jitter=0) is None


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (TransientError("x"), 0),
        (TransientError("x", retry_after=7), 7),
        (IncompleteReadError("x", retry_after=1.5), 1.5),
        (TargetDownError("x"), 0),
    ],
    ids=str,
)
def test_only_transient_errors_ask_to_wait(error: AccountSyncError, seconds: float) -> None:
    assert asked_to_wait(error) == timedelta(seconds=seconds)
