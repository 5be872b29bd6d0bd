"""Feeds of HR: those that the feed guard held, and who is missing from them."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from accountsync import settings as configuration
from accountsync import wiring
from accountsync.cli.audited import Actor, Comment
from accountsync.domain.reasons import from_document
from accountsync.jobs.persons import absences, held_feeds
from accountsync.jobs.reason_texts import english
from accountsync.settings import Settings
from accountsync.store.persons.absences import Absent
from accountsync.store.persons.held_feeds import HeldFeed

app = typer.Typer(help=__doc__, no_args_is_help=True)

Feed = Annotated[int, typer.Argument(help="its number, from `feed list`")]


def _settings() -> Settings:
    return configuration.load(configuration.config_path())


@app.command("list")
def feed_list() -> None:
    """List the feeds that wait for a decision."""
    found = held_feeds.list_held(engine=wiring.open_store(_settings()))
    for feed in found:
        typer.echo(
            f"{feed.id}  {feed.source}  {feed.mode}  read {feed.started_at:%Y-%m-%d %H:%M} UTC"
        )
        for reason in feed.stopped_by:
            typer.echo(f"    {english(reason)}")
    if not found:
        typer.echo("no feed is held")


@app.command("show")
def feed_show(feed: Feed) -> None:
    """Print what a held feed would change: counts, fields, examples by employee number."""
    found = held_feeds.describe(engine=wiring.open_store(_settings()), feed=feed)
    typer.echo("\n".join(_lines(found)))


@app.command("approve")
def feed_approve(feed: Feed, comment: Comment, actor: Actor = "") -> None:
    """Merge exactly this feed."""
    who = actor or getpass.getuser()
    counts = wiring.approve_feed(_settings(), feed, actor=who, comment=comment).counts
    typer.echo(
        f"feed {feed} merged: {counts.inserted} inserted, {counts.updated} updated,"
        f" {counts.unchanged} unchanged, {counts.rejected} rejected"
    )


@app.command("reject")
def feed_reject(feed: Feed, comment: Comment, actor: Actor = "") -> None:
    """Throw this feed away; a full read is due when it was, or comes by hand."""
    engine = wiring.open_store(_settings())
    held_feeds.reject(engine=engine, feed=feed, actor=actor or getpass.getuser(), comment=comment)
    typer.echo(f"feed {feed} rejected, nothing of it was merged")


@app.command("absent")
def feed_absent(
    every: Annotated[bool, typer.Option("--all", help="also those about whom nobody asks")] = False,
) -> None:
    """List who is missing from complete reads for so long that a human has to say what it means."""
    settings = _settings()
    found = absences.list_absent(engine=wiring.open_store(settings), sources=settings.hr)
    shown = [one for one in found if one.is_asked or every]
    for one in shown:
        typer.echo(_absence_line(one.absent))
    if not shown:
        more = f"nobody has to be asked about; {len(found)} are missing (--all)"
        typer.echo(more if found else "nobody is missing")


@app.command("presume-left")
def feed_presume_left(
    numbers: Annotated[list[str], typer.Argument(help="employee numbers, from `feed absent`")],
    comment: Comment,
    actor: Actor = "",
) -> None:
    """Take missing persons for leavers, until HR has them again."""
    who = actor or getpass.getuser()
    engine = wiring.open_store(_settings())
    absences.presume_left(
        engine=engine, numbers=numbers, actor=who, comment=comment, now=datetime.now(UTC)
    )
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
