"""Plans: begun, counted, described, finished."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text

from accountsync.store.plans.guarded_tasks import GUARD_HOLDS

_START = text("""
INSERT INTO accountsync.plan (airflow_run_id, state, persons, counts, created_at)
VALUES (:airflow_run_id, 'released', 0, '{}', :now)
RETURNING id
""")

_COUNTS = text("""
-- rides on ix_account_task_plan_id
SELECT system, state, count(*)
FROM accountsync.account_task
WHERE plan_id = :plan_id
GROUP BY 1, 2
""")

_LINES = text(f"""
-- rides on ix_account_task_plan_id
WITH line AS (
  SELECT
    system,
    operation,
    coalesce(reason, '') AS reason,
    count(*) AS tasks,
    count(*) FILTER (WHERE {GUARD_HOLDS}) AS held,
    max(held_because) AS held_because,
    -- those that are known longest
    (array_agg(person_id ORDER BY person_id))[1:10] AS persons
  FROM accountsync.account_task
  WHERE plan_id = :plan_id
  GROUP BY 1, 2, 3
)
SELECT
  line.*,
  ARRAY(SELECT employee_number FROM accountsync.person WHERE id = ANY(line.persons)) AS examples
FROM line
ORDER BY system, operation, reason
""")

_FINISH = text("""
UPDATE accountsync.plan
SET
  persons = :persons,
  counts = CAST(:counts AS jsonb),
  lines = CAST(:lines AS jsonb),
  content_hash = :content_hash,
  held_hash = :held_hash,
  state = :state
WHERE id = :plan_id
""")

Counts = Mapping[str, Mapping[str, int]]
Lines = Mapping[str, Mapping[str, Mapping[str, Any]]]


def start(connection: Connection, *, airflow_run_id: str | None, now: datetime) -> int:
    bound = {"airflow_run_id": airflow_run_id, "now": now}
    return int(connection.execute(_START, bound).scalar_one())


def finish(
    connection: Connection,
    *,
    plan_id: int,
    persons: int,
    state: str,
    counts: Counts,
    lines: Lines,
    content_hash: str,
    held_hash: str | None,
) -> None:
    connection.execute(
        _FINISH,
        {
            "plan_id": plan_id,
            "persons": persons,
            "state": state,
            "counts": orjson.dumps(counts).decode(),
            "lines": orjson.dumps(lines).decode(),
            "content_hash": content_hash,
            "held_hash": held_hash,
        },
    )


def counts(connection: Connection, *, plan_id: int) -> Counts:
    """System → state → tasks: every task of the plan (I14)."""
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for system, state, number in connection.execute(_COUNTS, {"plan_id": plan_id}):
        found[system][state] = number
    return dict(found)


def lines(connection: Connection, *, plan_id: int) -> Lines:
    """System → operation → tasks, held, reasons, why, and for example the employee numbers of
    those that are known longest."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in connection.execute(_LINES, {"plan_id": plan_id}):
        blank: dict[str, Any] = {"tasks": 0, "held": 0, "reasons": {}, "examples": []}
        line = found.setdefault(row.system, {}).setdefault(row.operation, blank)
        line["tasks"] += row.tasks
        line["held"] += row.held
        line["reasons"][row.reason] = row.tasks
        line["examples"] = sorted([*line["examples"], *row.examples])[:10]
        line["held_because"] = row.held_because or line.get("held_because")
    return found
