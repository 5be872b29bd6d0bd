"""Look at feeds that the feed guard held, and at persons who are missing from HR; decide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from accountsync import wiring
from accountsync.cli import screen, session
from accountsync.cli.session import Comment, Decider
from accountsync.clock import utc_now
from accountsync.domain.reasons import from_document
from accountsync.jobs.persons import absences, held_feeds
from accountsync.jobs.reason_texts import english
from accountsync.store.persons.absences import Absent
from accountsync.store.persons.held_feeds import HeldFeed

app = typer.Typer(help=__doc__, no_args_is_help=True)

Feed = Annotated[
    int, typer.Argument(min=1, max=session.LARGEST, help="its number, from `feed list`")
]


@app.command("list")
def feed_list() -> None:
    """List the feeds that wait for a decision."""
    feeds = held_feeds.list_held(engine=session.store())
    for feed in feeds:
        typer.echo(
            f"{feed.id}  {feed.source}  {feed.mode}  read {feed.started_at:%Y-%m-%d %H:%M} UTC"
        )
        for reason in feed.stopped_by:
            typer.echo(f"    {english(reason)}")
    if not feeds:
        typer.echo("no feed is held")


@app.command("show")
def feed_show(feed: Feed) -> None:
    """Print what a held feed would change: counts, fields, examples by employee number."""
    held = held_feeds.describe(engine=session.store(), feed=feed)
    screen.say(*_lines(held))


@app.command("approve")
def feed_approve(feed: Feed, comment: Comment, actor: Decider = "") -> None:
    """Merge exactly this feed."""
    who = session.actor(actor)
    counts = wiring.approve_feed(session.settings(), feed, actor=who, comment=comment).counts
    typer.echo(
        f"feed {feed} merged: {counts.inserted} inserted, {counts.updated} updated,"
        f" {counts.unchanged} unchanged, {counts.rejected} rejected"
    )


@app.command("reject")
def feed_reject(feed: Feed, comment: Comment, actor: Decider = "") -> None:
    """Throw this feed away. The next full read is due when it was due before."""
    engine = session.store()
    held_feeds.reject(engine=engine, feed=feed, actor=session.actor(actor), comment=comment)
    typer.echo(f"feed {feed} rejected, nothing of it was merged")


@app.command("absent")
def feed_absent(
    every: Annotated[
        bool, typer.Option("--all", help="also persons about whom nobody has to decide")
    ] = False,
) -> None:
    """List persons who are missing from so many complete reads that a human has to decide."""
    settings = session.settings()
    missing = absences.list_absent(engine=session.store(), sources=settings.hr)
    shown = [absence for absence in missing if absence.is_asked or every]
    for absence in shown:
        screen.say(_absence_line(absence.absent))
    if not shown:
        more = f"nobody has to be asked about; {len(missing)} are missing (--all)"
        typer.echo(more if missing else "nobody is missing")


@app.command("presume-left")
def feed_presume_left(
    numbers: Annotated[list[str], typer.Argument(help="employee numbers, from `feed absent`")],
    comment: Comment,
    actor: Decider = "",
) -> None:
    """Take missing persons for leavers until HR has them again."""
    who = session.actor(actor)
    engine = session.store()
    absences.presume_left(engine=engine, numbers=numbers, actor=who, comment=comment, now=utc_now())
    typer.echo(f"{len(set(numbers))} taken for leavers")


def _absence_line(absent: Absent) -> str:
    left = absent.presumed_left_at
    return (
        f"{absent.employee_number}  {absent.source}  since {absent.since:%F %H:%M} UTC,"
        f" {absent.snapshots} complete reads"
        + (f", taken for a leaver on {left:%F}" if left else "")
        + (", had left before" if absent.has_left else "")
    )


def _lines(feed: HeldFeed) -> Iterator[str]:
    yield f"feed {feed.id} of {feed.source}: {feed.mode}, {held_feeds.state(feed)}"
    yield from (f"  stopped: {english(reason)}" for reason in feed.stopped_by)
    yield f"  {held_feeds.counts(feed)}"
    for field, change in feed.differences.get("fields", {}).items():
        yield (
            f"  {field}: {change['changed']} changed, {change['emptied']} of them emptied;"
            f" for example {', '.join(change['examples'])}"
        )
        for old, new, persons in change.get("shifts", []):
            yield f"    {old or 'nothing'} → {new or 'nothing'}: {persons}"
    for reject in feed.differences.get("rejected", []):
        examples = ", ".join(reject["examples"]) or "rows without a number"
        why = english(from_document(reject["reason"]))
        yield f"  rejected, {why}: {reject['rows']}; for example {examples}"
    if newcomers := feed.differences.get("inserted"):
        yield f"  new: for example {', '.join(newcomers)}"
