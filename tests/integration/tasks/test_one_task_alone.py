"""What is raised for one task is that task's failure (I17): the others go on."""

from __future__ import annotations

import asyncio
import decimal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from accountsync.errors import AccountSyncError
from accountsync.jobs.tasks.process_account_tasks import process_account_tasks, rules_of
from accountsync.jobs.tasks.task_queue import Limits
from accountsync.store.engine import database_clock
from accountsync.targets import catalog
from accountsync.targets.connector import Connector
from tests.integration.tasks.targets_world import TargetsWorld

PHONE = "13912345678"
RAISED: list[BaseException] = [
    KeyError(PHONE), TypeError(PHONE), AttributeError(PHONE), ValueError(PHONE), IndexError(PHONE),
    UnicodeEncodeError("ascii", PHONE, 0, 1, PHONE), RecursionError(PHONE), OSError(PHONE),
    decimal.InvalidOperation(PHONE), AssertionError(PHONE), NotImplementedError(PHONE),
    ExceptionGroup(PHONE, [ValueError(PHONE)]), asyncio.QueueFull(PHONE), TimeoutError(PHONE),
]  # fmt: skip


@dataclass(frozen=True)
class Faulty:
    """A real connector, of which one operation raises for some. `errors`: what is in its arguments
    → what it raises."""

    inner: Connector
    operation: str
    errors: Mapping[str, BaseException]

    def __getattr__(self, name: str) -> Any:
        if name != self.operation:
            return getattr(self.inner, name)
        return partial(self._call, getattr(self.inner, name))

    async def _call(self, inner: Any, *arguments: Any, **options: Any) -> Any:
        given = repr(arguments)
        for key, error in self.errors.items():
            if key in given:
                raise error
        return await inner(*arguments, **options)


def process(world: TargetsWorld, operation: str, errors: Mapping[str, BaseException]) -> Any:
    """One run of idaas with such a connector."""
    declared = world.settings.targets["idaas"]
    point = world.endpoint(declared.conn_id)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Any]:
        async with catalog.opened(declared, point) as connector:
            yield Faulty(connector, operation, errors)

    return process_account_tasks(
        engine=world.engine, target="idaas", open_connector=opened,
        rules=rules_of(engine=world.engine, settings=world.settings, target="idaas"),
        limits=Limits(concurrency=4, call_timeout=declared.timeout, seconds=20),
        worker="test", clock=database_clock(world.engine),
    )  # fmt: skip


def numbers_of(world: TargetsWorld, count: int) -> list[str]:
    """Of people here and there in the queue."""
    rows = world.rows(
        "SELECT p.employee_number AS number FROM accountsync.account_task t JOIN accountsync.person"
        " p ON p.id = t.person_id WHERE t.system = 'idaas' ORDER BY t.id"
    )
    return [str(row["number"]) for row in rows[:: max(1, len(rows) // count)]][:count]


def test_whatever_a_connector_raises_for_one_person_the_others_get_their_accounts(
    planned: TargetsWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """Named by its class, with the person; never by its text (I15)."""
    raised = dict(zip(numbers_of(planned, len(RAISED)), RAISED, strict=True))
    process(planned, "create", {f"'{number}'": error for number, error in raised.items()})
    assert planned.entitled() - planned.there("idaas").keys() == raised.keys()
    failed = planned.rows(
        "SELECT t.*, p.employee_number FROM accountsync.account_task t JOIN accountsync.person p"
        " ON p.id = t.person_id WHERE t.system = 'idaas' AND t.state <> 'succeeded'"
    )
    assert {row["employee_number"] for row in failed} == raised.keys()
    for row in failed:
        error = raised[row["employee_number"]]
        assert row["error_kind"] == "UnexpectedError"
        assert type(error).__name__ in row["cause"]
        assert PHONE not in row["cause"]
        assert row["employee_number"] in caplog.text


@pytest.mark.parametrize("operation", ["update", "rename", "enable", "disable", "delete", "look"])
def test_a_leavers_disable_does_not_hang_behind_another_task(
    planned: TargetsWorld, operation: str
) -> None:
    """I17: in every operation, and in the look behind a probe."""
    planned.drain()
    asked = "update" if operation == "look" else operation
    planned.ask("idaas", asked, persons=8)
    if operation == "look":
        planned.execute(
            "UPDATE accountsync.account_task SET state = 'unknown' WHERE state = 'ready'"
        )
    planned.execute(
        "INSERT INTO accountsync.account_task (plan_id, person_id, system, operation, desired,"
        " account_state, reason, state) SELECT (SELECT max(id) FROM accountsync.plan), person_id,"
        " system, 'disable', attributes, 'disabled', 'left', 'ready' FROM accountsync.account a"
        " WHERE system = 'idaas' ORDER BY person_id DESC LIMIT 1"
    )
    leaver = planned.rows(
        "SELECT a.identifier, a.attributes ->> 'employeeNumber' AS key FROM accountsync.account a"
        " WHERE system = 'idaas' ORDER BY person_id DESC LIMIT 1"
    )[0]
    for _ in range(3):
        process(planned, operation, {"identifier": KeyError("k")})  # for everybody
    states = planned.states("idaas", "disable")
    (account,) = [
        one for one in planned.sims.idaas.accounts() if one["employeeNumber"] == leaver["key"]
    ]
    if operation == "disable":
        assert states == {"needs_human": 9}
    else:
        assert account["enabled"] is False


def test_a_trial_is_made_with_a_removal_and_never_twice_with_the_same_task(
    planned: TargetsWorld,
) -> None:
    """I13, I17: a task that always ends a trial does not keep a leaver in."""
    planned.drain()
    planned.ask("idaas", "update", persons=4)
    planned.execute("UPDATE accountsync.account_task SET state = 'unknown' WHERE state = 'ready'")
    planned.execute(
        "INSERT INTO accountsync.account_task (plan_id, person_id, system, operation, desired,"
        " account_state, reason, state) SELECT (SELECT max(id) FROM accountsync.plan), person_id,"
        " system, 'disable', attributes, 'disabled', 'left', 'ready' FROM accountsync.account a"
        " WHERE system = 'idaas' ORDER BY person_id DESC LIMIT 1"
    )
    planned.execute(
        "INSERT INTO accountsync.breaker (system, state, failures, since, cause)"
        " VALUES ('idaas', 'open', 3, now(), 'test')"
    )
    planned.process("idaas", max_tasks=1)
    assert planned.states("idaas", "disable") == {"succeeded": 1}
    planned.execute("UPDATE accountsync.breaker SET state = 'open', trial_task = NULL")
    planned.execute("UPDATE accountsync.account_task SET next_attempt_at = now() - interval '1 h'"
                    " WHERE state = 'unknown'")  # fmt: skip
    planned.sims.idaas.fault("status", code=500, path="/user$")
    tried = []
    for _ in range(3):
        with suppress(AccountSyncError):
            planned.process("idaas", at_once=True)
        tried.append(planned.scalar("SELECT trial_task FROM accountsync.breaker"))
    assert None not in tried
    assert all(one != other for one, other in zip(tried, tried[1:], strict=False))


def test_the_first_create_looks_first_until_somebody_has_adopted(planned: TargetsWorld) -> None:
    """I9: the same key under another name became a second account; not every target refuses it."""
    planned.execute("ALTER TABLE accountsync.audit_event DISABLE TRIGGER USER")
    planned.execute("DELETE FROM accountsync.audit_event WHERE action = 'accounts_adopted'")
    planned.execute("ALTER TABLE accountsync.audit_event ENABLE TRIGGER USER")
    (number,) = numbers_of(planned, 1)
    planned.sims.idaas.seed({"userName": "other.name", "employeeNumber": number, "enabled": True})
    planned.process("idaas")
    assert planned.there("idaas")[number] == 1
    kept = planned.rows("SELECT provenance, identifier FROM accountsync.account WHERE system ="
                        " 'idaas' AND identifier = 'other.name'")  # fmt: skip
    assert [tuple(row.values()) for row in kept] == [("adopted", "other.name")]
    assert planned.requests("idaas")[1] == len(planned.entitled())
