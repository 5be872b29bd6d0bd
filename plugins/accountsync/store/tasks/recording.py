"""Results of claimed tasks: attempts, tasks, accounts and dependants, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from accountsync.domain.accounts.account import TAKES_AWAY
from accountsync.domain.storable import as_json
from accountsync.domain.task_states import TaskState
from accountsync.domain.tasks.outcomes import Outcome, Result
from accountsync.store.doubts import MAY_HAVE_HAPPENED
from accountsync.store.tasks import dependants

# What _RECORD does with a result. It is one statement, so that every part of it sees the store as
# it was before: the attempt still open, the account still the old one. With a statement for each
# table, a lot of 1,000 takes about three times as long.
#
#   the task is            attempt          task         account      person
#   the worker's, begun    ended            as it says   see below    planned again if `replan`
#   somebody else's        ended            stays        stays        stays
#   recorded before        ended as it is   stays        stays        stays
#
# The third line makes it repeatable: a commit without an answer is tried again, also where the same
# worker has claimed the task again meanwhile.
#
#   account_state   operation   identifier   account
#   null            any         any          stays: nothing is known to have changed
#   told            create      told         `kept`: inserted, or written over what was there before
#   told            create      null         `changed`: its state; identifier and attributes stay
#   told            another     told         `changed`: its state, identifier and attributes; `kept`
#                                            where no account was known
#   told            another     null         `changed`: its state; identifier and attributes stay
_RECORD = text(f"""
WITH r AS (
  SELECT *
  FROM jsonb_to_recordset(CAST(:results AS jsonb)) AS r (
    id bigint, attempt_id bigint, outcome text, state text, desired jsonb, burnt int,
    absences int, unanswered int, next_attempt_at timestamptz, error_kind text, code text,
    message text, duration_ms int, account_state text, identifier text, remote_id text,
    adopted bool, replan bool, applied jsonb, closed text, was_enabled bool
  )
), attempt AS (
  -- all of them, also of tasks that are somebody else's by now; rides on pk_task_attempt
  UPDATE accountsync.task_attempt a
  SET
    finished_at = :now,
    outcome = r.outcome,
    error_kind = r.error_kind,
    code = r.code,
    message = r.message,
    duration_ms = r.duration_ms
  FROM r
  WHERE a.id = r.attempt_id
), task AS (
  -- the worker's own, whose attempt was open; rides on pk_account_task
  UPDATE accountsync.account_task t
  SET
    state = r.state,
    lease_until = NULL,
    claimed_by = NULL,
    desired = coalesce(r.desired, t.desired),
    -- the claim counted this attempt; it stays counted where it burnt one
    attempts = attempts - 1 + r.burnt,
    absences = r.absences,
    unanswered = r.unanswered,
    next_attempt_at = coalesce(r.next_attempt_at, t.next_attempt_at),
    alerted_at = CASE WHEN r.state = 'succeeded' THEN NULL ELSE t.alerted_at END,
    cause = r.message,
    cause_kind = NULL,
    cause_facts = NULL,
    error_kind = r.error_kind,
    finished_at = CASE WHEN r.state IN ('succeeded', 'failed') THEN CAST(:now AS timestamptz) END
  FROM r
  WHERE t.id = r.id
    AND t.claimed_by = :worker
    AND NOT EXISTS (
      SELECT FROM accountsync.task_attempt a
      WHERE a.id = r.attempt_id AND a.outcome IS NOT NULL
    )
  RETURNING t.id, t.person_id, t.system, t.operation, t.reason, t.desired
), done AS (
  -- the results that count, with what their tasks say
  SELECT
    task.*, r.account_state, r.identifier, r.remote_id, r.adopted, r.replan, r.state, r.closed,
    coalesce(r.applied, task.desired) AS applied,
    -- one that was found disabled was disabled by somebody else, unless an earlier call of ours may
    -- have done it
    task.operation = 'disable' AND (r.was_enabled IS NOT FALSE OR EXISTS (
      SELECT
      FROM accountsync.account_task asked
      WHERE asked.operation = 'disable' AND {MAY_HAVE_HAPPENED.format("task")}
    )) AS is_ours
  FROM task
  JOIN r ON r.id = task.id
), kept AS (
  -- the account that a create made or found, or that one made whose outcome was never known; rides
  -- on uq_account_person_id_system
  INSERT INTO accountsync.account AS a (
    person_id, system, state, identifier, remote_id, attributes, provenance, disabled_by,
    disabled_reason, closed
  )
  SELECT
    person_id, system, account_state, identifier, remote_id, applied,
    CASE WHEN adopted THEN 'adopted' ELSE 'created' END,
    -- one that we made disabled was disabled by us; one that we found was not
    CASE WHEN account_state = 'disabled' AND NOT adopted THEN 'accountsync' END,
    CASE WHEN account_state = 'disabled' AND NOT adopted THEN reason END,
    closed
  FROM done
  WHERE account_state IS NOT NULL
    AND identifier IS NOT NULL
    AND (
      operation = 'create'
      OR NOT EXISTS (
        SELECT FROM accountsync.account known
        WHERE known.person_id = done.person_id AND known.system = done.system
      )
    )
  ON CONFLICT (person_id, system) DO UPDATE SET
    state = excluded.state,
    identifier = excluded.identifier,
    remote_id = excluded.remote_id,
    attributes = excluded.attributes,
    as_shown = false,
    provenance = excluded.provenance,
    disabled_by = excluded.disabled_by,
    disabled_reason = excluded.disabled_reason,
    closed = excluded.closed,
    lost_id = NULL,
    updated_at = :now
), changed AS (
  -- the account that a task was about; rides on uq_account_person_id_system
  UPDATE accountsync.account a
  SET
    state = d.account_state,
    updated_at = :now,
    identifier = coalesce(d.identifier, a.identifier),
    -- what is made anew later has another id in the target
    remote_id = CASE
      WHEN d.account_state IN ('deleted', 'absent') THEN NULL
      ELSE coalesce(d.remote_id, a.remote_id)
    END,
    -- by which it is looked for should somebody have hidden it
    lost_id = CASE
      WHEN d.account_state = 'absent' THEN coalesce(a.remote_id, a.lost_id)
    END,
    attributes = CASE WHEN d.identifier IS NULL THEN a.attributes ELSE d.applied END,
    closed = CASE WHEN d.account_state = 'active' THEN NULL ELSE coalesce(d.closed, a.closed) END,
    -- who disabled it is forgotten once it is active, and kept where nothing was disabled
    disabled_by = CASE
      WHEN d.account_state = 'active' THEN NULL
      WHEN d.account_state = 'disabled' AND d.is_ours THEN 'accountsync'
      ELSE a.disabled_by
    END,
    disabled_reason = CASE
      WHEN d.account_state = 'active' THEN NULL
      WHEN d.account_state = 'disabled' AND d.is_ours THEN d.reason
      ELSE a.disabled_reason
    END
  FROM done d
  WHERE a.person_id = d.person_id
    AND a.system = d.system
    AND d.account_state IS NOT NULL
    AND (d.operation <> 'create' OR d.identifier IS NULL)
), anew AS (
  UPDATE accountsync.person p
  -- nothing new is known of the person, so that what else waits is sent meanwhile
  SET planned_revision = -abs(planned_revision)
  FROM done d
  WHERE p.id = d.person_id AND d.replan
)
SELECT
  person_id, state,
  -- dependants may go on, or fail with it
  state IN ('succeeded', 'failed') OR operation = ANY(:taking_away) AS settled
FROM done
""")


def yield_to_others(connection: Connection) -> None:
    """Lets this transaction give up first where it and a planner wait for each other. It can be
    repeated, and a planner would have to begin anew; PostgreSQL would choose one of the two after
    1 s (`deadlock_timeout`)."""
    connection.execute(text("SET LOCAL lock_timeout = '500ms'"))


def record(
    connection: Connection, *, target: str, worker: str, results: Sequence[Result], now: datetime
) -> int:
    """Attempts, tasks, accounts and dependants of a lot of results. Returns dependants released."""
    if not results:
        return 0
    dependants.lock(connection, persons=[result.task.person_id for result in results])
    rows = as_json([_as_row(result) for result in results])
    bound = {"results": rows, "worker": worker, "now": now, "taking_away": list(TAKES_AWAY)}
    recorded = connection.execute(_RECORD, bound).all()
    failed = [row.person_id for row in recorded if row.state == TaskState.FAILED]
    dependants.fail(connection, target=target, persons=failed, now=now)
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
        "closed": result.closed,
        "was_enabled": account.was_enabled if account else None,
    }
