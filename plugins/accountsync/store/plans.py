"""Plans and the tasks they write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text

from accountsync.domain.planning import IN_DOUBT, OpenTask, PlannedTask
from accountsync.store.engine import driver
from accountsync.store.tables import OPEN_STATES

_COPY = (
    b"COPY accountsync.account_task (plan_id, person_id, system, operation, desired, late_bound,"
    b" state, waits_for, cause, next_attempt_at) FROM STDIN"
)

_OPEN = text(  # rides on uq_account_task_open
    "SELECT id, person_id, system, operation, state FROM accountsync.account_task"
    f" WHERE person_id = ANY(:persons) AND state IN {OPEN_STATES!r}"
)

_REVISE = text(
    "UPDATE accountsync.account_task SET plan_id = :plan_id, desired = CAST(:desired AS jsonb),"
    " late_bound = CAST(:late_bound AS jsonb), state = :state, waits_for = :waits_for,"
    " cause = :cause, attempts = 0, next_attempt_at = :now"
    f" WHERE id = :id AND state IN {OPEN_STATES!r} AND state NOT IN {tuple(sorted(IN_DOUBT))!r}"
)

_SUPERSEDE = text(
    "UPDATE accountsync.account_task SET state = 'superseded', waits_for = '{}',"
    " cause = 'the person is no longer entitled', finished_at = :now"
    f" WHERE id = ANY(:ids) AND state IN {OPEN_STATES!r}"
    f" AND state NOT IN {tuple(sorted(IN_DOUBT))!r}"
)

_COUNTS = text(
    "SELECT system, operation, state, count(*) FROM accountsync.account_task"
    " WHERE plan_id = :plan_id GROUP BY 1, 2, 3"
)


def start(connection: Connection, *, airflow_run_id: str | None, state: str) -> int:
    return int(
        connection.execute(
            text(
                "INSERT INTO accountsync.plan (airflow_run_id, state, persons, counts)"
                " VALUES (:airflow_run_id, :state, 0, '{}') RETURNING id"
            ),
            {"airflow_run_id": airflow_run_id, "state": state},
        ).scalar_one()
    )


def finish(connection: Connection, *, plan_id: int, persons: int) -> dict[str, dict[str, int]]:
    """Writes and returns what the plan holds: system → state → tasks (I14)."""
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for system, _, state, number in connection.execute(_COUNTS, {"plan_id": plan_id}):
        counts[system][state] = counts[system].get(state, 0) + number
    connection.execute(
        text(
            "UPDATE accountsync.plan SET persons = :persons, counts = CAST(:counts AS jsonb)"
            " WHERE id = :plan_id"
        ),
        {"plan_id": plan_id, "persons": persons, "counts": orjson.dumps(counts).decode()},
    )
    return dict(counts)


def open_tasks(connection: Connection, persons: Sequence[int]) -> Mapping[int, dict[str, OpenTask]]:
    """Person id → system → the open task."""
    found: defaultdict[int, dict[str, OpenTask]] = defaultdict(dict)
    for row in connection.execute(_OPEN, {"persons": list(persons)}):
        found[row.person_id][row.system] = OpenTask(
            id=row.id, operation=row.operation, state=row.state
        )
    return found


def add(
    connection: Connection, *, plan_id: int, tasks: Iterable[PlannedTask], now: datetime
) -> None:
    with driver(connection).cursor() as cursor, cursor.copy(_COPY) as copy:
        for task in tasks:
            copy.write_row(_as_row(plan_id, task, now))


def _as_row(plan_id: int, task: PlannedTask, now: datetime) -> tuple[Any, ...]:
    return (
        plan_id,
        task.person_id,
        task.system,
        task.operation,
        orjson.dumps(task.desired).decode(),
        orjson.dumps(task.late_bound).decode(),
        task.state,
        list(task.waits_for),
        task.cause,
        now,
    )


def revise(
    connection: Connection,
    *,
    plan_id: int,
    tasks: Sequence[tuple[OpenTask, PlannedTask]],
    now: datetime,
) -> None:
    """New attributes for tasks that nobody has started."""
    if tasks:
        connection.execute(_REVISE, [_revision(plan_id, old, new, now) for old, new in tasks])


def _revision(plan_id: int, old: OpenTask, new: PlannedTask, now: datetime) -> dict[str, Any]:
    return {
        "id": old.id,
        "plan_id": plan_id,
        "desired": orjson.dumps(new.desired).decode(),
        "late_bound": orjson.dumps(new.late_bound).decode(),
        "state": new.state,
        "waits_for": list(new.waits_for),
        "cause": new.cause,
        "now": now,
    }


def supersede(connection: Connection, *, tasks: Sequence[OpenTask], now: datetime) -> None:
    if tasks:
        connection.execute(_SUPERSEDE, {"ids": [task.id for task in tasks], "now": now})
