"""Shows held plans and held feeds to humans in Airflow, and carries out their decisions (I7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine

from accountsync.clock import Clock
from accountsync.domain.shown import one_line
from accountsync.errors import SafetyStopError
from accountsync.jobs.commands import review_page
from accountsync.jobs.persons import held_feeds
from accountsync.jobs.plans import held_plans
from accountsync.settings import Settings
from accountsync.store.persons.held_feeds import HeldFeed
from accountsync.store.plans import held_persons

Kind = Literal["plan", "feed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a human is shown. `body` is Markdown and names people by employee number. `reviewed` is
    the hash of what is decided about."""

    subject: str
    body: str
    reviewed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A human's answer. `reviewed` is the hash of what was shown."""

    approved: bool
    actor: str
    comment: str
    reviewed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What waits for a decision. `in_place_of` has the numbers of undecided ones whose place it
    took. While a question about one of them is open, no other question is asked. `reviewed`: the
    hash of what is to be asked, so that a question that shows another one is none; None: whatever
    it shows."""

    kind: Kind
    number: int
    in_place_of: tuple[int, ...] = ()
    reviewed: str | None = None


def pending(*, engine: Engine) -> list[Pending]:
    plans = [
        Pending(
            kind="plan",
            number=plan.id,
            reviewed=held_plans.held_hash(engine=engine, plan=plan.id),
        )
        for plan in held_plans.list_held(engine=engine)
    ]
    return plans + [
        Pending(
            kind="feed",
            number=feed.id,
            in_place_of=held_feeds.superseded_by(engine=engine, feed=feed),
        )
        for feed in held_feeds.list_held(engine=engine)
    ]


def describe(*, engine: Engine, kind: Kind, number: int) -> Review:
    """What a human is shown. Raises SafetyStopError where it does not wait for a decision any
    more."""
    if kind == "feed":
        return _of_feed(held_feeds.describe_held(engine=engine, feed=number))
    if not any(plan.id == number for plan in held_plans.list_held(engine=engine)):
        raise SafetyStopError(f"plan {number} does not wait for a decision any more")
    # The hash comes first: what is decided in between makes the answer one about something else.
    reviewed = held_plans.held_hash(engine=engine, plan=number)
    lines = held_plans.held_lines(engine=engine, plan=number)
    with engine.connect() as connection:
        persons = held_persons.by_status(connection, plan_id=number)
    return Review(
        subject=f"Plan {number}: {sum(line.held for line in lines)} account tasks are held",
        body=review_page.of_plan(number, lines, persons),
        reviewed=str(reviewed),
    )


def decide(
    *,
    engine: Engine,
    settings: Settings,
    kind: Kind,
    number: int,
    decision: Decision,
    clock: Clock,
) -> int:
    """Carries out a decision. Returns how many tasks or persons are let through or given up.

    Raises SafetyStopError, and changes nothing, where it is not what was shown any more.
    """
    answer = {"actor": decision.actor, "comment": decision.comment}
    if kind == "plan":
        facts: dict[str, Any] = {"engine": engine, "plan": number, "now": clock(), **answer}
        facts["reviewed"] = decision.reviewed
        if decision.approved:
            return held_plans.approve(settings=settings, **facts)
        return held_plans.reject(**facts)
    feed = held_feeds.describe_held(engine=engine, feed=number)
    if feed.fingerprint != decision.reviewed:
        raise SafetyStopError(f"feed {number} is not what was reviewed; look at it again")
    if not decision.approved:
        held_feeds.reject(engine=engine, feed=number, **answer)
        return feed.fetched
    source = settings.source(feed.source)
    merged = held_feeds.approve(engine=engine, settings=source, feed=number, clock=clock, **answer)
    return merged.counts.inserted + merged.counts.updated


def _of_feed(feed: HeldFeed) -> Review:
    return Review(
        subject=f"Feed {feed.id} of {one_line(feed.source)} is held",
        body=review_page.of_feed(feed),
        reviewed=feed.fingerprint,
    )
