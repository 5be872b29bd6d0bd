"""What the guard judges a task by, in stores that earlier code wrote or still writes (0006)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from accountsync.store import schema
from accountsync.store.plans import guard_facts
from tests.store.people import add_persons, add_plan

NOW = datetime(2026, 6, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
_AS_BEFORE = text(
    "INSERT INTO accountsync.account_task (plan_id, person_id, system, operation, desired, state,"
    " finished_at, created_at) VALUES (:plan, :person, 'corp', :operation, '{}', :state, :finished,"
    " :at)"
)


def write(
    connection: Connection, plan: int, person: int, operation: str, state: str, at: datetime
) -> None:
    """As code of 0.3.0 does, which knows nothing of risks."""
    connection.execute(
        _AS_BEFORE,
        {
            "plan": plan, "person": person, "operation": operation, "state": state, "at": at,
            "finished": at if state == "succeeded" else None,
        },
    )  # fmt: skip


def test_what_was_written_before_or_beside_counts_as_ever(empty: Engine) -> None:
    """I7: disables count by when they were written, while the code before still runs, too."""
    schema.upgrade(empty, "0004")
    with empty.begin() as connection:
        persons = add_persons(connection, 5)
        before = add_plan(connection)
        write(connection, before, persons[0], "disable", "succeeded", NOW - 20 * DAY)
        write(connection, before, persons[1], "create", "succeeded", NOW - 2 * DAY)
    schema.upgrade(empty)
    with empty.begin() as connection:
        assert schema.compare(connection).differences == []
        write(connection, before, persons[2], "disable", "succeeded", NOW - 2 * DAY)
        write(connection, before, persons[3], "create", "ready", NOW)
        plan = add_plan(connection)
        write(connection, plan, persons[4], "disable", "planned", NOW)
        (judged,) = guard_facts.facts(connection, plan_id=plan, now=NOW)
    assert (judged.target, judged.risk) == ("corp", "disable")
    facts = judged.facts
    assert (facts.planned, facts.day, facts.week, facts.month) == (1, 0, 1, 2)


def test_the_number_before_has_what_it_had(empty: Engine) -> None:
    schema.upgrade(empty, "0004")
    with empty.begin() as connection:
        indexes = _indexes(connection)
    schema.upgrade(empty)
    with empty.begin() as connection:
        assert _indexes(connection) != indexes
    schema.downgrade(empty, "0004")
    with empty.begin() as connection:
        assert _indexes(connection) == indexes
        columns = connection.scalars(
            text(
                "SELECT column_name FROM information_schema.columns"
                " WHERE table_schema = 'accountsync' AND table_name = 'account_task'"
            )
        )
        assert not {"risks", "let_through_at"} & {*columns}


def _indexes(connection: Connection) -> set[str]:
    query = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'accountsync'"
    return {*connection.scalars(text(query))}


@pytest.mark.parametrize("risks", ["{}", "{disable}", "{create,typo}"])
def test_the_store_keeps_no_other_risks(engine: Engine, risks: str) -> None:
    with engine.begin() as connection:
        (person,) = add_persons(connection, 1)
        write(connection, add_plan(connection), person, "update", "ready", NOW)
        with pytest.raises(IntegrityError, match="ck_account_task_risks"):
            connection.execute(
                text("UPDATE accountsync.account_task SET risks = CAST(:risks AS text[])"),
                {"risks": risks},
            )
        connection.rollback()
