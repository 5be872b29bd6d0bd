"""Tasks as operators see them: one by one, and what does not work, grouped by its cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, text

from accountsync.domain.reasons import Reason, from_documents
from accountsync.store import causes
from accountsync.store.tables import WAITING_SINCE
from accountsync.store.tasks.task_commands import FILTER, NEWEST, TaskFilter

_FIND = text(f"""
SELECT
  t.id, t.person_id, p.employee_number, t.plan_id, t.system AS target, t.operation, t.reason,
  t.state, t.account_state, t.attempts, t.waits_for, t.next_attempt_at,
  {WAITING_SINCE} AS waiting_since,
  t.held_because, t.cause, t.cause_kind, t.cause_facts, t.error_kind, t.created_at, t.finished_at
FROM accountsync.account_task t
JOIN accountsync.person p ON p.id = t.person_id
WHERE {FILTER}
ORDER BY t.id DESC
LIMIT :limit
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """A task as operators see it. `waiting_since`: of one that waits for other targets.
    `held_because`: why the guard held it, kept for good."""

    id: int
    person_id: int
    employee_number: str
    plan_id: int
    target: str
    operation: str
    reason: str | None
    state: str
    account_state: str
    attempts: int
    waits_for: Sequence[str]
    next_attempt_at: datetime
    waiting_since: datetime | None
    held_because: Sequence[Reason]
    cause: Reason | None
    error_kind: str | None
    created_at: datetime
    finished_at: datetime | None


def find(connection: Connection, chosen: TaskFilter, *, limit: int) -> list[TaskView]:
    """Tasks, the newest first."""
    rows = connection.execute(_FIND, asdict(chosen) | {"limit": limit}).mappings()
    return [_view(row) for row in rows]


def _view(row: RowMapping) -> TaskView:
    values = {name: row[name] for name in TaskView.__slots__}
    values["held_because"] = from_documents(row["held_because"] or ())
    return TaskView(**values | {"cause": causes.read(row)})


_FAILURES = text(f"""
SELECT
  t.system AS target, t.operation, t.state, t.error_kind, a.code,
  regexp_replace(t.cause, '[0-9]+', '#', 'g') AS cause, t.cause_kind, t.cause_facts,
  count(*) AS tasks,
  min(t.id) AS example,
  max(p.employee_number) AS person,
  max(a.finished_at) AS latest
FROM accountsync.account_task t
JOIN accountsync.person p ON p.id = t.person_id
LEFT JOIN LATERAL (
  -- the last attempt: rides on uq_task_attempt_task_id_number
  SELECT code, finished_at
  FROM accountsync.task_attempt a
  WHERE a.task_id = t.id
  ORDER BY number DESC
  LIMIT 1
) a ON true
WHERE (
  t.state IN ('needs_human', 'needs_data')
  OR t.state = 'failed' AND {NEWEST.format("t")}
  OR t.state IN ('ready', 'unknown') AND t.error_kind IS NOT NULL
)
  AND (CAST(:target AS text) IS NULL OR t.system = :target)
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ORDER BY tasks DESC, 1, 2
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Tasks that do not work for the same cause. `example`: one of them, `person`: an employee
    number of theirs, `latest`: when the last attempt ended."""

    target: str
    operation: str
    state: str
    error_kind: str | None
    code: str | None
    cause: Reason | None
    tasks: int
    example: int
    person: str
    latest: datetime | None


def failures(connection: Connection, *, target: str | None = None) -> list[Failures]:
    """Tasks that do not work now, grouped by what went wrong, the largest group first. Messages of
    others, such as a target, are equal where they differ in numbers only."""
    rows = connection.execute(_FAILURES, {"target": target}).mappings()
    return [
        Failures(**{n: row[n] for n in Failures.__slots__} | {"cause": causes.read(row)})
        for row in rows
    ]
