"""I12: whoever lets a task go, the same rule decides what it waits for. Random small worlds of
accounts, open tasks and orders; `domain.tasks.waiting.stands` says what is right."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, RowMapping, text

from accountsync.domain.accounts.account import (
    GIVES,
    TAKES_AWAY,
    THERE,
    AccountState,
    Operation,
    RemoteAccount,
)
from accountsync.domain.reasons import Kind, Reason
from accountsync.domain.task_states import NOT_STARTED, OPEN_STATES, TaskState
from accountsync.domain.tasks import outcomes
from accountsync.domain.tasks.error_kinds import ErrorKind
from accountsync.domain.tasks.waiting import Order, stands
from accountsync.store.plans import guarded_tasks, planned_rules
from accountsync.store.tasks import claimed_tasks, dependants, recording, task_commands
from tests.store.people import add_persons, add_plan

MANY = settings(
    max_examples=50, deadline=None, database=None, derandomize=True, print_blob=False,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate],
)  # fmt: skip
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(days=3)
TARGETS = ("a", "b", "c")
_FAMILIES = (TAKES_AWAY, GIVES, tuple(Operation))
"""Tasks that wait for one another are of one family, mostly."""

_TASK = text("""
INSERT INTO accountsync.account_task (plan_id, person_id, system, operation, account_state, desired,
  state, waits_for, held_because, error_kind, finished_at, lease_until, next_attempt_at)
VALUES (:plan_id, :person_id, :system, :operation, :account_state, '{}', :state, :waits_for,
  CAST(:held_because AS jsonb), :error_kind, :finished_at, :lease_until, :at)
""")
_ACCOUNT = text("""
INSERT INTO accountsync.account (person_id, system, state, identifier, attributes, provenance)
VALUES (:person_id, :system, :state, 'name', '{}', 'created')
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`account_state`: the account's, once the task has succeeded."""

    operation: Operation
    state: TaskState
    account_state: AccountState


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One person. `accounts`, `tasks`: by system, what there is; `tasks`: the newest."""

    order: Order
    accounts: dict[str, AccountState]
    tasks: dict[str, Task]

    def waits(self, target: str) -> list[str]:
        """What the task in this system has to wait for, if it may have to wait at all."""
        task = self.tasks[target]
        candidates = self.order.candidates(target, task.operation)
        return [other for other in candidates if self._stands(task, target, other)]

    def _stands(self, task: Task, target: str, other: str) -> bool:
        first = self.tasks.get(other)
        return stands(
            task.operation,
            task.account_state,
            is_order_only=other in self.order.after[target],
            account=self.accounts.get(other),
            task=first if first and first.state in OPEN_STATES else None,
        )

    def let_go(self, targets: Collection[str]) -> World:
        waiting = {s: replace(self.tasks[s], state=TaskState.WAITING) for s in targets}
        return replace(self, tasks=self.tasks | waiting)


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """Without a circle: a system comes after earlier ones only."""
    depends_on: dict[str, list[str]] = {target: [] for target in TARGETS}
    after: dict[str, list[str]] = {target: [] for target in TARGETS}
    for n, target in enumerate(TARGETS):
        for other in TARGETS[:n]:
            kind = draw(st.sampled_from([depends_on, after, None]))
            if kind is not None:
                kind[target].append(other)
    return Order(depends_on=depends_on, after=after)


@st.composite
def a_task(
    draw: st.DrawFn, states: Collection[TaskState], operations: Collection[Operation]
) -> Task:
    operation = draw(st.sampled_from(sorted(operations)))
    ends = {
        Operation.DISABLE: [AccountState.DISABLED],
        Operation.DELETE: [AccountState.DELETED],
        Operation.ENABLE: [AccountState.ACTIVE],
    }.get(operation, [AccountState.ACTIVE, AccountState.DISABLED])
    return Task(
        operation=operation,
        state=draw(st.sampled_from([*_often(states), *sorted(states)])),
        account_state=draw(st.sampled_from(ends)),
    )


def _often(states: Collection[TaskState]) -> list[TaskState]:
    """What the tests are about, as often as all others together."""
    wanted = [TaskState.WAITING, TaskState.HELD, TaskState.FAILED]
    return [state for state in wanted if state in states] * (len(states) // 3)


@st.composite
def worlds(draw: st.DrawFn, states: Collection[TaskState] = OPEN_STATES) -> World:
    """What waits has candidates, else it would be ready."""
    order = draw(orders())
    operations = draw(st.sampled_from(_FAMILIES))
    known = {
        target: draw(a_task(states, operations))
        for target in draw(st.sets(st.sampled_from(TARGETS), min_size=2))
    }
    for target, task in known.items():
        if task.state == TaskState.WAITING and not order.candidates(target, task.operation):
            known[target] = replace(task, state=TaskState.READY)
    return World(
        order=order,
        accounts={
            target: state
            for target in TARGETS
            if (state := draw(st.sampled_from([*AccountState, *THERE, None]))) is not None
        },
        tasks=known,
    )


@contextmanager
def stored(engine: Engine, world: World) -> Iterator[tuple[Connection, int]]:
    """The world in a transaction that is rolled back; the person."""
    with engine.connect() as connection, connection.begin() as transaction:
        (person,) = add_persons(connection, 1)
        planned_rules.keep_order(connection, world.order.after, reads={})
        plan = add_plan(connection)
        for target, state in world.accounts.items():
            bound = {"person_id": person, "system": target, "state": state}
            connection.execute(_ACCOUNT, bound)
        for target, task in world.tasks.items():
            row = _row(world, target, task)
            connection.execute(_TASK, row | {"plan_id": plan, "person_id": person})
        yield connection, person
        transaction.rollback()


def _row(world: World, target: str, task: Task) -> dict[str, Any]:
    """What is held is held by the guard where it takes away, else by an operator; one that needs a
    human may have happened."""
    is_waiting, is_held = task.state == TaskState.WAITING, task.state == TaskState.HELD
    by_guard = is_held and task.operation in TAKES_AWAY
    kinds = {
        TaskState.HELD: None if by_guard else ErrorKind.HELD_BY_OPERATOR,
        TaskState.NEEDS_HUMAN: ErrorKind.UNKNOWN_OUTCOME,
    }
    return {
        "system": target,
        "operation": task.operation,
        "account_state": task.account_state,
        "state": task.state,
        "waits_for": world.order.candidates(target, task.operation) if is_waiting else [],
        "held_because": "[]" if by_guard else None,
        "error_kind": kinds.get(task.state),
        "finished_at": None if task.state in OPEN_STATES else BEFORE,
        "lease_until": NOW if task.state == TaskState.RUNNING else None,
        "at": BEFORE,
    }


def rows(connection: Connection, person: int) -> dict[str, RowMapping]:
    """`ctid`: another one once the row was written."""
    statement = "SELECT ctid::text, * FROM accountsync.account_task WHERE person_id = :person"
    found = connection.execute(text(statement), {"person": person}).mappings()
    return {row["system"]: row for row in found}


def ids(connection: Connection, person: int, targets: Collection[str]) -> list[int]:
    found = rows(connection, person)
    return [found[target]["id"] for target in targets]


def check(connection: Connection, person: int, world: World) -> None:
    """Everything that is let go in `world` waits for exactly what it has to, or is ready; asked
    again, nothing is written."""
    found = rows(connection, person)
    for target, task in world.tasks.items():
        if task.state == TaskState.WAITING:
            waits = world.waits(target)
            assert found[target]["waits_for"] == waits, (target, world)
            assert found[target]["state"] == ("waiting" if waits else "ready")
    assert dependants.release_satisfied(connection, now=NOW, persons=[person]) == 0
    assert rows(connection, person) == found


_FIRST = [None, *product(Operation, OPEN_STATES)]
_ACCOUNTS = [None, *AccountState]
_WANTED = (AccountState.ACTIVE, AccountState.DISABLED)


@pytest.mark.parametrize("is_order_only", [False, True])
def test_every_case_of_the_rule_is_decided_alike(engine: Engine, is_order_only: bool) -> None:
    """A person a case: every operation that waits, by every account and open task where it waits
    for; also the cases that only an older store may have."""
    cases = list(product(Operation, _WANTED, _ACCOUNTS, _FIRST))
    with engine.connect() as connection, connection.begin() as transaction:
        persons = add_persons(connection, len(cases))
        after = {"first": [], "second": ["first"] if is_order_only else []}
        planned_rules.keep_order(connection, after, reads={})
        _put_cases(connection, persons, cases)
        dependants.release_satisfied(connection, now=NOW)
        statement = "SELECT person_id, state FROM accountsync.account_task WHERE system = 'second'"
        found = {row.person_id: row.state for row in connection.execute(text(statement))}
        transaction.rollback()
    for person, (operation, wanted, account, first) in zip(persons, cases, strict=True):
        waits = stands(
            operation,
            wanted,
            is_order_only=is_order_only,
            account=account,
            task=Task(operation=first[0], state=first[1], account_state=wanted) if first else None,
        )
        said = (operation, wanted, account, first)
        assert found[person] == ("waiting" if waits else "ready"), said


def _put_cases(connection: Connection, persons: list[int], cases: list[tuple[Any, ...]]) -> None:
    plan, accounts, rows_of_tasks = add_plan(connection), [], []
    for person, (operation, wanted, account, first) in zip(persons, cases, strict=True):
        whose = {"plan_id": plan, "person_id": person, "account_state": wanted}
        second = _waiting("second", operation, TaskState.WAITING, "first")
        rows_of_tasks.append(whose | second)
        if first is not None:
            rows_of_tasks.append(whose | _waiting("first", *first, "nobody"))
        if account is not None:
            accounts.append({"person_id": person, "system": "first", "state": account})
    connection.execute(_TASK, rows_of_tasks)
    connection.execute(_ACCOUNT, accounts)


def _waiting(target: str, operation: Operation, state: TaskState, first: str) -> dict[str, Any]:
    return {
        "system": target,
        "operation": operation,
        "state": state,
        "waits_for": [first] if state == TaskState.WAITING else [],
        "held_because": None,
        "error_kind": None,
        "finished_at": None,
        "lease_until": NOW if state == TaskState.RUNNING else None,
        "at": BEFORE,
    }


@MANY
@given(world=worlds(), everybody=st.booleans())
def test_what_waits_is_released_as_far_as_nothing_stands(
    engine: Engine, world: World, everybody: bool
) -> None:
    """I12. What goes on waiting keeps since when; what does not wait is not touched."""
    with stored(engine, world) as (connection, person):
        before = rows(connection, person)
        persons = None if everybody else [person]
        released = dependants.release_satisfied(connection, now=NOW, persons=persons)
        check(connection, person, world)
        after = rows(connection, person)
        waiting = {s for s, task in world.tasks.items() if task.state == TaskState.WAITING}
        ready = {target for target in waiting if not world.waits(target)}
        assert released == len(ready)
        for target, row in after.items():
            assert row["next_attempt_at"] == (NOW if target in ready else BEFORE)
            if target not in waiting:
                assert row == before[target]


@MANY
@given(world=worlds(), data=st.data())
def test_what_the_guard_lets_through_waits_by_the_same_rule(
    engine: Engine, world: World, data: st.DataObject
) -> None:
    """I7, I12: what goes on together is not held for each other."""
    judged = [
        target
        for target, task in world.tasks.items()
        if task.operation in TAKES_AWAY and task.state in (TaskState.PLANNED, TaskState.HELD)
    ]
    chosen = data.draw(st.lists(st.sampled_from(judged), unique=True)) if judged else []
    with stored(engine, world) as (connection, person):
        guarded_tasks.let_through(
            connection,
            ids=ids(connection, person, chosen),
            candidates=world.order.table(),
            now=NOW,
        )
        dependants.release_satisfied(connection, now=NOW, persons=[person])
        check(connection, person, world.let_go(chosen))
        found = rows(connection, person)
        for target in chosen:
            was_held = world.tasks[target].state == TaskState.HELD
            assert found[target]["approved_at"] == (NOW if was_held else None)
            assert found[target]["next_attempt_at"] == NOW


@MANY
@given(
    world=worlds((TaskState.FAILED, *NOT_STARTED, TaskState.NEEDS_HUMAN, TaskState.UNKNOWN)),
    data=st.data(),
)
def test_what_an_operator_tries_again_waits_by_the_same_rule(
    engine: Engine, world: World, data: st.DataObject
) -> None:
    """I12: but for what was let go before, and may have been sent."""
    begun = (TaskState.NEEDS_HUMAN, TaskState.READY, TaskState.UNKNOWN)
    may = [s for s, task in world.tasks.items() if task.state in (TaskState.FAILED, *begun)]
    chosen = data.draw(st.lists(st.sampled_from(may), unique=True)) if may else []
    _pulled(engine, world, task_commands.RETRY, chosen)


@MANY
@given(world=worlds(), data=st.data())
def test_what_an_operator_releases_waits_by_the_same_rule(
    engine: Engine, world: World, data: st.DataObject
) -> None:
    """I12."""
    may = [
        target
        for target, task in world.tasks.items()
        if task.state == TaskState.HELD and task.operation not in TAKES_AWAY
    ]
    chosen = data.draw(st.lists(st.sampled_from(may), unique=True)) if may else []
    _pulled(engine, world, task_commands.RELEASE, chosen)


def _pulled(
    engine: Engine, world: World, command: task_commands.TaskCommand, chosen: Collection[str]
) -> None:
    unbegun = [s for s in chosen if world.tasks[s].state in (TaskState.FAILED, TaskState.HELD)]
    with stored(engine, world) as (connection, person):
        found = rows(connection, person)
        persons = task_commands.carry_out(
            connection,
            command,
            {found[target]["id"]: found[target]["state"] for target in chosen},
            candidates=world.order.table(),
            cause=Reason.of(Kind.COMMANDED, command=command.name, actor="a", comment="c"),
            now=NOW,
        )
        dependants.release_satisfied(connection, now=NOW, persons=persons)
        after = rows(connection, person)
        sent = {s: TaskState(after[s]["state"]) for s in chosen if s not in unbegun}
        assert set(sent.values()) <= {TaskState.READY, TaskState.UNKNOWN}
        begun = {s: replace(world.tasks[s], state=state) for s, state in sent.items()}
        if chosen:
            check(connection, person, replace(world, tasks=world.tasks | begun).let_go(unbegun))


@MANY
@given(world=worlds(), target=st.sampled_from(TARGETS))
def test_what_a_result_brings_about_lets_go_by_the_same_rule(
    engine: Engine, world: World, target: str
) -> None:
    """I12: in the transaction that records it."""
    task = world.tasks.get(target)
    assume(task is not None and task.state == TaskState.READY)
    assert task is not None
    with stored(engine, world) as (connection, person):
        (claim,) = claimed_tasks.claim(
            connection, target=target, limit=1, worker="w", lease=timedelta(minutes=1), now=NOW
        )
        made = RemoteAccount(identifier="name", remote_id=None, ours=True)
        account = None if task.operation == Operation.DELETE else made
        result = outcomes.succeeded(claim.as_task({}), account)
        recording.record(connection, target=target, worker="w", results=[result], now=NOW)
        is_there = target in world.accounts or account is not None
        accounts = world.accounts | ({target: task.account_state} if is_there else {})
        ended = {target: replace(task, state=TaskState.SUCCEEDED)}
        after = replace(world, accounts=accounts, tasks=world.tasks | ended)
        check(connection, person, after)
