"""One row of HR becomes one staged record, or a list of what is wrong with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Container, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import orjson

from accountsync.domain.person import PERSON_FIELDS, REQUIRED_FIELDS
from accountsync.settings.hr import EPOCHS, AnySource, SourceField
from accountsync.wire.unreadable import HALF_CHARACTER, Unreadable, marked, read_again, written

Read = Callable[[Any], Any]
_REMEMBERED = 20_000
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_NONE = timedelta(0)
_MINUTE = timedelta(minutes=1)
_USUAL = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:[0-5]\d:[0-5]\d", re.ASCII)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_ISO = re.compile(r"\d{4}-|\d{8}(?!\d)")
"""fromisoformat alone would read some times in milliseconds as days of the 18th century."""
_AS_ROW = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS  # Unreadable is one
_IDENTITY = ("source_key", "employee_number", "source_updated_at")
"""What a merge asks even of a row that holds nothing new."""
_LONGEST_TEXT = 500
_LONG_ROW = 2_000
"""Bytes. A shorter row holds nothing that is too long for an index of the store."""


class StagedRecord(NamedTuple):
    """`values`: in the order of PERSON_FIELDS, dates and moments (in UTC) as ISO 8601. `raw`: JSON;
    empty where nothing is new. `problems`: `field: reason`."""

    values: Sequence[str | None]
    raw: bytes
    content_hash: bytes
    problems: list[str]


class RowMapper:
    """Compiled once per run; a million rows go through `map`: its usual path calls next to nothing.

    `content_hash` covers the row and the mapping, so that a new mapping rewrites.
    """

    def __init__(self, source: AnySource) -> None:
        self._all = _Values(source, PERSON_FIELDS)
        self._identity = _Values(source, _IDENTITY)
        described = source.model_dump(mode="json", include={"fields", "zone"})
        described_raw = orjson.dumps(described, option=orjson.OPT_SORT_KEYS)
        key = hashlib.blake2b(described_raw, digest_size=16).digest()
        self._hash = hashlib.blake2b(digest_size=16, key=key)

    def map(self, row: Any, known: Container[bytes] = ()) -> StagedRecord:
        """`known`: content hashes of persons in the store; of a row that has one of them, and so
        holds nothing new, only the identity is read."""
        problems: list[str] = []
        try:
            raw = orjson.dumps(row, option=_AS_ROW)
        except TypeError:
            raw, row = _unreadable(row, problems)
        hashing = self._hash.copy()
        hashing.update(raw)
        content_hash = hashing.digest()
        if content_hash in known:
            return StagedRecord(self._identity.read(row, problems), b"", content_hash, problems)
        if isinstance(row, dict):
            values = self._all.read(row, problems)
        else:
            values = [None] * len(PERSON_FIELDS)
            if not problems:
                problems.append("row: not an object")
        if len(raw) > _LONG_ROW or (b"\\" in raw and b"\\u0000" in raw):
            _drop_unstorable(values, raw, problems)
        return StagedRecord(values, raw, content_hash, problems)

    def map_kept(self, raw: Any) -> StagedRecord:
        """A row out of the store; one that was unreadable is so again."""
        return self.map(read_again(raw))


class _Values:
    """Reads those of PERSON_FIELDS that are `wanted`; the others are none."""

    def __init__(self, source: AnySource, wanted: Collection[str]) -> None:
        zone = ZoneInfo(source.zone)
        fields = [source.fields.get(name) if name in wanted else None for name in PERSON_FIELDS]
        self._keys = [None if f is None or "." in f.path else f.path for f in fields]
        self._deep = [(n, _deep(f.path)) for n, f in enumerate(fields) if f and "." in f.path]
        readers = [
            (n, _FieldReader(name, kind, field, zone))
            for n, ((name, kind), field) in enumerate(
                zip(PERSON_FIELDS.items(), fields, strict=True)
            )
            if field
        ]
        self._texts = [(n, reader.read) for n, reader in readers if reader.is_plain_text]
        self._others = [
            (n, reader.read, reader.known) for n, reader in readers if not reader.is_plain_text
        ]
        self._zone_at, self._zone = list(PERSON_FIELDS).index("time_zone"), source.zone
        self._required = [
            (n, name)
            for n, name in enumerate(PERSON_FIELDS)
            if name in REQUIRED_FIELDS and name in wanted
        ]

    def read(self, row: dict[Any, Any], problems: list[str]) -> list[Any]:
        found = list(map(row.get, self._keys))
        for position, path in self._deep:
            found[position] = path(row)
        try:
            values = [
                v.strip() or None if v.__class__ is str else v if v is None else _text(v)
                for v in found
            ]
        except TypeError:
            values = found
            for position, read in self._texts:
                values[position] = read(values[position], problems)
        for position, read, known in self._others:
            value = values[position]
            is_known = (value is None or value.__class__ is str) and value in known
            values[position] = known[value] if is_known else read(value, problems)
        values[self._zone_at] = values[self._zone_at] or self._zone
        for position, name in self._required:
            if values[position] is None and not any(p.startswith(name) for p in problems):
                problems.append(f"{name}: is missing")
        return values


def _unreadable(row: Any, problems: list[str]) -> tuple[bytes, Any]:
    """A row that is no JSON: a text that can be kept, and values that know what is wrong with them
    (I3)."""
    raw = written(row)
    said = (
        row.reason
        if isinstance(row, Unreadable)
        else f"{HALF_CHARACTER}, or a number that cannot be kept"
    )
    problems.append(f"row: {said}")
    return raw, marked(row)


def _drop_unstorable(values: list[Any], raw: bytes, problems: list[str]) -> None:
    """What PostgreSQL would refuse is rejected here, before it stops the good rows (I3)."""
    if _NUL.search(raw):
        problems.append("row: holds a NUL character")
    for position, name in enumerate(PERSON_FIELDS):
        value = values[position]
        if value.__class__ is not str:
            continue
        if len(value) > _LONGEST_TEXT:
            problems.append(f"{name}: is longer than {_LONGEST_TEXT} characters")
        if len(value) > _LONGEST_TEXT or "\x00" in value:
            values[position] = None


class _FieldReader:
    """`is_plain_text`: nothing to do but to strip. `known`: what texts, and none, became: a million
    dates have few thousand different values; of moments hardly two are the same."""

    def __init__(self, name: str, kind: type, field: SourceField, zone: ZoneInfo) -> None:
        self._name = name
        self._default = field.default
        self._translate = field.translate
        self._convert = _zone if name == "time_zone" else _converter(kind, field.formats, zone)
        self.known: dict[str | None, Any] = {}
        self._remembered = 1 if kind is datetime else _REMEMBERED
        self.is_plain_text = self._convert is _text and not (field.default or field.translate)

    def read(self, value: Any, problems: list[str]) -> Any:
        try:
            found = self._read(value)
        except (ValueError, TypeError, OverflowError) as error:
            problems.append(f"{self._name}: {error}")
            return None
        if (value is None or value.__class__ is str) and len(self.known) < self._remembered:
            self.known[value] = found
        return found

    def _read(self, value: Any) -> Any:
        if value.__class__ is str:
            value = value.strip()
        if value is None or value == "":
            value = self._default
        if self._translate and value is not None:
            value = self._translate.get(_spelt(value), value)
        return None if value is None else self._convert(value) or None


def _spelt(value: Any) -> str:
    """As JSON spells it: `translate: {"true": "1"}`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _deep(path: str) -> Read:
    """`a.b.0.c`: keys of objects and positions in lists; what is not there is None."""
    steps = [int(step) if step.isdigit() else step for step in path.split(".")]

    def get(row: Any) -> Any:
        for step in steps:
            if isinstance(row, str):
                return None
            try:
                row = row[step]
            except (KeyError, IndexError, TypeError):
                return None
        return row

    return get


def _converter(kind: type, formats: Sequence[str], zone: ZoneInfo) -> Read:
    if kind is date:
        return lambda value: _date(text, formats, zone) if (text := _text(value)) else None
    if kind is datetime:
        instant = _instants(formats, zone)
        return lambda value: instant(text) if (text := _text(value)) else None
    return _text


def _text(value: Any) -> str:
    if isinstance(value, str):
        text = value.strip()
        if "\x00" in text:
            raise ValueError("holds a NUL character")
        return text
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Unreadable):
        raise TypeError(value.reason)
    raise TypeError(f"is a {type(value).__name__}, expected a text")


def _zone(value: Any) -> str:
    """Whose days begin when: dates of the person's life are days in it."""
    name = _text(value)
    if name and name not in _zones():
        raise ValueError("is no time zone of the IANA database")
    return name


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _date(text: str, formats: Sequence[str], zone: ZoneInfo) -> str:
    if len(text) == 10 and text[4] == "-":
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            raise ValueError("is not a date of the calendar") from None
    moment = _moment(text, formats)
    return (moment.astimezone(zone) if moment.tzinfo else moment).date().isoformat()


def _instants(formats: Sequence[str], zone: ZoneInfo) -> Callable[[str], str]:
    """Most moments are written in one way, without a zone: then the offset of their hour will do,
    if it is that of the whole hour."""
    offsets: dict[str, str] = {}

    def read(text: str) -> str:
        if not _USUAL.fullmatch(text):
            return _instant(text, formats, zone)
        hour = text[:13]
        if hour not in offsets:
            if len(offsets) > _REMEMBERED:
                offsets.clear()
            offsets[hour] = _offset_of_hour(hour, zone)
        offset = offsets[hour]
        return text + offset if offset else _instant(text, formats, zone)

    return read


def _offset_of_hour(hour: str, zone: ZoneInfo) -> str:
    """Nothing where it changes within the hour, is none of whole minutes, where the calendar ends,
    and where there is no such hour."""
    begin = _iso(hour)
    if begin is None:
        return ""
    begin = begin.replace(tzinfo=zone)
    end = begin.replace(minute=59, second=59)
    offset = begin.utcoffset() or _NONE
    is_plain = offset == end.utcoffset() and not offset % _MINUTE and 1 < begin.year < 9999
    return begin.isoformat()[19:] if is_plain else ""


def _instant(text: str, formats: Sequence[str], zone: ZoneInfo) -> str:
    """In UTC; raises OverflowError before year 1 or after 9999 (0001-01-01 in China).

    Offsets are subtracted here, which takes half the time of `astimezone`.
    """
    moment = _moment(text, formats)
    offset = moment.utcoffset() if moment.tzinfo else zone.utcoffset(moment)
    return f"{(moment.replace(tzinfo=None) - (offset or _NONE)).isoformat()}Z"


def _moment(text: str, formats: Sequence[str]) -> datetime:
    """Without a zone where the text has none."""
    return _epoch(text, formats) or _iso(text) or _strptime(text, formats)


def _epoch(text: str, formats: Sequence[str]) -> datetime | None:
    """Before ISO 8601, which has days of eight digits. May raise OverflowError."""
    if not text.removeprefix("-").isdecimal():
        return None
    for form in formats:
        if form in EPOCHS:
            return _FIRST + timedelta(seconds=int(text) / EPOCHS[form])
    return None


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if _ISO.match(text) else None
    except ValueError:
        return None


def _strptime(text: str, formats: Sequence[str]) -> datetime:
    for form in formats:
        if form in EPOCHS:
            continue
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 (the caller adds the source's zone)
        except ValueError:
            continue
    raise ValueError("is neither ISO 8601 nor one of the configured formats")
