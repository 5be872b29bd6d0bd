"""What a person should have, compared with what was applied last: at most one operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from accountsync.domain.accounts.account import (
    GIVES,
    GONE,
    TAKES_AWAY,
    US,
    Account,
    AccountState,
    Attributes,
    Operation,
)
from accountsync.domain.mapping.values import Context
from accountsync.domain.persons.person import reason_of
from accountsync.domain.plans.desired import (
    Difference,
    TargetRule,
    attributes,
    difference,
    gains,
)
from accountsync.domain.plans.entitlement import Wanted
from accountsync.domain.plans.steps import OpenTask, PlannedTask, Step, step
from accountsync.domain.reasons import Kind, Reason, from_text
from accountsync.domain.task_states import IN_DOUBT, TaskState
from accountsync.domain.tasks.waiting import stands
from accountsync.errors import RecordError

OURS = frozenset({"created", "adopted"})


def operation(wanted: Wanted, account: Account | None, difference: Difference) -> Operation | None:
    """The operation that leads from what is there to what is wanted; None: there is none.

    | wanted \\ account | none, deleted | absent  | active           | disabled by us  | by others |
    |-------------------|---------------|---------|------------------|-----------------|-----------|
    | active            | create        | create  | update or rename | enable          | –         |
    | prehire           | create        | create  | disable          | update, rename  | –         |
    | disabled          | –             | disable | disable          | –               | disable   |
    | deleted           | –             | disable | disable          | delete          | disable   |
    | as it is          | –             | –       | –                | –               | –         |

    A create is asked for only where the rule makes accounts. An account that is absent, or that
    others disabled, is disabled until it is closed: it may have come back since we saw it (I17).
    What was not made or adopted by us is never disabled or deleted (I11).
    """
    if wanted.state is None:
        return None
    if wanted.makes and (account is None or account.state in GONE):
        return Operation.CREATE
    if account is None or account.state == AccountState.DELETED:
        return None
    if wanted.is_of_entitled:
        return _of_entitled(wanted, account, difference)
    return _of_others(wanted, account) if account.provenance in OURS else None


def _of_entitled(wanted: Wanted, account: Account, difference: Difference) -> Operation | None:
    """Of somebody who has access, or will have."""
    is_prehire = wanted.state != AccountState.ACTIVE
    if account.state == AccountState.ABSENT:
        return None
    if account.state == AccountState.ACTIVE:
        is_ours = account.provenance in OURS
        return (Operation.DISABLE if is_ours else None) if is_prehire else _change(difference)
    if account.disabled_by != US:
        return None
    return _change(difference) if is_prehire else Operation.ENABLE


def _of_others(wanted: Wanted, account: Account) -> Operation | None:
    """Of somebody who is to have no access: until that is known, the account is disabled."""
    if account.state == AccountState.ACTIVE:
        return Operation.DISABLE
    if account.state == AccountState.DISABLED and account.disabled_by == US:
        return Operation.DELETE if wanted.state == AccountState.DELETED else None
    return None if account.closed else Operation.DISABLE


def asked_by_doubt(
    wanted: Wanted, account: Account | None, open_task: OpenTask | None
) -> Operation | None:
    """The operation that an open task in doubt asks for, whatever the account is known to be.

    A create whose outcome nobody knows may have made an account, and an enable may have opened one:
    it is looked for and disabled. A disable that may have happened is undone for somebody who is to
    have access.
    """
    if open_task is None or wanted.state is None or open_task.state == TaskState.RUNNING:
        return None
    is_unknown = account is None or account.state == AccountState.DELETED
    if not wanted.is_of_entitled and is_unknown and _may_have_made(open_task):
        return Operation.DISABLE
    if wanted.state != AccountState.ACTIVE and account and _may_have_opened(account, open_task):
        return Operation.DISABLE
    if wanted.state == AccountState.ACTIVE and account and _may_have_closed(account, open_task):
        return Operation.ENABLE
    return None


def _may_have_made(open_task: OpenTask) -> bool:
    is_create = open_task.operation == Operation.CREATE and open_task.state in IN_DOUBT
    return is_create or open_task.operation == Operation.DISABLE


def _may_have_opened(account: Account, open_task: OpenTask) -> bool:
    """A disabled account of ours; until the disable that this asks for is done, it is asked for."""
    if account.state != AccountState.DISABLED or account.provenance not in OURS:
        return False
    is_enable = open_task.operation == Operation.ENABLE and open_task.state in IN_DOUBT
    return is_enable or open_task.operation == Operation.DISABLE


def _may_have_closed(account: Account, open_task: OpenTask) -> bool:
    """An account of ours; until the enable that this asks for is done, it is asked for."""
    if account.state != AccountState.ACTIVE or account.provenance not in OURS:
        return False
    was_asked = open_task.is_doubtful or open_task.state == TaskState.NEEDS_HUMAN
    is_disable = open_task.operation == Operation.DISABLE and was_asked
    return is_disable or open_task.operation == Operation.ENABLE


_CHANGES = {Difference.ATTRIBUTES: Operation.UPDATE, Difference.IDENTIFIER: Operation.RENAME}


def _change(difference: Difference) -> Operation | None:
    return _CHANGES.get(difference)


def plan_task(
    rule: TargetRule,
    *,
    person_id: int,
    wanted: Wanted,
    context: Context,
    accounts: Mapping[str, Account],
    open_task: OpenTask | None = None,
) -> PlannedTask | None:
    """The task that brings the account to what is wanted, or the one that says what data it lacks.

    `context`: the roots of mapping values, without `accounts`. `open_task`: that of the target.
    """
    account = accounts.get(rule.name)
    bound = asked_by_doubt(wanted, account, open_task) or operation(
        wanted, account, Difference.NONE
    )
    if bound in TAKES_AWAY:  # access ends even where data is missing
        known = account.attributes if account else open_task.desired if open_task else {}
        return _task(
            rule, person_id, bound, wanted,
            desired=_with_key(rule, known, context), state=TaskState.PLANNED,
        )  # fmt: skip
    if bound is None and not _may_change(wanted, account):
        return None
    try:
        desired, late = attributes(rule, account, context, accounts)
    except RecordError as error:
        return _task(
            rule, person_id, bound or Operation.UPDATE, wanted,
            desired={}, state=TaskState.NEEDS_DATA, cause=_lacking(error),
        )  # fmt: skip
    if bound is None and account is not None:
        bound = operation(wanted, account, difference(rule, desired, account.attributes))
    if bound is None:
        return None
    waits_for = _missing(rule, bound, wanted, accounts)
    state = TaskState.WAITING if waits_for else TaskState.READY
    return _task(
        rule, person_id, bound, wanted,
        desired=desired, late_bound=late, state=state, waits_for=waits_for,
    )  # fmt: skip


def held_up(task: PlannedTask, account: Account | None, reason: Reason | None) -> PlannedTask:
    """The task, which waits with the reason where it gives something (I19)."""
    if reason is None or task.operation in TAKES_AWAY:
        return task
    applied = account.attributes if account else {}
    if task.operation not in GIVES and not gains(task.desired, applied):
        return task
    asks = reason.kind is Kind.REHIRED_OR_CALLED_OFF
    state = TaskState.NEEDS_HUMAN if asks else TaskState.NEEDS_DATA
    return replace(task, state=state, cause=reason, waits_for=())


def _with_key(rule: TargetRule, known: Attributes, context: Context) -> Attributes:
    """With the key that the person has now, under which the account may have come back."""
    if rule.key not in rule.attributes:
        return known
    try:
        return {**known, rule.key: rule.attributes[rule.key](context)}
    except RecordError:
        return known


def _lacking(error: RecordError) -> Reason:
    return reason_of(error) or from_text(str(error))


def _may_change(wanted: Wanted, account: Account | None) -> bool:
    return operation(wanted, account, Difference.ATTRIBUTES) is not None


def _missing(
    rule: TargetRule, bound: Operation, wanted: Wanted, accounts: Mapping[str, Account]
) -> tuple[str, ...]:
    """The targets that the rule depends on whose account the task still waits for (I12)."""
    if bound not in GIVES or wanted.state is None:
        return ()
    return tuple(
        name
        for name in rule.depends_on
        if stands(
            bound, wanted.state, is_order_only=False, account=_state_of(accounts, name), task=None
        )
    )


def _state_of(accounts: Mapping[str, Account], target: str) -> AccountState | None:
    return accounts[target].state if target in accounts else None


def in_order(
    rule: TargetRule,
    task: PlannedTask,
    *,
    planned: Mapping[str, PlannedTask],
    open_tasks: Mapping[str, OpenTask],
) -> PlannedTask:
    """The task, which also waits for the tasks of `after` that give or change something (I12).

    `planned`, `open_tasks`: of the same person, by target.
    """
    if task.operation not in GIVES or task.state not in (TaskState.READY, TaskState.WAITING):
        return task
    first = [
        name
        for name in rule.after
        if stands(
            task.operation, task.account_state, is_order_only=True, account=None,
            task=_open_after(planned.get(name), open_tasks.get(name)),
        )
    ]  # fmt: skip
    waits_for = (*task.waits_for, *first)
    return replace(task, waits_for=waits_for, state=TaskState.WAITING) if first else task


def _open_after(
    planned: PlannedTask | None, open_task: OpenTask | None
) -> PlannedTask | OpenTask | None:
    """The task that is open once the plan is written."""
    return open_task if step(planned, open_task) is Step.LATER else planned


_STATE_AFTER = {
    Operation.DISABLE: AccountState.DISABLED,
    Operation.DELETE: AccountState.DELETED,
}


def _task(
    rule: TargetRule,
    person_id: int,
    bound: Operation,
    wanted: Wanted,
    *,
    desired: Attributes,
    state: TaskState,
    late_bound: Mapping[str, Any] | None = None,
    waits_for: Sequence[str] = (),
    cause: Reason | None = None,
) -> PlannedTask:
    return PlannedTask(
        person_id=person_id,
        target=rule.name,
        operation=bound,
        desired=desired,
        late_bound=late_bound or {},
        state=state,
        waits_for=waits_for,
        cause=cause,
        account_state=_STATE_AFTER.get(bound, wanted.state or AccountState.ACTIVE),
        reason=wanted.reason,
    )
