"""What is recorded about an attempt at an account task, and what becomes of the task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from accountsync.domain.accounts.account import (
    TAKES_AWAY,
    Account,
    AccountState,
    Attributes,
    Closure,
    Operation,
    RemoteAccount,
)
from accountsync.domain.accounts.likeness import as_found
from accountsync.domain.task_states import TaskState
from accountsync.domain.tasks.breaker import BreakerRule
from accountsync.domain.tasks.error_kinds import ErrorKind, kind_of
from accountsync.domain.tasks.retry import RetryRule, asked_to_wait, next_attempt_at
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    ForeignAccountError,
    InvalidPersonError,
    NeedsDataError,
    NeedsHumanError,
    TargetDownError,
    ThrottledError,
    TransientError,
    UnknownOutcomeError,
)

REMOVED_EVERY = timedelta(hours=1)
"""What takes access away is asked again at least so often, until it is seen done (I17)."""

LOOKS_AT_MOST = 10
"""After so many look-ups in a row without an answer, each after a longer wait, a human decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTask:
    """`attempt_id`: the attempt already recorded. `probe`: look before doing anything (I9).
    `unanswered`: probes in a row without an answer. `account`: what we know of it;
    `account_state`: its state once the task has succeeded. `late_bound`: some attributes were read
    now, from other accounts. `sent`: what the account may carry by calls whose outcome nobody
    knows, the last first."""

    id: int
    attempt_id: int
    person_id: int
    employee_number: str
    operation: Operation
    attributes: Attributes
    account_state: AccountState
    account: Account | None
    attempts: int
    absences: int
    probe: bool
    unanswered: int = 0
    late_bound: bool = False
    sent: Sequence[Attributes] = ()


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    ADOPTED = "adopted"
    """The account was there and carries the person's key."""
    ABSENT = "absent"
    """A probe surely found nothing."""
    RETRY = "retry"
    UNKNOWN = "unknown"
    FAILED = "failed"
    NOT_SENT = "not_sent"
    """Nothing left us, so it does not count as an attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What is recorded about an attempt, and what becomes of its task and of the account.

    `account_state`: that of the account from now on; None: nothing is known to have changed.
    `burnt`: whether it counts as an attempt. `replan`: the planner has to look at the person again.
    `applied`: the account's attributes, where they are known not to be the wanted ones. `closed`:
    how we know from now on that the account gives no access.
    """

    task: ClaimedTask
    outcome: Outcome
    state: TaskState
    account: RemoteAccount | None = None
    account_state: AccountState | None = None
    next_attempt_at: datetime | None = None
    absences: int = 0
    unanswered: int = 0
    error_kind: ErrorKind | None = None
    code: str | None = None
    message: str | None = None
    burnt: bool = True
    replan: bool = False
    applied: Attributes | None = None
    closed: Closure | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """`key`: the attribute that tells whose an account is. `looks_first`: the target may have
    accounts that nobody has looked for, so that a create looks first. `names`: (namespace, name) of
    those that an account shows."""

    retry: RetryRule
    probe_gap: timedelta
    key: str = ""
    looks_first: bool = False
    names: Callable[[RemoteAccount], Iterable[tuple[str, str]]] = lambda _: ()
    breaker: BreakerRule = BreakerRule(
        after=10, base=timedelta(minutes=1), cap=timedelta(minutes=15)
    )


def succeeded(
    task: ClaimedTask,
    account: RemoteAccount | None,
    *,
    adopted: bool = False,
    closed: Closure = Closure.SEEN,
) -> Result:
    return Result(
        task=task,
        outcome=Outcome.ADOPTED if adopted else Outcome.SUCCEEDED,
        state=TaskState.SUCCEEDED,
        account=account,
        account_state=task.account_state,
        applied=_still_applied(task, account),
        closed=closed if task.operation in TAKES_AWAY else None,
    )


def _still_applied(task: ClaimedTask, account: RemoteAccount | None) -> Attributes | None:
    """Taking access away sends no attribute: those of before are still there, as far as the target
    does not show others. Of anything else, what was wanted counts as applied."""
    if task.operation not in TAKES_AWAY or account is None:
        return None
    return as_found(
        task.account.attributes if task.account else task.attributes, account.attributes
    )


def manual(task: ClaimedTask) -> Result:
    """An operation that the target does not offer: somebody has to do it there, and say so."""
    message = (
        f"the target offers no '{task.operation}': do it there by hand, then"
        f" `bin/accountsync task done --task {task.id}`"
    )
    return Result(
        task=task,
        outcome=Outcome.NOT_SENT,
        state=TaskState.NEEDS_HUMAN,
        error_kind=ErrorKind.MANUAL_OPERATION,
        message=message,
        burnt=False,
    )


def gone(task: ClaimedTask) -> Result:
    """The target surely has no such account. What takes access away is done; anything else is not,
    and the planner decides whether the person gets a new one."""
    if task.operation in TAKES_AWAY:
        is_deleted = task.operation == Operation.DELETE
        state = AccountState.DELETED if is_deleted else AccountState.ABSENT
        return replace(
            succeeded(task, None, closed=Closure.ABSENT),
            account_state=state,
            message=None if is_deleted else "the target has no such account: somebody removed it",
        )
    return Result(
        task=task,
        outcome=Outcome.FAILED,
        state=TaskState.FAILED,
        account_state=AccountState.ABSENT,
        error_kind=ErrorKind.ACCOUNT_MISSING,
        message="the target has no such account any more",
        replan=True,
    )


ABSENCES_NEEDED = 2
"""An absence is sure after so many looks in a row, with a gap between them: replication lags."""


def not_found(task: ClaimedTask, *, rules: Rules, now: datetime) -> Result:
    """An account that is known is not there: it is gone once a second look says the same. What
    takes access away is only missed by a call, which asks for fewer keys than a look (I17)."""
    absences = task.absences + 1
    is_sure = task.probe or task.operation not in TAKES_AWAY
    if absences < ABSENCES_NEEDED or not is_sure:
        return Result(
            task=task,
            outcome=Outcome.ABSENT,
            state=TaskState.UNKNOWN,
            absences=absences,
            next_attempt_at=now + rules.probe_gap,
        )
    return replace(gone(task), outcome=Outcome.ABSENT)


def needs_human(
    task: ClaimedTask, kind: ErrorKind, message: str, *, code: str | None = None
) -> Result:
    return Result(
        task=task,
        outcome=Outcome.FAILED,
        state=TaskState.NEEDS_HUMAN,
        error_kind=kind,
        code=code,
        message=message,
    )


def was_not_asked(error: AccountSyncError) -> bool:
    """Whether the error arose here, before the target was asked, so that no attempt is burnt (I13).
    An answer of the target would have a code."""
    if isinstance(error, NeedsDataError | InvalidPersonError):
        return error.code is None
    return isinstance(error, NeedsHumanError | ForeignAccountError)


def failed(
    task: ClaimedTask, error: AccountSyncError, *, rules: Rules, now: datetime, jitter: float
) -> Result:
    """What follows from an error: a task is tried again, probed, given back or failed (I13).

    A probe that fails leaves it unknown whether the account is there: never failed for good (I9).
    """
    if isinstance(error, NeedsHumanError | ForeignAccountError):
        return replace(
            _after(task, error, Outcome.NOT_SENT, TaskState.NEEDS_HUMAN, None), burnt=False
        )
    later = now + max(rules.probe_gap, asked_to_wait(error))
    if isinstance(error, TargetDownError):
        state = TaskState.UNKNOWN if task.probe else TaskState.READY
        return replace(_after(task, error, Outcome.NOT_SENT, state, later), burnt=False)
    if task.probe and isinstance(error, TransientError | UnknownOutcomeError):
        return _not_looked_up(task, error, rules=rules, now=now, jitter=jitter)
    if task.probe:
        return _after(task, error, Outcome.FAILED, TaskState.NEEDS_HUMAN, None)
    if isinstance(error, UnknownOutcomeError):
        return _after(task, error, Outcome.UNKNOWN, TaskState.UNKNOWN, later)
    if task.operation != Operation.CREATE and isinstance(error, AccountMissingError):
        return replace(not_found(task, rules=rules, now=now), code=error.code)
    if task.operation != Operation.CREATE and isinstance(error, AccountExistsError):
        return _after(task, error, Outcome.FAILED, TaskState.NEEDS_HUMAN, None)
    return _tried(task, error, rules=rules, now=now, jitter=jitter)


def patience(task: ClaimedTask) -> timedelta:
    """What takes access away is never left alone for longer (I17)."""
    return REMOVED_EVERY if task.operation in TAKES_AWAY else timedelta.max


def _not_looked_up(
    task: ClaimedTask, error: AccountSyncError, *, rules: Rules, now: datetime, jitter: float
) -> Result:
    """The account is looked up again, after a longer wait each time; at last a human has to look.
    An answer that asks everybody to slow down does not count: the look-up was not tried."""
    unanswered = task.unanswered + (not isinstance(error, ThrottledError))
    if unanswered >= LOOKS_AT_MOST:
        message = f"{unanswered} look-ups in a row without an answer; the last: {error}"
        return replace(
            _after(task, error, Outcome.FAILED, TaskState.NEEDS_HUMAN, None),
            message=message,
            unanswered=unanswered,
        )
    wait = rules.retry.delay(max(unanswered, 1), jitter=jitter)
    later = now + max(rules.probe_gap, min(wait, patience(task)), asked_to_wait(error))
    return replace(
        _after(task, error, Outcome.RETRY, TaskState.UNKNOWN, later), unanswered=unanswered
    )


def _tried(
    task: ClaimedTask, error: AccountSyncError, *, rules: Rules, now: datetime, jitter: float
) -> Result:
    """Tried again or failed. No attempt is burnt where the target asks everybody to slow down."""
    throttled = isinstance(error, ThrottledError)
    attempts = 1 if throttled else task.attempts
    later = next_attempt_at(error, attempts=attempts, rule=rules.retry, now=now, jitter=jitter)
    if later is None:
        result = _after(task, error, Outcome.FAILED, TaskState.FAILED, None)
        return replace(result, burnt=not was_not_asked(error))
    return replace(_after(task, error, Outcome.RETRY, TaskState.READY, later), burnt=not throttled)


def _after(
    task: ClaimedTask,
    error: AccountSyncError,
    outcome: Outcome,
    state: TaskState,
    at: datetime | None,
) -> Result:
    return Result(
        task=task,
        outcome=outcome,
        state=state,
        next_attempt_at=at,
        absences=task.absences,
        unanswered=task.unanswered,
        error_kind=kind_of(error),
        code=getattr(error, "code", None),
        message=str(error),
    )
