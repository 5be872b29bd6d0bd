"""A feed while it is being read: an unlogged table per run, gone after the merge.

Staged rows carry what the merge needs; `problems` not null means the row is rejected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import orjson
import psycopg
from sqlalchemy import Connection, text

from accountsync.domain.person import PERSON_FIELDS
from accountsync.store.engine import driver

_TYPES: Mapping[type, str] = {str: "text", date: "date", datetime: "timestamptz"}
_COLUMNS = ", ".join(f"{name} {_TYPES[kind]}" for name, kind in PERSON_FIELDS.items())
_COPIED = ", ".join((*PERSON_FIELDS, "raw", "content_hash", "problems", "retried"))

MAY_REPLACE = """(
  (:decides AND NOT {row}.retried) OR {person}.source_updated_at > :latest
  OR coalesce({row}.source_updated_at >= {person}.source_updated_at, true))"""
"""Whether a staged row may replace what is known of a person. A full read is HR's present state,
so it decides (`:decides`); of anything else the newer change time wins, except over one from the
future, after `:latest` (I5)."""


def table(run_id: int) -> str:
    return f"accountsync.staged_{run_id:d}"


def create(connection: Connection, *, run_id: int) -> None:
    """`raw` is json, not jsonb: it keeps what jsonb refuses, and is free where nothing changed."""
    connection.execute(
        text(
            f"CREATE UNLOGGED TABLE {table(run_id)}"
            f" (position bigint GENERATED ALWAYS AS IDENTITY, {_COLUMNS}, raw json NOT NULL,"
            " content_hash bytea NOT NULL, problems text[], retried boolean NOT NULL)"
        )
    )


def drop(connection: Connection, *, run_id: int) -> None:
    connection.execute(text(f"DROP TABLE IF EXISTS {table(run_id)}"))


def empty(connection: Connection, *, run_id: int) -> None:
    connection.execute(text(f"TRUNCATE {table(run_id)} RESTART IDENTITY"))


@contextmanager
def copying(connection: Connection, *, run_id: int) -> Iterator[psycopg.Copy]:
    with (
        driver(connection).cursor() as cursor,
        cursor.copy(f"COPY {table(run_id)} ({_COPIED}) FROM STDIN".encode()) as copy,
    ):
        yield copy


def build_indexes(connection: Connection, *, run_id: int) -> None:
    """After the rows: the merge joins by key and checks numbers."""
    for column in ("source_key", "employee_number"):
        name = f"staged_{run_id:d}_{column}"
        connection.execute(text(f"CREATE INDEX IF NOT EXISTS {name} ON {table(run_id)} ({column})"))
    connection.execute(text(f"ANALYZE {table(run_id)}"))


def repeated_keys(connection: Connection, *, run_id: int) -> int:
    """Rows beyond the first of their key: in a complete read there are none (I2)."""
    counted = connection.scalar(
        text(
            "SELECT count(source_key) - count(DISTINCT source_key)"
            f" FROM {table(run_id)} WHERE NOT retried"
        )
    )
    return int(counted or 0)


def add(connection: Connection, *, run_id: int, rows: Iterable[tuple[Any, ...]]) -> None:
    with copying(connection, run_id=run_id) as copy:
        for row in rows:
            copy.write_row(row)


def open_rejects(connection: Connection, *, run_id: int, source: str) -> Iterator[Any]:
    """Raw rows that were rejected earlier, are still open, and do not come in this feed."""
    rows = connection.execute(
        text(
            "SELECT raw::text FROM accountsync.rejected_record r"
            " WHERE source = :source AND closed_at IS NULL AND NOT EXISTS ("
            f"  SELECT FROM {table(run_id)} s"
            "  WHERE coalesce(s.source_key, encode(s.content_hash, 'hex')) = r.record_key)"
        ),
        {"source": source},
    )
    return (orjson.loads(raw) for (raw,) in rows.all())


def keep(connection: Connection, *, run_id: int) -> None:
    """For a human to look at: it has to outlive a crash of the database, which empties unlogged
    tables."""
    connection.execute(text(f"ALTER TABLE {table(run_id)} SET LOGGED"))


def count(connection: Connection, *, run_id: int) -> int:
    return int(connection.scalar(text(f"SELECT count(*) FROM {table(run_id)}")) or 0)


def fingerprint(connection: Connection, *, run_id: int) -> str:
    """The same for feeds of the same rows, in whatever order they came."""
    found = connection.scalar(
        text(
            "SELECT md5(coalesce(string_agg(content_hash, ''::bytea ORDER BY content_hash), ''))"
            f" FROM {table(run_id)}"
        )
    )
    return str(found)


def keep_numbers(connection: Connection, *, run_id: int, numbers: Iterable[str]) -> None:
    """A read of some persons uses the rows with their employee numbers only."""
    connection.execute(
        text(
            f"DELETE FROM {table(run_id)}"
            " WHERE employee_number IS NULL OR employee_number <> ALL(:numbers)"
        ),
        {"numbers": list(numbers)},
    )


def without_row(connection: Connection, *, run_id: int, numbers: Iterable[str]) -> list[str]:
    """Those of the employee numbers that no row has."""
    return list(
        connection.scalars(
            text(
                "SELECT number FROM unnest(CAST(:numbers AS text[])) AS asked (number)"
                f" WHERE NOT EXISTS (SELECT FROM {table(run_id)} WHERE employee_number = number)"
                " ORDER BY 1"
            ),
            {"numbers": list(numbers)},
        )
    )


def keep_window(connection: Connection, *, run_id: int, start: Any, end: Any) -> None:
    """A backfill uses the rows changed in [start, end) only."""
    connection.execute(
        text(
            f"DELETE FROM {table(run_id)} WHERE source_updated_at IS NULL"
            " OR source_updated_at < :start OR source_updated_at >= :end"
        ),
        {"start": start, "end": end},
    )


_REJECT_TAKEN_NUMBERS = """
WITH twin AS (
  SELECT employee_number FROM {table} WHERE problems IS NULL
  GROUP BY employee_number HAVING count(*) > 1
), taker AS (
  SELECT s.ctid AS row, s.employee_number, p.id AS person_id
  FROM {table} s LEFT JOIN accountsync.person p
    ON p.source = :source AND p.source_key = s.source_key
  WHERE s.problems IS NULL AND (p.id IS NULL OR p.employee_number <> s.employee_number)
    AND {taker_may_replace}
), refused AS (
  SELECT row FROM taker JOIN twin USING (employee_number)
  UNION
  SELECT row FROM taker t
  JOIN accountsync.person holder ON holder.employee_number = t.employee_number
  WHERE NOT EXISTS (
    SELECT FROM {table} moving
    WHERE holder.source = :source AND moving.source_key = holder.source_key
      AND moving.problems IS NULL AND moving.employee_number <> holder.employee_number
      AND {mover_may_replace})
)
UPDATE {table} s SET problems = ARRAY['employee_number: belongs to another person']
FROM refused WHERE s.ctid = refused.row
"""


def reject_taken_numbers(
    connection: Connection, *, run_id: int, source: str, latest: datetime, decides: bool
) -> None:
    """A number that two rows newly want, or that its holder does not give up in this feed.

    Repeated until nothing changes: a refused row keeps its old number, which another row may want.
    """
    statement = text(
        _REJECT_TAKEN_NUMBERS.format(
            table=table(run_id),
            taker_may_replace=MAY_REPLACE.format(row="s", person="p"),
            mover_may_replace=MAY_REPLACE.format(row="moving", person="holder"),
        )
    )
    bound = {"source": source, "latest": latest, "decides": decides}
    while connection.execute(statement, bound).rowcount:
        pass
