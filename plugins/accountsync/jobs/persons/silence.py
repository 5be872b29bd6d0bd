"""An HR source that answers, and brings nothing new for longer than is expected of it."""

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
    """After all is merged and recorded: what is wrong, None where nothing is.

    Raises SilentSourceError once in each `expected_every` that passes, for whoever gets the mails,
    and always when asked by hand; a dry run only tells. Who reads a window or some persons learns
    nothing about the rest.
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
    """By an earlier run, in this of the times `every` that have passed since."""
    period_began = news.since + news.silent_for // every * every
    return runs.said_silent(
        connection, run_id=feed.run_id, since=news.since, not_before=period_began
    )


def _silence(settings: AnySource, every: timedelta, news: News) -> Reason:
    """A Connection may be in the path of files."""
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
