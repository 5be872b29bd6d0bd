"""An account task on its way through a processor: what was claimed, what came out, what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from accountsync.domain.account import RemoteAccount
from accountsync.domain.retry import RetryRule, asked_to_wait, next_attempt_at
from accountsync.errors import (
    AccountExistsError,
    AccountSyncError,
    NeedsHumanError,
    TargetDownError,
    TransientError,
    UnknownOutcomeError,
)

ABSENCES_NEEDED = 2
"""Only so many looks in a row, with a gap, make an absence sure (replication lags)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTask:
    """`attempt_id`: the attempt already recorded. `probe`: look before doing anything (I9)."""

    id: int
    attempt_id: int
    person_id: int
    employee_number: str
    operation: str
    attributes: Mapping[str, Any]
    attempts: int
    absences: int
    probe: bool


class Outcome(StrEnum):
    """How an attempt ended; each with the task state that follows."""

    SUCCEEDED = "succeeded"
    ADOPTED = "adopted"
    """The account was there and carries the person's key."""
    ABSENT = "absent"
    """A probe surely found nothing."""
    RETRY = "retry"
    UNKNOWN = "unknown"
    FAILED = "failed"
    NOT_SENT = "not_sent"
    """Burns no attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What is recorded about an attempt, and what becomes of its task."""

    task: ClaimedTask
    outcome: Outcome
    state: str
    account: RemoteAccount | None = None
    next_attempt_at: datetime | None = None
    absences: int = 0
    error_kind: str | None = None
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    retry: RetryRule
    probe_gap: timedelta


def succeeded(task: ClaimedTask, account: RemoteAccount, *, adopted: bool = False) -> Result:
    outcome = Outcome.ADOPTED if adopted else Outcome.SUCCEEDED
    return Result(task=task, outcome=outcome, state="succeeded", account=account)


def probed(
    task: ClaimedTask, found: RemoteAccount | None, *, rules: Rules, now: datetime
) -> Result:
    """Ours: recorded. Another's: a human. Absent twice, with a gap: surely absent, done again (I9),
    unless its attempts are used up."""
    if found is not None:
        return succeeded(task, found, adopted=True) if found.ours else _foreign(task)
    absences = task.absences + 1
    if absences < ABSENCES_NEEDED:
        later = now + rules.probe_gap
        return _absent(task, "unknown", absences=absences, next_attempt_at=later)
    if task.attempts < rules.retry.max_attempts:
        return _absent(task, "ready", next_attempt_at=now)
    return _absent(
        task,
        "failed",
        error_kind=UnknownOutcomeError.__name__,
        message=f"{task.attempts} attempts without an answer; the account is surely absent",
    )


def _absent(task: ClaimedTask, state: str, **facts: Any) -> Result:
    return Result(task=task, outcome=Outcome.ABSENT, state=state, **facts)


def existing(task: ClaimedTask, found: RemoteAccount | None, error: AccountExistsError) -> Result:
    """The target says the account exists: ours is adopted, anything else needs a human (I10)."""
    if found is None:
        message = "the target says that the account exists, but a look-up does not show it"
        return _needs_human(task, AccountExistsError, message, code=error.code)
    if found.ours:
        return succeeded(task, found, adopted=True)
    return _foreign(task, code=error.code)


def unfindable(task: ClaimedTask) -> Result:
    """The target offers no look-up: only a human can say whether the account is there."""
    message = "it may have happened, and the target declares no `find`: look there yourself"
    return _needs_human(task, UnknownOutcomeError, message)


def _foreign(task: ClaimedTask, *, code: str | None = None) -> Result:
    message = "the target has an account in the way that does not carry this person's key"
    return _needs_human(task, AccountExistsError, message, code=code)


def _needs_human(
    task: ClaimedTask, kind: type[AccountSyncError], message: str, *, code: str | None = None
) -> Result:
    return Result(
        task=task,
        outcome=Outcome.FAILED,
        state="needs_human",
        error_kind=kind.__name__,
        code=code,
        message=message,
    )


def failed(
    task: ClaimedTask, error: AccountSyncError, *, rules: Rules, now: datetime, jitter: float
) -> Result:
    """What an error means for the task: again later, probe, not sent, or failed for good (I13).

    A probe that fails leaves it unknown whether the account is there: never failed for good (I9).
    """
    if isinstance(error, NeedsHumanError):
        return _after(task, error, Outcome.NOT_SENT, "needs_human", None)
    later = now + max(rules.probe_gap, asked_to_wait(error))
    if isinstance(error, TargetDownError):
        state = "unknown" if task.probe else "ready"
        return _after(task, error, Outcome.NOT_SENT, state, later)
    if task.probe and isinstance(error, TransientError | UnknownOutcomeError):
        return _after(task, error, Outcome.RETRY, "unknown", later)
    if task.probe:
        return _after(task, error, Outcome.FAILED, "needs_human", None)
    if isinstance(error, UnknownOutcomeError):
        return _after(task, error, Outcome.UNKNOWN, "unknown", later)
    again = next_attempt_at(error, attempts=task.attempts, rule=rules.retry, now=now, jitter=jitter)
    if again is not None:
        return _after(task, error, Outcome.RETRY, "ready", again)
    return _after(task, error, Outcome.FAILED, "failed", None)


def _after(
    task: ClaimedTask, error: AccountSyncError, outcome: Outcome, state: str, at: datetime | None
) -> Result:
    return Result(
        task=task,
        outcome=outcome,
        state=state,
        next_attempt_at=at,
        absences=task.absences,
        error_kind=type(error).__name__,
        code=getattr(error, "code", None),
        message=str(error),
    )
