"""Puts HR's rows into a table of the run's own: a complete read, or nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from accountsync.errors import IncompleteReadError
from accountsync.hr.file import FileHrSource
from accountsync.hr.known import PREFIX_BYTES, Known, KnownContent
from accountsync.hr.record import RowMapper
from accountsync.hr.source import Ask, HrSource
from accountsync.jobs.interpreter_tuning import rare_collections, short_turns
from accountsync.jobs.persons.read_scope import ReadScope
from accountsync.settings.hr import AnySource
from accountsync.settings.hr_source import CLOCK_TOLERANCE
from accountsync.store.persons import feeds, persons, runs

log = logging.getLogger(__name__)

_READS_PER_RUN = 3
_ROWS_PER_COPY = 2000
_ROWS_PER_MAP = 100
"""Mapping a whole page at once would take 20 MB more."""
_PROGRESS_EVERY_S = 10.0

OpenSource = Callable[[], AbstractAsyncContextManager[HrSource]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedFeed:
    """A complete read that is staged. `decides` says whether it is HR's present state, which may
    overwrite what is newer in the store."""

    run_id: int
    settings: AnySource
    scope: ReadScope
    mapper: RowMapper
    now: datetime
    decides: bool

    @property
    def source(self) -> str:
        return self.settings.name

    @property
    def latest(self) -> datetime:
        """A change time after this one is taken for one from the future."""
        return self.now + CLOCK_TOLERANCE


def stage(engine: Engine, open_source: OpenSource, feed: StagedFeed) -> int | None:
    """Puts the whole feed into the run's table. A read that proves incomplete starts again.

    Returns the number of rows to merge, or None where the source has nothing new. Raises
    IncompleteReadError when no read proved complete.
    """
    for read in range(1, _READS_PER_RUN + 1):
        try:
            return _read_once(engine, open_source, feed)
        except IncompleteReadError as error:
            log.warning("event=read_incomplete run=%s read=%s reason=%s", feed.run_id, read, error)
            if read == _READS_PER_RUN:
                raise IncompleteReadError(
                    f"{_READS_PER_RUN} reads in a row were incomplete, nothing was changed;"
                    f" the last one: {error}"
                ) from error
    raise AssertionError("unreachable: the last read returns or raises")


def acknowledge(open_source: OpenSource) -> None:
    """Tells the source that its rows are in the store, or that a human rejected them. A source of
    files then archives its file."""
    asyncio.run(_acknowledge(open_source))


async def _acknowledge(open_source: OpenSource) -> None:
    async with open_source() as source:
        if isinstance(source, FileHrSource):
            await source.merged()


def _read_once(engine: Engine, open_source: OpenSource, feed: StagedFeed) -> int | None:
    run_id = feed.run_id
    with engine.begin() as connection:
        feeds.empty(connection, run_id=run_id)
    with rare_collections(), short_turns():
        copied = asyncio.run(_copy(engine, open_source, feed))
    if copied is None:
        return None
    sent, file = copied
    with engine.begin() as connection:
        feeds.build_index(connection, run_id=run_id)
        runs.set_file(connection, run_id=run_id, file=file)
        staged, repeated = feeds.tally(connection, run_id=run_id)
        require_rows(staged, of=sent)
        if repeated and not feed.settings.allows_repeated_keys:
            raise IncompleteReadError(f"{repeated} rows repeat the key of another row")
        return sent - _drop_what_was_not_asked_for(connection, feed)


def require_rows(staged: int, *, of: int) -> None:
    """Raises IncompleteReadError where not all staged rows are there (I2). A crash of the database
    empties their table, and a process without an open connection does not notice it."""
    if staged != of:
        raise IncompleteReadError(f"{of} rows were staged, {staged} are there")


def _drop_what_was_not_asked_for(connection: Connection, feed: StagedFeed) -> int:
    """Returns how many rows were dropped."""
    scope, run_id = feed.scope, feed.run_id
    dropped = 0
    if scope.window:
        start, end = scope.window.start, scope.window.end
        dropped += feeds.keep_window(connection, run_id=run_id, start=start, end=end)
    if scope.numbers:
        dropped += feeds.keep_numbers(connection, run_id=run_id, numbers=scope.numbers)
    return dropped


async def _copy(
    engine: Engine, open_source: OpenSource, feed: StagedFeed
) -> tuple[int, str | None] | None:
    """Returns the number of rows and the file they come from, or None where there is nothing
    new."""
    scope, mapper, run_id = feed.scope, feed.mapper, feed.run_id
    progress = _Progress(run_id)
    ask = Ask(since=scope.since, until=scope.until, numbers=scope.numbers or None)
    async with open_source() as source:
        file = source if isinstance(source, FileHrSource) else None
        if file and not await file.has_news():
            return None
        known = _known(engine, feed)
        async with _Copy(engine, run_id) as copy:
            async for page in source.pages(ask):
                for rows in _lots(page.rows):
                    await copy.add(feeds.lines(mapper.map(rows, known), retried=False))
                progress.page(page.number, page.total_pages, len(page.rows))
        return copy.rows, file.what_was_read() if file else None


def _lots(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (rows[n : n + _ROWS_PER_MAP] for n in range(0, len(rows), _ROWS_PER_MAP))


def _known(engine: Engine, feed: StagedFeed) -> Known:
    """The rows that the store has already, for complete reads only: reading them takes time for
    every person of the source."""
    if not feed.scope.is_complete:
        return frozenset()
    with engine.connect() as connection:
        return KnownContent(
            persons.content_hashes(connection, source=feed.source, length=PREFIX_BYTES)
        )


class _Copy:
    """Writes rows in lots, each in a transaction of its own, so that none is open while HR is
    waited for. One lot is written while the next is gathered. When the block ends, all are
    written."""

    def __init__(self, engine: Engine, run_id: int) -> None:
        self._engine = engine
        self._run_id = run_id
        self.rows = 0
        self._lot: list[bytes] = []
        self._under_way: asyncio.Future[None] | None = None

    async def add(self, lines: list[bytes]) -> None:
        self.rows += len(lines)
        self._lot += lines
        if len(self._lot) >= _ROWS_PER_COPY:
            await self._send()

    async def __aenter__(self) -> _Copy:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self._send()
        await self._arrive()

    async def _send(self) -> None:
        """Uses an executor, whose thread begins at once. A task would wait for the loop, which is
        busy."""
        await self._arrive()
        lot, self._lot = self._lot, []
        loop = asyncio.get_running_loop()
        self._under_way = loop.run_in_executor(None, self._write, lot)

    async def _arrive(self) -> None:
        under_way, self._under_way = self._under_way, None
        if under_way:
            await under_way

    def _write(self, lot: list[bytes]) -> None:
        with self._engine.begin() as connection:
            feeds.add(connection, run_id=self._run_id, lines=lot)


class _Progress:
    """Logs rows, rows a second, pages and the time left every few seconds."""

    def __init__(self, run_id: int) -> None:
        self._run_id = run_id
        self._started = self._logged_at = time.monotonic()
        self._rows = 0

    def page(self, number: int, total: int | None, rows: int) -> None:
        self._rows += rows
        now = time.monotonic()
        if now - self._logged_at < _PROGRESS_EVERY_S:
            return
        self._logged_at = now
        took = now - self._started
        log.info(
            "event=reading run=%s rows=%s rows_per_s=%.0f page=%s pages=%s left_s=%.0f",
            self._run_id, self._rows, self._rows / took, number, total,
            took / number * (total - number) if total else float("nan"),
        )  # fmt: skip
