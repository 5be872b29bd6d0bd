"""An HR source that answers, and brings nothing new for longer than is expected of it."""

from __future__ import annotations

import logging
import re
from datetime import timedelta

from sqlalchemy import Connection, Engine

from accountsync.domain.durations import duration_text
from accountsync.errors import SilentSourceError
from accountsync.jobs.persons.run_request import SyncOrder
from accountsync.jobs.persons.staging import StagedFeed
from accountsync.settings.hr import AnySource
from accountsync.settings.hr_files import FileSource
from accountsync.store.persons import runs
from accountsync.store.persons.runs import News

log = logging.getLogger(__name__)


def look_for_silence(engine: Engine, feed: StagedFeed, order: SyncOrder) -> str | None:
    """After all is merged and recorded: what is wrong, None where nothing is.

    Raises SilentSourceError once in each `expected_every` that passes, for whoever gets the mails,
    and always when asked by hand; a dry run only tells. Who reads a window or some persons learns
    nothing about the rest.
    """
    every = feed.settings.expected_every
    if every is None or not feed.plan.follows_changes:
        return None
    with engine.begin() as connection:
        found = runs.news(connection, source=feed.source, run_id=feed.run_id)
        if found.silent_for <= every:
            return None
        error = SilentSourceError(_said(feed.settings, every, found))
        told = _was_told(connection, feed, found, every)
        if not order.dry_run:
            runs.say_silent(connection, run_id=feed.run_id, since=found.since, error=str(error))
    log.warning(
        "event=source_silent source=%s run=%s since=%s told_before=%s",
        feed.source, feed.run_id, f"{found.since:%FT%TZ}", told,
    )  # fmt: skip
    if order.dry_run or (told and order.mode == "auto"):
        return str(error)
    raise error


def _was_told(connection: Connection, feed: StagedFeed, found: News, every: timedelta) -> bool:
    """By an earlier run, in this of the times `every` that have passed since."""
    begun = found.since + found.silent_for // every * every
    return runs.said_silent(connection, run_id=feed.run_id, since=found.since, not_before=begun)


def _said(settings: AnySource, every: timedelta, found: News) -> str:
    """Source, since when, what was expected, what to do."""
    what, look = _of_files(settings) if isinstance(settings, FileSource) else _OF_PERSONS
    last = "the last came" if found.last_at else "not one came since the first run,"
    passed = duration_text(found.silent_for - found.silent_for % timedelta(minutes=1))
    return (
        f"{settings.name}: no {what} for {passed}: {last} {found.since:%F %H:%M} UTC, and one is"
        f" expected every {duration_text(every)} (`expected_every`). Nothing was lost. {look}; if"
        " they come more rarely, correct `expected_every`"
    )


_OF_PERSONS = (
    "new or changed person",
    "Look whether HR, or the copy of it that is read, still gets its changes",
)


def _of_files(settings: FileSource) -> tuple[str, str]:
    """A Connection may be in the path."""
    path = re.sub("://[^/]*@", "://", settings.path)
    return (
        f"file `{settings.pattern}` in {path}",
        "Look whether HR's export runs, and whether its files are complete (`complete`) and lie"
        " where they are looked for (`path`, `pattern`)",
    )
