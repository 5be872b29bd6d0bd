"""Rows to start from, made with the fewest columns that the database asks for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

_PERSON = text(
    "INSERT INTO accountsync.person (source, source_key, employee_number, full_name, attributes,"
    " content_hash, planned_revision) SELECT 'hieds', n, n, '张三', '{}', '\\x00', 1"
    " FROM generate_series(1, :count) g, LATERAL (SELECT g::text) t (n) RETURNING id"
)
_TASK = text(
    "INSERT INTO accountsync.account_task (plan_id, person_id, system, operation, desired, state,"
    " waits_for, lease_until, finished_at, claimed_by, next_attempt_at, attempts)"
    " VALUES (:plan_id, :person_id, :target, 'create', '{}', :state, :waits_for, :lease_until,"
    " :finished_at, :claimed_by, coalesce(:next_attempt_at, now()), :attempts) RETURNING id"
)
_BLANK: dict[str, Any] = {
    "target": "idaas",
    "state": "ready",
    "waits_for": [],
    "lease_until": None,
    "finished_at": None,
    "claimed_by": None,
    "next_attempt_at": None,
    "attempts": 0,
}


def add_persons(connection: Connection, count: int) -> list[int]:
    """Ids of persons numbered 1, 2, … whom a plan has seen as they are."""
    return list(connection.scalars(_PERSON, {"count": count}))


def add_plan(connection: Connection) -> int:
    statement = "INSERT INTO accountsync.plan (state, persons, counts) VALUES ('released', 0, '{}')"
    return int(connection.scalar(text(f"{statement} RETURNING id")) or 0)


def add_task(connection: Connection, *, plan_id: int, person_id: int, **fields: Any) -> int:
    bound = {**_BLANK, **fields, "plan_id": plan_id, "person_id": person_id}
    return int(connection.scalar(_TASK, bound) or 0)


def add_account(
    connection: Connection, *, person_id: int, target: str, remote_id: str | None = None
) -> None:
    connection.execute(
        text(
            "INSERT INTO accountsync.account (person_id, system, state, identifier, remote_id,"
            " attributes, provenance) VALUES (:person_id, :system, 'active', :identifier,"
            " :remote_id, '{}', 'created')"
        ),
        {
            "person_id": person_id,
            "system": target,
            "identifier": f"{target}-{person_id}",
            "remote_id": remote_id,
        },
    )
