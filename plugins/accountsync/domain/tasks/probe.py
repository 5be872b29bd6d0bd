"""What a look at the target means for a task: its outcome is unknown, or the account is there.

After a call whose outcome is unknown, what a look by stable key means for each operation:

| found                      | create            | update rename enable | disable, delete |
|----------------------------|-------------------|----------------------|-----------------|
| ours, in the wanted state  | succeeded         | succeeded            | succeeded       |
| ours, otherwise            | recorded as found | repeated             | repeated        |
| somebody else's            | a human decides   | a human decides      | a human decides |
| absent once                | looked at again, after a gap                               |||
| absent twice               | repeated          | failed, replanned    | succeeded       |

Recorded as found: the account is known and the create done; the planner sends what it lacks. Only
what somebody else disabled is for a human.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from accountsync.domain.accounts.account import AccountState, Operation, RemoteAccount
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
"""Only so many looks in a row, with a gap, make an absence sure (replication lags)."""


def probed(
    task: ClaimedTask, found: RemoteAccount | None, *, rules: Rules, now: datetime
) -> Result:
    """The table on top (I9)."""
    if found is None:
        return _not_found(task, rules, now)
    if not found.ours:
        return _foreign(task)
    if task.operation == Operation.CREATE:
        return _adopted(task, found)
    if _is_as_wanted(task, found):
        return succeeded(task, found)
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
    """Again, unless its attempts are used up."""
    if task.attempts < rules.retry.max_attempts:
        return Result(task=task, outcome=outcome, state=TaskState.READY, next_attempt_at=now)
    return Result(
        task=task,
        outcome=outcome,
        state=TaskState.FAILED,
        error_kind=ErrorKind.UNKNOWN_OUTCOME,
        message=message,
    )


def _is_as_wanted(task: ClaimedTask, found: RemoteAccount) -> bool:
    """What the target does not show is not known to be as wanted: sent again, which is safe."""
    if task.operation == Operation.DELETE:
        return False
    is_enable = task.operation == Operation.ENABLE
    if (is_enable or task.operation == Operation.DISABLE) and found.enabled is not is_enable:
        return False
    if task.operation == Operation.DISABLE:
        return True
    missing = object()
    return all(found.attributes.get(k, missing) == v for k, v in task.attributes.items())


def _adopted(task: ClaimedTask, found: RemoteAccount, *, code: str | None = None) -> Result:
    """Somebody disabled it: only our own disables are undone by us (I11). What is otherwise than
    wanted is recorded as it is, and planned again."""
    if task.account_state == AccountState.ACTIVE and found.enabled is False:
        message = "the account is there, but was disabled by somebody else: enable it there"
        return needs_human(task, ErrorKind.ACCOUNT_EXISTS, message, code=code)
    result = succeeded(task, found, adopted=True)
    if task.account_state == AccountState.DISABLED and found.enabled:
        result = replace(result, account_state=AccountState.ACTIVE, replan=True)
    return _as_it_is(result, found.attributes, code=code)


def made(task: ClaimedTask, account: RemoteAccount) -> Result:
    """A target may decide the identifier itself: a mailbox gets the address that a policy makes."""
    shown = account.attributes
    named = {name: value for name, value in shown.items() if value == account.identifier}
    return _as_it_is(succeeded(task, account), named)


def _as_it_is(result: Result, shown: Mapping[str, Any], *, code: str | None = None) -> Result:
    wanted = result.task.attributes
    applied = as_found(wanted, shown)
    unlike = [name for name, value in applied.items() if value is not wanted[name]]
    if not unlike:
        return result
    message = f"found with another {', '.join(unlike)} than wanted"
    result = replace(result, applied=applied, message=message, code=code)
    return result if _is_in_circles(result.task, applied) else replace(result, replan=True)


def _is_in_circles(task: ClaimedTask, applied: Mapping[str, Any]) -> bool:
    """Found as it was when the target last said that it is not there: an update would hear that
    again. It waits until something about the person changes."""
    account = task.account
    return (
        account is not None
        and account.state == AccountState.ABSENT
        and applied == account.attributes
    )


def existing(task: ClaimedTask, found: RemoteAccount | None, error: AccountExistsError) -> Result:
    """The target says the account exists: ours is adopted, anything else needs a human (I10)."""
    if found is None:
        message = "the target says that the account exists, but a look-up does not show it"
        return needs_human(task, ErrorKind.ACCOUNT_EXISTS, message, code=error.code)
    if found.ours:
        return _adopted(task, found, code=error.code)
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
