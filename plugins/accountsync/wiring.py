"""The composition root: gives every job the engine, sources, connectors and clock it works with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime

from accountsync import connections, metrics
from accountsync.clock import utc_now
from accountsync.connections import open_store
from accountsync.errors import ConfigurationError
from accountsync.jobs.commands import adopt_accounts, provision
from accountsync.jobs.commands.adopt_accounts import Adoption
from accountsync.jobs.commands.provision import Doing, Step
from accountsync.jobs.persons import held_feeds, sync_hr_persons
from accountsync.jobs.persons.run_request import RunRequest
from accountsync.jobs.persons.sync_hr_persons import SyncResult
from accountsync.jobs.plans import create_account_tasks, held_plans
from accountsync.jobs.plans.create_account_tasks import PlanSummary
from accountsync.jobs.tasks import open_access, preview, process_account_tasks
from accountsync.jobs.tasks.process_account_tasks import ProcessSummary
from accountsync.jobs.tasks.task_queue import Limits
from accountsync.settings import Settings
from accountsync.settings.targets import AnyTarget, ScimTarget
from accountsync.store.engine import database_clock, database_time
from accountsync.store.persons.runs import Outcome
from accountsync.store.plans.guarded_tasks import EVERYTHING, Selection
from accountsync.targets.connector import OpenConnector

_SECONDS_PER_RUN = 240.0
"""A run stops claiming tasks before the next run is due."""


def store_time(settings: Settings) -> datetime:
    """The time by the store's clock. Plans use it, so that a task is due at once, even if the clock
    of this machine is slow."""
    with open_store(settings).connect() as connection:
        return database_time(connection)


def sync_source(
    settings: Settings,
    name: str,
    *,
    request: RunRequest | None = None,
    airflow_run_id: str | None = None,
) -> SyncResult:
    """Reads one HR source; see `sync_hr_persons` for what is raised."""
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
    """Merges a feed that the feed guard held, and returns what that changed."""
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
    """Derives a plan. `only` is the employee number of the one person to plan; None means
    everybody."""
    return create_account_tasks.create_account_tasks(
        engine=open_store(settings),
        settings=settings,
        now=store_time(settings),
        dry_run=dry_run,
        airflow_run_id=airflow_run_id,
        only=only,
    )


def approve_plan(
    settings: Settings,
    plan: int,
    *,
    actor: str,
    comment: str,
    chosen: Selection = EVERYTHING,
) -> int:
    """Releases what the guard held, and returns how many tasks."""
    return held_plans.approve(
        engine=open_store(settings),
        settings=settings,
        plan=plan,
        actor=actor,
        comment=comment,
        chosen=chosen,
        now=store_time(settings),
    )


def reject_plan(
    settings: Settings,
    plan: int,
    *,
    actor: str,
    comment: str,
    chosen: Selection = EVERYTHING,
    once_more: bool = False,
) -> int:
    """Cancels what the guard held, and returns how many tasks."""
    return held_plans.reject(
        engine=open_store(settings),
        plan=plan,
        actor=actor,
        comment=comment,
        chosen=chosen,
        once_more=once_more,
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


def require_access_ended(settings: Settings) -> None:
    """Raises SafetyStopError where somebody has to be told that access has not ended."""
    open_access.require_ended(engine=open_store(settings))


def find_due_targets(settings: Settings, *, dry_run: bool = False) -> list[str]:
    """The configured targets that have due tasks, in the order of the configuration."""
    return process_account_tasks.find_due_targets(
        engine=open_store(settings), targets=settings.targets, dry_run=dry_run
    )


def find_untried(settings: Settings, *, since: str | None) -> dict[str, int]:
    """Configured target → the number of tasks that became ready after `since` and were not tried
    yet.

    `since` is an ISO time by `store_time`; None means that no run has looked, and nothing is
    found."""
    if since is None:
        return {}
    moment = datetime.fromisoformat(since)
    untried = process_account_tasks.find_untried(engine=open_store(settings), since=moment)
    return {target: untried[target] for target in settings.targets if target in untried}


def process_target(
    settings: Settings,
    target: str,
    *,
    worker: str,
    max_tasks: int | None = None,
    employee_numbers: Sequence[str] | None = None,
    at_once: bool = False,
    dry_run: bool = False,
    seconds: float = _SECONDS_PER_RUN,
) -> ProcessSummary:
    """Carries out the due tasks of one target. Nothing is sent after `seconds`.

    A dry run shows what would be sent. The wire refuses every change, and no task is claimed."""
    declared, engine = settings.targets[target], open_store(settings)
    limits = Limits(
        concurrency=declared.rate.concurrency,
        call_timeout=declared.timeout,
        seconds=seconds,
        max_tasks=max_tasks,
        employee_numbers=employee_numbers,
    )
    open_connector = connections.target_opener(declared, dry_run=dry_run)
    rules = process_account_tasks.rules_of(engine=engine, settings=settings, target=target)
    if dry_run:
        return preview.preview_account_tasks(
            engine=engine,
            target=target,
            open_connector=open_connector,
            rules=rules,
            limits=limits,
        )
    try:
        return process_account_tasks.process_account_tasks(
            engine=engine,
            target=target,
            open_connector=open_connector,
            rules=rules,
            limits=limits,
            worker=worker,
            clock=database_clock(engine),
            at_once=at_once,
            on_end=metrics.send_run,
        )
    finally:
        metrics.send_queue(engine, target)


def adopt_accounts_of(
    settings: Settings, target: str, *, actor: str, dry_run: bool = False
) -> Adoption:
    """Adopts the accounts that the target has already. Nothing is changed there."""
    opener = target_to_look_at(settings, target)
    return adopt_accounts.adopt_accounts(
        engine=open_store(settings),
        target=target,
        declared=settings.targets[target],
        read=lambda: asyncio.run(adopt_accounts.list_accounts(opener, target=target)),
        actor=actor,
        now=utc_now(),
        dry_run=dry_run,
    )


def target_to_look_at(settings: Settings, target: str) -> OpenConnector:
    """A connector that refuses every change. Raises ConfigurationError where no such target
    exists."""
    return connections.target_opener(_declared(settings, target), dry_run=True)


def target_to_check(settings: Settings, target: str) -> OpenConnector:
    """As `target_to_look_at`, unless a user is declared that the connection test may change."""
    declared = _declared(settings, target)
    may_change = isinstance(declared, ScimTarget) and declared.check_user is not None
    return connections.target_opener(declared, dry_run=not may_change)


def _declared(settings: Settings, target: str) -> AnyTarget:
    if target not in settings.targets:
        known = ", ".join(settings.targets)
        raise ConfigurationError(f"no target is called {target!r}; known: {known}")
    return settings.targets[target]


def provision_person(settings: Settings, employee_number: str, *, actor: str) -> Iterator[Step]:
    """Takes one person through the whole chain at once, step by step."""
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

    def process_in(target: str, seconds: float) -> ProcessSummary:
        return process_target(
            settings,
            target,
            worker=worker,
            employee_numbers=[employee_number],
            seconds=seconds,
        )

    return provision.provision(
        engine=open_store(settings),
        settings=settings,
        employee_number=employee_number,
        doing=Doing(sync=sync_sources, plan=plan, process=process_in),
    )
