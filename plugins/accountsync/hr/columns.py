"""The fields of many rows, one field after the other: a value costs a fraction of what it does row
by row."""

from __future__ import annotations

from collections.abc import Callable, Collection, MutableSequence, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from accountsync.domain.persons.person import PERSON_FIELDS, REQUIRED_FIELDS
from accountsync.domain.reasons import Kind, Reason
from accountsync.hr.values import (
    Unfit,
    ValueReader,
    at_path,
    is_usual,
    offsets_of_hours,
    text_of,
)
from accountsync.settings.hr import AnySource

Problems = Sequence[list[Reason]]
"""Of each row."""
Column = Callable[[Sequence[Any], Problems], list[str]]
_REMEMBERED = 20_000


class Columns:
    """Those of PERSON_FIELDS that are `wanted`; the others are empty."""

    def __init__(self, source: AnySource, wanted: Collection[str]) -> None:
        zone = ZoneInfo(source.zone)
        fields = {n: source.fields[n] for n in PERSON_FIELDS if n in source.fields and n in wanted}
        self._plain = {name: f.path for name, f in fields.items() if "." not in f.path}
        self._deep = {name: at_path(f.path) for name, f in fields.items() if "." in f.path}
        self._columns = {n: _column(ValueReader(n, f, zone), zone) for n, f in fields.items()}
        self._zone = source.zone
        self._required = [name for name in fields if name in REQUIRED_FIELDS]

    def read(
        self,
        rows: Sequence[Any],
        at: Sequence[int],
        values: MutableSequence[Sequence[str]],
        problems: Problems,
    ) -> None:
        """The rows `at` these positions, which are objects, into `values` and `problems`."""
        if not at:
            return
        said = [problems[n] for n in at]
        found = self._found([rows[n] for n in at])
        columns = dict.fromkeys(PERSON_FIELDS, [""] * len(at))
        for name, column in self._columns.items():
            columns[name] = column(found[name], said)
        columns["time_zone"] = [zone or self._zone for zone in columns["time_zone"]]
        for name in self._required:
            _require(name, columns[name], said)
        for n, those in zip(at, zip(*columns.values(), strict=True), strict=True):
            values[n] = those

    def _found(self, rows: Sequence[dict[Any, Any]]) -> dict[str, Sequence[Any]]:
        """What the rows hold, by field."""
        keys = list(self._plain.values())
        plain = zip(*[[*map(row.get, keys)] for row in rows], strict=True)
        found: dict[str, Sequence[Any]] = dict(zip(self._plain, plain, strict=True))
        for name, get in self._deep.items():
            found[name] = [get(row) for row in rows]
        return found


def _require(name: str, column: Sequence[str], problems: Problems) -> None:
    if "" in column:
        for value, said in zip(column, problems, strict=True):
            if not value and not any(problem.facts["field"] == name for problem in said):
                said.append(Reason.of(Kind.IS_MISSING, field=name))


def _column(reader: ValueReader, zone: ZoneInfo) -> Column:
    if reader.is_plain_text:
        return _texts(reader)
    if reader.kind is datetime and not reader.translates:
        return _moments(reader, zone)
    return _repeating(reader)


def _texts(reader: ValueReader) -> Column:
    """Nothing to do but to strip."""

    def read(found: Sequence[Any], problems: Problems) -> list[str]:
        try:
            return [
                v.strip() if v.__class__ is str else "" if v is None else text_of(v) for v in found
            ]
        except Unfit:
            return list(map(reader.read, found, problems))

    return read


def _repeating(reader: ValueReader) -> Column:
    """A million dates, or codes, have few thousand different values."""
    known: dict[Any, str] = {}

    def read_new(value: Any, problems: list[Reason]) -> str:
        may_repeat = value is None or value.__class__ is str
        if may_repeat and value in known:
            return known[value]
        before = len(problems)
        text = reader.read(value, problems)
        if may_repeat and len(problems) == before and len(known) < _REMEMBERED:
            known[value] = text
        return text

    def read(found: Sequence[Any], problems: Problems) -> list[str]:
        try:
            return [known[value] for value in found]
        except (KeyError, TypeError):
            return list(map(read_new, found, problems))

    return read


def _moments(reader: ValueReader, zone: ZoneInfo) -> Column:
    """Hardly two are the same, but most are written in one way, without a zone: then the offset of
    their hour will do."""
    offset_of = offsets_of_hours(zone, remembered=_REMEMBERED)

    def read(found: Sequence[Any], problems: Problems) -> list[str]:
        return [
            v + offset
            if v.__class__ is str and is_usual(v) and (offset := offset_of(v[:13]))
            else reader.read(v, said)
            for v, said in zip(found, problems, strict=True)
        ]

    return read
