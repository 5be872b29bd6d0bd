"""What the database itself refuses, whatever the code says (DESIGN §3)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from accountsync.domain.task_states import OPEN_STATES
from tests.store.people import add_account, add_persons, add_plan, add_task

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FITTING: dict[str, dict[str, Any]] = {
    "waiting": {"waits_for": ["idaas"]},
    "running": {"lease_until": NOW, "claimed_by": "w"},
}


def _refused(connection: Connection, rule: str, statement: str, **bound: Any) -> None:
    with pytest.raises(DBAPIError, match=rule), connection.begin_nested():
        connection.execute(text(statement), bound)


@pytest.mark.parametrize("state", OPEN_STATES)
def test_one_open_task_per_person_and_system(engine: Engine, state: str) -> None:
    """I9."""
    with engine.begin() as connection:
        plan_id, (person_id,) = add_plan(connection), add_persons(connection, 1)
        whose = {"plan_id": plan_id, "person_id": person_id}
        add_task(connection, **whose, state="succeeded", finished_at=NOW)
        add_task(connection, **whose)
        add_task(connection, **whose, target="welink")
        with pytest.raises(IntegrityError, match="uq_account_task_open"), connection.begin_nested():
            add_task(connection, **whose, state=state, **FITTING.get(state, {}))


WRONG_TASKS: list[tuple[str, dict[str, Any]]] = [
    ("ck_account_task_waits_for", {"state": "waiting"}),
    ("ck_account_task_waits_for", {"state": "ready", "waits_for": ["idaas"]}),
    ("ck_account_task_waits_for", {"state": "failed", "waits_for": ["x"], "finished_at": NOW}),
    ("ck_account_task_lease", {"state": "running"}),
    ("ck_account_task_lease", {"state": "ready", "lease_until": NOW}),
    ("ck_account_task_finished", {"state": "succeeded"}),
    ("ck_account_task_finished", {"state": "ready", "finished_at": NOW}),
    ("ck_account_task_finished", {"state": "needs_human", "finished_at": NOW}),
    ("ck_account_task_state", {"state": "processing"}),
]


@pytest.mark.parametrize(("rule", "fields"), WRONG_TASKS)
def test_a_task_that_contradicts_itself_is_refused(
    engine: Engine, rule: str, fields: dict[str, Any]
) -> None:
    """I12."""
    with engine.begin() as connection:
        plan_id, (person_id,) = add_plan(connection), add_persons(connection, 1)
        with pytest.raises(IntegrityError, match=rule), connection.begin_nested():
            add_task(connection, plan_id=plan_id, person_id=person_id, **fields)


def test_a_run_whose_counts_do_not_add_up_did_not_succeed(engine: Engine) -> None:
    """I14."""
    insert = (
        "INSERT INTO accountsync.sync_run (source, mode, state, fetched, retried, inserted,"
        " unchanged) VALUES ('hieds', 'full', :state, 10, 1, :inserted, 5)"
    )
    with engine.begin() as connection:
        _refused(connection, "counts_add_up", insert, state="succeeded", inserted=5)
        connection.execute(text(insert), {"state": "succeeded", "inserted": 6})
        connection.execute(text(insert), {"state": "failed", "inserted": 5})


def test_a_name_is_nobody_elses_and_is_never_forgotten(engine: Engine) -> None:
    """I8."""
    insert = (
        "INSERT INTO accountsync.name_registry (namespace, folded, folded_base, value, number,"
        " person_id) VALUES ('email', 'a@x', 'a@x', 'A@x', 1, :person_id)"
    )
    with engine.begin() as connection:
        one, other = add_persons(connection, 2)
        connection.execute(text(insert), {"person_id": one})
        _refused(connection, "uq_name_registry", insert, person_id=other)
        for statement in ("DELETE FROM", "TRUNCATE"):
            _refused(connection, "append only", f"{statement} accountsync.name_registry")
        _refused(connection, "append only", "TRUNCATE accountsync.person CASCADE")
        _refused(connection, "fk_name_registry", "DELETE FROM accountsync.person")


def test_what_was_audited_stays(engine: Engine) -> None:
    """I16."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO accountsync.audit_event (actor, action, details)"
                " VALUES ('admin', 'released', '{}')"
            )
        )
        for statement in (
            "UPDATE accountsync.audit_event SET actor = 'x'",
            "DELETE FROM accountsync.audit_event",
            "TRUNCATE accountsync.audit_event",
        ):
            _refused(connection, "append only", statement)


def test_a_person_has_one_account_in_a_system(engine: Engine) -> None:
    """I9."""
    with engine.begin() as connection:
        one, other = add_persons(connection, 2)
        add_account(connection, person_id=one, target="idaas", remote_id="7")
        with pytest.raises(IntegrityError, match="uq_account_person"), connection.begin_nested():
            add_account(connection, person_id=one, target="idaas", remote_id="8")
        with pytest.raises(IntegrityError, match="remote_id"), connection.begin_nested():
            add_account(connection, person_id=other, target="idaas", remote_id="7")
        add_account(connection, person_id=other, target="welink", remote_id="7")


def test_numbers_may_be_swapped_within_a_transaction_and_are_unique_after_it(
    engine: Engine,
) -> None:
    with engine.begin() as connection:
        add_persons(connection, 2)
        connection.execute(
            text("UPDATE accountsync.person SET employee_number = 3 - employee_number::int")
        )
    with pytest.raises(IntegrityError, match="uq_person_employee_number"), engine.begin() as other:
        other.execute(text("UPDATE accountsync.person SET employee_number = '1'"))


def test_one_open_rejection_per_row(engine: Engine) -> None:
    """I3."""
    insert = (
        "INSERT INTO accountsync.rejected_record (source, record_key, raw, reasons, first_run_id,"
        " last_run_id, closed_at) VALUES ('hieds', '1', '{}', '[]', :run_id, :run_id, :closed_at)"
    )
    with engine.begin() as connection:
        run_id = connection.scalar(
            text(
                "INSERT INTO accountsync.sync_run (source, mode) VALUES ('hieds', 'full')"
                " RETURNING id"
            )
        )
        for closed_at in (NOW, NOW, None):
            connection.execute(text(insert), {"run_id": run_id, "closed_at": closed_at})
        _refused(connection, "uq_rejected_record_open", insert, run_id=run_id, closed_at=None)
