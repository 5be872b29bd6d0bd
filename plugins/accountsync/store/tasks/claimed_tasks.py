"""Tasks of the queue: claimed, looked at, read. Statements name the index they ride on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, TextClause, text

from accountsync.domain.accounts.account import (
    TAKES_AWAY,
    THERE,
    Account,
    AccountState,
    Operation,
)
from accountsync.domain.task_states import TaskState
from accountsync.domain.tasks.outcomes import ClaimedTask
from accountsync.store.doubts import MAY_HAVE_HAPPENED
from accountsync.store.tables import listed
from accountsync.store.tasks.due_tasks import MAY_BE_SENT

_WRITES_KEYS = (Operation.CREATE, Operation.UPDATE, Operation.RENAME)

_COLUMNS = f"""
  c.id, c.person_id, p.employee_number, c.operation, c.desired, c.late_bound, c.account_state,
  c.attempts, c.absences, c.unanswered,
  own.state AS own_state, own.identifier, coalesce(own.remote_id, own.lost_id) AS remote_id,
  own.attributes,
  -- what is read over other accounts is read now, so they are needed
  CASE
    WHEN c.late_bound <> '{{}}' THEN (
      SELECT
        jsonb_object_agg(
          a.system,
          a.attributes || jsonb_build_object('identifier', a.identifier, 'remote_id', a.remote_id)
        )
      FROM accountsync.account a
      WHERE a.person_id = c.person_id
    )
  END AS accounts,
  -- what the account may carry, by calls of which nobody knows the outcome
  CASE
    WHEN c.operation IN {listed(TAKES_AWAY)} THEN (
      SELECT jsonb_agg(asked.desired ORDER BY asked.id DESC)
      FROM accountsync.account_task asked
      WHERE asked.operation IN {listed(_WRITES_KEYS)} AND {MAY_HAVE_HAPPENED.format("c")}
    )
  END AS sent,
  -- a key is another person's once that person has both the number and an account with this key;
  -- rides on uq_person_employee_number
  own.attributes ->> CAST(:key AS text) <> p.employee_number
    AND EXISTS (
      SELECT
      FROM accountsync.person other
      JOIN accountsync.account theirs ON theirs.person_id = other.id AND theirs.system = c.system
      WHERE other.employee_number = own.attributes ->> CAST(:key AS text)
        AND theirs.state IN {listed(THERE)}
        AND theirs.attributes ->> CAST(:key AS text) = other.employee_number
    ) AS key_taken
"""
_WITH_PERSON = """
JOIN accountsync.person p ON p.id = c.person_id
LEFT JOIN accountsync.account own ON own.person_id = c.person_id AND own.system = c.system
"""

_CLAIM = """
WITH due AS (
  -- rides on the index of its kind, see _claim_of
  SELECT id
  FROM accountsync.account_task c
  WHERE system = :system AND state = '{state}' AND next_attempt_at <= :now {only}
  ORDER BY {order}
  LIMIT :limit
  FOR UPDATE SKIP LOCKED
), claimed AS (
  UPDATE accountsync.account_task t
  SET
    state = 'running',
    lease_until = :lease_until,
    claimed_by = :worker,
    attempts = attempts + {burnt}
  FROM due
  WHERE t.id = due.id
  RETURNING t.*
), attempt AS (
  -- before the call is made (I9)
  INSERT INTO accountsync.task_attempt (task_id, number, kind, worker, started_at)
  SELECT
    c.id,
    -- rides on uq_task_attempt_task_id_number
    1 + coalesce((SELECT max(number) FROM accountsync.task_attempt a WHERE a.task_id = c.id), 0),
    '{kind}', :worker, :now
  FROM claimed c
  RETURNING id, task_id
)
SELECT attempt.id AS attempt_id, {columns}
FROM claimed c
JOIN attempt ON attempt.task_id = c.id
{person}
ORDER BY c.priority, c.id
"""
_ONLY = """
AND c.person_id IN (SELECT id FROM accountsync.person WHERE employee_number = ANY(:numbers))
"""


def _claim_of(only: str) -> dict[str, TextClause]:
    """A statement for each kind, on ix_account_task_unknown, _oldest, _due and _removal."""
    joined = {"columns": _COLUMNS, "person": _WITH_PERSON}
    probe = {"state": TaskState.UNKNOWN, "order": "next_attempt_at", "burnt": 0, "kind": "probe"}
    call = {"state": TaskState.READY, "burnt": 1, "kind": "call"}
    again = call | {"state": TaskState.NEEDS_HUMAN}
    sent, by_priority = f"{only} AND {MAY_BE_SENT}", "priority, next_attempt_at, id"
    removals = f"{only} AND operation IN {listed(TAKES_AWAY)}"
    disables = f"{sent} AND priority = 1"
    return {
        "disable": text(_CLAIM.format(**call, **joined, only=disables, order=by_priority)),
        "unknown": text(_CLAIM.format(**probe, **joined, only=only)),
        "again": text(_CLAIM.format(**again, **joined, only=removals, order="next_attempt_at")),
        "oldest": text(_CLAIM.format(**call, **joined, only=sent, order="next_attempt_at")),
        "ready": text(_CLAIM.format(**call, **joined, only=sent, order=by_priority)),
    }


_CLAIMS = {False: _claim_of(""), True: _claim_of(_ONLY)}

_PEEK = """
SELECT 0 AS attempt_id, c.state AS task_state, {columns}
FROM accountsync.account_task c
{person}
WHERE c.system = :system
  AND (
    c.state = 'unknown'
    OR c.state = 'ready' AND {may_be_sent}
    OR c.state = 'needs_human' AND c.operation IN {removals}
  )
  AND next_attempt_at <= :now {only}
ORDER BY c.state DESC, priority, next_attempt_at, c.id
LIMIT :limit
"""


def _peek_of(only: str) -> TextClause:
    joined = {"columns": _COLUMNS, "person": _WITH_PERSON}
    removals = listed(TAKES_AWAY)
    return text(_PEEK.format(**joined, only=only, may_be_sent=MAY_BE_SENT, removals=removals))


_PEEKS = {False: _peek_of(""), True: _peek_of(_ONLY)}

_ONE = text(f"""
SELECT 0 AS attempt_id, c.system, {_COLUMNS}
FROM accountsync.account_task c
{_WITH_PERSON}
WHERE c.id = :task
""")


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
            operation=Operation(row["operation"]),
            attributes=attributes,
            account_state=AccountState(row["account_state"]),
            account=_account(row),
            attempts=row["attempts"],
            absences=row["absences"],
            unanswered=row["unanswered"],
            probe=self.probe,
            late_bound=bool(row["late_bound"]),
            sent=row["sent"] or (),
        )


def _account(row: RowMapping) -> Account | None:
    if row["own_state"] is None:
        return None
    return Account(
        state=AccountState(row["own_state"]),
        identifier=row["identifier"],
        remote_id=row["remote_id"],
        attributes=row["attributes"],
        key_taken=bool(row["key_taken"]),
    )


def claim(
    connection: Connection,
    *,
    target: str,
    limit: int,
    key: str = "",
    worker: str,
    lease: timedelta,
    now: datetime,
    numbers: Sequence[str] | None = None,
    last: int | None = None,
) -> list[Claim]:
    """Disables first (at most half), tasks to probe (at most half), removals that are asked again
    (I17), a few of the oldest whatever their priority, then ready ones by priority; each with its
    attempt recorded (I9). In the lot what takes access away comes first. `numbers`: of these
    employees only. `last`: a task that others go before. `key`: the attribute that tells whose an
    account is."""
    bound = {
        "system": target, "worker": worker, "now": now, "lease_until": now + lease,
        "numbers": list(numbers or ()), "key": key,
    }  # fmt: skip
    statements = _CLAIMS[numbers is not None]
    claims: list[Claim] = []
    half, few = -(-limit // 2), -(-limit // 8)
    shares = {"disable": half, "unknown": half, "again": few, "oldest": few, "ready": limit}
    for kind, share in shares.items():
        if wanted := min(share, limit - len(claims)):
            rows = connection.execute(statements[kind], bound | {"limit": wanted}).mappings()
            claims += [Claim(row=row, probe=kind == "unknown") for row in rows]
    return sorted(claims, key=lambda c: (c.row["id"] == last, c.row["operation"] not in TAKES_AWAY))


def peek(
    connection: Connection,
    *,
    target: str,
    limit: int,
    now: datetime,
    key: str = "",
    numbers: Sequence[str] | None = None,
) -> list[Claim]:
    """The tasks that `claim` would give, without claiming them."""
    bound = {
        "system": target, "now": now, "limit": limit, "key": key, "numbers": list(numbers or ()),
    }  # fmt: skip
    rows = connection.execute(_PEEKS[numbers is not None], bound).mappings()
    return [Claim(row=row, probe=row["task_state"] == TaskState.UNKNOWN) for row in rows]


def read(connection: Connection, *, task: int) -> Claim:
    """One task as it is, for somebody who holds it otherwise than by a claim."""
    row = connection.execute(_ONE, {"task": task, "key": ""}).mappings().one()
    return Claim(row=row, probe=False)
