"""One person with everything that is known: what an operator looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from accountsync.domain.task_states import OPEN_STATES
from accountsync.store.persons.persons import PLANNED_COLUMNS
from accountsync.store.tables import WAITING_SINCE

_PERSON = f"SELECT {PLANNED_COLUMNS} FROM accountsync.person WHERE "
_NEWCOMER = text("""
INSERT INTO accountsync.person (
  source, source_key, employee_number, full_name, english_name, person_type, department_code,
  attributes, content_hash
)
VALUES (
  '', :employee_number, :employee_number, :full_name, :english_name, :person_type,
  :department_code, '{}', '\\x00'
)
RETURNING id
""")
_TASKS = text(f"""
-- rides on ix_account_task_person_id_system_id
SELECT
  id, system AS target, operation, state, reason, cause, cause_kind, cause_facts, error_kind,
  waits_for, attempts, desired, {WAITING_SINCE} AS waiting_since, next_attempt_at, created_at,
  finished_at
FROM accountsync.account_task
WHERE person_id = :person
ORDER BY system, id DESC
""")
_ATTEMPTS = text("""
SELECT
  t.system AS target, t.operation, a.number, a.kind, a.started_at, a.finished_at, a.outcome,
  a.error_kind, a.code, a.message
FROM accountsync.task_attempt a
JOIN accountsync.account_task t ON t.id = a.task_id
WHERE t.person_id = :person AND (CAST(:task AS bigint) IS NULL OR t.id = :task)
ORDER BY a.started_at DESC
LIMIT :limit
""")
_ACCOUNTS = text("""
SELECT system AS target, state, identifier, provenance, disabled_by, disabled_reason, updated_at
FROM accountsync.account
WHERE person_id = :person
ORDER BY system
""")

_ABSENT_SINCE = text("""
SELECT s.taken_at
FROM accountsync.person p
JOIN accountsync.snapshot s ON s.id = p.absent_since_snapshot
WHERE p.id = :person
""")


def by_number(connection: Connection, number: str) -> dict[str, Any] | None:
    rows = connection.execute(text(f"{_PERSON} employee_number = :number"), {"number": number})
    row = rows.mappings().one_or_none()
    return dict(row) if row else None


def source_key(connection: Connection, person_id: int) -> str:
    query = text("SELECT source_key FROM accountsync.person WHERE id = :person")
    return str(connection.scalar(query, {"person": person_id}))


def absent_since(connection: Connection, person_id: int) -> datetime | None:
    """When the first complete read of HR lacked the person, who was in none since."""
    taken_at: datetime | None = connection.scalar(_ABSENT_SINCE, {"person": person_id})
    return taken_at


def newcomer(connection: Connection, person: Mapping[str, Any]) -> dict[str, Any]:
    """Adds a person whom HR does not have, for a preview whose transaction is rolled back."""
    person_id = connection.scalar(_NEWCOMER, dict(person))
    rows = connection.execute(text(f"{_PERSON} id = :id"), {"id": person_id})
    return dict(rows.mappings().one())


def tasks(connection: Connection, person_id: int) -> tuple[list[RowMapping], list[RowMapping]]:
    """The person's open tasks, and of each target the last one that is over."""
    rows = connection.execute(_TASKS, {"person": person_id}).mappings().all()
    last: dict[str, RowMapping] = {}
    for row in rows:
        if row["state"] not in OPEN_STATES:
            last.setdefault(row["target"], row)
    return [row for row in rows if row["state"] in OPEN_STATES], list(last.values())


def attempts(
    connection: Connection, person_id: int, *, limit: int, task: int | None = None
) -> Sequence[RowMapping]:
    """The newest attempts first; those of one task only, where it is named."""
    bound = {"person": person_id, "task": task, "limit": limit}
    return connection.execute(_ATTEMPTS, bound).mappings().all()


def accounts(connection: Connection, person_id: int) -> Sequence[RowMapping]:
    return connection.execute(_ACCOUNTS, {"person": person_id}).mappings().all()
