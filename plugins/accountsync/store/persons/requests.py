"""Account requests: their items become persons, and what became of them is read back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, text

from accountsync.domain.accounts.account import GIVES
from accountsync.domain.persons.account_request import SOURCE
from accountsync.domain.reasons import Kind
from accountsync.domain.task_states import NOT_STARTED, OPEN_STATES
from accountsync.store import causes
from accountsync.store.tables import listed

_ADD = text("""
INSERT INTO accountsync.account_request (
  origin_system, business_key, account_type, employee_type, systems, content_hash, submitted_by,
  submitted_at
)
VALUES (
  :origin_system, :business_key, :account_type, :employee_type, :systems, :content_hash, :actor,
  :now
)
-- a twin waits here for the first one's transaction
ON CONFLICT (origin_system, business_key) DO NOTHING
RETURNING id
""")

_COLUMNS = """
r.id, r.origin_system, r.business_key, r.account_type, r.employee_type, r.systems, r.submitted_by,
r.submitted_at, r.cancelled_at
"""

_KNOWN = text(
    "SELECT id, source, employee_number, full_name FROM accountsync.person"
    " WHERE employee_number = ANY(:numbers)"
)

_ASKED = """
WITH asked AS (
  SELECT *
  FROM unnest(
    CAST(:numbers AS text[]), CAST(:names AS text[]), CAST(:departments AS text[]),
    CAST(:phones AS text[]), CAST(:attributes AS text[]), CAST(:end_dates AS date[])
  ) WITH ORDINALITY a (
    employee_number, full_name, department_code, phone, attributes, end_date, position
  )
)
"""

_ADD_PERSONS = text(f"""
{_ASKED}
INSERT INTO accountsync.person (
  source, source_key, origin, employee_number, full_name, person_type, department_code, phone,
  attributes, leave_date, content_hash
)
SELECT
  '{SOURCE}', employee_number, 'request', employee_number, full_name, :person_type,
  department_code, phone, attributes::jsonb, end_date, ''
FROM asked a
-- rides on uq_person_employee_number
WHERE NOT EXISTS (
  SELECT FROM accountsync.person p
  WHERE p.employee_number = a.employee_number
)
ORDER BY position
""")

_RENEW_PERSONS = text(f"""
{_ASKED}
UPDATE accountsync.person p
SET
  person_type = :person_type,
  department_code = a.department_code,
  phone = a.phone,
  attributes = a.attributes::jsonb,
  leave_date = a.end_date,
  revision = revision + 1,
  updated_at = now()
FROM asked a
WHERE p.employee_number = a.employee_number
  AND p.source = '{SOURCE}'
  AND (p.person_type, p.department_code, p.phone, p.attributes, p.leave_date)
    IS DISTINCT FROM (:person_type, a.department_code, a.phone, a.attributes::jsonb, a.end_date)
""")

_ADD_ITEMS = text("""
INSERT INTO accountsync.account_request_item (
  request_id, position, person_id, employee_number, note
)
SELECT :request_id, a.position, p.id, a.employee_number, a.note
FROM unnest(CAST(:numbers AS text[]), CAST(:notes AS text[]))
  WITH ORDINALITY a (employee_number, note, position)
JOIN accountsync.person p ON p.employee_number = a.employee_number
""")

_WANTED = text("""
UPDATE accountsync.person p
SET requested_systems = wanted.systems, revision = p.revision + 1, updated_at = now()
FROM (
  SELECT
    i.person_id,
    -- what all requests in force ask for: rides on ix_account_request_item_person_id
    ARRAY(
      SELECT DISTINCT s
      FROM accountsync.account_request_item other
      JOIN accountsync.account_request r ON r.id = other.request_id AND r.cancelled_at IS NULL
      CROSS JOIN unnest(r.systems) s
      WHERE other.person_id = i.person_id
      ORDER BY s
    ) AS systems
  FROM accountsync.account_request_item i
  WHERE i.request_id = :request_id
) wanted
WHERE p.id = wanted.person_id AND p.requested_systems <> wanted.systems
""")

_CANCEL_TASKS = text(f"""
-- rides on uq_account_task_open
UPDATE accountsync.account_task t
SET
  state = 'cancelled',
  waits_for = '{{}}',
  {causes.because(Kind.REQUEST_CANCELLED)},
  finished_at = :now
FROM accountsync.account_request_item i
JOIN accountsync.account_request r ON r.id = i.request_id
JOIN accountsync.person p ON p.id = i.person_id
WHERE i.request_id = :request_id
  AND p.source = '{SOURCE}'
  AND t.person_id = p.id
  AND t.system = ANY(r.systems)
  AND t.system <> ALL(p.requested_systems)
  AND t.operation IN {listed(GIVES)}
  AND t.state IN {listed(NOT_STARTED)}
""")

_PROGRESS = text(f"""
SELECT
  i.request_id, i.position, i.employee_number, i.note, s.system, a.state AS account_state,
  a.disabled_reason, t.state AS task_state, t.cause, t.cause_kind, t.cause_facts,
  t.error_kind,
  coalesce(t.state IN {listed(OPEN_STATES)}, false) AS is_open,
  p.planned_revision = p.revision AS is_planned
FROM accountsync.account_request_item i
JOIN accountsync.account_request r ON r.id = i.request_id
JOIN accountsync.person p ON p.id = i.person_id
CROSS JOIN LATERAL unnest(r.systems) s (system)
LEFT JOIN accountsync.account a ON a.person_id = i.person_id AND a.system = s.system
LEFT JOIN LATERAL (
  -- the last task: rides on ix_account_task_person_id_system_id
  SELECT state, cause, cause_kind, cause_facts, error_kind
  FROM accountsync.account_task t
  WHERE t.person_id = i.person_id AND t.system = s.system
  ORDER BY t.id DESC
  LIMIT 1
) t ON true
WHERE i.request_id = ANY(:requests)
ORDER BY 1, 2, s.system
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One person as a request has them. `end_date`: the last day on which accounts can be used."""

    employee_number: str
    full_name: str
    department_code: str | None
    phone: str | None
    attributes: Mapping[str, Any]
    end_date: date | None = None
    note: str | None = None


def add(connection: Connection, request: Mapping[str, Any]) -> int | None:
    """The new request's id; None where the origin system used its business key before."""
    added: int | None = connection.scalar(_ADD, request)
    return added


def by_key(
    connection: Connection, *, origin_system: str, business_key: str
) -> tuple[int, bytes] | None:
    """Id and content hash."""
    row = connection.execute(
        text(
            "SELECT id, content_hash FROM accountsync.account_request"
            " WHERE origin_system = :origin_system AND business_key = :business_key"
        ),
        {"origin_system": origin_system, "business_key": business_key},
    ).one_or_none()
    return (row.id, bytes(row.content_hash)) if row else None


def known_persons(connection: Connection, numbers: Sequence[str]) -> dict[str, RowMapping]:
    """Employee number → the person who has it."""
    rows = connection.execute(_KNOWN, {"numbers": list(numbers)}).mappings()
    return {row["employee_number"]: row for row in rows}


def add_items(
    connection: Connection, *, request_id: int, person_type: str, asked: Sequence[Asked]
) -> tuple[int, int]:
    """Adds a request's persons. Returns how many persons were made, and how many of earlier
    requests changed; HR's persons stay as they are. The caller holds the lock of HR's merges, which
    give out employee numbers, too."""
    bound = _columns(asked) | {"person_type": person_type}
    renewed = connection.execute(_RENEW_PERSONS, bound).rowcount
    made = connection.execute(_ADD_PERSONS, bound).rowcount
    items = bound | {"request_id": request_id, "notes": [person.note for person in asked]}
    connection.execute(_ADD_ITEMS, items)
    renew_wanted(connection, request_id=request_id)
    return made, renewed


def _columns(asked: Iterable[Asked]) -> dict[str, list[Any]]:
    rows = [
        (
            person.employee_number,
            person.full_name,
            person.department_code,
            person.phone,
            orjson.dumps(person.attributes).decode(),
            person.end_date,
        )
        for person in asked
    ]
    names = ("numbers", "names", "departments", "phones", "attributes", "end_dates")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def renew_wanted(connection: Connection, *, request_id: int) -> None:
    """Notes for the request's persons what all requests in force ask for. Where that has changed,
    the person is planned again."""
    connection.execute(_WANTED, {"request_id": request_id})


def cancel(connection: Connection, *, request_id: int, now: datetime) -> bool:
    """Cancels a request. Returns False where it was cancelled before."""
    return bool(
        connection.execute(
            text(
                "UPDATE accountsync.account_request SET cancelled_at = :now"
                " WHERE id = :request_id AND cancelled_at IS NULL"
            ),
            {"request_id": request_id, "now": now},
        ).rowcount
    )


def cancel_tasks(connection: Connection, *, request_id: int, now: datetime) -> int:
    """Cancels tasks not yet begun for accounts that no request asks for any more, and counts them.
    Tasks of HR's persons are left to the planner, whose rules may ask for them, too."""
    return connection.execute(_CANCEL_TASKS, {"request_id": request_id, "now": now}).rowcount


def find(connection: Connection, request_id: int) -> RowMapping | None:
    query = f"SELECT {_COLUMNS} FROM accountsync.account_request r WHERE r.id = :id"
    return connection.execute(text(query), {"id": request_id}).mappings().one_or_none()


def newest(connection: Connection, *, limit: int) -> Sequence[RowMapping]:
    query = f"SELECT {_COLUMNS} FROM accountsync.account_request r ORDER BY r.id DESC LIMIT :limit"
    return connection.execute(text(query), {"limit": limit}).mappings().all()


def progress(connection: Connection, requests: Sequence[int]) -> Sequence[RowMapping]:
    """A row per person and target of each request."""
    return connection.execute(_PROGRESS, {"requests": list(requests)}).mappings().all()
