"""The queue of account tasks: claimed, recorded. Statements name the index they ride on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, TextClause, text

from accountsync.domain.accounts.account import Account
from accountsync.domain.storable import as_json
from accountsync.domain.tasks.outcomes import TAKING_AWAY, ClaimedTask, Outcome, Result
from accountsync.store.tasks import dependants
from accountsync.store.tasks.due_tasks import MAY_BE_SENT

_COLUMNS = """
  c.id, c.person_id, p.employee_number, c.operation, c.desired, c.late_bound, c.account_state,
  c.attempts, c.absences, c.unanswered,
  own.state AS own_state, own.identifier, own.remote_id, own.attributes,
  CASE WHEN c.late_bound <> '{}' THEN
   (SELECT jsonb_object_agg(a.system, a.attributes || jsonb_build_object(
      'identifier', a.identifier, 'remote_id', a.remote_id))
    FROM accountsync.account a WHERE a.person_id = c.person_id) END AS accounts
"""
_WITH_PERSON = """
JOIN accountsync.person p ON p.id = c.person_id
LEFT JOIN accountsync.account own ON own.person_id = c.person_id AND own.system = c.system
"""

_CLAIM = """
WITH due AS (
  SELECT id FROM accountsync.account_task c
  WHERE system = :system AND state = '{state}' AND next_attempt_at <= :now {only}
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
SELECT attempt.id AS attempt_id, {columns}
FROM claimed c JOIN attempt ON attempt.task_id = c.id {person}
ORDER BY c.priority, c.id
"""
_ONLY = """AND c.person_id IN
    (SELECT id FROM accountsync.person WHERE employee_number = ANY(:numbers))"""


def _claim_of(only: str) -> dict[str, TextClause]:
    """ix_account_task_unknown; ix_account_task_due; ix_account_task_oldest."""
    joined = {"columns": _COLUMNS, "person": _WITH_PERSON}
    probe = {"state": "unknown", "order": "next_attempt_at", "burnt": 0, "kind": "probe"}
    call = {"state": "ready", "burnt": 1, "kind": "call"}
    sent, by_priority = f"{only} AND {MAY_BE_SENT}", "priority, next_attempt_at, id"
    return {
        "unknown": text(_CLAIM.format(**probe, **joined, only=only)),
        "oldest": text(_CLAIM.format(**call, **joined, only=sent, order="next_attempt_at")),
        "ready": text(_CLAIM.format(**call, **joined, only=sent, order=by_priority)),
    }


_CLAIMS = {False: _claim_of(""), True: _claim_of(_ONLY)}

_PEEKS = {
    has_numbers: text(
        f"SELECT 0 AS attempt_id, c.state AS task_state, {_COLUMNS}"
        f" FROM accountsync.account_task c {_WITH_PERSON}"
        " WHERE c.system = :system AND c.state IN ('ready', 'unknown')"
        f" AND next_attempt_at <= :now {_ONLY if has_numbers else ''}"
        f" AND (c.state = 'unknown' OR {MAY_BE_SENT})"
        " ORDER BY c.state DESC, priority, next_attempt_at, c.id LIMIT :limit"
    )
    for has_numbers in (False, True)
}

_ONE = text(
    f"SELECT 0 AS attempt_id, c.system, {_COLUMNS} FROM accountsync.account_task c {_WITH_PERSON}"
    " WHERE c.id = :task"
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

_RECORD = text("""
WITH r AS (
  SELECT * FROM jsonb_to_recordset(CAST(:results AS jsonb)) AS r (
    id bigint, attempt_id bigint, outcome text, state text, desired jsonb, burnt int,
    absences int, unanswered int, next_attempt_at timestamptz, error_kind text, code text,
    message text, duration_ms int, account_state text, identifier text, remote_id text,
    adopted bool, replan bool, applied jsonb)
), attempt AS (
  UPDATE accountsync.task_attempt a SET finished_at = :now, outcome = r.outcome,
    error_kind = r.error_kind, code = r.code, message = r.message, duration_ms = r.duration_ms
  FROM r WHERE a.id = r.attempt_id
), task AS (
  UPDATE accountsync.account_task t SET state = r.state, lease_until = NULL, claimed_by = NULL,
    desired = coalesce(r.desired, t.desired), attempts = attempts - 1 + r.burnt,
    absences = r.absences, unanswered = r.unanswered,
    next_attempt_at = coalesce(r.next_attempt_at, t.next_attempt_at),
    cause = r.message, error_kind = r.error_kind,
    finished_at = CASE WHEN r.state IN ('succeeded', 'failed') THEN CAST(:now AS timestamptz) END
  FROM r WHERE t.id = r.id AND t.claimed_by = :worker AND NOT EXISTS (
    SELECT FROM accountsync.task_attempt a WHERE a.id = r.attempt_id AND a.outcome IS NOT NULL)
  RETURNING t.id, t.person_id, t.system, t.operation, t.reason, t.desired
), done AS (
  SELECT task.*, r.account_state, r.identifier, r.remote_id, r.adopted, r.replan, r.state,
    coalesce(r.applied, task.desired) AS applied
  FROM task JOIN r ON r.id = task.id
), kept AS (
  INSERT INTO accountsync.account AS a (person_id, system, state, identifier, remote_id,
    attributes, provenance, disabled_by, disabled_reason)
  SELECT person_id, system, account_state, identifier, remote_id, applied,
    CASE WHEN adopted THEN 'adopted' ELSE 'created' END,
    CASE WHEN account_state = 'disabled' AND NOT adopted THEN 'accountsync' END,
    CASE WHEN account_state = 'disabled' AND NOT adopted THEN reason END
  FROM done WHERE account_state IS NOT NULL AND identifier IS NOT NULL AND operation = 'create'
  ON CONFLICT (person_id, system) DO UPDATE SET state = excluded.state,
    identifier = excluded.identifier, remote_id = excluded.remote_id,
    attributes = excluded.attributes, as_shown = false, provenance = excluded.provenance,
    disabled_by = excluded.disabled_by, disabled_reason = excluded.disabled_reason,
    updated_at = :now
), changed AS (
  UPDATE accountsync.account a SET state = d.account_state, updated_at = :now,
    identifier = coalesce(d.identifier, a.identifier),
    remote_id = CASE WHEN d.account_state IN ('deleted', 'absent') THEN NULL
      ELSE coalesce(d.remote_id, a.remote_id) END,
    attributes = CASE WHEN d.identifier IS NULL THEN a.attributes ELSE d.applied END,
    disabled_by = CASE WHEN d.account_state = 'active' THEN NULL
      WHEN d.operation = 'disable' THEN 'accountsync' ELSE a.disabled_by END,
    disabled_reason = CASE WHEN d.account_state = 'active' THEN NULL
      WHEN d.operation = 'disable' THEN d.reason ELSE a.disabled_reason END
  FROM done d WHERE a.person_id = d.person_id AND a.system = d.system
    AND d.account_state IS NOT NULL AND (d.operation <> 'create' OR d.identifier IS NULL)
), anew AS (
  UPDATE accountsync.person p SET planned_revision = 0 FROM done d
  WHERE p.id = d.person_id AND d.replan
)
SELECT person_id, state, state IN ('succeeded', 'failed')
  OR operation = ANY(:taking_away) AS settled
FROM done
""")
"""Attempts, tasks and accounts of a lot. A result that comes late, when the task is somebody
else's by now, ends its attempt and nothing else. Repeated, it changes nothing (its attempt is over,
also where the same worker has claimed the task again): a commit without an answer can be tried
again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A task as it was claimed; `late_bound` is still to be read over `accounts`."""

    row: RowMapping
    probe: bool

    def as_task(self, attributes: Mapping[str, Any]) -> ClaimedTask:
        row = self.row
        return ClaimedTask(
            id=row["id"],
            attempt_id=row["attempt_id"],
            person_id=row["person_id"],
            employee_number=row["employee_number"],
            operation=row["operation"],
            attributes=attributes,
            account_state=row["account_state"],
            account=_account(row),
            attempts=row["attempts"],
            absences=row["absences"],
            unanswered=row["unanswered"],
            probe=self.probe,
            late_bound=bool(row["late_bound"]),
        )


def _account(row: RowMapping) -> Account | None:
    if row["own_state"] is None:
        return None
    return Account(
        state=row["own_state"],
        identifier=row["identifier"],
        remote_id=row["remote_id"],
        attributes=row["attributes"],
    )


def database_time(connection: Connection) -> datetime:
    """One clock for all workers: leases and due times compare with it."""
    now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now


def claim(
    connection: Connection,
    *,
    system: str,
    limit: int,
    worker: str,
    lease: timedelta,
    now: datetime,
    numbers: Sequence[str] | None = None,
) -> list[Claim]:
    """Tasks to probe first (at most half), a few of the oldest whatever their priority, then ready
    ones by priority; each with its attempt recorded (I9). `numbers`: of these employees only."""
    bound = {
        "system": system, "worker": worker, "now": now, "lease_until": now + lease,
        "numbers": list(numbers or ()),
    }  # fmt: skip
    statements = _CLAIMS[numbers is not None]
    claims: list[Claim] = []
    for kind, share in (("unknown", -(-limit // 2)), ("oldest", limit // 8), ("ready", limit)):
        if wanted := min(share, limit - len(claims)):
            rows = connection.execute(statements[kind], bound | {"limit": wanted}).mappings()
            claims += [Claim(row=row, probe=kind == "unknown") for row in rows]
    return claims


def peek(
    connection: Connection,
    *,
    system: str,
    limit: int,
    now: datetime,
    numbers: Sequence[str] | None = None,
) -> list[Claim]:
    """What `claim` would give, without taking it."""
    bound = {"system": system, "now": now, "limit": limit, "numbers": list(numbers or ())}
    rows = connection.execute(_PEEKS[numbers is not None], bound).mappings()
    return [Claim(row=row, probe=row["task_state"] == "unknown") for row in rows]


def due_now(connection: Connection, *, number: str, now: datetime, cut_short: bool) -> set[str]:
    """Systems with something to do for one employee. A first look does not wait, nor does a
    back-off that is to be `cut_short`; the gap before a second look does (I9)."""
    rows = connection.scalars(
        text(
            "UPDATE accountsync.account_task SET next_attempt_at = CASE WHEN absences = 0"
            "  AND (:cut_short OR state = 'unknown' AND unanswered = 0)"
            "  THEN least(next_attempt_at, :now) ELSE next_attempt_at END"
            " WHERE state IN ('ready', 'unknown') AND person_id ="
            "  (SELECT id FROM accountsync.person WHERE employee_number = :number)"
            " RETURNING CASE WHEN next_attempt_at <= :now THEN system END"
        ),
        {"number": number, "now": now, "cut_short": cut_short},
    )
    return {system for system in rows if system}


def accounts_of(connection: Connection, *, number: str) -> dict[str, str]:
    """System → state of one employee's account."""
    rows = connection.execute(
        text(
            "SELECT a.system, a.state FROM accountsync.account a JOIN accountsync.person p"
            " ON p.id = a.person_id WHERE p.employee_number = :number"
        ),
        {"number": number},
    )
    return {row.system: row.state for row in rows}


def read(connection: Connection, *, task: int) -> Claim:
    """One task as it is, for somebody who holds it otherwise than by a claim."""
    return Claim(row=connection.execute(_ONE, {"task": task}).mappings().one(), probe=False)


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


def yield_to_others(connection: Connection) -> None:
    """Whoever records can do it again, a planner would have to begin anew: where both wait for each
    other, this transaction lets go before PostgreSQL (`deadlock_timeout`, 1 s) chooses one."""
    connection.execute(text("SET LOCAL lock_timeout = '500ms'"))


def record(
    connection: Connection, *, system: str, worker: str, results: Sequence[Result], now: datetime
) -> int:
    """Attempts, tasks, accounts and dependants of a lot of results. Returns dependants released."""
    if not results:
        return 0
    dependants.lock(connection, persons=[result.task.person_id for result in results])
    rows = as_json([_as_row(result) for result in results])
    bound = {"results": rows, "worker": worker, "now": now, "taking_away": list(TAKING_AWAY)}
    recorded = connection.execute(_RECORD, bound).all()
    lost = [row.person_id for row in recorded if row.state == "failed"]
    dependants.fail(connection, system=system, persons=lost, now=now)
    settled = [row.person_id for row in recorded if row.settled]
    return dependants.release_satisfied(connection, now=now, persons=settled) if settled else 0


def _as_row(result: Result) -> dict[str, Any]:
    account, task = result.account, result.task
    return {
        "id": task.id,
        "attempt_id": task.attempt_id,
        "outcome": result.outcome.value,
        "state": result.state,
        "desired": task.attributes if task.late_bound else None,
        "burnt": int(result.burnt or task.probe),
        "absences": result.absences,
        "unanswered": result.unanswered,
        "next_attempt_at": result.next_attempt_at,
        "error_kind": result.error_kind,
        "code": result.code,
        "message": result.message,
        "duration_ms": round(result.seconds * 1000),
        "account_state": result.account_state,
        "identifier": account.identifier if account else None,
        "remote_id": account.remote_id if account else None,
        "adopted": result.outcome is Outcome.ADOPTED and not task.probe,
        "replan": result.replan,
        "applied": result.applied,
    }
