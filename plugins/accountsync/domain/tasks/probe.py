"""What a target shows of an account, compared with what a task wanted (I18).

A change is answered as done, or its outcome is unknown and the account is looked at. What follows
depends on the operation and on what is seen:

| seen                       | create            | update rename enable | disable, delete |
|----------------------------|-------------------|----------------------|-----------------|
| ours, in the wanted state  | succeeded         | succeeded            | succeeded       |
| ours, otherwise            | recorded as found | repeated             | repeated        |
| somebody else's            | a human decides   | a human decides      | a human decides |
| absent once                | looked at again, after a gap                               |||
| absent twice               | repeated          | failed, replanned    | succeeded       |

"Recorded as found" means that the account is known and the create is done; the planner sends what
the account lacks. Only an account that somebody else disabled needs a human. A change that is
answered as done, while the target shows otherwise, is looked at again: replicas lag.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from accountsync.domain.accounts.account import (
    TAKES_AWAY,
    Account,
    AccountState,
    Attributes,
    Operation,
    RemoteAccount,
)
from accountsync.domain.accounts.likeness import as_found, is_like
from accountsync.domain.task_states import TaskState
from accountsync.domain.tasks.error_kinds import ErrorKind
from accountsync.domain.tasks.outcomes import (
    ClaimedTask,
    Outcome,
    Result,
    Rules,
    needs_human,
    not_found,
    succeeded,
)
from accountsync.errors import FOREIGN, AccountExistsError

STATE = "state"
"""What differs where an account is enabled and should not be, or the other way round."""


def changed(
    task: ClaimedTask, account: RemoteAccount | None, *, rules: Rules, now: datetime
) -> Result:
    """A change that the target answered as done. `account`: what it showed."""
    if account is None:
        return succeeded(task, None)
    unlike = contradictions(task, account)
    if not unlike:
        return succeeded(task, account)
    if unlike == [rules.key]:
        return _without_its_key(task, account, key=rules.key)
    return Result(
        task=task,
        outcome=Outcome.UNKNOWN,
        state=TaskState.UNKNOWN,
        next_attempt_at=now + rules.probe_gap,
        error_kind=ErrorKind.NOT_AS_WANTED,
        code=",".join(unlike)[:40],
        message=f"answered as done, and the target shows another {', '.join(unlike)}",
    )


def contradictions(task: ClaimedTask, account: RemoteAccount) -> list[str]:
    """What the target shows otherwise than the task wanted; what it does not show is no
    contradiction."""
    shown, unlike = account.attributes, []
    if account.enabled is not None and account.enabled is _unwanted(task.operation):
        unlike.append(STATE)
    if task.operation not in TAKES_AWAY:
        unlike += [
            name
            for name, value in task.attributes.items()
            if shown.get(name) is not None and not is_like(value, shown[name])
        ]
    return unlike


def _unwanted(operation: Operation) -> bool | None:
    return {Operation.DISABLE: True, Operation.ENABLE: False}.get(operation)


def _without_its_key(task: ClaimedTask, account: RemoteAccount, *, key: str) -> Result:
    """Everything else was sent. The account is found by the key that it carries."""
    message = (
        f"the target cannot carry a changed {key}: change it there by hand, then"
        f" `bin/accountsync task done --task {task.id}`; until then the account keeps its own"
    )
    return replace(
        needs_human(task, ErrorKind.KEY_NOT_CARRIED, message, code=key),
        account=account,
        account_state=_known_state(task),
        applied=as_found(task.attributes, account.attributes),
    )


def _known_state(task: ClaimedTask) -> AccountState:
    if task.operation == Operation.ENABLE:
        return AccountState.ACTIVE
    return task.account.state if task.account else task.account_state


def probed(
    task: ClaimedTask, account: RemoteAccount | None, *, rules: Rules, now: datetime
) -> Result:
    """The table on top (I9)."""
    if account is None:
        return _absent(task, rules, now)
    if not account.ours and task.operation != Operation.CREATE:
        return needs_human(task, ErrorKind.FOREIGN_ACCOUNT, FOREIGN)
    if not account.ours:
        return _foreign(task)
    if task.operation == Operation.CREATE:
        return _adopted(task, account)
    if _is_as_wanted(task, account):
        return succeeded(task, account)
    unlike = contradictions(task, account)
    if unlike == [rules.key]:
        return _without_its_key(task, account, key=rules.key)
    return _not_as_wanted(task, account, unlike, rules=rules, now=now)


def _not_as_wanted(
    task: ClaimedTask,
    account: RemoteAccount,
    unlike: list[str],
    *,
    rules: Rules,
    now: datetime,
) -> Result:
    """Repeated; once the attempts are used up, what is seen is recorded."""
    what = f"shows another {', '.join(unlike)}" if unlike else "does not show all that was sent"
    result = _repeated(
        task, Outcome.RETRY, rules, now, message=f"the account is not as wanted: it {what}"
    )
    if result.state != TaskState.FAILED:
        return result
    return replace(
        result,
        error_kind=ErrorKind.NOT_AS_WANTED,
        account=account,
        account_state=_seen_state(task, account),
        applied=_as_seen(task.account, task.attributes, account),
    )


def _seen_state(task: ClaimedTask, account: RemoteAccount) -> AccountState:
    if account.enabled is None:
        return task.account.state if task.account else AccountState.ACTIVE
    return AccountState.ACTIVE if account.enabled else AccountState.DISABLED


def _as_seen(known: Account | None, wanted: Attributes, account: RemoteAccount) -> Attributes:
    """What was wanted and is seen, what is seen instead, and of the rest what was known before."""
    before = known.attributes if known else {}
    shown = account.attributes
    return {
        name: value if is_like(value, shown[name]) else shown[name]
        for name, value in {**before, **wanted}.items()
        if shown.get(name) is not None
    } | {name: value for name, value in before.items() if shown.get(name) is None}


def _absent(task: ClaimedTask, rules: Rules, now: datetime) -> Result:
    result = not_found(task, rules=rules, now=now)
    if result.state == TaskState.UNKNOWN or task.operation != Operation.CREATE:
        return result
    message = f"{task.attempts} attempts without an answer; the account is surely absent"
    return _repeated(task, Outcome.ABSENT, rules, now, message=message)


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
    shown = account.attributes
    return all(
        name in shown and is_like(value, shown[name]) for name, value in task.attributes.items()
    )


def _adopted(task: ClaimedTask, account: RemoteAccount, *, code: str | None = None) -> Result:
    """The account is recorded as it is, and planned again where it is not as wanted. We undo only
    our own disables (I11), so a human decides about one that somebody else disabled."""
    if task.account_state == AccountState.ACTIVE and account.enabled is False:
        message = "the account is there, but was disabled by somebody else: enable it there"
        asked = needs_human(task, ErrorKind.ACCOUNT_EXISTS, message, code=code)
        return replace(asked, account=account)
    result = succeeded(task, account, adopted=True)
    if task.account_state == AccountState.DISABLED and account.enabled:
        result = replace(result, account_state=AccountState.ACTIVE, replan=True)
    return _as_it_is(result, account.attributes, code=code)


def made(task: ClaimedTask, account: RemoteAccount) -> Result:
    """A create succeeded. What the answer shows counts: a target may choose the identifier itself,
    as a mail service does by a policy for addresses, or make the account in another state."""
    result = succeeded(task, account)
    is_enabled, wants_enabled = account.enabled, task.account_state == AccountState.ACTIVE
    if is_enabled is not None and is_enabled is not wants_enabled:
        result = replace(result, account_state=_seen_state(task, account), replan=True)
    return _as_it_is(result, account.attributes)


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
