"""Leases: until when a worker's claim of a task holds, should the worker die."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from accountsync.domain.reasons import Kind
from accountsync.domain.tasks.error_kinds import ErrorKind
from accountsync.store import causes

_EXPIRE = text(f"""
WITH expired AS (
  -- rides on ix_account_task_lease
  UPDATE accountsync.account_task
  SET
    state = 'unknown',
    lease_until = NULL,
    claimed_by = NULL,
    {causes.because(Kind.WORKER_DIED)},
    next_attempt_at = :now
  WHERE system = :system AND state = 'running' AND lease_until < :now
  RETURNING id
)
UPDATE accountsync.task_attempt a
SET finished_at = :now, outcome = 'unknown', error_kind = '{ErrorKind.LEASE_EXPIRED}'
FROM expired
WHERE a.task_id = expired.id AND a.outcome IS NULL
""")


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


def expire_leases(connection: Connection, *, target: str, now: datetime) -> None:
    """Makes tasks unknown that a dead worker had claimed: their calls may have happened (I9)."""
    connection.execute(_EXPIRE, {"system": target, "now": now})
