"""I12: for whom a task may have to wait, and whether it does: every line of the table."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from accountsync.domain.accounts.account import AccountState, Operation
from accountsync.domain.task_states import FOR_A_HUMAN, OPEN_STATES, TaskState
from accountsync.domain.tasks.waiting import Order, stands

ORDER = Order(
    depends_on={"idaas": [], "mail": ["idaas"], "chat": []},
    after={"idaas": [], "mail": [], "chat": ["mail", "idaas"]},
)


@dataclass(frozen=True)
class Task:
    operation: Operation
    state: TaskState = TaskState.READY


@pytest.mark.parametrize(
    ("operation", "candidates"),
    [
        ("create", {"idaas": [], "mail": ["idaas"], "chat": ["mail", "idaas"]}),
        ("enable", {"idaas": [], "mail": ["idaas"], "chat": ["mail", "idaas"]}),
        ("update", {"idaas": [], "mail": [], "chat": []}),
        ("rename", {"idaas": [], "mail": [], "chat": []}),
        ("disable", {"idaas": ["chat", "mail"], "mail": ["chat"], "chat": []}),
        ("delete", {"idaas": ["chat", "mail"], "mail": ["chat"], "chat": []}),
    ],
)
def test_giving_follows_the_order_taking_away_reverses_it_and_changing_waits_for_nobody(
    operation: str, candidates: dict[str, list[str]]
) -> None:
    found = {target: ORDER.candidates(target, Operation(operation)) for target in candidates}
    assert found == candidates
    assert {target: table[Operation(operation)] for target, table in ORDER.table().items()} == found


@pytest.mark.parametrize("operation", ["create", "enable"])
@pytest.mark.parametrize(
    ("account", "to_be_used", "to_be_disabled"),
    [
        (None, True, True),
        ("absent", True, True),
        ("deleted", True, True),
        ("disabled", True, False),
        ("active", False, False),
    ],
)
def test_what_gives_waits_for_the_account_it_depends_on(
    operation: str, account: str | None, to_be_used: bool, to_be_disabled: bool
) -> None:
    """Whatever task is open there."""
    for task in (None, Task(Operation.CREATE), Task(Operation.DISABLE)):
        for wanted, expected in (("active", to_be_used), ("disabled", to_be_disabled)):
            found = stands(
                Operation(operation),
                AccountState(wanted),
                is_order_only=False,
                account=AccountState(account) if account else None,
                task=task,
            )
            assert found is expected


@pytest.mark.parametrize("operation", ["create", "enable"])
@pytest.mark.parametrize("state", OPEN_STATES)
@pytest.mark.parametrize("account", [None, *AccountState])
def test_what_only_comes_after_waits_for_open_tasks_that_give_or_change(
    operation: str, state: TaskState, account: AccountState | None
) -> None:
    """Whatever account is there."""
    for first in Operation:
        found = stands(
            Operation(operation),
            AccountState.ACTIVE,
            is_order_only=True,
            account=account,
            task=Task(first, state),
        )
        assert found is (first not in ("disable", "delete"))


@pytest.mark.parametrize("is_order_only", [False, True])
@pytest.mark.parametrize("state", OPEN_STATES)
def test_what_takes_away_waits_for_what_is_to_be_taken_away_and_a_disable_for_no_human(
    state: TaskState, is_order_only: bool
) -> None:
    """I17: access ends."""
    for first in Operation:
        for operation in (Operation.DISABLE, Operation.DELETE):
            found = stands(
                operation,
                AccountState.DISABLED,
                is_order_only=is_order_only,
                account=AccountState.ACTIVE,
                task=Task(first, state),
            )
            waits = operation is Operation.DELETE or state not in FOR_A_HUMAN
            assert found is (first in ("disable", "delete") and waits)


@pytest.mark.parametrize("operation", ["create", "enable", "disable", "delete"])
def test_nobody_waits_for_a_task_that_is_not_there(operation: str) -> None:
    found = stands(
        Operation(operation), AccountState.ACTIVE, is_order_only=True, account=None, task=None
    )
    assert found is False
