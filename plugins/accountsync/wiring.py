"""The composition root: configuration and Airflow Connections in, working parts out.

The only module besides the web page's access check that knows Airflow.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict
from datetime import datetime
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Engine

from accountsync import metrics
from accountsync.errors import ConfigurationError
from accountsync.hr.file import FileHrSource
from accountsync.hr.http import HttpHrSource
from accountsync.hr.source import HrSource
from accountsync.hr.sql import SqlHrSource
from accountsync.jobs import adopt_accounts as adoption
from accountsync.jobs import create_account_tasks as create
from accountsync.jobs import held_feeds, held_plans, preview, provision, reviews
from accountsync.jobs import process_account_tasks as process
from accountsync.jobs import sync_hr_persons as sync
from accountsync.jobs.adopt_accounts import Adoption
from accountsync.jobs.create_account_tasks import PlanSummary
from accountsync.jobs.inspect_target import OpenConnector
from accountsync.jobs.process_account_tasks import ProcessSummary
from accountsync.jobs.provision import Doing, Step
from accountsync.jobs.staging import OpenSource
from accountsync.jobs.sync_hr_persons import SyncResult
from accountsync.jobs.sync_order import SyncOrder
from accountsync.jobs.task_queue import Limits, database_clock
from accountsync.settings import Settings
from accountsync.settings.hr import AnySource, FileSource, HttpSource, SqlSource
from accountsync.settings.targets import AnyTarget
from accountsync.store import engine as store_engine
from accountsync.store.runs import Outcome
from accountsync.store.tasks import database_time
from accountsync.targets import catalog
from accountsync.targets.connector import Connector
from accountsync.wire import unreadable
from accountsync.wire.api import Api, utc_now
from accountsync.wire.auth import authenticator
from accountsync.wire.endpoint import Endpoint

DATABASE_VARIABLE = "ACCOUNTSYNC_DATABASE_URL"
_SECONDS_PER_RUN = 240.0
"""A run stops claiming before the next one is due."""


def open_store(settings: Settings) -> Engine:
    """The store of ACCOUNTSYNC_DATABASE_URL if it is set, else of the Airflow Connection."""
    url = os.environ.get(DATABASE_VARIABLE) or _postgres_url(settings.database.conn_id)
    return _engine(url)


@cache
def _engine(url: str) -> Engine:
    return store_engine.create(url)


def _postgres_url(conn_id: str) -> str:
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    _connection(conn_id)  # a clear error first
    hook = PostgresHook(postgres_conn_id=conn_id)
    url = hook.sqlalchemy_url.update_query_dict(_libpq_options(hook, conn_id))
    return url.render_as_string(hide_password=False)


def _libpq_options(hook: Any, conn_id: str) -> dict[str, str]:
    """What a Postgres Connection's extra says to libpq (`sslmode`, `sslrootcert` …), which the
    hook's address leaves out; its own words are not for libpq.

    Raises ConfigurationError for anything else: a `ssl_mode` that nobody reads encrypts nothing.
    """
    import psycopg

    said = {name: v for name, v in hook.connection.extra_dejson.items() if v is not None}
    options = {name: str(said[name]) for name in said if name not in hook.ignored_extra_options}
    known = {one.keyword.decode() for one in psycopg.pq.Conninfo.get_defaults()}
    if unknown := sorted(options.keys() - known):
        raise ConfigurationError(
            f"Connection {conn_id!r}: its extra has {', '.join(unknown)}, which is no option of"
            " libpq; sslmode, sslrootcert, sslcert, sslkey are"
        )
    return options


def _connection(conn_id: str) -> Any:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise ConfigurationError(
            f"Airflow has no Connection {conn_id!r}; add it in the web UI (Admin → Connections)"
            f" or set AIRFLOW_CONN_{conn_id.upper()}"
        ) from error


def endpoint(conn_id: str) -> Endpoint:
    """The facts of an Airflow Connection, of type `http` as a rule.

    Of its extra, `verify` (true, false or a CA file), `cert`, `key` (of a client certificate) and
    `proxy` are read here; the rest is for the templates of the configuration (`conn.extra.…`) and
    for directories (wire.directory).
    """
    connection = _connection(conn_id)
    extra: Mapping[str, Any] = connection.extra_dejson
    return Endpoint(
        conn_id=conn_id,
        base_url=_base_url(conn_id, connection),
        login=connection.login or "",
        password=connection.password or "",
        extra=extra,
        verify=extra.get("verify", True),
        cert=extra.get("cert"),
        key=extra.get("key"),
        proxy=extra.get("proxy"),
    )


def _base_url(conn_id: str, connection: Any) -> str:
    host = str(connection.host or "")
    if not host:
        raise ConfigurationError(f"Connection {conn_id!r}: host is empty")
    url = host if "://" in host else f"{connection.schema or 'https'}://{host}"
    if connection.port and urlsplit(url).port is None:
        url = f"{url}:{connection.port}"
    return url.rstrip("/")


def store_time(settings: Settings) -> datetime:
    """By the store's clock: what a plan makes due is due at once, whoever's clock is slow."""
    with open_store(settings).connect() as connection:
        return database_time(connection)


def sync_hr_persons(
    settings: Settings,
    name: str,
    *,
    order: SyncOrder | None = None,
    airflow_run_id: str | None = None,
) -> SyncResult:
    """The job of one HR source, with its API opened and closed."""
    source = settings.source(name)
    return sync.sync_hr_persons(
        engine=open_store(settings),
        settings=source,
        open_source=_hr_opener(source),
        clock=utc_now,
        order=order or SyncOrder(),
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


def _hr_opener(source: AnySource) -> OpenSource:
    """Connections are looked up here, outside the event loop."""
    match source:
        case HttpSource():
            return partial(_http_source, source, endpoint(source.conn_id))
        case FileSource():
            files = _file_source(source)
            return lambda: nullcontext[HrSource](files)
        case SqlSource():
            return partial(_sql_source, source, _sql_engine(source.conn_id))


@asynccontextmanager
async def _http_source(source: HttpSource, point: Endpoint) -> AsyncIterator[HrSource]:
    async with _api(point, source) as api:
        yield HttpHrSource(source, api)


@asynccontextmanager
async def _sql_source(source: SqlSource, engine: Engine) -> AsyncIterator[HrSource]:
    try:
        yield SqlHrSource(source, engine=engine)
    finally:
        engine.dispose()


def _file_source(source: FileSource) -> FileHrSource:
    from airflow.sdk import ObjectStoragePath

    try:
        folder, archive = (
            ObjectStoragePath(path, conn_id=source.conn_id)
            for path in (source.path, source.archive)
        )
        _ = folder.fs
    except ValueError as error:
        raise ConfigurationError(
            f"HR source {source.name!r}: {error}; install the Airflow provider of that store"
        ) from error
    return FileHrSource(source, folder=folder, archive=archive)


def _sql_engine(conn_id: str) -> Engine:
    """Of whatever database the Connection is for; its provider has to be installed."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    hook = _connection(conn_id).get_hook()
    if not hasattr(hook, "get_sqlalchemy_engine"):
        raise ConfigurationError(f"Connection {conn_id!r} is not one of a SQL database")
    is_postgres = isinstance(hook, PostgresHook)
    more = {"connect_args": _libpq_options(hook, conn_id)} if is_postgres else {}
    engine: Engine = hook.get_sqlalchemy_engine(engine_kwargs=more)
    return engine


def create_account_tasks(
    settings: Settings,
    *,
    dry_run: bool = False,
    airflow_run_id: str | None = None,
    only: str | None = None,
) -> PlanSummary:
    """`only`: the employee number of the one person to plan."""
    return create.create_account_tasks(
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
    """Of each held plan and feed: the review's run id and its form."""
    return [
        {"trigger_run_id": f"{kind}-{number}", "conf": {"kind": kind, "number": number}}
        for kind, number in reviews.pending(engine=open_store(settings))
    ]


def describe_review(settings: Settings, kind: reviews.Kind, number: int) -> dict[str, str]:
    return asdict(reviews.describe(engine=open_store(settings), kind=kind, number=number))


def decide_review(
    settings: Settings, kind: reviews.Kind, number: int, *, approved: bool, **said: str
) -> bool:
    """`said`: actor, comment, reviewed (the hash of what was shown). Returns `approved`."""
    reviews.decide(
        engine=open_store(settings),
        settings=settings,
        kind=kind,
        number=number,
        decision=reviews.Decision(approved=approved, **said),
        clock=partial(store_time, settings),
    )
    return approved


def find_due_targets(settings: Settings, *, dry_run: bool = False) -> list[str]:
    """Configured targets with work to do, in the order of the configuration."""
    return process.find_due_targets(
        engine=open_store(settings), systems=settings.systems, dry_run=dry_run
    )


def find_untried(settings: Settings, *, since: str | None) -> dict[str, int]:
    """Configured target → tasks that became ready since then (of `store_time`; None: no run has
    looked) and were not tried yet."""
    if since is None:
        return {}
    moment = datetime.fromisoformat(since)
    found = process.find_untried(engine=open_store(settings), since=moment)
    return {system: found[system] for system in settings.systems if system in found}


def process_account_tasks(
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
    open_connector = partial(_connector, target, endpoint(target.conn_id), dry_run=dry_run)
    if dry_run:
        return preview.preview_account_tasks(
            engine=engine, system=system, open_connector=open_connector, limits=limits
        )
    try:
        return process.process_account_tasks(
            engine=engine,
            system=system,
            open_connector=open_connector,
            rules=process.rules_of(settings),
            limits=limits,
            worker=worker,
            clock=database_clock(engine),
            at_once=at_once,
            on_end=metrics.send_run,
        )
    finally:
        metrics.send_queue(engine, system)


def adopt_accounts(
    settings: Settings, system: str, *, actor: str, dry_run: bool = False
) -> Adoption:
    """What the target has already becomes its persons'; nothing is changed there."""
    opener = target_to_look_at(settings, system)
    return adoption.adopt_accounts(
        engine=open_store(settings),
        system=system,
        target=settings.systems[system],
        read=lambda: asyncio.run(adoption.list_accounts(opener, system=system)),
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
    return partial(_connector, target, endpoint(target.conn_id), dry_run=True)


def provision_person(settings: Settings, employee_number: str, *, actor: str) -> Iterator[Step]:
    """One person through the whole chain, now."""
    worker = f"provision by {actor}"

    def sync_sources() -> str:
        order = SyncOrder(mode="person", numbers=frozenset([employee_number]))
        read = [sync_hr_persons(settings, source.name, order=order) for source in settings.hr]
        return "; ".join(
            f"{one.source}: {one.fetched} read, {one.inserted} new, {one.updated} changed,"
            f" {one.unchanged} unchanged, {one.rejected} rejected"
            for one in read
        )

    def plan() -> str:
        made = create_account_tasks(settings, airflow_run_id=worker, only=employee_number)
        return provision.told_of_plan(made)

    def process_system(system: str, seconds: float) -> ProcessSummary:
        return process_account_tasks(
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


@asynccontextmanager
async def _connector(
    target: AnyTarget, point: Endpoint, *, dry_run: bool = False
) -> AsyncIterator[Connector]:
    async with catalog.opened(target, point, dry_run=dry_run) as connector:
        yield connector


def _api(point: Endpoint, source: HttpSource) -> Api:
    auth = authenticator(source.auth, point)
    seconds = source.timeout.total_seconds()
    return Api(point, auth, rate=source.rate, timeout_s=seconds, parse=unreadable.parse)
