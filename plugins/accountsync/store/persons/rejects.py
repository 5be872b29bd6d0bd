"""Rejected rows: opened, kept, closed (I3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from accountsync.domain.reasons import Reason, from_documents
from accountsync.store.engine import bigints
from accountsync.store.persons.feeds import table

_REASONS_TOLD = 20
"""At most so many are listed: in a file whose lines are no JSON, each has a reason of its own."""
_KEY = "coalesce(s.source_key, encode(s.content_hash, 'hex'))"

_OPEN = """
INSERT INTO accountsync.rejected_record (
  source, record_key, raw, reasons, first_run_id, last_run_id
)
SELECT DISTINCT ON ({key})
  :source, {key}, coalesce(s.raw, s.attributes::json), s.problems, :run_id, :run_id
FROM {table} s
WHERE s.problems IS NOT NULL AND NOT s.repeated
ORDER BY {key}, s.retried, s.position
-- the predicate of uq_rejected_record_open
ON CONFLICT (source, record_key) WHERE closed_at IS NULL DO UPDATE SET
  raw = excluded.raw,
  reasons = excluded.reasons,
  last_run_id = excluded.last_run_id
-- what a newer run rejected stays, and nothing is written where nothing differs
WHERE rejected_record.last_run_id <= :run_id
  AND (rejected_record.raw::text, rejected_record.reasons)
    IS DISTINCT FROM (excluded.raw::text, excluded.reasons)
"""

_CLOSE_FIXED = """
UPDATE accountsync.rejected_record r
SET closed_at = now(), closed_because = 'fixed'
FROM {table} s
WHERE r.source = :source
  AND r.closed_at IS NULL
  AND s.problems IS NULL
  AND s.source_key = r.record_key
  AND (s.retried OR r.last_run_id <= :run_id)
"""

_CLOSE_GONE = """
UPDATE accountsync.rejected_record r
SET closed_at = now(), closed_because = 'gone from HR'
WHERE r.source = :source
  AND r.closed_at IS NULL
  AND r.last_run_id <= :run_id
  AND NOT EXISTS (SELECT FROM {table} s WHERE NOT s.retried AND {key} = r.record_key)
"""


_REASONS = """
SELECT
  reason,
  count(*),
  (
    array_agg(s.employee_number ORDER BY s.employee_number)
    FILTER (WHERE s.employee_number IS NOT NULL)
  )[1:{examples}]
FROM {table} s
CROSS JOIN LATERAL jsonb_array_elements(s.problems) reason
GROUP BY 1
ORDER BY 2 DESC, 1
LIMIT {reasons}
"""

_NEW = """
SELECT count(*)
FROM {table} s
WHERE s.problems IS NOT NULL
  AND NOT s.retried
  AND NOT s.repeated
  AND NOT EXISTS (
    SELECT FROM accountsync.rejected_record r
    WHERE r.source = :source AND r.closed_at IS NULL AND r.record_key = {key}
  )
"""


_CLOSE_BY_HAND = """
UPDATE accountsync.rejected_record
SET closed_at = now(), closed_because = 'closed by hand'
WHERE source = :source AND record_key = :key AND closed_at IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenReject:
    """`since`: when the run began that rejected the row first."""

    source: str
    record_key: str
    reasons: Sequence[Reason]
    since: datetime
    raw: Any


_OPEN_ONES = text("""
-- of one source: rides on uq_rejected_record_open
SELECT r.source, r.record_key, r.reasons, first.started_at AS since, r.raw
FROM accountsync.rejected_record r
JOIN accountsync.sync_run first ON first.id = r.first_run_id
WHERE r.closed_at IS NULL AND (CAST(:source AS text) IS NULL OR r.source = :source)
ORDER BY r.source, r.id
""")


def open_ones(connection: Connection, *, source: str | None = None) -> Iterator[OpenReject]:
    rows = connection.execute(_OPEN_ONES, {"source": source}).mappings()
    return (OpenReject(**{**row, "reasons": from_documents(row["reasons"])}) for row in rows)


def close(connection: Connection, *, source: str, record_key: str) -> bool:
    """Closes a row by hand. Returns whether there was such an open row."""
    bound = {"source": source, "key": record_key}
    return connection.execute(text(_CLOSE_BY_HAND), bound).rowcount == 1


def close_other_keys(connection: Connection, ids: Sequence[int]) -> None:
    """Closes rows that have got another key, because they now have one or the mapping changed. If
    they are still wrong, they are kept under that key."""
    connection.execute(
        text(
            "UPDATE accountsync.rejected_record SET closed_at = now(),"
            " closed_because = 'kept under another key' WHERE id = ANY(CAST(:ids AS bigint[]))"
        ),
        {"ids": bigints(ids)},
    )


def reasons(connection: Connection, *, run_id: int, examples: int) -> list[dict[str, Any]]:
    """The most frequent reasons of the staged rows that are rejected, each with the number of rows
    and a few employee numbers."""
    statement = _REASONS.format(table=table(run_id), examples=examples, reasons=_REASONS_TOLD)
    return [
        {"reason": reason, "rows": rows, "examples": numbers or []}
        for reason, rows, numbers in connection.execute(text(statement))
    ]


def count_new(connection: Connection, *, run_id: int, source: str) -> int:
    """How many staged rows are rejected and were not before. It has to be asked before `record`."""
    statement = _NEW.format(table=table(run_id), key=_KEY)
    return int(connection.scalar(text(statement), {"source": source}) or 0)


def record(
    connection: Connection, *, run_id: int, source: str, rejected: int, complete: bool
) -> None:
    """Opens the rows that this feed rejected (so many), and closes those that it brought right.

    `complete`: the feed was a full read, so a rejected row that is not in it is gone from HR.
    A row that a newer run rejected stays as it is, for the feed may have been held since.
    """
    names = {"table": table(run_id), "key": _KEY}
    bound = {"source": source, "run_id": run_id}
    if rejected:
        connection.execute(text(_OPEN.format(**names)), bound)
    connection.execute(text(_CLOSE_FIXED.format(**names)), bound)
    if complete:
        connection.execute(text(_CLOSE_GONE.format(**names)), bound)
