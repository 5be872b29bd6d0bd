"""Feeds that the feed guard stopped: runs in state `held`, each with its staged table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from accountsync.domain.reasons import Reason, from_documents

_COLUMNS = (
    "id, source, mode, state, fetched, retried, inserted, updated, unchanged, rejected, read_from,"
    " read_to, differences, stopped_by, fingerprint, split_part(file, E'\\n', 1) AS file,"
    " started_at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFeed:
    """`state`: `held`, or what became of the feed. `file`: its name, where it is from a file."""

    id: int
    source: str
    mode: str
    state: str
    fetched: int
    retried: int
    inserted: int
    updated: int
    unchanged: int
    rejected: int
    read_from: datetime | None
    read_to: datetime | None
    differences: dict[str, Any]
    stopped_by: Sequence[Reason]
    fingerprint: str
    file: str | None
    started_at: datetime


def _feed(row: RowMapping) -> HeldFeed:
    return HeldFeed(**{**row, "stopped_by": from_documents(row["stopped_by"])})


def open_ones(connection: Connection, *, source: str | None = None) -> Sequence[HeldFeed]:
    """The feeds that are held now."""
    # rides on ix_sync_run_held
    rows = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM accountsync.sync_run WHERE state = 'held'"
            " AND (CAST(:source AS text) IS NULL OR source = :source) ORDER BY source, id"
        ),
        {"source": source},
    )
    return [_feed(row) for row in rows.mappings()]


def find(connection: Connection, feed: int) -> HeldFeed | None:
    """A feed that is or was held; None: no feed of this number ever was."""
    rows = connection.execute(
        text(
            f"SELECT {_COLUMNS} FROM accountsync.sync_run"
            " WHERE id = :feed AND fingerprint IS NOT NULL"
        ),
        {"feed": feed},
    ).mappings()
    row = rows.one_or_none()
    return _feed(row) if row else None


_SUPERSEDED_BY = text("""
-- rides on ix_sync_run_source_id
SELECT id
FROM accountsync.sync_run
WHERE source = :source
  AND id < :feed
  AND state = 'superseded'
  -- a full read takes the place of all, another one that of its own kind and file
  AND (
    :is_full
    OR (mode, split_part(file, E'\\n', 1)) IS NOT DISTINCT FROM (:mode, CAST(:file AS text))
  )
  -- after the last decision and the last merge
  AND id > (
    SELECT coalesce(max(id), 0)
    FROM accountsync.sync_run
    WHERE source = :source
      AND id < :feed
      AND NOT dry_run
      AND (state = 'rejected' OR (state = 'succeeded' AND mode IN ('incremental', 'full')))
  )
ORDER BY id
""")


def superseded_by(connection: Connection, feed: HeldFeed) -> tuple[int, ...]:
    """The held feeds whose place this one took, one after the other, without a decision or a merge
    in between: a human who was asked about one of them decides about this one."""
    bound = {
        "source": feed.source,
        "feed": feed.id,
        "mode": feed.mode,
        "is_full": feed.mode == "full",
        "file": feed.file,
    }
    return tuple(connection.scalars(_SUPERSEDED_BY, bound))


def close(connection: Connection, *, feed: int, state: str) -> None:
    """`state`: rejected or superseded."""
    connection.execute(
        text("UPDATE accountsync.sync_run SET state = :state WHERE id = :feed AND state = 'held'"),
        {"feed": feed, "state": state},
    )


def confirm(connection: Connection, *, feed: int) -> None:
    """Notes that the feed was read once more, and was the same."""
    connection.execute(
        text("UPDATE accountsync.sync_run SET finished_at = now() WHERE id = :feed"),
        {"feed": feed},
    )


_REJECTED_ALIKE = text(f"""
-- rides on ix_sync_run_held
SELECT {_COLUMNS}
FROM accountsync.sync_run
WHERE source = :source
  AND state = 'rejected'
  AND fingerprint = :fingerprint
  AND finished_at >= :since
ORDER BY id DESC
LIMIT 1
""")


def rejected_alike(
    connection: Connection, *, source: str, fingerprint: str, since: datetime
) -> HeldFeed | None:
    """A feed of the same rows that was rejected, and read at or after `since`."""
    bound = {"source": source, "fingerprint": fingerprint, "since": since}
    row = connection.execute(_REJECTED_ALIKE, bound).mappings().one_or_none()
    return _feed(row) if row else None


def merged_since(connection: Connection, *, source: str, feed: int) -> bool:
    """Whether a newer run of the source has merged anything."""
    has_merged = connection.scalar(
        text(
            "SELECT EXISTS (SELECT FROM accountsync.sync_run WHERE source = :source"
            " AND id > :feed AND state = 'succeeded' AND NOT dry_run)"
        ),
        {"source": source, "feed": feed},
    )
    return bool(has_merged)
