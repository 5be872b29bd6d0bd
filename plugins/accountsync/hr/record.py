"""One row of HR becomes one staged record, or a list of what is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from accountsync.domain.person import PERSON_FIELDS, REQUIRED_FIELDS
from accountsync.settings import HttpSource, SourceField

Read = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedRecord:
    """`values`: in the order of PERSON_FIELDS. `raw`: the row as JSON. `problems`: `field: reason`."""

    values: tuple[Any, ...]
    raw: str
    content_hash: bytes
    problems: list[str]


class RowMapper:
    """Compiled once per run. `content_hash` covers the row and the mapping, so a new mapping rewrites."""

    def __init__(self, source: HttpSource) -> None:
        zone = ZoneInfo(source.zone)
        self._fields = [
            _FieldReader(name, kind, source.fields.get(name), zone)
            for name, kind in PERSON_FIELDS.items()
        ]
        described = source.model_dump_json(include={"fields", "zone"})
        self._key = hashlib.blake2b(described.encode(), digest_size=16).digest()

    def map(self, row: Any) -> StagedRecord:
        raw = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
        if not isinstance(row, Mapping):
            return self._refused(raw, ["row: not an object"])
        problems: list[str] = []
        values = tuple(field.read(row, problems) for field in self._fields)
        if b"\\u0000" in raw:
            problems.append("row: holds a NUL character")
        return StagedRecord(
            values=values, raw=raw.decode(), content_hash=self._hash(raw), problems=problems
        )

    def _refused(self, raw: bytes, problems: list[str]) -> StagedRecord:
        empty = (None,) * len(self._fields)
        return StagedRecord(
            values=empty, raw=raw.decode(), content_hash=self._hash(raw), problems=problems
        )

    def _hash(self, raw: bytes) -> bytes:
        return hashlib.blake2b(raw, digest_size=16, key=self._key).digest()


class _FieldReader:
    def __init__(self, name: str, kind: type, field: SourceField | None, zone: ZoneInfo) -> None:
        self._name = name
        self._get = _getter(field.path) if field else _nothing
        self._default = field.default if field else None
        self._translate = field.translate if field else {}
        self._required = name in REQUIRED_FIELDS
        self._convert = _converter(kind, tuple(field.formats if field else ()), zone)

    def read(self, row: Mapping[str, Any], problems: list[str]) -> Any:
        value = self._get(row)
        if value is None or value == "":
            value = self._default
        if self._translate and value is not None:
            value = self._translate.get(str(value), value)
        try:
            value = None if value is None else self._convert(value)
        except (ValueError, TypeError, OverflowError) as error:
            problems.append(f"{self._name}: {error}")
            return None
        if self._required and not value:
            problems.append(f"{self._name}: is missing")
        return value or None


def _nothing(row: Any) -> None:
    return None


def _getter(path: str) -> Read:
    """`a.b.0.c`: keys of objects and positions in lists; what is not there is None."""
    if "." not in path:
        return lambda row: row.get(path)
    steps = [int(step) if step.isdigit() else step for step in path.split(".")]

    def get(row: Any) -> Any:
        for step in steps:
            try:
                row = row[step]
            except (KeyError, IndexError, TypeError):
                return None
        return row

    return get


def _converter(kind: type, formats: tuple[str, ...], zone: ZoneInfo) -> Read:
    if kind is date:
        return lambda value: _date(text, formats, zone) if (text := _text(value)) else None
    if kind is datetime:
        return lambda value: _moment(text, formats, zone) if (text := _text(value)) else None
    return _text


def _text(value: Any) -> str:
    if isinstance(value, str):
        text = value.strip()
        if "\x00" in text:
            raise ValueError("holds a NUL character")
        return text
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"is a {type(value).__name__}, expected a text")


@lru_cache(maxsize=65536)
def _date(text: str, formats: tuple[str, ...], zone: ZoneInfo) -> date:
    if len(text) == 10 and text[4] == "-":
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise ValueError("is not a date of the calendar") from None
    return _moment(text, formats, zone).astimezone(zone).date()


def _moment(text: str, formats: tuple[str, ...], zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = _strptime(text, formats)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _strptime(text: str, formats: tuple[str, ...]) -> datetime:
    for form in formats:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 (the caller adds the source's zone)
        except ValueError:
            continue
    raise ValueError("is neither ISO 8601 nor one of the configured formats")
