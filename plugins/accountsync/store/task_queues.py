"""What waits in the queue of account tasks, and for how long."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, text

from accountsync.store.tables import OPEN_STATES

_DUE = text(  # ix_account_task_oldest, ix_account_task_unknown, ix_account_task_lease
    "SELECT s.system FROM unnest(CAST(:systems AS text[])) WITH ORDINALITY s (system, place)"
    " WHERE EXISTS (SELECT FROM accountsync.account_task t WHERE t.system = s.system"
    "  AND state = 'ready' AND next_attempt_at <= :now)"
    " OR EXISTS (SELECT FROM accountsync.account_task t WHERE t.system = s.system"
    "  AND state = 'unknown' AND next_attempt_at <= :now)"
    " OR EXISTS (SELECT FROM accountsync.account_task t WHERE t.system = s.system"
    "  AND state = 'running' AND lease_until < :now)"
    " ORDER BY s.place"
)


def due_systems(connection: Connection, *, systems: Iterable[str], now: datetime) -> list[str]:
    """Those with tasks that can be worked on now. Costs the same however long the queues are."""
    return list(connection.scalars(_DUE, {"systems": list(systems), "now": now}))


def untried(connection: Connection, *, since: datetime, now: datetime) -> dict[str, int]:
    """System → tasks that became ready since then and were not tried yet: others' accounts are
    there now, or a run whose time was up gave them back."""
    rows = connection.execute(  # ix_account_task_oldest
        text(
            "SELECT system, count(*) AS tasks FROM accountsync.account_task WHERE state = 'ready'"
            " AND attempts = 0 AND next_attempt_at BETWEEN :since AND :now GROUP BY system"
        ),
        {"since": since, "now": now},
    )
    return {row.system: row.tasks for row in rows}


def depth(connection: Connection, *, system: str) -> dict[str, int]:
    """Open state → tasks."""
    rows = connection.execute(
        text(
            "SELECT state, count(*) AS tasks FROM accountsync.account_task WHERE system = :system"
            f" AND state IN {OPEN_STATES!r} GROUP BY state"
        ),
        {"system": system},
    )
    return {row.state: row.tasks for row in rows}


def oldest_due_s(connection: Connection, *, system: str) -> float:
    """Seconds since the longest due task could have been worked on; 0.0: nothing is due."""
    return float(
        connection.scalar(  # ix_account_task_oldest
            text(
                "SELECT greatest(0, extract(epoch FROM clock_timestamp() - min(next_attempt_at)))"
                " FROM accountsync.account_task WHERE system = :system AND state = 'ready'"
            ),
            {"system": system},
        )
        or 0.0
    )
