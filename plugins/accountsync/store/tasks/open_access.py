"""Whose access is to end and has not (I17): tasks that disable an account, and are not done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from accountsync.domain.plans.entitlement import HAS_LEFT
from accountsync.domain.reasons import Reason
from accountsync.domain.task_states import OPEN_STATES
from accountsync.store import causes
from accountsync.store.tables import NOT_FOLLOWED, listed

_REFUSED = f"t.state = 'cancelled' AND {NOT_FOLLOWED}"
"""A human refused it, and nothing has followed."""

_REFUSED_BY = "coalesce(t.cause_facts ->> 'actor', pl.reviewed_by)"
"""Of a refused task `t` of plan `pl`: who refused it. A plan may be decided by several; tasks that
earlier versions rejected do not say who it was."""

_OPEN = f"""
-- rides on ix_account_task_removal and ix_account_task_refused
SELECT t.id
FROM accountsync.account_task t
WHERE t.operation = 'disable' AND t.state IN {listed(OPEN_STATES)}
UNION ALL
SELECT t.id
FROM accountsync.account_task t
WHERE t.operation = 'disable' AND {_REFUSED}
"""

_LIST = text(f"""
SELECT
  t.id AS task, p.employee_number, t.system AS target, t.reason, t.state, t.created_at AS since,
  t.next_attempt_at, t.attempts, t.error_kind, t.cause, t.cause_kind, t.cause_facts,
  CASE WHEN t.state = 'cancelled' THEN {_REFUSED_BY} END AS refused_by
FROM accountsync.account_task t
JOIN accountsync.person p ON p.id = t.person_id
JOIN accountsync.plan pl ON pl.id = t.plan_id
WHERE t.id IN ({_OPEN}) AND (CAST(:target AS text) IS NULL OR t.system = :target)
ORDER BY t.created_at, p.employee_number, t.system
""")

# Somebody is told at once of what needs a human; of what is under way or held after a time in which
# it should have been done or decided; of what was refused a day later. Then every day.
_TELL = text(f"""
UPDATE accountsync.account_task t
SET alerted_at = :now
FROM accountsync.person p
WHERE p.id = t.person_id
  AND t.id IN ({_OPEN})
  AND coalesce(t.alerted_at < CAST(:now AS timestamptz) - interval '24 hours', true)
  AND CASE t.state
    WHEN 'needs_human' THEN true
    WHEN 'held' THEN t.created_at < CAST(:now AS timestamptz) - interval '24 hours'
    WHEN 'cancelled' THEN t.finished_at < CAST(:now AS timestamptz) - interval '24 hours'
    ELSE t.created_at < CAST(:now AS timestamptz) - interval '1 hour'
  END
RETURNING p.employee_number, t.system AS target, t.state, t.reason
""")

_KEPT = text(f"""
SELECT coalesce({_REFUSED_BY}, 'somebody') AS by, count(*) AS leavers
FROM (
  SELECT DISTINCT ON (t.person_id) t.*
  FROM accountsync.account_task t
  WHERE t.operation = 'disable' AND t.reason = ANY(:left) AND {_REFUSED}
  ORDER BY t.person_id, t.id
) t
JOIN accountsync.plan pl ON pl.id = t.plan_id
GROUP BY 1
ORDER BY 1
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAccess:
    """An account that is to give no access, and may give it. `reason`: why it is to end; `since`:
    when that was planned; `state`: of its task, whose next attempt is at `next_attempt_at`;
    `refused_by`: who rejected it."""

    task: int
    employee_number: str
    target: str
    reason: str | None
    state: str
    since: datetime
    next_attempt_at: datetime
    attempts: int
    error_kind: str | None
    cause: Reason | None
    refused_by: str | None

    @property
    def is_leavers(self) -> bool:
        return self.reason in HAS_LEFT


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    employee_number: str
    target: str
    state: str
    reason: str | None


def find(connection: Connection, *, target: str | None = None) -> list[OpenAccess]:
    """The longest open first."""
    rows = connection.execute(_LIST, {"target": target}).mappings()
    fields = [name for name in OpenAccess.__slots__ if name != "cause"]
    return [OpenAccess(**{n: row[n] for n in fields}, cause=causes.read(row)) for row in rows]


def tell(connection: Connection, *, now: datetime) -> list[Told]:
    """What somebody has to be told of now, and was not in the last 24 hours; it is noted that they
    were."""
    rows: Sequence[Any] = connection.execute(_TELL, {"now": now}).mappings().all()
    told = [Told(**row) for row in rows]
    return sorted(told, key=lambda one: (one.employee_number, one.target))


def kept(connection: Connection) -> dict[str, int]:
    """Who refused that access ends → the leavers who keep theirs by it."""
    return {row.by: row.leavers for row in connection.execute(_KEPT, {"left": list(HAS_LEFT)})}
