"""Maps rows of HR to staged records, each with a list of what is wrong with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from accountsync.domain.persons.person import PERSON_FIELDS
from accountsync.domain.reasons import Kind, Reason
from accountsync.hr.columns import Columns
from accountsync.hr.known import Known
from accountsync.hr.values import of_field
from accountsync.settings.hr import AnySource
from accountsync.wire.unreadable import Unreadable, marked, read_again, written

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_AS_ROW = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS  # Unreadable is one
_IDENTITY = ("source_key", "employee_number", "source_updated_at")
"""The fields that a merge needs even of a row that holds nothing new."""
_NOTHING = ("",) * len(PERSON_FIELDS)
_SOURCE_KEY_AT = list(PERSON_FIELDS).index("source_key")
_ROW = "row"
"""Stands for the field where a row as a whole is wrong."""
_TOO_DEEP = Reason.of(Kind.IS_NESTED_TOO_DEEP)
_NOT_KEPT = "is nested too deep to be kept"
"""Stands in the store in place of such a row."""
_LONGEST_TEXT = 500
_LONG_ROW = 2_000
"""In bytes. A shorter row holds nothing that is too long for an index of the store."""


class StagedRecord(NamedTuple):
    """`values`: in the order of PERSON_FIELDS, dates and moments (in UTC) as ISO 8601, empty where
    there is none. `raw`: JSON; empty where nothing is new. `problems`: each with its field."""

    values: Sequence[str]
    raw: bytes
    content_hash: bytes
    problems: list[Reason]

    @property
    def source_key(self) -> str:
        return self.values[_SOURCE_KEY_AT]


class RowMapper:
    """Maps the rows of one run, page by page. The mapping is compiled once.

    `content_hash` covers the row and the mapping, so that a new mapping rewrites every person.
    """

    def __init__(self, source: AnySource) -> None:
        self._all = Columns(source, PERSON_FIELDS)
        self._identity = Columns(source, _IDENTITY)
        described = source.model_dump(mode="json", include={"fields", "zone"})
        described_raw = orjson.dumps(described, option=orjson.OPT_SORT_KEYS)
        key = hashlib.blake2b(described_raw, digest_size=16).digest()
        self._hash = hashlib.blake2b(digest_size=16, key=key)

    def map(self, rows: Sequence[Any], known: Known = frozenset()) -> list[StagedRecord]:
        """`known`: content hashes of persons in the store; of a row that has one of them, and so
        holds nothing new, only the identity is read."""
        problems: list[list[Reason]] = [[] for _ in rows]
        raws, rows = _written(rows, problems)
        hashes = [self._hash_of(raw) for raw in raws]
        values: list[Sequence[str]] = [_NOTHING] * len(rows)
        objects = _objects(rows, problems)
        old = [n for n in objects if hashes[n] in known] if known else []
        for n in old:
            raws[n] = b""
        self._identity.read(rows, old, values, problems)
        self._all.read(rows, [n for n in objects if raws[n]], values, problems)
        for n, raw in enumerate(raws):
            if len(raw) > _LONG_ROW or (b"\\" in raw and b"\\u0000" in raw):
                values[n] = _storable(values[n], raw, problems[n])
        return list(map(StagedRecord, values, raws, hashes, problems))

    def map_kept(self, raw: Any) -> StagedRecord:
        """Maps a row out of the store. A row that was unreadable is unreadable again."""
        return self.map([read_again(raw)])[0]

    def _hash_of(self, raw: bytes) -> bytes:
        hashing = self._hash.copy()
        hashing.update(raw)
        return hashing.digest()


def _written(
    rows: Sequence[Any], problems: Sequence[list[Reason]]
) -> tuple[list[bytes], Sequence[Any]]:
    """The rows as JSON that any database keeps, and as they are mapped."""
    try:
        return [orjson.dumps(row, option=_AS_ROW) for row in rows], rows
    except TypeError:
        pairs = [_written_row(*row) for row in zip(rows, problems, strict=True)]
        return [raw for raw, _ in pairs], [row for _, row in pairs]


def _written_row(row: Any, problems: list[Reason]) -> tuple[bytes, Any]:
    try:
        return orjson.dumps(row, option=_AS_ROW), row
    except TypeError:
        return _unreadable(row, problems)


def _unreadable(row: Any, problems: list[Reason]) -> tuple[bytes, Any]:
    """A row that is no JSON: a text that can be kept, and values that know what is wrong with them
    (I3)."""
    try:
        raw, readable = written(row), marked(row)
    except RecursionError:
        problems.append(of_field(_ROW, _TOO_DEEP))
        return written(Unreadable(_NOT_KEPT, _TOO_DEEP)), None
    whole = isinstance(row, Unreadable)
    problems.append(of_field(_ROW, row.reason if whole else Reason.of(Kind.IS_NO_JSON_VALUE)))
    return raw, readable


def _objects(rows: Sequence[Any], problems: Sequence[list[Reason]]) -> list[int]:
    """The positions of the rows that are objects; the other rows get a problem."""
    for row, row_problems in zip(rows, problems, strict=True):
        if not row_problems and not isinstance(row, dict):
            row_problems.append(Reason.of(Kind.IS_NOT_AN_OBJECT, field=_ROW))
    return [n for n, row in enumerate(rows) if isinstance(row, dict)]


def _storable(values: Sequence[str], raw: bytes, problems: list[Reason]) -> list[str]:
    """What PostgreSQL would refuse is rejected here, before it stops the good rows (I3)."""
    if _NUL.search(raw):
        problems.append(Reason.of(Kind.HAS_A_NUL_CHARACTER, field=_ROW))
    storable = list(values)
    for position, (name, value) in enumerate(zip(PERSON_FIELDS, values, strict=True)):
        if len(value) > _LONGEST_TEXT:
            problems.append(Reason.of(Kind.IS_TOO_LONG, field=name, allowed=_LONGEST_TEXT))
        if len(value) > _LONGEST_TEXT or "\x00" in value:
            storable[position] = ""
    return storable
