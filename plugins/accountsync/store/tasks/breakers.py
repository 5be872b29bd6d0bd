"""The targets' circuit breakers, kept from run to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, text

from accountsync.domain.storable import cleaned
from accountsync.domain.tasks.breaker import Breaker

_READ = text(
    "SELECT system, state, failures, since, probe_at, cause, trial_task FROM accountsync.breaker"
)

_KEEP = text("""
INSERT INTO accountsync.breaker (
  system, state, failures, since, probe_at, cause, trial_task, updated_at
)
VALUES (:system, :state, :failures, :since, :probe_at, :cause, :trial_task, :now)
ON CONFLICT (system) DO UPDATE SET
  state = excluded.state,
  failures = excluded.failures,
  since = excluded.since,
  probe_at = excluded.probe_at,
  cause = excluded.cause,
  trial_task = excluded.trial_task,
  updated_at = excluded.updated_at
""")


def every(connection: Connection) -> Mapping[str, Breaker]:
    """Target → breaker; a target that is not there was never down."""
    return {
        row.system: Breaker(
            state=row.state,
            failures=row.failures,
            since=row.since,
            probe_at=row.probe_at,
            cause=row.cause,
            trial_task=row.trial_task,
        )
        for row in connection.execute(_READ)
    }


def read(connection: Connection, target: str) -> Breaker:
    return every(connection).get(target, Breaker())


def keep(connection: Connection, *, target: str, breaker: Breaker, now: datetime) -> None:
    connection.execute(_KEEP, cleaned(asdict(breaker)) | {"system": target, "now": now})
