"""Reads one HR source and brings the store in step with it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from accountsync.clock import Clock
from accountsync.domain.reasons import Reason
from accountsync.errors import AccountSyncError, SafetyStopError, TargetDownError, TransientError
from accountsync.hr.record import RowMapper
from accountsync.jobs.persons import held_feeds
from accountsync.jobs.persons.merging import merge
from accountsync.jobs.persons.read_scope import ReadScope, scope_of
from accountsync.jobs.persons.run_request import RunRequest
from accountsync.jobs.persons.silence import look_for_silence
from accountsync.jobs.persons.staging import OpenSource, StagedFeed, acknowledge, stage
from accountsync.settings.hr import AnySource
from accountsync.store import locks, schema
from accountsync.store.persons import feeds, runs
from accountsync.store.persons.merges import MergeCounts
from accountsync.store.persons.runs import Outcome

log = logging.getLogger(__name__)

_AUTO = RunRequest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult(MergeCounts):
    """What a run did, or what a dry run would have done.

    `stopped_by` says why the feed guard would have held the feed, or why it still holds the same
    one, so that nothing was done. `silent` says that the source brings nothing new; an earlier run
    has failed because of it, or this is a dry run.
    """

    run_id: int
    source: str
    mode: str
    dry_run: bool
    differences: Mapping[str, object]
    stopped_by: Sequence[Reason]
    silent: Reason | None


def sync_hr_persons(
    *,
    engine: Engine,
    settings: AnySource,
    open_source: OpenSource,
    clock: Clock,
    request: RunRequest = _AUTO,
    airflow_run_id: str | None = None,
) -> SyncResult:
    """Reads and merges a complete feed, or changes nothing. There is one lock for each source, and
    one transaction for merge, counts and watermark.

    `clock` is read under the lock, so that a run that waited for another one knows its rows (I5),
    and again when all is read, so that no change made meanwhile seems to be from the future (I1).
    Raises IncompleteReadError when no read proved complete, TransientError for a TargetDownError
    where no later run reads the same, SafetyStopError when the feed guard holds a feed that it did
    not hold before, SilentSourceError when nothing new came for too long.
    """
    with locks.held(engine, f"hr/{settings.name}"):
        now = clock()
        with engine.begin() as connection:
            schema.require_our_tables(connection)
            scope = scope_of(connection, settings=settings, request=request, now=now)
            run_id = _start(connection, settings.name, scope, request, airflow_run_id)
        log.info(
            "event=read_started source=%s run=%s mode=%s %s dry_run=%s",
            settings.name, run_id, scope.mode, scope.extent, request.dry_run,
        )  # fmt: skip
        feed = StagedFeed(
            run_id=run_id,
            settings=settings,
            scope=scope,
            mapper=RowMapper(settings),
            now=now,
            decides=scope.is_present_state,
        )
        try:
            outcome = _read_and_merge(engine, open_source, feed, request, clock)
        except SafetyStopError:
            raise
        except Exception as error:
            error.add_note(f"HR source {settings.name}, sync run {run_id}")
            _record_failure(engine, feed, error)
            if isinstance(error, TargetDownError) and not request.is_repeated:
                message = f"{settings.name}: {error}"
                raise TransientError(message) from error  # this run has to try again itself
            raise
        silent = look_for_silence(engine, feed, request)
    return _result(feed, request, outcome, silent)


def _start(
    connection: Connection,
    source: str,
    scope: ReadScope,
    request: RunRequest,
    airflow_run_id: str | None,
) -> int:
    for dead in runs.unfinished(connection, source=source):
        feeds.drop(connection, run_id=dead)
    run_id = runs.start(
        connection,
        source=source,
        mode=scope.mode,
        airflow_run_id=airflow_run_id,
        dry_run=request.dry_run,
    )
    feeds.create(connection, run_id=run_id)
    return run_id


def _read_and_merge(
    engine: Engine, open_source: OpenSource, feed: StagedFeed, request: RunRequest, clock: Clock
) -> Outcome:
    rows = stage(engine, open_source, feed)
    if rows is None:
        return _finish(engine, feed, Outcome())
    feed = replace(feed, now=clock())
    with engine.connect() as connection, connection.begin() as transaction:
        outcome = merge(connection, feed, rows=rows)
        if request.dry_run or outcome.stopped_by:
            transaction.rollback()
        else:
            feeds.drop(connection, run_id=feed.run_id)
            held_feeds.supersede(connection, feed)
    if request.dry_run:
        return _finish(engine, feed, outcome)
    if outcome.stopped_by:
        known = held_feeds.hold(engine, feed, outcome, by_hand=request.mode != "auto")
        if known.state == "rejected" and not feed.settings.can_read_everything:
            acknowledge(open_source)  # the next file of changes waits behind it
        return Outcome(stopped_by=known.stopped_by)
    if feed.scope.follows_changes:
        acknowledge(open_source)
    return outcome


def _finish(engine: Engine, feed: StagedFeed, outcome: Outcome) -> Outcome:
    """Ends a run that merged nothing, because there was nothing to read or because it was dry."""
    with engine.begin() as connection:
        runs.succeed(connection, run_id=feed.run_id, outcome=outcome)
        feeds.drop(connection, run_id=feed.run_id)
    return outcome


def _record_failure(engine: Engine, feed: StagedFeed, error: Exception) -> None:
    """Records that the run failed. An error that is not ours may quote a row, so only its kind is
    kept (I15). Raises TransientError in its place where another run has taken this one for dead and
    dropped its rows."""
    kind, run_id = type(error).__name__, feed.run_id
    ours = isinstance(error, AccountSyncError)
    try:
        with engine.begin() as connection:
            feeds.drop(connection, run_id=run_id)
            overtaken = not ours and runs.is_failed(connection, run_id=run_id)
            runs.fail(connection, run_id=run_id, error=f"{kind}: {error}" if ours else kind)
    except DBAPIError:
        log.warning("event=failure_not_recorded run=%s error=%s", run_id, kind)
        return
    if overtaken:
        raise TransientError(
            f"{feed.source}: run {run_id} lost its lock, as its database session ended, and another"
            f" run of this source took its turn: nothing of run {run_id} was merged; the next try"
            " reads anew"
        ) from error


def _result(
    feed: StagedFeed, request: RunRequest, outcome: Outcome, silent: Reason | None
) -> SyncResult:
    counts = outcome.counts
    log.info(
        "event=%s source=%s run=%s fetched=%s retried=%s inserted=%s updated=%s unchanged=%s"
        " rejected=%s from_the_future=%s not_found=%s",
        "compared" if request.dry_run else "stopped" if outcome.stopped_by else "merged",
        feed.source, feed.run_id, counts.fetched, counts.retried, counts.inserted, counts.updated,
        counts.unchanged, counts.rejected, counts.from_the_future,
        len(outcome.differences.get("not_found", ())),
    )  # fmt: skip
    return SyncResult(
        **asdict(counts),
        run_id=feed.run_id,
        source=feed.source,
        mode=feed.scope.mode,
        dry_run=request.dry_run,
        differences=outcome.differences,
        stopped_by=list(outcome.stopped_by),  # XCom shows a tuple as what it is made of
        silent=silent,
    )
