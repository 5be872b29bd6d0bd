"""An account task on its way through a processor: what was claimed, what came out, what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from accountsync.domain.accounts.account import Account, RemoteAccount
from accountsync.domain.tasks.breaker import BreakerRule
from accountsync.domain.tasks.retry import RetryRule, asked_to_wait, next_attempt_at
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    InvalidPersonError,
    NeedsDataError,
    NeedsHumanError,
    TargetDownError,
    ThrottledError,
    TransientError,
    UnknownOutcomeError,
)

LOOKS_AT_MOST = 10
"""So many look-ups in a row without an answer, each after a longer while: a human has to look."""

HELD_BY_OPERATOR = "HeldByOperator"
"""The error of what `task hold` keeps; what the guard holds is released with its plan only (I7)."""

TAKING_AWAY = ("disable", "delete")
"""Operations that an account which has gone satisfies, and that run in reverse order (I12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTask:
    """`attempt_id`: the attempt already recorded. `probe`: look before doing anything (I9).
    `unanswered`: probes in a row without an answer. `account`: what we know of it;
    `account_state`: its state once the task has succeeded. `late_bound`: some attributes were read
    now, from other accounts."""

    id: int
    attempt_id: int
    person_id: int
    employee_number: str
    operation: str
    attributes: Mapping[str, Any]
    account_state: str
    account: Account | None
    attempts: int
    absences: int
    probe: bool
    unanswered: int = 0
    late_bound: bool = False


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
    """What is recorded about an attempt, and what becomes of its task and of the account.

    `account_state`: that of the account from now on; None: nothing is known to have changed.
    `burnt`: whether it counts as an attempt. `replan`: the planner has to look at the person again.
    `applied`: the account's attributes, where they are known not to be the wanted ones.
    """

    task: ClaimedTask
    outcome: Outcome
    state: str
    account: RemoteAccount | None = None
    account_state: str | None = None
    next_attempt_at: datetime | None = None
    absences: int = 0
    unanswered: int = 0
    error_kind: str | None = None
    code: str | None = None
    message: str | None = None
    burnt: bool = True
    replan: bool = False
    applied: Mapping[str, Any] | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    retry: RetryRule
    probe_gap: timedelta
    breaker: BreakerRule = BreakerRule(
        after=10, base=timedelta(minutes=1), cap=timedelta(minutes=15)
    )


def succeeded(task: ClaimedTask, account: RemoteAccount | None, *, adopted: bool = False) -> Result:
    return Result(
        task=task,
        outcome=Outcome.ADOPTED if adopted else Outcome.SUCCEEDED,
        state="succeeded",
        account=account,
        account_state=task.account_state,
    )


def manual(task: ClaimedTask) -> Result:
    """An operation that the target does not offer: somebody has to do it there, and say so."""
    message = (
        f"the target offers no {task.operation!r}: do it there by hand, then"
        f" `bin/accountsync task done --task {task.id}`"
    )
    return Result(
        task=task,
        outcome=Outcome.NOT_SENT,
        state="needs_human",
        error_kind="ManualOperation",
        message=message,
        burnt=False,
    )


def gone(task: ClaimedTask) -> Result:
    """The target has no such account. What takes access away is done; anything else is not, and
    the planner decides whether the person gets a new one."""
    if task.operation in TAKING_AWAY:
        state = "deleted" if task.operation == "delete" else "absent"
        return replace(succeeded(task, None), account_state=state)
    return Result(
        task=task,
        outcome=Outcome.FAILED,
        state="failed",
        account_state="absent",
        error_kind=AccountMissingError.__name__,
        message="the target has no such account any more",
        replan=True,
    )


def needs_human(
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


def unrecordable(result: Result, *, because: str) -> Result:
    """What the target answered, the store does not take: this task's fault, and no other's."""
    message = f"the answer cannot be recorded ({because}); look at the target"
    return replace(
        needs_human(result.task, UnknownOutcomeError, message),
        burnt=result.burnt,
        seconds=result.seconds,
    )


def not_sent(task: ClaimedTask, *, at: datetime, message: str) -> Result:
    """Claimed, and given back: the run ended first, or the target was given up."""
    return Result(
        task=task,
        outcome=Outcome.NOT_SENT,
        state="unknown" if task.probe else "ready",
        next_attempt_at=at,
        absences=task.absences,
        unanswered=task.unanswered,
        message=message,
        burnt=False,
    )


def interrupted(task: ClaimedTask, *, at: datetime) -> Result:
    """Sent, and the run ended before the answer came (I9)."""
    return Result(
        task=task,
        outcome=Outcome.RETRY if task.probe else Outcome.UNKNOWN,
        state="unknown",
        next_attempt_at=at,
        absences=task.absences,
        unanswered=task.unanswered,
        error_kind="Interrupted",
        message="the run was ended before the target had answered",
    )


def was_not_asked(error: AccountSyncError) -> bool:
    """Found out here, before the target said anything (its own words would have a code): that is
    no answer of its, and no attempt is burnt (I13)."""
    if isinstance(error, NeedsDataError | InvalidPersonError):
        return error.code is None
    return isinstance(error, NeedsHumanError)


def failed(
    task: ClaimedTask, error: AccountSyncError, *, rules: Rules, now: datetime, jitter: float
) -> Result:
    """What an error means for the task: again later, probe, not sent, or failed for good (I13).

    A probe that fails leaves it unknown whether the account is there: never failed for good (I9).
    """
    if isinstance(error, NeedsHumanError):
        return replace(_after(task, error, Outcome.NOT_SENT, "needs_human", None), burnt=False)
    later = now + max(rules.probe_gap, asked_to_wait(error))
    if isinstance(error, TargetDownError):
        state = "unknown" if task.probe else "ready"
        return replace(_after(task, error, Outcome.NOT_SENT, state, later), burnt=False)
    if task.probe and isinstance(error, TransientError | UnknownOutcomeError):
        return _not_looked_up(task, error, rules=rules, now=now, jitter=jitter)
    if task.probe:
        return _after(task, error, Outcome.FAILED, "needs_human", None)
    if isinstance(error, UnknownOutcomeError):
        return _after(task, error, Outcome.UNKNOWN, "unknown", later)
    if task.operation != "create" and isinstance(error, AccountMissingError):
        return replace(gone(task), code=error.code)
    if task.operation != "create" and isinstance(error, AccountExistsError):
        return _after(task, error, Outcome.FAILED, "needs_human", None)
    return _tried(task, error, rules=rules, now=now, jitter=jitter)


def _not_looked_up(
    task: ClaimedTask, error: AccountSyncError, *, rules: Rules, now: datetime, jitter: float
) -> Result:
    """Looked up again, after a longer while each time; at last somebody else has to look. A target
    that asks everybody to slow down has not been asked about this task."""
    unanswered = task.unanswered + (not isinstance(error, ThrottledError))
    if unanswered >= LOOKS_AT_MOST:
        message = f"{unanswered} look-ups in a row without an answer; the last: {error}"
        return replace(
            _after(task, error, Outcome.FAILED, "needs_human", None),
            message=message,
            unanswered=unanswered,
        )
    wait = rules.retry.delay(max(unanswered, 1), jitter=jitter)
    later = now + max(rules.probe_gap, wait, asked_to_wait(error))
    return replace(_after(task, error, Outcome.RETRY, "unknown", later), unanswered=unanswered)


def _tried(
    task: ClaimedTask, error: AccountSyncError, *, rules: Rules, now: datetime, jitter: float
) -> Result:
    """A target that asks everybody to slow down has not tried this task: no attempt is burnt."""
    throttled = isinstance(error, ThrottledError)
    attempts = 1 if throttled else task.attempts
    again = next_attempt_at(error, attempts=attempts, rule=rules.retry, now=now, jitter=jitter)
    if again is None:
        result = _after(task, error, Outcome.FAILED, "failed", None)
        return replace(result, burnt=not was_not_asked(error))
    return replace(_after(task, error, Outcome.RETRY, "ready", again), burnt=not throttled)


def _after(
    task: ClaimedTask, error: AccountSyncError, outcome: Outcome, state: str, at: datetime | None
) -> Result:
    return Result(
        task=task,
        outcome=outcome,
        state=state,
        next_attempt_at=at,
        absences=task.absences,
        unanswered=task.unanswered,
        error_kind=type(error).__name__,
        code=getattr(error, "code", None),
        message=str(error),
    )
