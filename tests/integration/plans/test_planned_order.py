"""I12: what the planner lets wait is what the store's rule lets wait, in random small worlds of
accounts, open tasks, orders and people; and a plan that changes nothing writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import RowMapping

from accountsync.domain.accounts.account import GIVES, TAKES_AWAY, AccountState, Operation
from accountsync.domain.plans.risks import Risk
from accountsync.domain.task_states import OPEN_STATES, TaskState
from accountsync.domain.tasks.error_kinds import ErrorKind
from accountsync.domain.tasks.waiting import stands
from accountsync.settings import Settings
from tests.installation import example_settings
from tests.integration.plans.planned_people import People

SOME = settings(
    max_examples=15, deadline=None, database=None, derandomize=True, print_blob=False,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate],
)  # fmt: skip
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
KINDS = (None, "depends_on", "after")
TARGETS = ("idaas", "welink", "email")
_ALL = {"count": 10_000, "percent": 100}
_UNGUARDED = dict.fromkeys((*Risk, "budget_24h", "budget_7d", "budget_30d"), _ALL)
_NUMBERS = count(1)


@cache
def rules(welink_idaas: str | None, email_idaas: str | None, email_welink: str | None) -> Settings:
    """In which way each of three targets comes after those before it."""
    targets: dict[str, dict[str, Any]] = {
        "idaas": {"preset": "idaas", "conn_id": "idaas"},
        "welink": {"preset": "welink", "conn_id": "welink"},
        "email": {"preset": "exchange_mailbox", "conn_id": "exchange"},
    }
    targets["email"]["attributes"] = {
        "SAMAccountName": "names.username", "Alias": "names.mail_alias",
        "EmailAddress": "names.email",
    }  # fmt: skip
    for target in targets.values():
        target |= {"prehire": "72h", "delete_after": "1h", "depends_on": [], "after": []}
    for later, earlier, kind in (
        ("welink", "idaas", welink_idaas),
        ("email", "idaas", email_idaas),
        ("email", "welink", email_welink),
    ):
        if kind:
            targets[later][kind].append(earlier)
    return example_settings(targets=targets, guard=_UNGUARDED | {"hard_percent": 100})


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Of one person in one target: an account, and an open task."""

    account: AccountState | None
    operation: Operation | None
    state: TaskState


@st.composite
def known(draw: st.DrawFn) -> Known:
    return Known(
        account=draw(st.none() | st.sampled_from(AccountState)),
        operation=draw(st.none() | st.sampled_from(Operation)),
        state=draw(st.sampled_from([one for one in OPEN_STATES if one != TaskState.PLANNED])),
    )


def put(people: People, number: str, target: str, what: Known) -> None:
    """As adopted and planned by somebody else long ago."""
    whose = {"number": number, "system": target}
    if what.account is not None:
        people.execute(
            "INSERT INTO accountsync.account (person_id, system, state, identifier, attributes,"
            " provenance, disabled_by, updated_at) SELECT id, :system, :state, 'n' || id, '{}',"
            " 'created', CASE WHEN :state = 'disabled' THEN 'accountsync' END,"
            " '2026-01-06' FROM accountsync.person WHERE employee_number = :number",
            state=what.account, **whose,
        )  # fmt: skip
    if what.operation is None:
        return
    candidates = people.settings.order.candidates(target, what.operation)
    state = what.state
    if state == TaskState.WAITING and not candidates:
        state = TaskState.READY
    people.execute(
        "INSERT INTO accountsync.account_task (plan_id, person_id, system, operation, desired,"
        " state, waits_for, lease_until, error_kind) SELECT (SELECT max(id) FROM accountsync.plan),"
        " id, :system, :operation, '{}', :state, :waits_for, :lease_until, :kind"
        " FROM accountsync.person WHERE employee_number = :number",
        operation=what.operation, state=state, **whose,
        waits_for=candidates if state == TaskState.WAITING else [],
        lease_until=NOW if state == TaskState.RUNNING else None,
        kind=ErrorKind.HELD_BY_OPERATOR if state == TaskState.HELD else None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Open:
    operation: Operation
    state: TaskState


def waits(settings: Settings, task: RowMapping, tasks: Any, accounts: Any) -> list[str]:
    """By the specification, of the world as it is after the plan."""
    operation, found = Operation(task["operation"]), []
    for other in settings.order.candidates(task["system"], operation):
        first = tasks.get(other)
        if stands(
            operation,
            AccountState(task["account_state"]),
            is_order_only=other in settings.order.after[task["system"]],
            account=accounts.get(other),
            task=Open(Operation(first["operation"]), TaskState(first["state"])) if first else None,
        ):
            found.append(other)
    return found


def tasks_of(people: People, number: str) -> dict[str, RowMapping]:
    """`ctid`: another one once the row was written."""
    found = people.rows(
        "SELECT t.ctid::text, t.* FROM accountsync.account_task t JOIN accountsync.person p"
        " ON p.id = t.person_id WHERE p.employee_number = :number AND finished_at IS NULL",
        number=number,
    )
    return {row["system"]: row for row in found}


def watch(people: People) -> None:
    """Keeps whom the store's rule let go after the planner had written them."""
    people.execute("CREATE TABLE let_go (task bigint, operation text)")
    people.execute("GRANT SELECT ON let_go TO PUBLIC")
    people.execute(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        " INSERT INTO let_go VALUES (NEW.id, NEW.operation); RETURN NULL; END $$"
    )
    people.execute(
        "CREATE TRIGGER watched AFTER UPDATE ON accountsync.account_task FOR EACH ROW"
        " WHEN (OLD.waits_for <> NEW.waits_for AND OLD.plan_id = NEW.plan_id) EXECUTE FUNCTION"
        " note()"
    )


@SOME
@given(
    kinds=st.tuples(*[st.sampled_from(KINDS)] * 3),
    has=st.tuples(*[known()] * 3),
    facts=st.sampled_from(
        [{"status": "1"}, {"status": "9"}, {"hire_date": (NOW + timedelta(days=2)).date()}]
    ),
)
def test_what_is_planned_waits_by_the_rule_of_the_store(
    people: People, kinds: tuple[str | None, ...], has: tuple[Known, ...], facts: dict[str, Any]
) -> None:
    """The planner leaves out what does not stand: the rule finds nothing more to let go."""
    people.settings = rules(*kinds)
    people.plan(now=NOW)
    if not people.rows("SELECT FROM pg_tables WHERE tablename = 'let_go'"):
        watch(people)
    number = f"E{next(_NUMBERS)}"
    people.add(number, "张伟", **facts)
    for target, what in zip(TARGETS, has, strict=True):
        put(people, number, target, what)
    people.execute("DELETE FROM let_go")
    plan = people.plan(now=NOW).plan_id
    tasks = tasks_of(people, number)
    accounts = {s: what.account for s, what in zip(TARGETS, has, strict=True) if what.account}
    for target, task in tasks.items():
        may_go = task["state"] in (TaskState.WAITING, TaskState.READY)
        if may_go and (task["operation"] in GIVES or task["plan_id"] == plan):
            said = (kinds, has, facts, target)
            assert task["waits_for"] == waits(people.settings, task, tasks, accounts), said
    planned = [task["id"] for task in tasks.values() if task["plan_id"] == plan]
    let_go = people.rows("SELECT task, operation FROM let_go")
    assert not [r for r in let_go if r["task"] in planned and r["operation"] not in TAKES_AWAY]
    _planned_again(people, number)


def _planned_again(people: People, number: str) -> None:
    """Nothing has changed: nothing is written."""
    before = tasks_of(people, number)
    people.execute("UPDATE accountsync.person SET planned_revision = 0")
    people.plan(now=NOW)
    assert tasks_of(people, number) == before
    people.execute(
        "UPDATE accountsync.account_task SET state = 'cancelled', waits_for = '{}', lease_until ="
        " NULL, finished_at = now() WHERE finished_at IS NULL"
    )
    people.execute("UPDATE accountsync.person SET planned_revision = revision")
