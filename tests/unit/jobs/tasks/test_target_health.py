"""What errors say about the target itself: it answered, it did not, it is down (I13)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accountsync.domain.tasks.breaker import BreakerRule, Passage
from accountsync.errors import (
    AccountSyncError,
    ConfigurationError,
    NeedsDataError,
    RejectedByTargetError,
    TargetDownError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.jobs.tasks.target_health import TargetHealth

RULE = BreakerRule(after=3, base=timedelta(minutes=1), cap=timedelta(minutes=1))
ANSWERED, NOT_ASKED, UNANSWERED, DOWN = (3, False), (0, False), (0, True), (0, True)


def because(cause: AccountSyncError) -> UnknownOutcomeError:
    error = UnknownOutcomeError("e")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RejectedByTargetError("e", code="c"), ANSWERED),
        (NeedsDataError("e"), NOT_ASKED),
        (TransientError("e"), UNANSWERED),
        (UnknownOutcomeError("e"), UNANSWERED),
        (because(TransientError("e")), UNANSWERED),
        (because(RejectedByTargetError("e", code="c")), ANSWERED),
        (TargetDownError("e"), DOWN),
        (ConfigurationError("e"), DOWN),
    ],
)
def test_a_target_that_says_no_is_well_and_one_that_says_nothing_is_given_up(
    error: AccountSyncError, expected: tuple[int, bool]
) -> None:
    """However often: also where the refusal left an account halfway."""
    stopped: list[AccountSyncError | None] = []
    health = TargetHealth(
        RULE, concurrency=1, passage=Passage.GO, stop=stopped.append, seconds_left=lambda: 60
    )
    for _ in range(3):
        health.judge(error)
    assert (health.answers, bool(stopped)) == expected
