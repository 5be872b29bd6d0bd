"""Read one HR source and bring the store in step with it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from accountsync.errors import AccountSyncError, ConfigurationError, IncompleteReadError
from accountsync.hr.record import RowMapper, StagedRecord
from accountsync.hr.source import Ask, HrSource
from accountsync.settings.hr import AnySource
from accountsync.store import feeds, locks, persons, rejects, runs, schema
from accountsync.store.persons import MergeCounts

log = logging.getLogger(__name__)

Mode = Literal["auto", "incremental", "full"]
_READS_PER_RUN = 3
_CLOCK_TOLERANCE = timedelta(minutes=5)
_ROWS_PER_COPY = 5000
_PROGRESS_EVERY_S = 10.0

StagedRow = tuple[Any, ...]
OpenSource = Callable[[], AbstractAsyncContextManager[HrSource]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A backfill's data interval: changed at or after `start`, before `end`."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPlan:
    """What is read and what it proves. `since` None: everything."""

    mode: Literal["incremental", "full", "window"]
    since: datetime | None
    window: Window | None = None

    @property
    def until(self) -> datetime | None:
        return self.window.end if self.window else None


def sync_hr_persons(
    *,
    engine: Engine,
    settings: AnySource,
    open_source: OpenSource,
    now: datetime,
    mode: Mode = "auto",
    window: Window | None = None,
    airflow_run_id: str | None = None,
) -> MergeCounts:
    """Complete or nothing: one lock per source, one transaction for merge, counts and watermark.

    Raises IncompleteReadError when no read of `_READS_PER_RUN` proved complete.
    """
    with locks.held(engine, f"hr/{settings.name}"):
        with engine.begin() as connection:
            schema.require_head(connection)
            plan = _plan(connection, settings=settings, mode=mode, window=window, now=now)
            run_id = _start(connection, settings.name, plan, airflow_run_id)
        log.info("event=read_started source=%s run=%s mode=%s", settings.name, run_id, plan.mode)
        try:
            return _read_and_merge(engine, settings, open_source, plan, run_id, now)
        except Exception as error:
            _record_failure(engine, run_id, error)
            raise


def _record_failure(engine: Engine, run_id: int, error: Exception) -> None:
    """An error that is not ours may quote a row: only its kind is kept (I15)."""
    kind = type(error).__name__
    said = f"{kind}: {error}" if isinstance(error, AccountSyncError) else kind
    try:
        with engine.begin() as connection:
            feeds.drop(connection, run_id=run_id)
            runs.fail(connection, run_id=run_id, error=said)
    except DBAPIError:
        log.warning("event=failure_not_recorded run=%s error=%s", run_id, kind)


def _plan(
    connection: Connection,
    *,
    settings: AnySource,
    mode: Mode,
    window: Window | None,
    now: datetime,
) -> ReadPlan:
    """A window is read as such; otherwise the watermark decides, never a clock (I1, I5)."""
    if window is not None:
        return ReadPlan(mode="window", since=window.start, window=window)
    since = runs.read_from(connection, source=settings.name, overlap=settings.overlap)
    last_full = runs.last_snapshot_at(connection, source=settings.name)
    can_ask = since is not None and settings.can_ask_for_changes and last_full is not None
    due = last_full is None or now - last_full >= settings.full_every
    if since is None or not can_ask or mode == "full" or (mode == "auto" and due):
        return ReadPlan(mode="full", since=None)
    return ReadPlan(mode="incremental", since=since)


def _start(connection: Connection, source: str, plan: ReadPlan, airflow_run_id: str | None) -> int:
    for dead in runs.unfinished(connection, source=source):
        feeds.drop(connection, run_id=dead)
    run_id = runs.start(connection, source=source, mode=plan.mode, airflow_run_id=airflow_run_id)
    feeds.create(connection, run_id=run_id)
    return run_id


def _read_and_merge(
    engine: Engine,
    settings: AnySource,
    open_source: OpenSource,
    plan: ReadPlan,
    run_id: int,
    now: datetime,
) -> MergeCounts:
    mapper = RowMapper(settings)
    _stage(engine, open_source, mapper, plan, run_id)
    with engine.begin() as connection:
        counts = _merge(connection, settings, mapper, plan, run_id, now)
    log.info(
        "event=merged source=%s run=%s fetched=%s retried=%s inserted=%s updated=%s unchanged=%s"
        " rejected=%s from_the_future=%s",
        settings.name, run_id, counts.fetched, counts.retried, counts.inserted, counts.updated,
        counts.unchanged, counts.rejected, counts.from_the_future,
    )  # fmt: skip
    return counts


def _stage(
    engine: Engine, open_source: OpenSource, mapper: RowMapper, plan: ReadPlan, run_id: int
) -> None:
    """The whole feed into the run's table; a read that proves incomplete starts again."""
    for read in range(1, _READS_PER_RUN + 1):
        try:
            _read_once(engine, open_source, mapper, plan, run_id)
        except IncompleteReadError as error:
            log.warning("event=read_incomplete run=%s read=%s reason=%s", run_id, read, error)
            if read == _READS_PER_RUN:
                raise IncompleteReadError(
                    f"{_READS_PER_RUN} reads in a row were incomplete, nothing was changed;"
                    f" the last one: {error}"
                ) from error
        else:
            return


def _read_once(
    engine: Engine, open_source: OpenSource, mapper: RowMapper, plan: ReadPlan, run_id: int
) -> None:
    with engine.begin() as connection:
        feeds.empty(connection, run_id=run_id)
    asyncio.run(_copy(engine, open_source, mapper, plan, run_id))
    with engine.begin() as connection:
        feeds.build_indexes(connection, run_id=run_id)
        repeated = feeds.repeated_keys(connection, run_id=run_id)
    if repeated:
        raise IncompleteReadError(f"{repeated} rows repeat the key of another row")


async def _copy(
    engine: Engine, open_source: OpenSource, mapper: RowMapper, plan: ReadPlan, run_id: int
) -> None:
    """Rows go out in lots of their own transaction: none is open while HR is waited for."""
    progress = _Progress(run_id)
    lot: list[StagedRow] = []
    async with open_source() as source:
        async for page in source.pages(Ask(since=plan.since, until=plan.until)):
            lot.extend(_as_row(mapper.map(row), retried=False) for row in page.rows)
            progress.page(page.number, page.total_pages, len(page.rows))
            if len(lot) >= _ROWS_PER_COPY:
                await asyncio.to_thread(_write, engine, run_id, lot)
                lot = []
    await asyncio.to_thread(_write, engine, run_id, lot)


def _write(engine: Engine, run_id: int, lot: list[StagedRow]) -> None:
    with engine.begin() as connection:
        feeds.add(connection, run_id=run_id, rows=lot)


def _as_row(record: StagedRecord, *, retried: bool) -> StagedRow:
    return (*record.values, record.raw, record.content_hash, record.problems or None, retried)


def _merge(
    connection: Connection,
    settings: AnySource,
    mapper: RowMapper,
    plan: ReadPlan,
    run_id: int,
    now: datetime,
) -> MergeCounts:
    """Everything a successful run writes, in the caller's one transaction."""
    name = settings.name
    if plan.window:
        feeds.keep_window(connection, run_id=run_id, start=plan.window.start, end=plan.window.end)
    raw = feeds.open_rejects(connection, run_id=run_id, source=name)
    again = [_as_row(mapper.map(row), retried=True) for row in raw]
    feeds.add(connection, run_id=run_id, rows=again)
    latest, decides = now + _CLOCK_TOLERANCE, plan.mode == "full"
    feeds.reject_taken_numbers(
        connection, run_id=run_id, source=name, latest=latest, decides=decides
    )
    counts = persons.merge(connection, run_id=run_id, source=name, latest=latest, decides=decides)
    rejects.record(connection, run_id=run_id, source=name, complete=plan.mode == "full")
    if plan.mode == "full":
        snapshot = runs.add_snapshot(connection, source=name, run_id=run_id, rows=counts.fetched)
        persons.mark_absences(connection, run_id=run_id, source=name, snapshot=snapshot)
    if counts.newest_change and not plan.window:
        runs.advance_watermark(connection, source=name, value=counts.newest_change, run_id=run_id)
    read_to = plan.window.end if plan.window else counts.newest_change
    runs.succeed(connection, run_id=run_id, counts=counts, read_from=plan.since, read_to=read_to)
    feeds.drop(connection, run_id=run_id)
    return counts


class _Progress:
    """A line in the log every few seconds: rows, rows a second, pages, time left."""

    def __init__(self, run_id: int) -> None:
        self._run_id = run_id
        self._started = self._said = time.monotonic()
        self._rows = 0

    def page(self, number: int, total: int | None, rows: int) -> None:
        self._rows += rows
        now = time.monotonic()
        if now - self._said < _PROGRESS_EVERY_S:
            return
        self._said = now
        took = now - self._started
        log.info(
            "event=reading run=%s rows=%s rows_per_s=%.0f page=%s pages=%s left_s=%.0f",
            self._run_id, self._rows, self._rows / took, number, total,
            took / number * (total - number) if total else float("nan"),
        )  # fmt: skip


def require_bounds(start: datetime | None, end: datetime | None) -> Window | None:
    """Both or none, in order. Raises ConfigurationError."""
    if start is None and end is None:
        return None
    if start is None or end is None or start >= end:
        raise ConfigurationError("a window needs `from` and `to`, `from` before `to`")
    return Window(start=start, end=end)
