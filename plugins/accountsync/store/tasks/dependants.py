"""Who waits for whom: released in the transaction that brings it about, or failed with it (I12)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, text

from accountsync.domain.accounts.account import TAKES_AWAY
from accountsync.domain.reasons import Kind
from accountsync.domain.task_states import FOR_A_HUMAN, OPEN_STATES
from accountsync.domain.tasks.error_kinds import ErrorKind
from accountsync.domain.tasks.outcomes import REMOVED_EVERY
from accountsync.domain.tasks.waiting import Candidates
from accountsync.store import causes
from accountsync.store.tables import listed

_LATELY = timedelta(hours=1)
"""No plan takes longer than this to be written."""

ORDER_ONLY = "(SELECT system, unnest(goes_after) FROM accountsync.planned_rules)"
"""Pairs of targets of which the first comes after the second, without needing an account there."""

CANDIDATES_OF = """ARRAY(
    SELECT jsonb_array_elements_text(CAST(:candidates AS jsonb) -> {0}.system -> {0}.operation)
  )"""
"""The targets that a task may have to wait for; none where its target is not configured any more.
Whoever lets tasks go writes these, and calls `release_satisfied` in the same transaction."""

# Of a waiting task `w`, whether what it waits for in target `s` has come about: the table of
# `domain.tasks.waiting`, of which every line is one branch (I12). A task that only changes waits
# for nothing; an older one that does goes on with any account that is there.
_SATISFIED = f"""
CASE
  -- rides on uq_account_task_open
  WHEN w.operation IN {listed(TAKES_AWAY)} THEN NOT EXISTS (
    SELECT FROM accountsync.account_task going
    WHERE going.person_id = w.person_id
      AND going.system = s
      AND going.operation IN {listed(TAKES_AWAY)}
      AND going.state IN {listed(OPEN_STATES)}
      AND (w.operation = 'delete' OR going.state NOT IN {listed(FOR_A_HUMAN)})
  )
  -- rides on uq_account_task_open
  WHEN (w.system, s) IN {ORDER_ONLY} THEN NOT EXISTS (
    SELECT FROM accountsync.account_task first
    WHERE first.person_id = w.person_id
      AND first.system = s
      AND first.operation NOT IN {listed(TAKES_AWAY)}
      AND first.state IN {listed(OPEN_STATES)}
  )
  -- rides on uq_account_person_id_system
  ELSE EXISTS (
    SELECT FROM accountsync.account a
    WHERE a.person_id = w.person_id
      AND a.system = s
      AND (
        a.state = 'active'
        OR a.state = 'disabled'
          AND (w.account_state = 'disabled' OR w.operation IN ('update', 'rename'))
      )
  )
END
"""

_RELEASE_SATISFIED = f"""
UPDATE accountsync.account_task t
SET
  waits_for = still.systems,
  state = CASE WHEN cardinality(still.systems) = 0 THEN 'ready' ELSE 'waiting' END,
  -- of one that goes on waiting: since when it waits
  next_attempt_at = CASE WHEN cardinality(still.systems) = 0 THEN :now ELSE t.next_attempt_at END
FROM (
  SELECT w.id, ARRAY(SELECT s FROM unnest(w.waits_for) s WHERE NOT {_SATISFIED}) AS systems
  FROM accountsync.account_task w
  WHERE w.state = 'waiting' {{only}}
) still
WHERE t.id = still.id AND t.waits_for <> still.systems
RETURNING t.state
"""

_OF_PERSONS = "AND w.person_id = ANY(:persons)"
_OVERLOOKED = """
AND w.id IN (
  (
    -- of the latest plans: rides on ix_account_task_plan_id
    SELECT id
    FROM accountsync.account_task
    WHERE state = 'waiting'
      AND plan_id >= (SELECT min(id) FROM accountsync.plan WHERE created_at > :lately)
    LIMIT :limit
  )
  UNION ALL
  (
    -- of all others some, from a place on that changes: rides on ix_account_task_waiting
    SELECT id
    FROM accountsync.account_task
    WHERE state = 'waiting'
      AND person_id >= CAST(:share * (SELECT max(id) FROM accountsync.person) AS bigint)
    ORDER BY person_id
    LIMIT :limit
  )
)
"""

_RELEASE_LATE = text("""
-- rides on ix_account_task_removal
UPDATE accountsync.account_task
SET state = 'ready', waits_for = '{}', next_attempt_at = :now
WHERE system = ANY(:targets)
  AND operation = 'disable'
  AND state = 'waiting'
  AND next_attempt_at <= :since
""")

_LOCK_WAITING = text("""
-- rides on ix_account_task_waiting
SELECT id
FROM accountsync.account_task
WHERE state = 'waiting' AND person_id = ANY(:persons)
ORDER BY id
FOR UPDATE
""")

_CAUSE = causes.because(
    Kind.DEPENDENCY_FAILED, facts="jsonb_build_object('system', CAST(:system AS text))"
)
_FAIL_DEPENDANTS = text(f"""
-- rides on ix_account_task_waiting
UPDATE accountsync.account_task t
SET
  state = 'failed',
  waits_for = '{{}}',
  finished_at = :now,
  {_CAUSE},
  error_kind = '{ErrorKind.DEPENDENCY_FAILED}'
WHERE state = 'waiting'
  AND person_id = ANY(:persons)
  AND :system = ANY(waits_for)
  -- a disable never fails with what it waits for, so that access ends
  AND operation <> 'disable'
  AND (system, :system) NOT IN {ORDER_ONLY}
  AND (:system, system) NOT IN {ORDER_ONLY}
  AND NOT EXISTS (
    -- another task is to bring it about after all
    SELECT FROM accountsync.account_task going
    WHERE going.person_id = t.person_id
      AND going.system = :system
      AND going.state IN {listed(OPEN_STATES)}
  )
RETURNING person_id, system
""")


def as_bound(candidates: Candidates) -> str:
    """The parameter `candidates` of `CANDIDATES_OF`."""
    return orjson.dumps(candidates, option=orjson.OPT_NON_STR_KEYS).decode()


def lock(connection: Connection, *, persons: Sequence[int]) -> None:
    """Locks the persons' waiting tasks, in order: of two targets that finish at the same time the
    second then sees the accounts of the first."""
    connection.execute(_LOCK_WAITING, {"persons": list(persons)})


def release_satisfied(
    connection: Connection, *, now: datetime, persons: Sequence[int] | None = None
) -> int:
    """Makes waiting tasks ready that have nothing to wait for any more (I12). Returns how many."""
    only = "" if persons is None else _OF_PERSONS
    bound: dict[str, Any] = {"now": now}
    if persons is not None:
        bound["persons"] = list(persons)
    states = connection.scalars(text(_RELEASE_SATISFIED.format(only=only)), bound)
    return sum(state == "ready" for state in states)


def release_overlooked(connection: Connection, *, now: datetime, share: float, limit: int) -> int:
    """Makes waiting tasks ready that were missed, and returns how many.

    Whoever ends a task releases those that wait for it, but does not see a plan that is being
    written meanwhile. So waiting tasks of the latest plans are looked at again; and in case others
    were missed, some of these, from `share` (in [0, 1)) of all persons on. However many tasks wait,
    the cost is the same.
    """
    bound = {"now": now, "lately": now - _LATELY, "share": share, "limit": limit}
    states = connection.scalars(text(_RELEASE_SATISFIED.format(only=_OVERLOOKED)), bound)
    return sum(state == "ready" for state in states)


def release_late(connection: Connection, *, targets: Sequence[str], now: datetime) -> int:
    """Makes disables ready that have waited for an hour, and returns how many: the order is a
    courtesy, and no target that is down keeps access open in another (I17)."""
    bound = {"targets": list(targets), "now": now, "since": now - REMOVED_EVERY}
    return connection.execute(_RELEASE_LATE, bound).rowcount


def fail(connection: Connection, *, target: str, persons: Sequence[int], now: datetime) -> None:
    """Fails the tasks that wait for the persons' failed tasks, and those that wait for these in
    turn. Each names the target that it waited for."""
    failed = {target: list(persons)} if persons else {}
    while failed:
        awaited, person_ids = failed.popitem()
        bound = {"system": awaited, "persons": person_ids, "now": now}
        for person_id, dependant in connection.execute(_FAIL_DEPENDANTS, bound):
            failed.setdefault(dependant, []).append(person_id)
