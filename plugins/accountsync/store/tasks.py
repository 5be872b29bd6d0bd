"""The queue of account tasks: claimed, recorded. Statements name the index they ride on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, TextClause, text

from accountsync.domain.account import Account, without_nul
from accountsync.domain.task import TAKING_AWAY, ClaimedTask, Outcome, Result
from accountsync.store.storable import as_json
from accountsync.store.tables import OPEN_STATES

_LATELY = timedelta(hours=1)
"""A plan that takes longer to be written is beyond all budgets."""

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
_MAY_BE_SENT = """(c.operation <> 'create' OR c.person_id NOT IN (SELECT unnest(candidates)
    FROM accountsync.correlation_case WHERE system = :system AND state = 'open'))"""
"""While a human has to say whose an account is, none is made for those who may have it (I9)."""


def _claim_of(only: str) -> dict[str, TextClause]:
    """ix_account_task_unknown; ix_account_task_due; ix_account_task_oldest."""
    joined = {"columns": _COLUMNS, "person": _WITH_PERSON}
    probe = {"state": "unknown", "order": "next_attempt_at", "burnt": 0, "kind": "probe"}
    call = {"state": "ready", "burnt": 1, "kind": "call"}
    sent, by_priority = f"{only} AND {_MAY_BE_SENT}", "priority, next_attempt_at, id"
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
        f" AND (c.state = 'unknown' OR {_MAY_BE_SENT})"
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

ORDER_ONLY = "(SELECT system, unnest(goes_after) FROM accountsync.planned_rules)"
"""Pairs of systems of which the first comes after the second, without needing an account there."""

_SATISFIED = f"""CASE
  WHEN w.operation IN {TAKING_AWAY!r} THEN NOT EXISTS (
    SELECT FROM accountsync.account_task going
    WHERE going.person_id = w.person_id AND going.system = s
      AND going.operation IN {TAKING_AWAY!r} AND going.state IN {OPEN_STATES!r}
      AND (w.operation = 'delete' OR going.state NOT IN ('held', 'needs_human', 'needs_data')))
  WHEN (w.system, s) IN {ORDER_ONLY} THEN NOT EXISTS (
    SELECT FROM accountsync.account_task first
    WHERE first.person_id = w.person_id AND first.system = s
      AND first.operation NOT IN {TAKING_AWAY!r} AND first.state IN {OPEN_STATES!r})
  ELSE EXISTS (
    SELECT FROM accountsync.account a
    WHERE a.person_id = w.person_id AND a.system = s AND (a.state = 'active'
      OR a.state = 'disabled'
        AND (w.account_state = 'disabled' OR w.operation IN ('update', 'rename')))) END"""
"""Of a waiting task `w`, whether what it waits for in system `s` has come about (I12).

What gives waits for the account: an active one, or for an account that is to be disabled itself (a
prehire's) and for one that only changes, any. Where only the order matters it waits for what gives
or changes there to end, however it ends. What takes away runs in reverse order: it waits for what
is still to be taken away there; a disable never for a human, so that access ends.
"""

_RELEASE_SATISFIED = f"""
UPDATE accountsync.account_task t
SET waits_for = still.systems,
    state = CASE WHEN cardinality(still.systems) = 0 THEN 'ready' ELSE 'waiting' END,
    next_attempt_at = CASE WHEN cardinality(still.systems) = 0 THEN :now
      ELSE t.next_attempt_at END
FROM (
  SELECT w.id, ARRAY(SELECT s FROM unnest(w.waits_for) s WHERE NOT {_SATISFIED}) AS systems
  FROM accountsync.account_task w WHERE w.state = 'waiting' {{only}}
) still
WHERE t.id = still.id AND t.waits_for <> still.systems
RETURNING t.state
"""

_OF_PERSONS = "AND w.person_id = ANY(:persons)"
_OVERLOOKED = """AND w.id IN (
  (SELECT id FROM accountsync.account_task WHERE state = 'waiting' AND plan_id >=
     (SELECT min(id) FROM accountsync.plan WHERE created_at > :lately) LIMIT :limit)
  UNION ALL
  (SELECT id FROM accountsync.account_task WHERE state = 'waiting' AND person_id >=
     CAST(:share * (SELECT max(id) FROM accountsync.person) AS bigint)
   ORDER BY person_id LIMIT :limit))"""
"""ix_account_task_plan_id; ix_account_task_waiting."""

_LOCK_WAITING = text(  # ix_account_task_waiting
    "SELECT id FROM accountsync.account_task WHERE state = 'waiting' AND person_id = ANY(:persons)"
    " ORDER BY id FOR UPDATE"
)

_RECORD = text("""
WITH r AS (
  SELECT * FROM jsonb_to_recordset(CAST(:results AS jsonb)) AS r (
    id bigint, attempt_id bigint, outcome text, state text, desired jsonb, burnt int,
    absences int, unanswered int, next_attempt_at timestamptz, error_kind text, code text,
    message text, duration_ms int, account_state text, identifier text, remote_id text,
    adopted bool, replan bool)
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
  FROM r WHERE t.id = r.id AND t.claimed_by = :worker
  RETURNING t.id, t.person_id, t.system, t.operation, t.reason, t.desired
), done AS (
  SELECT task.*, r.account_state, r.identifier, r.remote_id, r.adopted, r.replan, r.state
  FROM task JOIN r ON r.id = task.id
), kept AS (
  INSERT INTO accountsync.account AS a (person_id, system, state, identifier, remote_id,
    attributes, provenance, disabled_by, disabled_reason)
  SELECT person_id, system, account_state, identifier, remote_id, desired,
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
    attributes = CASE WHEN d.identifier IS NULL THEN a.attributes ELSE d.desired END,
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
else's by now, ends its attempt and nothing else. Repeated, it changes nothing (the task is no
longer this worker's): a commit without an answer can be tried again."""

_FAIL_DEPENDANTS = text(  # ix_account_task_waiting
    "UPDATE accountsync.account_task t SET state = 'failed', waits_for = '{}', finished_at = :now,"
    " cause = :system || ' failed for good', error_kind = 'DependencyFailed'"
    " WHERE state = 'waiting' AND person_id = ANY(:persons) AND :system = ANY(waits_for)"
    "  AND operation <> 'disable'"
    f"  AND (system, :system) NOT IN {ORDER_ONLY} AND (:system, system) NOT IN {ORDER_ONLY}"
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


def release_satisfied(
    connection: Connection, *, now: datetime, persons: Sequence[int] | None = None
) -> int:
    """Waiting tasks whose accounts are there by now become ready (I12). Returns how many."""
    only = "" if persons is None else _OF_PERSONS
    bound: dict[str, Any] = {"now": now}
    if persons is not None:
        bound["persons"] = list(persons)
    states = connection.scalars(text(_RELEASE_SATISFIED.format(only=only)), bound)
    return sum(state == "ready" for state in states)


def release_overlooked(connection: Connection, *, now: datetime, share: float, limit: int) -> int:
    """Whoever ends what others wait for releases them; a plan that is being written meanwhile is
    not seen by it. So waiting tasks of the latest plans are looked at again, and as a net, from
    `share` (in [0, 1)) of all persons on, some of all others: however many wait, it costs the same.
    """
    bound = {"now": now, "lately": now - _LATELY, "share": share, "limit": limit}
    states = connection.scalars(text(_RELEASE_SATISFIED.format(only=_OVERLOOKED)), bound)
    return sum(state == "ready" for state in states)


def yield_to_others(connection: Connection) -> None:
    """Whoever records can do it again, a planner would have to begin anew: where both wait for each
    other, this transaction lets go before PostgreSQL (`deadlock_timeout`, 1 s) chooses one."""
    connection.execute(text("SET LOCAL lock_timeout = '500ms'"))


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
    rows = as_json([_as_row(result) for result in results])
    bound = {"results": rows, "worker": worker, "now": now, "taking_away": list(TAKING_AWAY)}
    recorded = connection.execute(_RECORD, bound).all()
    lost = [row.person_id for row in recorded if row.state == "failed"]
    _fail_dependants(connection, system=system, persons=lost, now=now)
    settled = [row.person_id for row in recorded if row.settled]
    return release_satisfied(connection, now=now, persons=settled) if settled else 0


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
        "code": without_nul(result.code),
        "message": without_nul(result.message),
        "duration_ms": round(result.seconds * 1000),
        "account_state": result.account_state,
        "identifier": account.identifier if account else None,
        "remote_id": account.remote_id if account else None,
        "adopted": result.outcome is Outcome.ADOPTED and not task.probe,
        "replan": result.replan,
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
