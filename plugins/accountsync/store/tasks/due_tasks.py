"""Which account tasks are due, how many, and for how long."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, text

from accountsync.domain.accounts.account import TAKES_AWAY
from accountsync.domain.task_states import OPEN_STATES
from accountsync.store.tables import listed

MAY_BE_SENT = """(
    c.operation NOT IN ('create', 'enable')
    OR (c.operation = 'enable' OR (c.person_id, c.system) NOT IN (
      SELECT unnest(candidates), system
      FROM accountsync.correlation_case
      WHERE state = 'open'
    ))
    -- rides on pk_person
    AND NOT EXISTS (
      SELECT FROM accountsync.person p
      WHERE p.id = c.person_id
        AND (
          p.absent_since_snapshot IS NOT NULL AND p.presumed_left_at IS NULL
          OR p.revision > abs(p.planned_revision)
        )
    )
  )"""
"""False for creates of persons who may own an account of an open case (I9), for whatever gives to
persons whom HR's last complete read lacks (I19), and for what gives by facts that no plan has seen
(I17)."""

_DUE = text(f"""
SELECT s.system
FROM unnest(CAST(:systems AS text[])) WITH ORDINALITY s (system, place)
-- the order of the ready ones keeps them on ix_account_task_oldest, also where one system has
-- nearly all
WHERE (
  SELECT true
  FROM accountsync.account_task c
  WHERE c.system = s.system AND state = 'ready' AND next_attempt_at <= :now AND {MAY_BE_SENT}
  ORDER BY next_attempt_at
  LIMIT 1
)
  -- rides on ix_account_task_unknown
  OR EXISTS (
    SELECT FROM accountsync.account_task t
    WHERE t.system = s.system AND state = 'unknown' AND next_attempt_at <= :now
  )
  -- rides on ix_account_task_removal
  OR EXISTS (
    SELECT FROM accountsync.account_task t
    WHERE t.system = s.system
      AND state = 'needs_human'
      AND operation IN {listed(TAKES_AWAY)}
      AND next_attempt_at <= :now
  )
  -- rides on ix_account_task_lease
  OR EXISTS (
    SELECT FROM accountsync.account_task t
    WHERE t.system = s.system AND state = 'running' AND lease_until < :now
  )
ORDER BY s.place
""")


def due_targets(connection: Connection, *, targets: Iterable[str], now: datetime) -> list[str]:
    """The targets with tasks that can be worked on now. The cost does not grow with the queues."""
    return list(connection.scalars(_DUE, {"systems": list(targets), "now": now}))


_UNTRIED = text(f"""
-- rides on ix_account_task_oldest
SELECT system, count(*) AS tasks
FROM accountsync.account_task c
WHERE state = 'ready'
  AND attempts = 0
  AND next_attempt_at BETWEEN :since AND :now
  AND {MAY_BE_SENT}
GROUP BY system
""")


def untried(connection: Connection, *, since: datetime, now: datetime) -> dict[str, int]:
    """Target → tasks that became ready since then and were not tried yet, because another account
    is there now or a run whose time was up gave them back."""
    rows = connection.execute(_UNTRIED, {"since": since, "now": now})
    return {row.system: row.tasks for row in rows}


def depth(connection: Connection, *, target: str) -> dict[str, int]:
    """Open state → tasks."""
    rows = connection.execute(
        text(
            "SELECT state, count(*) AS tasks FROM accountsync.account_task WHERE system = :system"
            f" AND state IN {listed(OPEN_STATES)} GROUP BY state"
        ),
        {"system": target},
    )
    return {row.state: row.tasks for row in rows}


_OLDEST_DUE = text(f"""
-- rides on ix_account_task_oldest
SELECT greatest(0, extract(epoch FROM clock_timestamp() - min(next_attempt_at)))
FROM accountsync.account_task c
WHERE system = :system AND state = 'ready' AND {MAY_BE_SENT}
""")


def oldest_due_s(connection: Connection, *, target: str) -> float:
    """Seconds since the longest due task could have been worked on; 0.0: nothing is due."""
    return float(connection.scalar(_OLDEST_DUE, {"system": target}) or 0.0)


_DUE_NOW = text(f"""
UPDATE accountsync.account_task
SET
  next_attempt_at = CASE
    WHEN absences = 0 AND (:cut_short OR state = 'unknown' AND unanswered = 0)
      THEN least(next_attempt_at, :now)
    ELSE next_attempt_at
  END
WHERE (state IN ('ready', 'unknown') OR state = 'needs_human' AND operation IN {listed(TAKES_AWAY)})
  AND person_id = (SELECT id FROM accountsync.person WHERE employee_number = :number)
RETURNING CASE WHEN next_attempt_at <= :now THEN system END
""")


def due_now(connection: Connection, *, number: str, now: datetime, cut_short: bool) -> set[str]:
    """Targets with something to do for one employee. A first look does not wait, nor does a
    back-off that is to be `cut_short`; the gap before a second look does (I9)."""
    bound = {"number": number, "now": now, "cut_short": cut_short}
    rows = connection.scalars(_DUE_NOW, bound)
    return {target for target in rows if target}
