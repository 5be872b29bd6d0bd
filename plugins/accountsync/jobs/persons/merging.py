"""Merges a staged feed into the store, in one transaction that the caller owns.

A feed is what one run read of one source. It lies in a table of its own, `staged_<run>`, and was
proven complete before this module sees it (I2). `merge` then does, in this order:

1. It takes the lock of all persons: sources are read at the same time, but merged one after the
   other, because they share the employee numbers.
2. It adds the rows that were rejected earlier, mapped anew: what was mended in our configuration
   comes in by itself (I3). A complete read has all rows, so it adds none.
3. It decides about rows that would collide: repeated keys, persons of other sources, numbers that
   somebody else has.
4. It inserts and updates persons with one set-based statement, which counts what it does (I14).
5. It asks the feed guard about the counts. The guard looks at the changes that the statement made,
   not at a forecast. If it objects, `Outcome.stopped_by` says why, and the caller rolls everything
   back: the feed stays staged until a human decides (I7).
6. It moves the watermark (I1), notes the snapshot, and marks who is absent (I4); only as far as
   this feed proves these things.

Everything is in one transaction, so that a run that dies leaves nothing behind, and a run that is
repeated finds the same start. Rows may have been staged by another process, or approved days later:
what the feed decides is read from the feed and the store, never from the clock of this process.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from sqlalchemy import Connection

from accountsync.domain.persons.feed_guard import (
    Feed,
    FieldChange,
    Leaving,
    Limits,
    reasons_to_stop,
)
from accountsync.domain.reasons import Reason
from accountsync.jobs.persons.staging import StagedFeed, require_rows
from accountsync.store import locks
from accountsync.store.persons import absences, claims, feeds, merges, ownership, rejects, runs
from accountsync.store.persons.claims import Owner
from accountsync.store.persons.merges import EXAMPLES, Merged
from accountsync.store.persons.runs import Outcome

log = logging.getLogger(__name__)

_ROWS_AT_ONCE = 5000


def merge(connection: Connection, feed: StagedFeed, *, rows: int) -> Outcome:
    """Merges the staged rows. The caller rolls everything back where the outcome has `stopped_by`.

    Raises IncompleteReadError where not all of the `rows` that were staged are there any more.
    """
    locks.take_persons(connection)
    feeds.use_memory(connection)
    run_id, source, scope = feed.run_id, feed.source, feed.scope
    _retry_rejected(connection, feed)
    if feed.settings.allows_repeated_keys:
        feeds.set_repeated_aside(connection, run_id=run_id)
    taken_over = claims.take_over(connection, run_id=run_id, owner=_owner(feed))
    ownership.reject_taken_numbers(
        connection, run_id=run_id, source=source, latest=feed.latest, decides=feed.decides
    )
    merged = merges.merge(
        connection,
        run_id=run_id,
        source=source,
        latest=feed.latest,
        decides=feed.decides,
        leaving=_leaving(feed),
    )
    require_rows(merged.counts.fetched, of=rows)
    outcome = Outcome(
        counts=merged.counts,
        differences=_differences(connection, feed, merged, taken_over),
        read_from=scope.since,
        read_to=scope.until or merged.counts.newest_change,
        stopped_by=_reasons_to_stop(connection, feed, merged),
    )
    rejects.record(
        connection,
        run_id=run_id,
        source=source,
        rejected=merged.counts.rejected,
        complete=scope.is_complete,
    )
    _advance(connection, feed, outcome, is_first=merged.is_first)
    outcome = _with_missing(connection, feed, outcome)
    runs.succeed(connection, run_id=run_id, outcome=outcome)
    return outcome


def _owner(feed: StagedFeed) -> Owner:
    settings = feed.settings
    valid = settings.valid_statuses
    return Owner(
        source=feed.source,
        takes_over=settings.takes_over,
        left=settings.left_statuses,
        valid=[*valid, *settings.leave_statuses] if valid else [],
        today=feed.now.date(),
        birth_date=settings.birth_date.split(".") if settings.birth_date else (),
    )


def _advance(connection: Connection, feed: StagedFeed, outcome: Outcome, *, is_first: bool) -> None:
    """Notes the snapshot and moves the watermark, as far as the feed proves them (I1, I4). A feed
    that is approved after newer ones were merged does not show how HR is now, so it is no
    snapshot."""
    counts, source = outcome.counts, feed.source
    absences.welcome_back(connection, run_id=feed.run_id, source=source)
    if feed.scope.is_complete and feed.decides:
        snapshot = runs.add_snapshot(
            connection, source=source, run_id=feed.run_id, rows=counts.fetched
        )
        if not is_first:
            _mark_absent(connection, feed, snapshot)
    if feed.scope.follows_changes and counts.newest_change:
        runs.advance_watermark(
            connection, source=source, value=counts.newest_change, run_id=feed.run_id
        )


def _mark_absent(connection: Connection, feed: StagedFeed, snapshot: int) -> None:
    if feeds.hides_a_key(connection, run_id=feed.run_id):
        log.warning(
            "event=nobody_marked_absent source=%s run=%s: a row that tells neither key nor number"
            " may be anybody's. bin/accountsync reject list", feed.source, feed.run_id,
        )  # fmt: skip
        return
    absences.mark(connection, run_id=feed.run_id, source=feed.source, snapshot=snapshot)
    _presume_left(connection, feed)


def _presume_left(connection: Connection, feed: StagedFeed) -> None:
    policy = feed.settings.absence
    if policy.policy == "leave":
        absences.presume_left(
            connection,
            run_id=feed.run_id,
            source=feed.source,
            after_snapshots=policy.after_snapshots,
            now=feed.now,
        )


def _with_missing(connection: Connection, feed: StagedFeed, outcome: Outcome) -> Outcome:
    """Adds to the outcome who is missing from HR for so long that a human has to decide (I4)."""
    policy = feed.settings.absence
    if not feed.scope.is_complete or policy.policy != "ask":
        return outcome
    count, examples = absences.long_absent(
        connection,
        source=feed.source,
        after_snapshots=policy.after_snapshots,
        left_statuses=feed.settings.left_statuses,
        examples=EXAMPLES,
    )
    if not count:
        return outcome
    log.warning(
        "event=missing_from_hr source=%s run=%s persons=%s: have they left?"
        " bin/accountsync feed absent", feed.source, feed.run_id, count,
    )  # fmt: skip
    missing = {"missing": {"persons": count, "examples": examples}}
    return replace(outcome, differences={**outcome.differences, **missing})


def _retry_rejected(connection: Connection, feed: StagedFeed) -> None:
    """Adds the rows that were rejected earlier, mapped anew (I3). A read of some persons says
    nothing about others, and a row that a complete read lacks is gone from HR."""
    if feed.scope.mode == "person" or feed.scope.is_complete:
        return
    after = 0
    while rows := feeds.open_rejects(
        connection, run_id=feed.run_id, source=feed.source, after=after, limit=_ROWS_AT_ONCE
    ):
        records = feed.mapper.map([raw for *_, raw in rows])
        feeds.add(connection, run_id=feed.run_id, lines=feeds.lines(records, retried=True))
        rejects.close_other_keys(
            connection,
            [
                number
                for (number, key, _), record in zip(rows, records, strict=True)
                if (record.source_key or record.content_hash.hex()) != key
            ],
        )
        after = rows[-1][0]
    if after:
        feeds.keep_newest_of_retried(connection, run_id=feed.run_id)


def _reasons_to_stop(connection: Connection, feed: StagedFeed, merged: Merged) -> list[Reason]:
    counts = merged.counts
    limits = Limits(**feed.settings.feed_guard.model_dump())
    return reasons_to_stop(
        Feed(
            is_complete=feed.scope.is_complete,
            received=counts.fetched,
            rejected=_newly_rejected(connection, feed, merged),
            known=_known(connection, feed, merged),
            matched=counts.updated + counts.unchanged,
            changes=[_with_totals(connection, feed, change) for change in merged.changes],
        ),
        limits,
    )


def _known(connection: Connection, feed: StagedFeed, merged: Merged) -> int:
    """How many persons the source has. A source of changes only has no snapshot that says so; they
    are counted only where a field changed often enough to concern the feed guard."""
    snapshot = runs.last_snapshot(connection, source=feed.source)
    if snapshot and snapshot.rows:
        return snapshot.rows
    floor = feed.settings.feed_guard.floor
    if merged.counts.fetched and all(change.changed < floor for change in merged.changes):
        return 0
    return merges.with_value(connection, source=feed.source, field="source_key")


def _with_totals(connection: Connection, feed: StagedFeed, change: FieldChange) -> FieldChange:
    """Adds how many persons had a value in the field, or had left. They are counted only where the
    feed takes enough of that away to concern the feed guard."""
    floor, field = feed.settings.feed_guard.floor, change.field
    if change.emptied >= floor:
        others = merges.with_value(connection, source=feed.source, field=field)
        change = replace(change, had=change.emptied + others)
    if change.back >= floor:
        others = merges.leavers(connection, source=feed.source, field=field, leaving=_leaving(feed))
        change = replace(change, had_left=change.back + others)
    return change


def _leaving(feed: StagedFeed) -> Leaving:
    return Leaving(statuses=feed.settings.left_statuses, today=feed.now.date())


def _newly_rejected(connection: Connection, feed: StagedFeed, merged: Merged) -> int:
    if not merged.counts.rejected:
        return 0
    return rejects.count_new(connection, run_id=feed.run_id, source=feed.source)


def _differences(
    connection: Connection, feed: StagedFeed, merged: Merged, taken_over: list[str]
) -> dict[str, object]:
    """Employee numbers are the only personal data in it (I15)."""
    differences: dict[str, object] = {
        "fields": {change.field: _change_document(change) for change in merged.changes}
    }
    differences["inserted"] = merged.newcomers
    differences["taken_over"] = taken_over[:EXAMPLES]
    if merged.counts.rejected:
        differences["rejected"] = rejects.reasons(connection, run_id=feed.run_id, examples=EXAMPLES)
    if feed.scope.numbers:
        differences["not_found"] = feeds.without_row(
            connection, run_id=feed.run_id, numbers=feed.scope.numbers
        )
    return {name: value for name, value in differences.items() if value}


def _change_document(change: FieldChange) -> dict[str, object]:
    document = {
        "changed": change.changed,
        "emptied": change.emptied,
        "examples": list(change.examples),
    }
    return document | (
        {"shifts": [list(shift) for shift in change.shifts]} if change.shifts else {}
    )
