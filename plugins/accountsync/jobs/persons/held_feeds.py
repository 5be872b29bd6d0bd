"""Feeds that the feed guard stopped: kept as they were read, until a human decides or a newer feed
takes their place."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, Engine

from accountsync.clock import Clock
from accountsync.errors import ConfigurationError, SafetyStopError
from accountsync.hr.record import RowMapper
from accountsync.jobs.persons.merging import merge
from accountsync.jobs.persons.read_scope import ReadScope
from accountsync.jobs.persons.staging import StagedFeed
from accountsync.jobs.reason_texts import all_english
from accountsync.settings.hr import AnySource
from accountsync.store import audit, locks
from accountsync.store.audit import AuditAction
from accountsync.store.persons import feeds, held_feeds, runs
from accountsync.store.persons.held_feeds import HeldFeed
from accountsync.store.persons.runs import Outcome

log = logging.getLogger(__name__)


def list_held(*, engine: Engine) -> Sequence[HeldFeed]:
    with engine.connect() as connection:
        return held_feeds.open_ones(connection)


def superseded_by(*, engine: Engine, feed: HeldFeed) -> tuple[int, ...]:
    """The ids of undecided feeds whose place this one took."""
    with engine.connect() as connection:
        return held_feeds.superseded_by(connection, feed)


def describe(*, engine: Engine, feed: int) -> HeldFeed:
    """Counts, differences by field and examples by employee number, as the guard saw them.

    Raises ConfigurationError when no feed of this number was ever held.
    """
    with engine.connect() as connection:
        return _find(connection, feed)


def describe_held(*, engine: Engine, feed: int) -> HeldFeed:
    """As `describe`. Raises SafetyStopError where the feed is not held any more; the error says
    which feed is."""
    with engine.connect() as connection:
        return _find_held(connection, feed)


def counts(feed: HeldFeed) -> str:
    """A sentence about how many rows there are, those rejected before included, and what became or
    would become of them. The numbers add up (I14)."""
    again = f" and {feed.retried} rejected before" if feed.retried else ""
    is_done = state(feed) == "approved"
    insert, update = ("inserted", "updated") if is_done else ("to insert", "to update")
    return (
        f"{feed.fetched} rows{again}: {feed.inserted} {insert}, {feed.updated} {update},"
        f" {feed.unchanged} unchanged, {feed.rejected} rejected"
    )


def state(feed: HeldFeed) -> str:
    return "approved" if feed.state == "succeeded" else feed.state


def approve(
    *, engine: Engine, settings: AnySource, feed: int, actor: str, comment: str, clock: Clock
) -> Outcome:
    """Merges exactly the rows that were staged. What newer feeds have brought since then stays.

    `settings` are those of the feed's source. Raises SafetyStopError where the feed is not held any
    more, or where its staged rows are not complete.
    """
    with locks.held(engine, f"hr/{settings.name}"), engine.begin() as connection:
        held = _find_held(connection, feed)
        if feeds.count(connection, run_id=feed) != held.fetched:
            raise SafetyStopError(f"feed {feed}: its staged rows are not complete, reject it")
        staged = _staged(connection, settings, held, clock())
        outcome = replace(
            merge(connection, staged, rows=held.fetched),
            stopped_by=held.stopped_by,
            read_to=held.read_to,
        )
        runs.succeed(connection, run_id=feed, outcome=outcome)
        feeds.drop(connection, run_id=feed)
        supersede(connection, staged)
        _audit(connection, AuditAction.FEED_APPROVED, held, actor, comment)
    return outcome


def reject(*, engine: Engine, feed: int, actor: str, comment: str) -> None:
    """Throws the feed away. The next full read is due when it was due before; until then nobody is
    asked about the same rows again. Raises SafetyStopError where the feed is not held any more."""
    source = describe(engine=engine, feed=feed).source
    with locks.held(engine, f"hr/{source}"), engine.begin() as connection:
        held = _find_held(connection, feed)
        held_feeds.close(connection, feed=feed, state="rejected")
        feeds.drop(connection, run_id=feed)
        _audit(connection, AuditAction.FEED_REJECTED, held, actor, comment)


def hold(engine: Engine, feed: StagedFeed, outcome: Outcome, *, by_hand: bool) -> HeldFeed:
    """Keeps the staged rows in the place of older feeds that this one covers, and raises
    SafetyStopError, so that somebody is asked. The caller holds the source's lock.

    It returns a feed and raises nothing in three cases. The same rows are held already: that feed
    is returned. The same rows were rejected, no full read has become due since, and the run is not
    `by_hand`: the rejected feed is returned. This feed takes the place of one of the same mode:
    the question about that one is open, and the new feed is returned.
    """
    with engine.begin() as connection:
        fingerprint = feeds.fingerprint(connection, run_id=feed.run_id)
        known = _known(connection, feed, fingerprint, by_hand=by_hand)
        if known:
            runs.fail(connection, run_id=feed.run_id, error=f"SafetyStopError: {_stop(known)}")
            feeds.drop(connection, run_id=feed.run_id)
        else:
            replaced = supersede(connection, feed)
            feeds.fill_in_known(connection, run_id=feed.run_id, source=feed.source)
            feeds.keep(connection, run_id=feed.run_id)
            runs.hold(connection, run_id=feed.run_id, outcome=outcome, fingerprint=fingerprint)
            new = _find(connection, feed.run_id)
    if known:
        log.warning("event=feed_still_%s feed=%s run=%s", known.state, known.id, feed.run_id)
        return known
    log.error("event=feed_held source=%s run=%s", feed.source, feed.run_id)
    if by_hand or feed.scope.mode not in {old.mode for old in replaced}:
        raise _stop(new)
    return new


def _known(
    connection: Connection, feed: StagedFeed, fingerprint: str, *, by_hand: bool
) -> HeldFeed | None:
    """The feed with the same rows about which somebody has been asked already."""
    same = [
        old
        for old in held_feeds.open_ones(connection, source=feed.source)
        if (old.mode, old.fingerprint) == (feed.scope.mode, fingerprint)
    ]
    if same:
        held_feeds.confirm(connection, feed=same[0].id)
        return same[0]
    if by_hand:
        return None
    since = feed.now - feed.settings.full_every
    return held_feeds.rejected_alike(
        connection, source=feed.source, fingerprint=fingerprint, since=since
    )


def supersede(connection: Connection, feed: StagedFeed) -> Sequence[HeldFeed]:
    """Closes the held feeds that a newer feed covers, whether that is merged or held itself, and
    returns them."""
    covered = _covered(connection, feed)
    for old in covered:
        held_feeds.close(connection, feed=old.id, state="superseded")
        feeds.drop(connection, run_id=old.id)
        log.info("event=feed_superseded source=%s feed=%s by=%s", old.source, old.id, feed.run_id)
    return covered


def _covered(connection: Connection, feed: StagedFeed) -> list[HeldFeed]:
    """The held feeds that this one covers. A full read covers all; an incremental one covers
    earlier ones, because it starts at their watermark or before. A file of changes covers only its
    own earlier content."""
    file = runs.file_of(connection, run_id=feed.run_id)
    return [
        old
        for old in held_feeds.open_ones(connection, source=feed.source)
        if old.id < feed.run_id
        and (
            feed.scope.is_complete
            or (old.mode == feed.scope.mode == "incremental" and old.file == file)
        )
    ]


def _staged(
    connection: Connection, settings: AnySource, feed: HeldFeed, now: datetime
) -> StagedFeed:
    """The feed as it was read. It is not HR's present state where something newer was merged
    since."""
    scope = ReadScope(mode=feed.mode, since=feed.read_from)  # type: ignore[arg-type]
    newer = held_feeds.merged_since(connection, source=feed.source, feed=feed.id)
    return StagedFeed(
        run_id=feed.id,
        settings=settings,
        scope=scope,
        mapper=RowMapper(settings),
        now=now,
        decides=scope.is_present_state and not newer,
    )


def _find(connection: Connection, feed: int) -> HeldFeed:
    held = held_feeds.find(connection, feed)
    if held is None:
        raise ConfigurationError(
            f"no feed {feed} was ever held; list them: bin/accountsync feed list"
        )
    return held


def _find_held(connection: Connection, feed: int) -> HeldFeed:
    held = _find(connection, feed)
    if held.state != "held":
        raise SafetyStopError(
            f"feed {feed} of {held.source} is held no more: it was {state(held)}."
            f" {_held_now(connection, held)}"
        )
    return held


def _held_now(connection: Connection, feed: HeldFeed) -> str:
    later = [str(other.id) for other in held_feeds.open_ones(connection, source=feed.source)]
    if not later:
        return "None of this source is held now; nothing has to be decided"
    return f"Held now is feed {', '.join(later)}: decide about that, as it stands"


def _stop(feed: HeldFeed) -> SafetyStopError:
    if feed.state == "rejected":
        return SafetyStopError(f"{feed.source}: the same rows as feed {feed.id}, rejected")
    return SafetyStopError(
        f"{feed.source}: feed {feed.id} is held, nothing of it was merged:"
        f" {all_english(feed.stopped_by)}. Look at it: bin/accountsync feed show {feed.id};"
        " then approve or reject it there, or in Airflow"
    )


def _audit(
    connection: Connection, action: AuditAction, feed: HeldFeed, actor: str, comment: str
) -> None:
    details = {"feed": feed.id, "source": feed.source, "comment": comment}
    audit.record(connection, actor=actor, action=action, details=details)
