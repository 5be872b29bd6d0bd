"""What a probe means for a task whose outcome is unknown, or whose account is there already.

The probe looks the account up by its stable key. What follows depends on the operation:

| found                      | create            | update rename enable | disable, delete |
|----------------------------|-------------------|----------------------|-----------------|
| ours, in the wanted state  | succeeded         | succeeded            | succeeded       |
| ours, otherwise            | recorded as found | repeated             | repeated        |
| somebody else's            | a human decides   | a human decides      | a human decides |
| absent once                | looked at again, after a gap                               |||
| absent twice               | repeated          | failed, replanned    | succeeded       |

"Recorded as found" means that the account is known and the create is done; the planner sends what
the account lacks. Only an account that somebody else disabled needs a human.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from accountsync.domain.accounts.account import AccountState, Attributes, Operation, RemoteAccount
from accountsync.domain.accounts.likeness import as_found
from accountsync.domain.task_states import TaskState
from accountsync.domain.tasks.error_kinds import ErrorKind
from accountsync.domain.tasks.outcomes import (
    ClaimedTask,
    Outcome,
    Result,
    Rules,
    gone,
    needs_human,
    succeeded,
)
from accountsync.errors import AccountExistsError

ABSENCES_NEEDED = 2
"""An absence is sure after so many looks in a row, with a gap between them: replication lags."""


def probed(
    task: ClaimedTask, account: RemoteAccount | None, *, rules: Rules, now: datetime
) -> Result:
    """The table on top (I9)."""
    if account is None:
        return _not_found(task, rules, now)
    if not account.ours:
        return _foreign(task)
    if task.operation == Operation.CREATE:
        return _adopted(task, account)
    if _is_as_wanted(task, account):
        return succeeded(task, account)
    return _repeated(
        task, Outcome.RETRY, rules, now, message="the account is not yet in the wanted state"
    )


def _not_found(task: ClaimedTask, rules: Rules, now: datetime) -> Result:
    absences = task.absences + 1
    if absences < ABSENCES_NEEDED:
        later = now + rules.probe_gap
        return Result(
            task=task,
            outcome=Outcome.ABSENT,
            state=TaskState.UNKNOWN,
            absences=absences,
            next_attempt_at=later,
        )
    if task.operation == Operation.CREATE:
        message = f"{task.attempts} attempts without an answer; the account is surely absent"
        return _repeated(task, Outcome.ABSENT, rules, now, message=message)
    return replace(gone(task), outcome=Outcome.ABSENT)


def _repeated(
    task: ClaimedTask, outcome: Outcome, rules: Rules, now: datetime, *, message: str
) -> Result:
    """The task is tried again, unless its attempts are used up."""
    if task.attempts < rules.retry.max_attempts:
        return Result(task=task, outcome=outcome, state=TaskState.READY, next_attempt_at=now)
    return Result(
        task=task,
        outcome=outcome,
        state=TaskState.FAILED,
        error_kind=ErrorKind.UNKNOWN_OUTCOME,
        message=message,
    )


def _is_as_wanted(task: ClaimedTask, account: RemoteAccount) -> bool:
    """Whether the account is known to be as wanted. An attribute that the target does not show is
    not known to be, and is sent again, which is safe."""
    if task.operation == Operation.DELETE:
        return False
    is_enable = task.operation == Operation.ENABLE
    if (is_enable or task.operation == Operation.DISABLE) and account.enabled is not is_enable:
        return False
    if task.operation == Operation.DISABLE:
        return True
    missing = object()
    return all(account.attributes.get(k, missing) == v for k, v in task.attributes.items())


def _adopted(task: ClaimedTask, account: RemoteAccount, *, code: str | None = None) -> Result:
    """The account is recorded as it is, and planned again where it is not as wanted. We undo only
    our own disables (I11), so a human decides about one that somebody else disabled."""
    if task.account_state == AccountState.ACTIVE and account.enabled is False:
        message = "the account is there, but was disabled by somebody else: enable it there"
        return needs_human(task, ErrorKind.ACCOUNT_EXISTS, message, code=code)
    result = succeeded(task, account, adopted=True)
    if task.account_state == AccountState.DISABLED and account.enabled:
        result = replace(result, account_state=AccountState.ACTIVE, replan=True)
    return _as_it_is(result, account.attributes, code=code)


def made(task: ClaimedTask, account: RemoteAccount) -> Result:
    """A create succeeded. A target may choose the identifier itself, as a mail service does by a
    policy for addresses."""
    shown = account.attributes
    by_target = {name: value for name, value in shown.items() if value == account.identifier}
    return _as_it_is(succeeded(task, account), by_target)


def _as_it_is(result: Result, shown: Attributes, *, code: str | None = None) -> Result:
    wanted = result.task.attributes
    applied = as_found(wanted, shown)
    unlike = [name for name, value in applied.items() if value is not wanted[name]]
    if not unlike:
        return result
    message = f"found with another {', '.join(unlike)} than wanted"
    result = replace(result, applied=applied, message=message, code=code)
    return result if _is_in_circles(result.task, applied) else replace(result, replan=True)


def _is_in_circles(task: ClaimedTask, applied: Attributes) -> bool:
    """Whether the account is as it was when the target last said that there is none. An update
    would get that answer again, so it waits until something about the person changes."""
    account = task.account
    return (
        account is not None
        and account.state == AccountState.ABSENT
        and applied == account.attributes
    )


def existing(task: ClaimedTask, account: RemoteAccount | None, error: AccountExistsError) -> Result:
    """The target says the account exists: ours is adopted, anything else needs a human (I10)."""
    if account is None:
        message = "the target says that the account exists, but a look-up does not show it"
        return needs_human(task, ErrorKind.ACCOUNT_EXISTS, message, code=error.code)
    if account.ours:
        return _adopted(task, account, code=error.code)
    return _foreign(task, code=error.code)


def unfindable(task: ClaimedTask) -> Result:
    """The target offers no look-up: only a human can say whether the account is there."""
    message = "it may have happened, and the target declares no `find`: look there yourself"
    return replace(
        needs_human(task, ErrorKind.UNKNOWN_OUTCOME, message), outcome=Outcome.NOT_SENT, burnt=False
    )


def _foreign(task: ClaimedTask, *, code: str | None = None) -> Result:
    message = "the target has an account in the way that does not carry this person's key"
    return needs_human(task, ErrorKind.ACCOUNT_EXISTS, message, code=code)
