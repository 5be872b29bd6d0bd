"""Plans: how they are begun, counted, described and finished."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain, groupby
from operator import attrgetter
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from accountsync.domain.reasons import Reason, from_documents
from accountsync.store.plans.guard_facts import ASKED_AGAIN, GUARD_HOLDS
from accountsync.store.plans.plan_view import PlanLine, as_documents

_EXAMPLES = 10
"""Employee numbers of a line."""

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
    system AS target,
    operation,
    {GUARD_HOLDS} AS is_held,
    {GUARD_HOLDS} AND {ASKED_AGAIN} AS is_asked_again,
    coalesce(reason, '') AS reason,
    count(*) AS tasks,
    array_agg(DISTINCT held_because) FILTER (WHERE held_because IS NOT NULL) AS held_because,
    -- those that are known longest
    (array_agg(person_id ORDER BY person_id))[1:{_EXAMPLES}] AS persons
  FROM accountsync.account_task
  WHERE plan_id = :plan_id
  GROUP BY 1, 2, 3, 4, 5
)
SELECT
  line.*,
  ARRAY(SELECT employee_number FROM accountsync.person WHERE id = ANY(line.persons)) AS examples
FROM line
ORDER BY target, operation, is_held DESC, is_asked_again, reason
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
    lines: Sequence[PlanLine],
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
            "lines": orjson.dumps(as_documents(lines)).decode(),
            "content_hash": content_hash,
            "held_hash": held_hash,
        },
    )


def counts(connection: Connection, *, plan_id: int) -> Counts:
    """Target → state → tasks: every task of the plan (I14)."""
    tasks: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for target, state, number in connection.execute(_COUNTS, {"plan_id": plan_id}):
        tasks[target][state] = number
    return dict(tasks)


def lines(connection: Connection, *, plan_id: int) -> list[PlanLine]:
    """The plan's lines as they are now, ordered by target and operation; what the guard holds
    before the rest, and last of it what is asked about once more."""
    rows = connection.execute(_LINES, {"plan_id": plan_id})
    line_of = attrgetter("target", "operation", "is_held", "is_asked_again")
    return [_line([*group]) for _, group in groupby(rows, line_of)]


def _line(rows: Sequence[Row[Any]]) -> PlanLine:
    """`rows`: one for each rule that asks for it."""
    tasks = sum(row.tasks for row in rows)
    examples = sorted(number for row in rows for number in row.examples)
    return PlanLine(
        target=rows[0].target,
        operation=rows[0].operation,
        tasks=tasks,
        held=tasks if rows[0].is_held else 0,
        reasons={row.reason: row.tasks for row in rows},
        examples=examples[:_EXAMPLES],
        held_because=_held_because(rows),
    )


def _held_because(rows: Sequence[Row[Any]]) -> list[Reason]:
    """All reasons, each once: some tasks may be held for one risk, and others for another."""
    reasons: list[Reason] = []
    for documents in chain.from_iterable(row.held_because or () for row in rows):
        reasons += [reason for reason in from_documents(documents) if reason not in reasons]
    return reasons
