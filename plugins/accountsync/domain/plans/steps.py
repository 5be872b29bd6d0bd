"""What becomes of the open task of one person in one target, when a plan asks for another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from accountsync.domain.accounts.account import (
    GIVES,
    TAKES_AWAY,
    AccountState,
    Attributes,
    Operation,
)
from accountsync.domain.plans.desired import same
from accountsync.domain.plans.risks import Risk
from accountsync.domain.reasons import Kind, Reason
from accountsync.domain.task_states import IN_DOUBT, TaskState

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
    """A call is under way, or a human has to look: the next plan after that decides. What takes
    access away waits for the call alone (I17)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTask:
    """A task that is not over. `kept_back`: an operator holds it, and goes on holding it once data
    that it lacks is there. `awaits_key`: everything was sent but a changed key, which a human has
    to change in the target. `is_doubtful`: it takes access away, and a call of it got no answer."""

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
    awaits_key: bool = False
    is_doubtful: bool = False
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


def step(planned: PlannedTask | None, open_task: OpenTask | None) -> Step:
    """A task under way is left alone; one that nobody has started follows the plan (I6)."""
    if open_task is None:
        return Step.NOTHING if planned is None else Step.ADD
    if open_task.state in IN_DOUBT:
        return _step_in_doubt(planned, open_task)
    if planned is None:
        return Step.SUPERSEDE
    if is_same(planned, open_task):
        return Step.NOTHING
    if planned.operation != open_task.operation:
        return Step.REPLACE
    if open_task.state == TaskState.HELD and not open_task.kept_back:
        return Step.REPLACE
    return Step.REVISE


def _step_in_doubt(planned: PlannedTask | None, open_task: OpenTask) -> Step:
    """Taking away takes the place of whatever waits for a look or a human, and is asked again by
    itself, so a person who comes back takes the place of one that waits for a human (I17)."""
    if open_task.state == TaskState.RUNNING:
        return Step.LATER
    if open_task.awaits_key:  # it keeps nothing else from being sent
        return _step_otherwise(planned, open_task)
    takes_away = open_task.operation in TAKES_AWAY
    if planned is not None and planned.operation in TAKES_AWAY:
        if not takes_away:
            return Step.REPLACE
        return Step.NOTHING if is_same(planned, open_task) else Step.LATER
    if takes_away and open_task.state == TaskState.NEEDS_HUMAN:
        return Step.SUPERSEDE if planned is None else Step.REPLACE
    return Step.LATER


def _step_otherwise(planned: PlannedTask | None, open_task: OpenTask) -> Step:
    if planned is None:
        return Step.SUPERSEDE
    return Step.NOTHING if is_same(planned, open_task) else Step.REPLACE


def is_same(planned: PlannedTask, open_task: OpenTask) -> bool:
    """Whether the task does what the plan asks for."""
    if planned.state == TaskState.NEEDS_HUMAN and not _was_asked(open_task):
        return False
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


def _was_asked(open_task: OpenTask) -> bool:
    """Whether a human is asked about it, or has answered."""
    is_answered = open_task.cause is not None and open_task.cause.kind is Kind.COMMANDED
    return open_task.state == TaskState.NEEDS_HUMAN or is_answered


def to_write(task: PlannedTask, revised: OpenTask | None = None) -> PlannedTask:
    """The task as it is written. What the guard has to judge first is planned, and waits for
    nothing until it is let through.

    `revised`: the open task that gets its attributes. An account that was explained when it was
    first asked for stays so, and what was let through is not judged again where it has no other
    risks and, if it is a change, is to the same values.
    """
    if revised is not None and task.operation in GIVES:
        task = replace(task, risks=revised.risks)
    if not task.risks or task.state not in LET_GO:
        return task
    if revised is not None and revised.state in LET_GO and _is_judged(task, revised):
        return task
    return replace(task, state=TaskState.PLANNED, waits_for=())


def _is_judged(task: PlannedTask, before: OpenTask) -> bool:
    is_like = task.operation in GIVES or same(task.desired, before.desired)
    return is_like and {*task.risks} <= {*before.risks}
