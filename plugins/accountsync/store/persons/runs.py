"""Sync runs, watermarks and snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, text

from accountsync.domain.reasons import Reason, as_document, as_documents
from accountsync.store.persons.merges import MergeCounts

_END_DEAD = text("""
UPDATE accountsync.sync_run
SET state = 'failed', finished_at = now(), error = 'the worker died or lost its lock'
WHERE source = :source AND state = 'running'
""")

_START = text("""
INSERT INTO accountsync.sync_run (source, mode, airflow_run_id, dry_run)
VALUES (:source, :mode, :airflow_run_id, :dry_run)
RETURNING id
""")


def start(
    connection: Connection,
    *,
    source: str,
    mode: str,
    airflow_run_id: str | None,
    dry_run: bool = False,
) -> int:
    """Records a new run and returns its id. The caller holds the source's lock, so a run that is
    still `running` has died, or has lost the lock and cannot merge, because its table goes."""
    connection.execute(_END_DEAD, {"source": source})
    bound = {
        "source": source,
        "mode": mode,
        "airflow_run_id": airflow_run_id,
        "dry_run": dry_run,
    }
    return int(connection.execute(_START, bound).scalar_one())


def unfinished(connection: Connection, *, source: str) -> list[int]:
    """Runs of the source that died and left a staged table; a held feed's stays."""
    return list(
        connection.scalars(
            text(
                "SELECT r.id FROM accountsync.sync_run r WHERE r.source = :source"
                " AND r.state <> 'held' AND to_regclass('accountsync.staged_' || r.id) IS NOT NULL"
            ),
            {"source": source},
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came out of a run. `read_from`, `read_to`: change times; None: unbounded.

    `stopped_by`: why the feed guard held its feed, or in a dry run would have.
    """

    counts: MergeCounts = MergeCounts()
    differences: Mapping[str, Any] = field(default_factory=dict)
    read_from: datetime | None = None
    read_to: datetime | None = None
    stopped_by: Sequence[Reason] = ()


_RECORD = text("""
UPDATE accountsync.sync_run
SET
  state = :state,
  finished_at = now(),
  read_from = :read_from,
  read_to = :read_to,
  fetched = :fetched,
  retried = :retried,
  inserted = :inserted,
  updated = :updated,
  unchanged = :unchanged,
  rejected = :rejected,
  differences = CAST(:differences AS jsonb),
  stopped_by = CAST(:stopped_by AS jsonb),
  fingerprint = coalesce(:fingerprint, fingerprint)
WHERE id = :run_id
""")


def succeed(connection: Connection, *, run_id: int, outcome: Outcome) -> None:
    _record(connection, run_id, outcome, state="succeeded", fingerprint=None)


def hold(connection: Connection, *, run_id: int, outcome: Outcome, fingerprint: str) -> None:
    _record(connection, run_id, outcome, state="held", fingerprint=fingerprint)


def _record(
    connection: Connection, run_id: int, outcome: Outcome, *, state: str, fingerprint: str | None
) -> None:
    bound = asdict(outcome.counts) | {
        "run_id": run_id,
        "state": state,
        "read_from": outcome.read_from,
        "read_to": outcome.read_to,
        "differences": orjson.dumps(outcome.differences).decode(),
        "stopped_by": orjson.dumps(as_documents(outcome.stopped_by)).decode(),
        "fingerprint": fingerprint,
    }
    connection.execute(_RECORD, bound)


def fail(connection: Connection, *, run_id: int, error: str) -> None:
    """Marks the run as failed. What was merged stays: a file may not be put away after the
    merge."""
    connection.execute(
        text(
            "UPDATE accountsync.sync_run SET state = 'failed', finished_at = now(), error = :error"
            " WHERE id = :run_id AND state = 'running'"
        ),
        {"run_id": run_id, "error": error},
    )


def is_failed(connection: Connection, *, run_id: int) -> bool:
    query = text("SELECT state = 'failed' FROM accountsync.sync_run WHERE id = :run_id")
    return bool(connection.scalar(query, {"run_id": run_id}))


_READ_FROM = text("""
SELECT w.value - :overlap - greatest(r.finished_at - r.started_at, interval '0')
FROM accountsync.watermark w
JOIN accountsync.sync_run r ON r.id = w.run_id
WHERE w.source = :source
""")


def read_from(connection: Connection, *, source: str, overlap: timedelta) -> datetime | None:
    """Where the next read starts: `overlap` before the watermark, and as long again as the read
    that set it took. A row that changed after its page was read is older than the newest by at most
    that.
    """
    since: datetime | None = connection.scalar(_READ_FROM, {"source": source, "overlap": overlap})
    return since


_ADVANCE_WATERMARK = text("""
INSERT INTO accountsync.watermark AS w (source, value, run_id)
VALUES (:source, :value, :run_id)
ON CONFLICT (source) DO UPDATE SET value = excluded.value, run_id = excluded.run_id
WHERE w.value < excluded.value
""")


def advance_watermark(connection: Connection, *, source: str, value: datetime, run_id: int) -> None:
    """Moves the watermark forward only, and writes nothing where it stays (I1)."""
    connection.execute(_ADVANCE_WATERMARK, {"source": source, "value": value, "run_id": run_id})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    id: int
    rows: int
    taken_at: datetime


def last_snapshot(connection: Connection, *, source: str) -> Snapshot | None:
    row = connection.execute(
        text(
            "SELECT id, rows, taken_at FROM accountsync.snapshot WHERE source = :source"
            " ORDER BY id DESC LIMIT 1"
        ),
        {"source": source},
    ).one_or_none()
    return Snapshot(id=row.id, rows=row.rows, taken_at=row.taken_at) if row else None


_LAST_FULL_READ_AT = text("""
SELECT greatest(
  (SELECT max(taken_at) FROM accountsync.snapshot WHERE source = :source),
  (
    -- rides on ix_sync_run_held
    SELECT max(finished_at)
    FROM accountsync.sync_run
    WHERE source = :source AND state IN ('held', 'rejected') AND mode = 'full'
  )
)
""")


def last_full_read_at(connection: Connection, *, source: str) -> datetime | None:
    """When the last full read ended, also one that is held or was rejected: reading everything
    again at once would bring the same. Until the next one is due, changes are read."""
    ended_at: datetime | None = connection.scalar(_LAST_FULL_READ_AT, {"source": source})
    return ended_at


def file_of(connection: Connection, *, run_id: int) -> str | None:
    """The name of the file that the run read; None: it read none."""
    name: str | None = connection.scalar(
        text("SELECT split_part(file, E'\\n', 1) FROM accountsync.sync_run WHERE id = :run_id"),
        {"run_id": run_id},
    )
    return name


def set_file(connection: Connection, *, run_id: int, file: str | None) -> None:
    if file:
        connection.execute(
            text("UPDATE accountsync.sync_run SET file = :file WHERE id = :run_id"),
            {"run_id": run_id, "file": file},
        )


_ADD_SNAPSHOT = text("""
WITH last AS (
  -- rides on ix_snapshot_source_id
  SELECT s.id, r.file
  FROM accountsync.snapshot s
  JOIN accountsync.sync_run r ON r.id = s.run_id
  WHERE s.source = :source
  ORDER BY s.id DESC
  LIMIT 1
), made AS (
  INSERT INTO accountsync.snapshot (source, run_id, rows)
  SELECT :source, :run_id, :rows
  WHERE NOT EXISTS (
    -- the same file, read again
    SELECT FROM last
    JOIN accountsync.sync_run r ON r.id = :run_id AND r.file = last.file
  )
  RETURNING id
)
SELECT coalesce((SELECT id FROM made), (SELECT id FROM last))
""")


def add_snapshot(connection: Connection, *, source: str, run_id: int, rows: int) -> int:
    """The id of the new snapshot. A file that is read again, as after an approval, makes none: it
    is the same snapshot (I4)."""
    bound = {"source": source, "run_id": run_id, "rows": rows}
    return int(connection.execute(_ADD_SNAPSHOT, bound).scalar_one())


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """`last_at`: when the last file, or new or changed person, came; None: never, since the first
    run, `first_run_at`. All by the store's clock, as `now`."""

    last_at: datetime | None
    first_run_at: datetime
    now: datetime

    @property
    def since(self) -> datetime:
        return self.last_at or self.first_run_at

    @property
    def silent_for(self) -> timedelta:
        return self.now - self.since


_NEWS = text("""
-- rides on ix_sync_run_source_id
SELECT
  max(finished_at) FILTER (
    WHERE state IN ('succeeded', 'held', 'rejected', 'superseded')
      AND mode IN ('incremental', 'full')
      -- what a dry run saw is no news to others
      AND (NOT dry_run OR id = :run_id)
      AND (file IS NOT NULL OR inserted + updated > 0)
  ) AS last_at,
  min(started_at) AS first_run_at,
  clock_timestamp() AS now
FROM accountsync.sync_run
WHERE source = :source
""")


def news(connection: Connection, *, source: str, run_id: int) -> News:
    """When something new last came, as this run sees it: what a dry run saw is no news to other
    runs. A feed that was held is news; the same rows again, after they were rejected, are not."""
    row = connection.execute(_NEWS, {"source": source, "run_id": run_id}).one()
    return News(**row._asdict())


_REPORTED = text("""
-- rides on ix_sync_run_source_id
SELECT EXISTS (
  SELECT FROM accountsync.sync_run r
  JOIN accountsync.sync_run me
    ON me.id = :run_id AND r.airflow_run_id IS DISTINCT FROM me.airflow_run_id
  WHERE r.source = me.source AND r.silent_since = :since AND r.finished_at >= :not_before
)
""")


def said_silent(
    connection: Connection, *, run_id: int, since: datetime, not_before: datetime
) -> bool:
    """Whether another Airflow run has reported this silence, at or after `not_before`."""
    bound = {"run_id": run_id, "since": since, "not_before": not_before}
    return bool(connection.scalar(_REPORTED, bound))


def say_silent(connection: Connection, *, run_id: int, since: datetime, silence: Reason) -> None:
    """Records the silence with the run, and leaves what it read and merged."""
    document = orjson.dumps(as_document(silence)).decode()
    bound = {"run_id": run_id, "since": since, "silence": document}
    connection.execute(
        text(
            "UPDATE accountsync.sync_run SET silent_since = :since,"
            " silence = CAST(:silence AS jsonb) WHERE id = :run_id"
        ),
        bound,
    )
