"""Who waits for whom (I12): for which targets a task may have to wait, and which of these stand.

| task           | its candidates                 | one of them stands while, in that target    |
|----------------|--------------------------------|---------------------------------------------|
| create, enable | those it depends on            | the account is not active; disabled is      |
|                |                                | enough where this one is to be disabled too |
| create, enable | those it only comes after      | a task is open that gives or changes        |
| disable        | those that come after this one | a task is open that takes away, unless that |
|                |                                | one waits for a human; an hour at most      |
| delete         | those that come after this one | a task is open that takes away              |
| update, rename | none                           | –                                           |

A candidate stands while the task really has to wait for it. Whoever lets a task go (the planner,
the guard, an operator) writes its candidates into `waits_for`. In the same transaction one
statement of the store keeps those that stand, and makes the task ready where none does
(`store.tasks.dependants`); the same statement runs where a result is recorded. `stands` decides the
same in Python: the planner leaves out candidates that do not stand before it writes, so that it can
compare a plan with the open tasks and writes no task twice. A test proves with random data that
both decide alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from accountsync.domain.accounts.account import GIVES, TAKES_AWAY, THERE, AccountState, Operation
from accountsync.domain.task_states import FOR_A_HUMAN, TaskState

Candidates = Mapping[str, Mapping[Operation, Sequence[str]]]
"""Target → operation → the targets that such a task may have to wait for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`depends_on`: target → those in which an account is needed first. `after`: target → those
    whose tasks come first, however they end. Nothing is in both for one target."""

    depends_on: Mapping[str, Sequence[str]]
    after: Mapping[str, Sequence[str]]

    def candidates(self, target: str, operation: Operation) -> list[str]:
        """The targets that a task may have to wait for; taking away runs in reverse order."""
        if operation in TAKES_AWAY:
            return sorted(
                other
                for other in self.depends_on
                if target in self.depends_on[other] or target in self.after[other]
            )
        if operation in GIVES:
            return [*self.depends_on[target], *self.after[target]]
        return []

    def table(self) -> Candidates:
        """The candidates of every operation in every target."""
        return {
            target: {operation: self.candidates(target, operation) for operation in Operation}
            for target in self.depends_on
        }


class Task(Protocol):
    """An open task, or one that is planned."""

    @property
    def operation(self) -> Operation: ...

    @property
    def state(self) -> TaskState: ...


def stands(
    operation: Operation,
    wanted: AccountState,
    *,
    is_order_only: bool,
    account: AccountState | None,
    task: Task | None,
) -> bool:
    """Whether a task has to wait for one of its candidates: the table on top.

    `wanted`: the account's state once the waiting task has succeeded. `is_order_only`: it comes
    after that target without needing an account there. `account`, `task`: the person's account and
    open task in that target.
    """
    if operation in TAKES_AWAY:
        if task is None or task.operation not in TAKES_AWAY:
            return False
        return operation == Operation.DELETE or task.state not in FOR_A_HUMAN
    if is_order_only:
        return task is not None and task.operation not in TAKES_AWAY
    if account == AccountState.DISABLED and operation in GIVES:
        return wanted != AccountState.DISABLED
    return account not in THERE
