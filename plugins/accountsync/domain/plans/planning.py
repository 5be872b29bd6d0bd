"""What a person should have, compared with what was applied last: at most one operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from accountsync.domain.accounts.account import (
    GIVES,
    GONE,
    TAKES_AWAY,
    Account,
    AccountState,
    Attributes,
    Operation,
)
from accountsync.domain.mapping.values import Context
from accountsync.domain.persons.lifecycle import Lifecycle
from accountsync.domain.persons.person import reason_of
from accountsync.domain.plans.desired import Difference, TargetRule, attributes, difference, same
from accountsync.domain.plans.entitlement import Wanted
from accountsync.domain.plans.risks import Risk
from accountsync.domain.reasons import Reason, from_text
from accountsync.domain.task_states import IN_DOUBT, TaskState
from accountsync.domain.tasks.waiting import stands
from accountsync.errors import RecordError

OURS = frozenset({"created", "adopted"})
US = "accountsync"
_WAITS_FOR_NOBODY = (TaskState.HELD, TaskState.CANCELLED)
"""What such a task would have to wait for is looked at when it goes on."""
LET_GO = (TaskState.READY, TaskState.WAITING)
"""Nothing but time or the other tasks of the person keeps such a task."""


class Step(Enum):
    """What becomes of the open task of one person in one target."""

    NOTHING = "nothing"
    ADD = "add"
    REVISE = "revise"
    """The same operation, with other attributes: nobody has started it."""
    REPLACE = "replace"
    """The open task is superseded and another one takes its place."""
    SUPERSEDE = "supersede"
    """The open task's reason has gone."""
    LATER = "later"
    """A call is under way, or a human has to look: the next plan after that decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTask:
    """A task that is not over. `kept_back`: an operator holds it, and goes on holding it once data
    that it lacks is there."""

    id: int
    operation: Operation
    state: TaskState
    person_id: int = 0
    target: str = ""
    desired: Attributes = field(default_factory=dict)
    late_bound: Mapping[str, Any] = field(default_factory=dict)
    account_state: AccountState = AccountState.ACTIVE
    reason: str | None = None
    cause: Reason | None = None
    waits_for: Sequence[str] = ()
    kept_back: bool = False
    risks: Sequence[Risk] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """A task that the plan asks for. `state`: ready, waiting (for the targets in `waits_for`),
    needs_data (see `cause`) or planned (the guard has not judged it yet). `risks`: what the guard
    judges by; a task that has some is written as planned (see `to_write`)."""

    person_id: int
    target: str
    operation: Operation
    desired: Attributes
    late_bound: Mapping[str, Any]
    state: TaskState
    waits_for: Sequence[str]
    cause: Reason | None
    account_state: AccountState = AccountState.ACTIVE
    reason: str | None = None
    risks: Sequence[Risk] = ()


def operation(wanted: Wanted, account: Account | None, difference: Difference) -> Operation | None:
    """The operation that leads from what is there to what is wanted; None: there is none.

    | wanted \\ account | none, absent, deleted | active           | disabled by us   | by others |
    |-------------------|-----------------------|------------------|------------------|-----------|
    | active            | create (if it makes)  | update or rename | enable           | –         |
    | disabled          | create (if it makes)  | disable          | prehire: update  | –         |
    | deleted           | –                     | disable          | delete           | –         |
    | as it is          | –                     | –                | –                | –         |

    What was not made or adopted by us is never disabled or deleted (I11).
    """
    if wanted.state is None:
        return None
    if account is None or account.state in GONE:
        return Operation.CREATE if wanted.makes else None
    if account.state == AccountState.DISABLED:
        return _of_disabled(wanted, account, difference)
    if wanted.state == AccountState.ACTIVE:
        return _change(difference)
    return Operation.DISABLE if account.provenance in OURS else None


def _of_disabled(wanted: Wanted, account: Account, difference: Difference) -> Operation | None:
    if account.disabled_by != US:
        return None
    if wanted.state == AccountState.ACTIVE:
        return Operation.ENABLE
    if wanted.state == AccountState.DELETED:
        return Operation.DELETE if account.provenance in OURS else None
    return _change(difference) if wanted.reason == Lifecycle.PREHIRE else None


_CHANGES = {Difference.ATTRIBUTES: Operation.UPDATE, Difference.IDENTIFIER: Operation.RENAME}


def _change(difference: Difference) -> Operation | None:
    return _CHANGES.get(difference)


def step(planned: PlannedTask | None, open_task: OpenTask | None) -> Step:
    """A task under way is left alone; one that nobody has started follows the plan (I6)."""
    if open_task is not None and open_task.state in IN_DOUBT:
        return Step.LATER
    if planned is None:
        return Step.NOTHING if open_task is None else Step.SUPERSEDE
    if open_task is None:
        return Step.ADD
    if is_same(planned, open_task):
        return Step.NOTHING
    if planned.operation != open_task.operation:
        return Step.REPLACE
    if open_task.state == TaskState.HELD and not open_task.kept_back:
        return Step.REPLACE
    return Step.REVISE


def is_same(planned: PlannedTask, open_task: OpenTask) -> bool:
    """Whether the task does what the plan asks for."""
    lacks_data = planned.state == TaskState.NEEDS_DATA
    if lacks_data != (open_task.state == TaskState.NEEDS_DATA):
        return False
    waits = planned.operation not in TAKES_AWAY and not open_task.kept_back
    if (
        waits
        and open_task.state not in _WAITS_FOR_NOBODY
        and {*planned.waits_for} != {*open_task.waits_for}
    ):
        return False
    facts = (open_task.operation, open_task.account_state, open_task.reason)
    return (
        (planned.operation, planned.account_state, planned.reason) == facts
        and same(planned.desired, open_task.desired)
        and same(planned.late_bound, open_task.late_bound)
        and (not lacks_data or planned.cause == open_task.cause)
    )


def plan_task(
    rule: TargetRule,
    *,
    person_id: int,
    wanted: Wanted,
    context: Context,
    accounts: Mapping[str, Account],
) -> PlannedTask | None:
    """The task that brings the account to what is wanted, or the one that says what data it lacks.

    `context`: the roots of mapping values, without `accounts`.
    """
    account = accounts.get(rule.name)
    bound = operation(wanted, account, Difference.NONE)
    if bound in TAKES_AWAY and account is not None:  # access ends even where data is missing
        return _task(
            rule, person_id, bound, wanted, desired=account.attributes, state=TaskState.PLANNED
        )
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
    """The task that is open once the plan is written: one in doubt stays open."""
    is_in_doubt = open_task is not None and open_task.state in IN_DOUBT
    return open_task if is_in_doubt else planned


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


def to_write(task: PlannedTask, revised: OpenTask | None = None) -> PlannedTask:
    """The task as it is written. What the guard has to judge first is planned, and waits for
    nothing until it is let through.

    `revised`: the open task that gets its attributes. An account that was explained when it was
    first asked for stays so, and what was let through is not judged again for the same risks.
    """
    if revised is not None and task.operation in GIVES:
        task = replace(task, risks=revised.risks)
    if not task.risks or task.state not in LET_GO:
        return task
    if revised is not None and revised.state in LET_GO and {*task.risks} <= {*revised.risks}:
        return task
    return replace(task, state=TaskState.PLANNED, waits_for=())
