"""HR data behind SQL: one query, one server-side cursor, one consistent snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import CursorResult, Engine, bindparam, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.types import DateTime

from accountsync.errors import ConfigurationError, TransientError
from accountsync.hr.source import Ask, Page
from accountsync.settings.hr import SqlSource

_ROWS_PER_PAGE = 1000
T = TypeVar("T")


class SqlHrSource:
    """A statement that ended without an error delivered all its rows: nothing else to prove."""

    def __init__(self, source: SqlSource, *, engine: Engine) -> None:
        used = [name for name in ("since", "until") if f":{name}" in source.query]
        moments = [bindparam(name, type_=DateTime(timezone=True)) for name in used]
        self._query = text(source.query).bindparams(*moments)
        self._used = used
        self._engine = engine

    async def has_news(self) -> bool:
        return True

    async def merged(self) -> None:
        return

    async def pages(self, ask: Ask) -> AsyncIterator[Page]:
        asked = {"since": ask.since, "until": ask.until}
        bound = {name: asked[name] for name in self._used}
        options = {"stream_results": True, "max_row_buffer": _ROWS_PER_PAGE}
        connection = await asyncio.to_thread(_translated, self._engine.connect)
        try:
            streaming = connection.execution_options(**options)
            rows = await asyncio.to_thread(
                _translated, lambda: streaming.execute(self._query, bound)
            )
            try:
                async for page in _pages(rows):
                    yield page
            finally:
                await asyncio.to_thread(rows.close)
        finally:
            await asyncio.to_thread(connection.close)


async def _pages(rows: CursorResult[Any]) -> AsyncIterator[Page]:
    names = list(rows.keys())
    number = 0
    while lot := await asyncio.to_thread(_translated, lambda: rows.fetchmany(_ROWS_PER_PAGE)):
        number += 1
        plain = [dict(zip(names, map(_plain, row), strict=True)) for row in lot]
        yield Page(number=number, rows=plain, total_pages=None, total_rows=None)


def _translated(call: Callable[[], T]) -> T:
    """The one place where the other database's errors become ours; statements may hold data."""
    try:
        return call()
    except OperationalError as error:
        raise TransientError(f"the HR database: {type(error.orig).__name__}") from error
    except DBAPIError as error:
        raise ConfigurationError(
            f"the HR database refuses the query: {type(error.orig).__name__}"
        ) from error


def _plain(value: Any) -> Any:
    """Rows are kept as JSON."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    return value
