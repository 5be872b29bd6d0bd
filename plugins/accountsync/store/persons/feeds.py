"""A feed while it is being read: an unlogged table per run, gone after the merge.

Staged rows carry what the merge needs; `problems` not null means the row is rejected.
"""

from __future__ import annotations

import re
from binascii import hexlify
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text

from accountsync.domain.persons.person import PERSON_FIELDS
from accountsync.domain.reasons import Kind, Reason, as_documents
from accountsync.store.engine import copying

Record = tuple[Sequence[str], bytes, bytes, Sequence[Reason]]
"""Values in the order of PERSON_FIELDS, raw row, content hash, problems."""

_COPIED = ", ".join((*PERSON_FIELDS, "raw", "attributes", "content_hash", "problems", "retried"))
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_CONTROL = re.compile(r"[\\\n\r\t]")

MAY_REPLACE = """(
    -- a full read is HR's present state
    (:decides AND NOT {row}.retried)
    -- the newer change time wins, except over one from the future
    OR {person}.source_updated_at > :latest
    OR {row}.source_updated_at > {person}.source_updated_at
    -- the times do not tell: what was read later, of a feed that was held (I5)
    OR coalesce({row}.source_updated_at = {person}.source_updated_at, true)
      AND coalesce(
        {person}.updated_at <= (
          SELECT started_at FROM accountsync.sync_run WHERE id = :run_id AND state = 'held'
        ),
        true
      )
  )"""
"""Whether a staged row may replace what is known of a person. A full read is HR's present state, so
it decides (`:decides`). In any other read the newer change time wins, except over one from the
future, after `:latest`. Where the times do not tell, the later read wins: a person who changed
since a held feed was read stays as the person is (I5)."""


def table(run_id: int) -> str:
    return f"accountsync.staged_{run_id:d}"


def create(connection: Connection, *, run_id: int) -> None:
    """Makes the table of a run. A row with problems is kept in `raw`, whose json keeps what jsonb
    refuses, and any other in `attributes`. Of a row that was known when it was read only the
    identity is kept, and both are null.

    What takes the owner of the table is done by functions of the store (store.tables.functions).
    """
    connection.execute(text("SELECT accountsync.stage(:run_id)"), {"run_id": run_id})


def drop(connection: Connection, *, run_id: int) -> None:
    connection.execute(text("SELECT accountsync.unstage(:run_id)"), {"run_id": run_id})


def empty(connection: Connection, *, run_id: int) -> None:
    connection.execute(text(f"TRUNCATE {table(run_id)}"))


def lines(records: Sequence[Record], *, retried: bool) -> list[bytes]:
    """Rows as COPY reads them, with null for an empty text. A million rows go through here, so they
    are put together by hand.

    `raw` is empty or JSON, in which COPY takes no character but the backslash for its own.
    """
    end = b"t\n" if retried else b"f\n"
    return [
        b"\t".join(
            (
                values,
                raw.replace(b"\\", b"\\\\") if problems else b"",
                b"" if problems else raw.replace(b"\\", b"\\\\"),
                b"\\\\x" + hexlify(content_hash),
                _document(problems) if problems else b"",
                end,
            )
        )
        for values, (_, raw, content_hash, problems) in zip(_texts(records), records, strict=True)
    ]


def _texts(records: Sequence[Record]) -> list[bytes]:
    """The values of each row, joined. All rows are asked at once whether they need escapes."""
    if not records:
        return []
    texts = "\n".join(["\t".join(record[0]) for record in records])
    if _is_plain(texts, rows=len(records)):
        return texts.encode().split(b"\n")
    return ["\t".join(map(_escaped, record[0])).encode() for record in records]


def _is_plain(texts: str, *, rows: int) -> bool:
    return (
        "\\" not in texts
        and "\r" not in texts
        and texts.count("\n") == rows - 1
        and texts.count("\t") == rows * (len(PERSON_FIELDS) - 1)
    )


def _escaped(value: str) -> str:
    return _CONTROL.sub(lambda match: _ESCAPES[match[0]], value)


def _document(problems: Sequence[Reason]) -> bytes:
    return orjson.dumps(as_documents(problems)).replace(b"\\", b"\\\\")


def use_memory(connection: Connection) -> None:
    """Lets this transaction join and sort the keys of a million rows without the disk."""
    connection.execute(text("SET LOCAL work_mem = '64MB'"))


def build_index(connection: Connection, *, run_id: int) -> None:
    """Makes the index by which the merge joins, once all rows are there."""
    connection.execute(text("SELECT accountsync.index_staged(:run_id)"), {"run_id": run_id})


_FILL_IN_KNOWN = """
UPDATE {table} s
SET {fields}
FROM accountsync.person p
WHERE s.attributes IS NULL
  AND s.problems IS NULL
  AND p.source = :source
  AND p.source_key = s.source_key
  AND p.content_hash = s.content_hash
"""


def fill_in_known(connection: Connection, *, run_id: int, source: str) -> None:
    """Fills rows of which only the identity is staged from their persons, who hold the same, so
    that the feed is whole without the store."""
    fields = ", ".join(f"{name} = p.{name}" for name in (*PERSON_FIELDS, "attributes"))
    statement = _FILL_IN_KNOWN.format(table=table(run_id), fields=fields)
    connection.execute(text(statement), {"source": source})


def tally(connection: Connection, *, run_id: int) -> tuple[int, int]:
    """How many rows a read has, and how many of them repeat a key: in a complete read none (I2)."""
    rows, repeated = connection.execute(
        text(
            f"SELECT count(*), count(source_key) - count(DISTINCT source_key) FROM {table(run_id)}"
        )
    ).one()
    return rows, repeated


_REPEATED = Reason.of(Kind.HAS_A_NEWER_ROW, field="source_key")
_SET_REPEATED_ASIDE = """
UPDATE {table} s
SET repeated = true, problems = CAST(:problems AS jsonb)
FROM (
  SELECT
    ctid AS row,
    row_number() OVER (
      PARTITION BY source_key ORDER BY source_updated_at DESC NULLS LAST, position DESC
    ) AS rank
  FROM {table}
  WHERE source_key IS NOT NULL AND NOT retried
) ranked
WHERE s.ctid = ranked.row AND ranked.rank > 1
"""


def set_repeated_aside(connection: Connection, *, run_id: int) -> None:
    """Of rows with one key the newest counts, or the last where none is newer. The others are
    reported and not used."""
    problems = orjson.dumps(as_documents([_REPEATED])).decode()
    statement = text(_SET_REPEATED_ASIDE.format(table=table(run_id)))
    connection.execute(statement, {"problems": problems})


def add(connection: Connection, *, run_id: int, lines: Iterable[bytes]) -> None:
    statement = f"COPY {table(run_id)} ({_COPIED}) FROM STDIN (NULL '', ENCODING 'UTF8')"
    with copying(connection, statement.encode()) as copy:
        copy.write(b"".join(lines))


_OPEN_REJECTS = """
SELECT r.id, r.record_key, r.raw::text
FROM accountsync.rejected_record r
WHERE source = :source
  AND closed_at IS NULL
  AND id > :after
  AND json_typeof(r.raw) <> 'string'
  AND NOT EXISTS (
    SELECT FROM {table} s
    WHERE coalesce(s.source_key, encode(s.content_hash, 'hex')) = r.record_key
  )
ORDER BY r.id
LIMIT :limit
"""


def open_rejects(
    connection: Connection, *, run_id: int, source: str, after: int, limit: int
) -> list[tuple[int, str, Any]]:
    """Id, key and raw row of the next rows, by id, that were rejected earlier, are still open, and
    do not come in this feed. A row that was no JSON is left out, for only HR can mend it."""
    statement = text(_OPEN_REJECTS.format(table=table(run_id)))
    rows = connection.execute(statement, {"source": source, "after": after, "limit": limit})
    return [(number, key, orjson.loads(raw)) for number, key, raw in rows]


_KEEP_NEWEST_OF_RETRIED = """
DELETE FROM {table}
WHERE ctid IN (
  SELECT row
  FROM (
    SELECT
      ctid AS row, retried,
      row_number() OVER (
        PARTITION BY source_key ORDER BY retried, source_updated_at DESC NULLS LAST, position DESC
      ) AS rank
    FROM {table}
    WHERE source_key IN (SELECT source_key FROM {table} WHERE retried)
  ) ranked
  WHERE retried AND rank > 1
)
"""


def keep_newest_of_retried(connection: Connection, *, run_id: int) -> None:
    """Rows that were kept without a key, because the mapping lacked it, may be of one person: then
    the row of this read counts, or else the newest."""
    connection.execute(text(_KEEP_NEWEST_OF_RETRIED.format(table=table(run_id))))


def keep(connection: Connection, *, run_id: int) -> None:
    """Makes the table outlive a crash of the database, which empties unlogged ones: a human is
    going to look at it."""
    connection.execute(text("SELECT accountsync.keep_staged(:run_id)"), {"run_id": run_id})


def count(connection: Connection, *, run_id: int) -> int:
    """How many rows of the read are staged. Whoever uses them compares, because a crash of the
    database empties the table."""
    counted = text(f"SELECT count(*) FROM {table(run_id)} WHERE NOT retried")
    return int(connection.scalar(counted) or 0)


_HIDES_A_KEY = """
SELECT EXISTS (
  SELECT FROM {table}
  WHERE source_key IS NULL
    AND employee_number IS NULL
    AND NOT retried
    AND (full_name IS NOT NULL OR json_typeof(raw) = 'string')
)
"""


def hides_a_key(connection: Connection, *, run_id: int) -> bool:
    """Whether a row of the read may be anybody's: it has neither key nor number, and is unreadable
    or has a name. A blank row is nobody's."""
    return bool(connection.scalar(text(_HIDES_A_KEY.format(table=table(run_id)))))


def fingerprint(connection: Connection, *, run_id: int) -> str:
    """A hash that is the same for feeds of the same rows, in whatever order they came."""
    digest = connection.scalar(
        text(
            "SELECT md5(coalesce(string_agg(content_hash, ''::bytea ORDER BY content_hash), ''))"
            f" FROM {table(run_id)}"
        )
    )
    return str(digest)


def keep_numbers(connection: Connection, *, run_id: int, numbers: Iterable[str]) -> int:
    """A read of some persons uses the rows with their employee numbers only. Counts the others."""
    return connection.execute(
        text(
            f"DELETE FROM {table(run_id)}"
            " WHERE employee_number IS NULL OR employee_number <> ALL(:numbers)"
        ),
        {"numbers": list(numbers)},
    ).rowcount


_WITHOUT_ROW = """
SELECT number
FROM unnest(CAST(:numbers AS text[])) AS asked (number)
WHERE NOT EXISTS (SELECT FROM {table} WHERE employee_number = number)
ORDER BY 1
"""


def without_row(connection: Connection, *, run_id: int, numbers: Iterable[str]) -> list[str]:
    """Those of the employee numbers that no row has."""
    statement = text(_WITHOUT_ROW.format(table=table(run_id)))
    return list(connection.scalars(statement, {"numbers": list(numbers)}))


def keep_window(connection: Connection, *, run_id: int, start: datetime, end: datetime) -> int:
    """A backfill uses the rows changed in [start, end) only. Counts the others."""
    return connection.execute(
        text(
            f"DELETE FROM {table(run_id)} WHERE source_updated_at IS NULL"
            " OR source_updated_at < :start OR source_updated_at >= :end"
        ),
        {"start": start, "end": end},
    ).rowcount
