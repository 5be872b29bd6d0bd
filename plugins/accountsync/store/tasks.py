"""The queue of account tasks: due, claimed, recorded. Statements name the index they ride on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, text

from accountsync.domain.task import ClaimedTask, Outcome, Result
from accountsync.store.tables import OPEN_STATES

_DUE = text(  # ix_account_task_due, ix_account_task_unknown, ix_account_task_lease
    "SELECT system, count(*) AS tasks FROM accountsync.account_task"
    " WHERE (state = 'ready' AND next_attempt_at <= :now)"
    " OR (state = 'unknown' AND next_attempt_at <= :now)"
    " OR (state = 'running' AND lease_until < :now)"
    " GROUP BY system ORDER BY system"
)

_CLAIM = """
WITH due AS (
  SELECT id FROM accountsync.account_task
  WHERE system = :system AND state = '{state}' AND next_attempt_at <= :now
  ORDER BY {order} LIMIT :limit FOR UPDATE SKIP LOCKED
), claimed AS (
  UPDATE accountsync.account_task t
  SET state = 'running', lease_until = :lease_until, claimed_by = :worker,
      attempts = attempts + {burnt}
  FROM due WHERE t.id = due.id
  RETURNING t.*
), attempt AS (
  INSERT INTO accountsync.task_attempt (task_id, number, kind, worker, started_at)
  SELECT c.id, 1 + coalesce(
      (SELECT max(number) FROM accountsync.task_attempt a WHERE a.task_id = c.id), 0),
    '{kind}', :worker, :now FROM claimed c
  RETURNING id, task_id
)
SELECT c.id, attempt.id AS attempt_id, c.person_id, p.employee_number, c.operation, c.desired,
  c.late_bound, c.attempts, c.absences,
  (SELECT jsonb_object_agg(a.system, a.attributes || jsonb_build_object(
     'identifier', a.identifier, 'remote_id', a.remote_id))
   FROM accountsync.account a
   WHERE a.person_id = c.person_id AND c.late_bound <> '{{}}') AS accounts
FROM claimed c JOIN attempt ON attempt.task_id = c.id
JOIN accountsync.person p ON p.id = c.person_id
ORDER BY c.priority, c.id
"""

_CLAIM_READY = text(  # ix_account_task_due
    _CLAIM.format(state="ready", order="priority, next_attempt_at, id", burnt=1, kind="call")
)
_CLAIM_UNKNOWN = text(  # ix_account_task_unknown
    _CLAIM.format(state="unknown", order="next_attempt_at", burnt=0, kind="probe")
)

_EXPIRE = """
WITH expired AS (
  UPDATE accountsync.account_task SET state = 'unknown', lease_until = NULL, claimed_by = NULL,
    cause = 'the worker died while the call was under way', next_attempt_at = :now
  WHERE system = :system AND state = 'running' AND lease_until < :now
  RETURNING id
)
UPDATE accountsync.task_attempt a
SET finished_at = :now, outcome = 'unknown', error_kind = 'LeaseExpired'
FROM expired WHERE a.task_id = expired.id AND a.outcome IS NULL
"""

_RELEASE_SATISFIED = """
UPDATE accountsync.account_task t
SET waits_for = still.systems,
    state = CASE WHEN cardinality(still.systems) = 0 THEN 'ready' ELSE 'waiting' END,
    next_attempt_at = :now
FROM (
  SELECT w.id, ARRAY(
    SELECT s FROM unnest(w.waits_for) s WHERE NOT EXISTS (
      SELECT FROM accountsync.account a
      WHERE a.person_id = w.person_id AND a.system = s AND a.state = 'active')) AS systems
  FROM accountsync.account_task w WHERE w.state = 'waiting' {persons}
) still
WHERE t.id = still.id AND t.waits_for <> still.systems
RETURNING t.state
"""

_LOCK_WAITING = text(  # ix_account_task_waiting
    "SELECT id FROM accountsync.account_task WHERE state = 'waiting' AND person_id = ANY(:persons)"
    " ORDER BY id FOR UPDATE"
)

_FINISH_ATTEMPT = text(
    "UPDATE accountsync.task_attempt SET finished_at = :now, outcome = :outcome,"
    " error_kind = :error_kind, code = :code, message = :message WHERE id = :attempt_id"
)

_FINISH_TASK = text(
    "UPDATE accountsync.account_task SET state = :state, lease_until = NULL, claimed_by = NULL,"
    " desired = CAST(:desired AS jsonb), attempts = attempts - :unburnt, absences = :absences,"
    " next_attempt_at = coalesce(:next_attempt_at, next_attempt_at), cause = :message,"
    " error_kind = :error_kind, finished_at = :finished_at WHERE id = :id AND claimed_by = :worker"
)

_KEEP_ACCOUNT = text(
    "INSERT INTO accountsync.account AS a"
    " (person_id, system, state, identifier, remote_id, attributes, provenance)"
    " VALUES (:person_id, :system, 'active', :identifier, :remote_id, CAST(:desired AS jsonb),"
    " :provenance) ON CONFLICT (person_id, system) DO UPDATE SET state = 'active',"
    " identifier = excluded.identifier, remote_id = excluded.remote_id,"
    " attributes = excluded.attributes, updated_at = :now"
)

_FAIL_DEPENDANTS = text(  # ix_account_task_waiting
    "UPDATE accountsync.account_task t SET state = 'failed', waits_for = '{}', finished_at = :now,"
    " cause = :system || ' failed for good', error_kind = 'DependencyFailed'"
    " WHERE state = 'waiting' AND person_id = ANY(:persons) AND :system = ANY(waits_for)"
    "  AND NOT EXISTS (SELECT FROM accountsync.account_task going WHERE"
    "   going.person_id = t.person_id AND going.system = :system"
    f"   AND going.state IN {OPEN_STATES!r})"
    " RETURNING person_id, system"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A task as it was claimed; `late_bound` is still to be read over `accounts`."""

    row: RowMapping
    probe: bool

    def as_task(self, attributes: dict[str, Any]) -> ClaimedTask:
        return ClaimedTask(
            id=self.row["id"],
            attempt_id=self.row["attempt_id"],
            person_id=self.row["person_id"],
            employee_number=self.row["employee_number"],
            operation=self.row["operation"],
            attributes=attributes,
            attempts=self.row["attempts"],
            absences=self.row["absences"],
            probe=self.probe,
        )


def due_systems(connection: Connection, *, now: datetime) -> dict[str, int]:
    """System → tasks that can be worked on now."""
    rows = connection.execute(_DUE, {"now": now})
    return {row.system: row.tasks for row in rows}


def claim(
    connection: Connection,
    *,
    system: str,
    limit: int,
    worker: str,
    lease: timedelta,
    now: datetime,
) -> list[Claim]:
    """Tasks to probe first, then ready ones; each with its attempt recorded (I9)."""
    bound = {
        "system": system, "limit": limit, "worker": worker, "now": now, "lease_until": now + lease
    }  # fmt: skip
    probes = connection.execute(_CLAIM_UNKNOWN, bound).mappings().all()
    claims = [Claim(row=row, probe=True) for row in probes]
    if len(claims) < limit:
        bound["limit"] = limit - len(claims)
        ready = connection.execute(_CLAIM_READY, bound).mappings().all()
        claims += [Claim(row=row, probe=False) for row in ready]
    return claims


def renew_leases(
    connection: Connection, *, tasks: Sequence[int], worker: str, until: datetime
) -> None:
    connection.execute(
        text(
            "UPDATE accountsync.account_task SET lease_until = :until"
            " WHERE id = ANY(:ids) AND claimed_by = :worker"
        ),
        {"ids": list(tasks), "worker": worker, "until": until},
    )


def expire_leases(connection: Connection, *, system: str, now: datetime) -> None:
    """What a dead worker had claimed may have happened: it is probed."""
    connection.execute(text(_EXPIRE), {"system": system, "now": now})


def release_satisfied(
    connection: Connection, *, now: datetime, persons: Sequence[int] | None = None
) -> int:
    """Waiting tasks whose accounts are there by now become ready (I12). Returns how many."""
    only = "" if persons is None else "AND w.person_id = ANY(:persons)"
    bound: dict[str, Any] = {"now": now}
    if persons is not None:
        bound["persons"] = list(persons)
    states = connection.scalars(text(_RELEASE_SATISFIED.format(persons=only)), bound)
    return sum(state == "ready" for state in states)


def record(
    connection: Connection, *, system: str, worker: str, results: Sequence[Result], now: datetime
) -> int:
    """Attempts, tasks, accounts and dependants of a lot of results. Returns dependants released.

    Who waits for these persons is locked first: of two targets that finish at the same time the
    second then sees the first one's accounts (I12).
    """
    if not results:
        return 0
    connection.execute(_LOCK_WAITING, {"persons": [r.task.person_id for r in results]})
    rows = [_as_row(result, system, worker, now) for result in results]
    connection.execute(_FINISH_ATTEMPT, rows)
    connection.execute(_FINISH_TASK, rows)
    kept = [row for row, result in zip(rows, results, strict=True) if result.account]
    if kept:
        connection.execute(_KEEP_ACCOUNT, kept)
    _fail_dependants(
        connection,
        system=system,
        persons=[r.task.person_id for r in results if r.state == "failed"],
        now=now,
    )
    done = [r.task.person_id for r in results if r.account]
    return release_satisfied(connection, now=now, persons=done) if done else 0


def _as_row(result: Result, system: str, worker: str, now: datetime) -> dict[str, Any]:
    account = result.account
    adopted = result.outcome is Outcome.ADOPTED
    final = result.state in ("succeeded", "failed")
    return {
        "id": result.task.id,
        "attempt_id": result.task.attempt_id,
        "person_id": result.task.person_id,
        "system": system,
        "worker": worker,
        "outcome": result.outcome.value,
        "state": result.state,
        "desired": orjson.dumps(result.task.attributes).decode(),
        "unburnt": int(result.outcome is Outcome.NOT_SENT and not result.task.probe),
        "absences": result.absences,
        "next_attempt_at": result.next_attempt_at,
        "error_kind": result.error_kind,
        "code": result.code,
        "message": result.message,
        "identifier": account.identifier if account else None,
        "remote_id": account.remote_id if account else None,
        "provenance": "created" if result.task.probe or not adopted else "adopted",
        "now": now,
        "finished_at": now if final else None,
    }


def _fail_dependants(
    connection: Connection, *, system: str, persons: Sequence[int], now: datetime
) -> None:
    """And theirs in turn: each names the system it waited for."""
    failed = {system: list(persons)} if persons else {}
    while failed:
        cause, people = failed.popitem()
        bound = {"system": cause, "persons": people, "now": now}
        for person_id, dependant in connection.execute(_FAIL_DEPENDANTS, bound):
            failed.setdefault(dependant, []).append(person_id)
