"""Notices an HR source that answers but has brought nothing new for longer than expected."""

from __future__ import annotations

import logging
import re
from datetime import timedelta

from sqlalchemy import Connection, Engine

from accountsync.domain.reasons import Fact, Kind, Reason
from accountsync.errors import SilentSourceError
from accountsync.jobs.persons.run_request import RunRequest
from accountsync.jobs.persons.staging import StagedFeed
from accountsync.jobs.reason_texts import english
from accountsync.settings.hr import AnySource
from accountsync.settings.hr_files import FileSource
from accountsync.store.persons import runs
from accountsync.store.persons.runs import News

log = logging.getLogger(__name__)


def look_for_silence(engine: Engine, feed: StagedFeed, request: RunRequest) -> Reason | None:
    """Says why a source is silent, or None where it is not. It runs after all is merged and
    recorded.

    Raises SilentSourceError once in each `expected_every` that passes, so that a mail is sent, and
    every time for a run that somebody asked for. A dry run never raises it. A read of a window or
    of some persons says nothing about the rest of the source.
    """
    every = feed.settings.expected_every
    if every is None or not feed.scope.follows_changes:
        return None
    with engine.begin() as connection:
        news = runs.news(connection, source=feed.source, run_id=feed.run_id)
        if news.silent_for <= every:
            return None
        silence = _silence(feed.settings, every, news)
        was_told = _was_told(connection, feed, news, every)
        if not request.dry_run:
            runs.say_silent(connection, run_id=feed.run_id, since=news.since, silence=silence)
    log.warning(
        "event=source_silent source=%s run=%s since=%s told_before=%s",
        feed.source, feed.run_id, f"{news.since:%FT%TZ}", was_told,
    )  # fmt: skip
    if request.dry_run or (was_told and request.mode == "auto"):
        return silence
    raise SilentSourceError(english(silence))


def _was_told(connection: Connection, feed: StagedFeed, news: News, every: timedelta) -> bool:
    """Whether an earlier run has said so in the present period of length `every`."""
    period_began = news.since + news.silent_for // every * every
    return runs.said_silent(
        connection, run_id=feed.run_id, since=news.since, not_before=period_began
    )


def _silence(settings: AnySource, every: timedelta, news: News) -> Reason:
    """The reason, with the facts of this silence. A path of files may have the id of a Connection,
    which is left out."""
    facts: dict[str, Fact] = {
        "source": settings.name,
        "since": news.since.isoformat(),
        "seconds": int(news.silent_for.total_seconds()),
        "expected_every": int(every.total_seconds()),
        "is_first": news.last_at is None,
    }
    if not isinstance(settings, FileSource):
        return Reason.of(Kind.NO_NEW_PERSON, **facts)
    path = re.sub("://[^/]*@", "://", settings.path)
    return Reason.of(Kind.NO_NEW_FILE, pattern=settings.pattern, path=path, **facts)
