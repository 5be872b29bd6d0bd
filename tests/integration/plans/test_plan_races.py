"""What a processor claims while it is being planned is planned again after the call (I6)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from accountsync.store.plans import planned_tasks
from accountsync.store.tasks import claimed_tasks
from tests.integration.plans.planned_people import People

LEASE = timedelta(minutes=5)


@pytest.fixture
def claimed_before(people: People, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Any]]:
    """A processor claims what is due, once, just before a statement of the plan."""

    def prepare(statement: str) -> list[Any]:
        real, claims = getattr(planned_tasks, statement), list[Any]()

        def racing(connection: Any, **arguments: Any) -> Any:
            if arguments["tasks"] and not claims:
                claims.extend(_claim(people.engine))
            return real(connection, **arguments)

        monkeypatch.setattr(planned_tasks, statement, racing)
        return claims

    return prepare


def _claim(engine: Engine) -> list[Any]:
    soon = datetime.now(UTC) + timedelta(seconds=5)
    with engine.begin() as connection:
        return claimed_tasks.claim(
            connection, target="idaas", limit=50, worker="w", lease=LEASE, now=soon
        )


def _answered(people: People) -> None:
    people.execute(
        "WITH done AS (UPDATE accountsync.account_task SET state = 'succeeded', lease_until = NULL,"
        "  finished_at = now() WHERE state = 'running' RETURNING *)"
        " INSERT INTO accountsync.account (person_id, system, state, identifier, attributes,"
        "  provenance) SELECT person_id, system, 'active', system || person_id, desired, 'created'"
        " FROM done ON CONFLICT (person_id, system) DO UPDATE SET attributes = excluded.attributes"
    )


def _tasks(people: People, state: str) -> list[tuple[str, str]]:
    rows = people.rows(
        "SELECT system, operation FROM accountsync.account_task WHERE state = :state ORDER BY 1",
        state=state,
    )
    return [(row["system"], row["operation"]) for row in rows]


def test_a_leaver_whose_account_is_being_made_loses_it_afterwards(people: People) -> None:
    people.add("E1", "张伟")
    people.plan()
    _claim(people.engine)
    people.change("E1", status="9")
    people.plan()
    assert _tasks(people, "running") == [("idaas", "create")]
    _answered(people)
    people.plan()
    assert _tasks(people, "ready") == [("idaas", "disable")]


def test_a_change_that_came_too_late_for_the_call_is_sent_after_it(
    people: People, claimed_before: Callable[[str], list[Any]]
) -> None:
    people.add("E1", "张伟")
    people.plan()
    _claim(people.engine)
    _answered(people)
    people.change("E1", department_code="D1120")
    people.plan()
    people.change("E1", full_name="张大伟")
    claims = claimed_before("revise")
    people.plan()
    assert [claim.row["operation"] for claim in claims] == ["update"]
    _answered(people)
    people.plan()
    assert ("idaas", "update") in _tasks(people, "ready")


def test_a_plan_goes_on_where_a_task_to_be_replaced_was_claimed(
    people: People, claimed_before: Callable[[str], list[Any]]
) -> None:
    people.add("E1", "张伟")
    people.plan()
    _claim(people.engine)
    _answered(people)
    people.change("E1", department_code="D1120")
    people.plan()
    people.change("E1", status="9")
    people.add("E2", "李娜")
    claims = claimed_before("supersede")
    people.plan()
    assert [claim.row["operation"] for claim in claims] == ["update"]
    assert ("idaas", "create") in _tasks(people, "ready"), "E2's"
    _answered(people)
    people.plan()
    assert ("idaas", "disable") in _tasks(people, "ready")
