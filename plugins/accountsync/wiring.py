"""The composition root: every job, with the parts that it works with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any

from accountsync import connections, metrics
from accountsync.clock import utc_now
from accountsync.connections import open_store
from accountsync.errors import ConfigurationError
from accountsync.jobs.commands import adopt_accounts, provision, reviews
from accountsync.jobs.commands.adopt_accounts import Adoption
from accountsync.jobs.commands.provision import Doing, Step
from accountsync.jobs.persons import held_feeds, sync_hr_persons
from accountsync.jobs.persons.run_request import RunRequest
from accountsync.jobs.persons.sync_hr_persons import SyncResult
from accountsync.jobs.plans import create_account_tasks, held_plans
from accountsync.jobs.plans.create_account_tasks import PlanSummary
from accountsync.jobs.tasks import preview, process_account_tasks
from accountsync.jobs.tasks.process_account_tasks import ProcessSummary
from accountsync.jobs.tasks.task_queue import Limits
from accountsync.settings import Settings
from accountsync.store.engine import database_clock, database_time
from accountsync.store.persons.runs import Outcome
from accountsync.targets.connector import OpenConnector

_SECONDS_PER_RUN = 240.0
"""A run stops claiming before the next one is due."""


def store_time(settings: Settings) -> datetime:
    """By the store's clock: what a plan makes due is due at once, whoever's clock is slow."""
    with open_store(settings).connect() as connection:
        return database_time(connection)


def sync_source(
    settings: Settings,
    name: str,
    *,
    request: RunRequest | None = None,
    airflow_run_id: str | None = None,
) -> SyncResult:
    """The job of one HR source, with its API opened and closed."""
    source = settings.source(name)
    return sync_hr_persons.sync_hr_persons(
        engine=open_store(settings),
        settings=source,
        open_source=connections.hr_opener(source),
        clock=utc_now,
        request=request or RunRequest(),
        airflow_run_id=airflow_run_id,
    )


def approve_feed(settings: Settings, feed: int, *, actor: str, comment: str) -> Outcome:
    """Merges a feed that the feed guard held."""
    engine = open_store(settings)
    source = held_feeds.describe(engine=engine, feed=feed).source
    return held_feeds.approve(
        engine=engine,
        settings=settings.source(source),
        feed=feed,
        actor=actor,
        comment=comment,
        clock=utc_now,
    )


def make_plan(
    settings: Settings,
    *,
    dry_run: bool = False,
    airflow_run_id: str | None = None,
    only: str | None = None,
) -> PlanSummary:
    """`only`: the employee number of the one person to plan."""
    return create_account_tasks.create_account_tasks(
        engine=open_store(settings),
        settings=settings,
        now=store_time(settings),
        dry_run=dry_run,
        airflow_run_id=airflow_run_id,
        only=only,
    )


def approve_plan(
    settings: Settings, plan: int, *, actor: str, comment: str, reviewed: str | None = None
) -> int:
    """Lets go what the guard held. `reviewed`: the hash of what the reviewer saw."""
    return held_plans.approve(
        engine=open_store(settings),
        settings=settings,
        plan=plan,
        actor=actor,
        comment=comment,
        reviewed=reviewed,
        now=store_time(settings),
    )


def reject_plan(
    settings: Settings, plan: int, *, actor: str, comment: str, reviewed: str | None = None
) -> int:
    """Cancels what the guard held."""
    return held_plans.reject(
        engine=open_store(settings),
        plan=plan,
        actor=actor,
        comment=comment,
        reviewed=reviewed,
        now=store_time(settings),
    )


def release_dry_run(settings: Settings, plan: int, *, actor: str) -> PlanSummary:
    return held_plans.release_dry_run(
        engine=open_store(settings),
        settings=settings,
        plan=plan,
        actor=actor,
        now=store_time(settings),
    )


def pending_reviews(settings: Settings) -> list[dict[str, Any]]:
    """Of each held plan and feed: the review's run id, its form, and the run ids of older reviews
    that lead to this one when they are answered."""
    return [
        {
            "trigger_run_id": f"{review.kind}-{review.number}",
            "conf": {"kind": review.kind, "number": review.number},
            "led_to_by": [f"{review.kind}-{number}" for number in review.in_place_of],
        }
        for review in reviews.pending(engine=open_store(settings))
    ]


def describe_review(settings: Settings, kind: reviews.Kind, number: int) -> dict[str, str]:
    return asdict(reviews.describe(engine=open_store(settings), kind=kind, number=number))


def decide_review(
    settings: Settings, kind: reviews.Kind, number: int, *, approved: bool, **answer: str
) -> bool:
    """`answer`: actor, comment, reviewed (the hash of what was shown). Returns `approved`."""
    reviews.decide(
        engine=open_store(settings),
        settings=settings,
        kind=kind,
        number=number,
        decision=reviews.Decision(approved=approved, **answer),
        clock=partial(store_time, settings),
    )
    return approved


def find_due_targets(settings: Settings, *, dry_run: bool = False) -> list[str]:
    """Configured targets with work to do, in the order of the configuration."""
    return process_account_tasks.find_due_targets(
        engine=open_store(settings), systems=settings.systems, dry_run=dry_run
    )


def find_untried(settings: Settings, *, since: str | None) -> dict[str, int]:
    """Configured target → tasks that became ready since then (of `store_time`; None: no run has
    looked) and were not tried yet."""
    if since is None:
        return {}
    moment = datetime.fromisoformat(since)
    untried = process_account_tasks.find_untried(engine=open_store(settings), since=moment)
    return {system: untried[system] for system in settings.systems if system in untried}


def process_target(
    settings: Settings,
    system: str,
    *,
    worker: str,
    max_tasks: int | None = None,
    employee_numbers: Sequence[str] | None = None,
    at_once: bool = False,
    dry_run: bool = False,
    seconds: float = _SECONDS_PER_RUN,
) -> ProcessSummary:
    """A dry run is refused at the wire; it shows what would be sent and leaves the queue alone.
    Nothing is sent after `seconds`."""
    target, engine = settings.systems[system], open_store(settings)
    limits = Limits(
        concurrency=target.rate.concurrency,
        call_timeout=target.timeout,
        seconds=seconds,
        max_tasks=max_tasks,
        employee_numbers=employee_numbers,
    )
    open_connector = connections.target_opener(target, dry_run=dry_run)
    if dry_run:
        return preview.preview_account_tasks(
            engine=engine, system=system, open_connector=open_connector, limits=limits
        )
    try:
        return process_account_tasks.process_account_tasks(
            engine=engine,
            system=system,
            open_connector=open_connector,
            rules=process_account_tasks.rules_of(settings),
            limits=limits,
            worker=worker,
            clock=database_clock(engine),
            at_once=at_once,
            on_end=metrics.send_run,
        )
    finally:
        metrics.send_queue(engine, system)


def adopt_accounts_of(
    settings: Settings, system: str, *, actor: str, dry_run: bool = False
) -> Adoption:
    """What the target has already becomes its persons'; nothing is changed there."""
    opener = target_to_look_at(settings, system)
    return adopt_accounts.adopt_accounts(
        engine=open_store(settings),
        system=system,
        target=settings.systems[system],
        read=lambda: asyncio.run(adopt_accounts.list_accounts(opener, system=system)),
        actor=actor,
        now=utc_now(),
        dry_run=dry_run,
    )


def target_to_look_at(settings: Settings, system: str) -> OpenConnector:
    """A connector that refuses every change. Raises ConfigurationError for a name it lacks."""
    if system not in settings.systems:
        known = ", ".join(settings.systems)
        raise ConfigurationError(f"no target is called {system!r}; known: {known}")
    target = settings.systems[system]
    return connections.target_opener(target, dry_run=True)


def provision_person(settings: Settings, employee_number: str, *, actor: str) -> Iterator[Step]:
    """One person through the whole chain, now."""
    worker = f"provision by {actor}"

    def sync_sources() -> str:
        request = RunRequest(mode="person", numbers=frozenset([employee_number]))
        results = [sync_source(settings, source.name, request=request) for source in settings.hr]
        return "; ".join(
            f"{result.source}: {result.fetched} read, {result.inserted} new,"
            f" {result.updated} changed, {result.unchanged} unchanged, {result.rejected} rejected"
            for result in results
        )

    def plan() -> str:
        summary = make_plan(settings, airflow_run_id=worker, only=employee_number)
        return provision.describe_plan(summary)

    def process_system(system: str, seconds: float) -> ProcessSummary:
        return process_target(
            settings,
            system,
            worker=worker,
            employee_numbers=[employee_number],
            seconds=seconds,
        )

    return provision.provision(
        engine=open_store(settings),
        settings=settings,
        employee_number=employee_number,
        doing=Doing(sync=sync_sources, plan=plan, process=process_system),
    )
