"""HR data behind SQL: one query, one server-side cursor, one consistent snapshot."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic_core import to_jsonable_python
from sqlalchemy import Connection, CursorResult, Engine, TextClause, bindparam, text
from sqlalchemy.exc import DataError, DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.types import DateTime

from accountsync.errors import ConfigurationError, TransientError
from accountsync.hr import local_time
from accountsync.hr.source import Ask
from accountsync.settings.hr import SqlSource
from accountsync.wire.paging import Page
from accountsync.wire.unreadable import NO_NUMBER, Unreadable

_ROWS_PER_PAGE = 1000
_JSON = (str, int)
_ADDRESSES = tuple(
    getattr(ipaddress, f"IPv{version}{kind}")
    for version in (4, 6)
    for kind in ("Address", "Interface", "Network")
)
_TEXTS: Mapping[Any, Callable[[Any], str]] = {
    (date, time): lambda value: value.isoformat(),
    (Decimal, UUID, *_ADDRESSES): str,
    (timedelta,): to_jsonable_python,
}
"""Durations as ISO 8601: P1DT2H."""
_UNREADABLE = (
    "the query has a date or time that is infinite, before the year 1 or after 9999, which no row"
    " can hold: make it a text there (CAST …), and, where it means none, nothing (`translate`)"
)
T = TypeVar("T")


class SqlHrSource:
    """A statement that ends without an error has delivered all its rows; no more is to prove."""

    def __init__(self, source: SqlSource, *, engine: Engine) -> None:
        used = [name for name in ("since", "until") if f":{name}" in source.query]
        with_zone = source.bounds == "with_zone"
        moments = [bindparam(name, type_=DateTime(timezone=with_zone)) for name in used]
        self._query = _known_parameters_only(text(source.query)).bindparams(*moments)
        self._local_zone = None if with_zone else ZoneInfo(source.zone)
        self._used = used
        self._source_fields = source.fields
        self._engine = engine

    async def pages(self, ask: Ask) -> AsyncIterator[Page]:
        bounds = self._bounds(ask)
        parameters = {name: bounds[name] for name in self._used}
        options = {"stream_results": True, "max_row_buffer": _ROWS_PER_PAGE}
        connection = await asyncio.to_thread(_connected, self._engine)
        try:
            streaming = connection.execution_options(**options)
            rows = await asyncio.to_thread(
                _translated, lambda: streaming.execute(self._query, parameters)
            )
            try:
                self._require_columns(list(rows.keys()))
                async for page in _pages(rows):
                    yield page
            finally:
                await asyncio.to_thread(rows.close)
        finally:
            await asyncio.to_thread(connection.close)

    def _require_columns(self, columns: Sequence[str]) -> None:
        fields = self._source_fields.values()
        used = {field.path.partition(".")[0] for field in fields}
        if repeated := sorted(name for name in used if columns.count(name) > 1):
            raise ConfigurationError(
                f"the query has more than one column {', '.join(repeated)}: which is meant?"
            )
        wanted = {field.path.partition(".")[0] for field in fields if field.default is None}
        if lacking := sorted(wanted - {*columns}):
            raise ConfigurationError(
                f"the query has no column {', '.join(lacking)}, which `fields` names"
            )

    def _bounds(self, ask: Ask) -> dict[str, datetime | None]:
        since, until, zone = ask.since, ask.until, self._local_zone
        if zone is not None:
            since = since and local_time.at_or_before(since, zone).replace(tzinfo=None)
            until = until and local_time.at_or_after(until, zone).replace(tzinfo=None)
        return {"since": since, "until": until}


def _known_parameters_only(query: TextClause) -> TextClause:
    if unknown := sorted(query.compile().params.keys() - {"since", "until"}):
        raise ConfigurationError(
            f"the query uses :{', :'.join(unknown)}; only :since and :until are known,"
            " and a colon of its own is \\:"
        )
    return query


async def _pages(rows: CursorResult[Any]) -> AsyncIterator[Page]:
    names = list(rows.keys())
    number = 0
    while lot := await asyncio.to_thread(_translated, lambda: rows.fetchmany(_ROWS_PER_PAGE)):
        number += 1
        plain = [_plain_row(names, row) for row in lot]
        yield Page(number=number, rows=plain, total_pages=None, total_rows=None)


def _plain_row(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    return {name: _plain(value, name) for name, value in zip(names, row, strict=True)}


def _connected(engine: Engine) -> Connection:
    """PostgreSQL's own message is passed on, since it names hosts and options and no data."""
    try:
        return engine.connect()
    except OperationalError as error:
        kind = type(error.orig)
        is_postgres = "psycopg" in kind.__module__
        message = str(error.orig).partition("\n")[0] if is_postgres else kind.__name__
        raise TransientError(f"the HR database cannot be reached: {message}") from error


def _translated(call: Callable[[], T]) -> T:
    """The one place where the other database's errors become ours. A message about the query is
    passed on. Others may hold data, and are left out of the log, too (`from None`)."""
    try:
        return call()
    except OperationalError as error:
        raise TransientError(f"the HR database: {type(error.orig).__name__}") from None
    except DBAPIError as error:
        kind = type(error.orig)
        is_postgres = "psycopg" in kind.__module__
        if is_postgres and isinstance(error, DataError) and not _is_from_server(error.orig):
            raise ConfigurationError(_UNREADABLE) from None
        is_about_query = isinstance(error, ProgrammingError) and is_postgres
        message = str(error.orig).partition("\n")[0] if is_about_query else kind.__name__
        raise ConfigurationError(f"the HR database refuses the query: {message}") from None


def _is_from_server(error: Any) -> bool:
    """Whether the server raised it: the driver's own errors have no code."""
    return bool(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None))


def _plain(value: Any, column: str) -> Any:
    """Rows are kept as JSON. Raises ConfigurationError for a value that has no text."""
    if value is None or isinstance(value, _JSON):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else Unreadable(str(value), NO_NUMBER)
    for kinds, text_of in _TEXTS.items():
        if isinstance(value, kinds):
            return text_of(value)
    if isinstance(value, list | tuple):
        return [_plain(item, column) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item, column) for name, item in value.items()}
    raise ConfigurationError(
        f"column {column!r} of the query is a {type(value).__name__}, which has no place in a row:"
        " leave it out of the query, or make it a text there (CAST, encode …)"
    )
