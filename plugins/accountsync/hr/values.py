"""Turns a value of a row into a field's text, which is empty where there is no value."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from accountsync.domain.persons.person import PERSON_FIELDS
from accountsync.domain.reasons import Kind, Reason
from accountsync.settings.hr_source import EPOCHS, SourceField
from accountsync.wire.unreadable import Unreadable

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_NONE = timedelta(0)
_MINUTE = timedelta(minutes=1)
_ISO = re.compile(r"\d{4}-|\d{8}(?!\d)")
"""Without it fromisoformat would read some milliseconds as days of the 18th century."""
_JSON = {
    bool: Kind.IS_TRUE_OR_FALSE,
    float: Kind.IS_A_FRACTION,
    list: Kind.IS_A_LIST,
    dict: Kind.IS_AN_OBJECT,
}
"""The types of JSON besides texts, whole numbers and null."""

is_usual = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:[0-5]\d:[0-5]\d", re.ASCII).fullmatch
"""Whether a moment is written in the way that `offsets_of_hours` is for."""


class Unfit(Exception):
    """The value does not fit its field. `reason` says why, without the field."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.kind)
        self.reason = reason


class ValueReader:
    """`is_plain_text`: values only have to be stripped. `translates`: the configuration gives some
    values another meaning."""

    def __init__(self, name: str, field: SourceField, zone: ZoneInfo) -> None:
        self.kind = PERSON_FIELDS[name]
        self._name = name
        self._default = field.default
        self._translate = field.translate
        self._convert = _zone if name == "time_zone" else _converter(self.kind, field.formats, zone)
        self.translates = bool(field.translate)
        self.is_plain_text = self._convert is text_of and not (field.default or field.translate)

    def read(self, value: Any, problems: list[Reason]) -> str:
        try:
            return self._read(value)
        except Unfit as error:
            problems.append(of_field(self._name, error.reason))
        except (ValueError, OverflowError):  # of Python's own dates and times
            problems.append(Reason.of(Kind.IS_BEYOND_THE_CALENDAR, field=self._name))
        return ""

    def _read(self, value: Any) -> str:
        if value.__class__ is str:
            value = value.strip()
        if value is None or value == "":
            value = self._default
        if self._translate and value is not None:
            value = self._translate.get(_spelt(value), value)
        return "" if value is None else self._convert(value)


def of_field(name: str, reason: Reason) -> Reason:
    return Reason.of(reason.kind, field=name, **reason.facts)


def _spelt(value: Any) -> str:
    """The value as JSON spells it, for `translate: {"true": "1"}`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def at_path(path: str) -> Callable[[Any], Any]:
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


def _converter(kind: type, formats: Sequence[str], zone: ZoneInfo) -> Callable[[Any], str]:
    if kind is date:
        return lambda value: _date(text, formats, zone) if (text := text_of(value)) else ""
    if kind is datetime:
        return lambda value: _instant(text, formats, zone) if (text := text_of(value)) else ""
    return text_of


def text_of(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Unreadable):
        raise Unfit(value.reason)
    raise Unfit(Reason.of(_JSON.get(type(value), Kind.IS_NO_TEXT)))


def _zone(value: Any) -> str:
    """A time zone's name. Dates of the person's life are days in this zone."""
    name = text_of(value)
    if name and name not in _zones():
        raise Unfit(Reason.of(Kind.IS_NO_TIME_ZONE))
    return name


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _date(text: str, formats: Sequence[str], zone: ZoneInfo) -> str:
    if len(text) == 10 and text[4] == "-":
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            raise Unfit(Reason.of(Kind.IS_NO_DATE)) from None
    moment = _moment(text, formats)
    return (moment.astimezone(zone) if moment.tzinfo else moment).date().isoformat()


def offsets_of_hours(zone: ZoneInfo, *, remembered: int) -> Callable[[str], str]:
    """`2026-11-26 09` → `+08:00`. It is empty where the offset changes within the hour or has
    seconds, where the calendar ends, and where there is no such hour."""

    @lru_cache(remembered)
    def offset_of(hour: str) -> str:
        begin = _iso(hour)
        if begin is None:
            return ""
        begin = begin.replace(tzinfo=zone)
        end = begin.replace(minute=59, second=59)
        offset = begin.utcoffset() or _NONE
        is_plain = offset == end.utcoffset() and not offset % _MINUTE and 1 < begin.year < 9999
        return begin.isoformat()[19:] if is_plain else ""

    return offset_of


def _instant(text: str, formats: Sequence[str], zone: ZoneInfo) -> str:
    """In UTC; raises OverflowError before year 1 or after 9999 (0001-01-01 in China).

    Offsets are subtracted here, which takes half the time of `astimezone`.
    """
    moment = _moment(text, formats)
    offset = moment.utcoffset() if moment.tzinfo else zone.utcoffset(moment)
    return f"{(moment.replace(tzinfo=None) - (offset or _NONE)).isoformat()}Z"


def _moment(text: str, formats: Sequence[str]) -> datetime:
    """The result has a zone only where the text has one."""
    return _epoch(text, formats) or _iso(text) or _strptime(text, formats)


def _epoch(text: str, formats: Sequence[str]) -> datetime | None:
    """Tried before ISO 8601, whose days may have eight digits. May raise OverflowError."""
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
    raise Unfit(Reason.of(Kind.IS_IN_NO_KNOWN_FORMAT))
