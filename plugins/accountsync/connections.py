"""Makes the store's engine, HR sources and connectors from Airflow Connections."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Engine

from accountsync import event_logs
from accountsync.errors import ConfigurationError
from accountsync.hr.file import FileHrSource
from accountsync.hr.http import HttpHrSource
from accountsync.hr.source import HrSource
from accountsync.hr.sql import SqlHrSource
from accountsync.jobs.persons.staging import OpenSource
from accountsync.settings import Settings
from accountsync.settings.hr import AnySource, HttpSource, SqlSource
from accountsync.settings.hr_files import FileSource
from accountsync.settings.targets import AnyTarget
from accountsync.store import rights, schema
from accountsync.store.engine import make_engine
from accountsync.targets import catalog
from accountsync.targets.connector import OpenConnector
from accountsync.wire import unreadable
from accountsync.wire.api import Api
from accountsync.wire.auth import authenticator
from accountsync.wire.endpoint import Endpoint

DATABASE_VARIABLE = "ACCOUNTSYNC_DATABASE_URL"
OWNER_VARIABLE = "ACCOUNTSYNC_DATABASE_OWNER_URL"
_MASKERS = (
    "airflow.sdk._shared.secrets_masker.secrets_masker",
    "airflow._shared.secrets_masker.secrets_masker",
)


def open_store(settings: Settings) -> Engine:
    """The store, for whoever works with its tables. Raises ConfigurationError where they are not
    those of this code, or where this login could switch off their triggers and need not. What waits
    or reads for long asks once more: they may change meanwhile."""
    engine = open_any_store(settings)
    with engine.connect() as connection:
        schema.require_our_tables(connection)
        if has_owner(settings) and rights.may_switch_off(connection):
            raise ConfigurationError(
                f"{rights.login(connection)}, the run-time login, owns the store or is a superuser,"
                " so the triggers that keep the audit trail can be switched off by it. Give"
                f" Connection {settings.database.conn_id!r} a login that owns nothing, then run:"
                " bin/accountsync db upgrade (docs/deployment.md, Roles of the database)"
            )
    return engine


def open_any_store(settings: Settings) -> Engine:
    """The store of ACCOUNTSYNC_DATABASE_URL if it is set, else of the Airflow Connection, whatever
    tables it has."""
    url = os.environ.get(DATABASE_VARIABLE) or _postgres_url(settings.database.conn_id)
    return _engine(url)


def has_owner(settings: Settings) -> bool:
    """Whether the store has an owner beside the run-time login."""
    if DATABASE_VARIABLE in os.environ:
        return bool(os.environ.get(OWNER_VARIABLE))
    return settings.database.owner_conn_id is not None


def open_owned_store(settings: Settings) -> Engine:
    """For whoever changes tables: as their owner, or as everybody else where none is configured."""
    if not has_owner(settings):
        return open_any_store(settings)
    url = os.environ.get(OWNER_VARIABLE) if DATABASE_VARIABLE in os.environ else None
    return _engine(url or _postgres_url(str(settings.database.owner_conn_id)))


@cache
def _engine(url: str) -> Engine:
    return make_engine(url)


def _postgres_url(conn_id: str) -> str:
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    _connection(conn_id)  # for its clear error; the hook's own would not name what to do
    hook = PostgresHook(postgres_conn_id=conn_id)
    url = hook.sqlalchemy_url.update_query_dict(_libpq_options(hook, conn_id))
    return url.render_as_string(hide_password=False)


def _libpq_options(hook: Any, conn_id: str) -> dict[str, str]:
    """The options for libpq (`sslmode`, `sslrootcert` …) in a Postgres Connection's extra. The
    hook's address leaves them out. Options that the hook itself reads are not among them.

    Raises ConfigurationError for any other option, because a misspelt `ssl_mode` would be ignored
    and encrypt nothing.
    """
    import psycopg

    extra = {
        name: value for name, value in hook.connection.extra_dejson.items() if value is not None
    }
    options = {name: str(extra[name]) for name in extra if name not in hook.ignored_extra_options}
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
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
    """The facts of an Airflow Connection, which is of type `http` as a rule.

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


def hr_opener(source: AnySource) -> OpenSource:
    """How to open an HR source. Its Connection is looked up here, outside the event loop."""
    match source:
        case HttpSource():
            return partial(http_source, source, endpoint(source.conn_id))
        case FileSource():
            files = _file_source(source)
            return lambda: nullcontext[HrSource](files)
        case SqlSource():
            return partial(_sql_source, source, _sql_engine(source.conn_id))


@asynccontextmanager
async def http_source(source: HttpSource, point: Endpoint) -> AsyncIterator[HrSource]:
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

    if source.connection:
        _connection(source.connection)  # some providers would use the machine's own credentials
    try:
        folder, archive = (
            ObjectStoragePath(path, conn_id=source.connection)
            for path in (source.path, source.archive)
        )
        _ = folder.fs
    except (ValueError, ImportError) as error:
        raise ConfigurationError(
            f"HR source {source.name!r}: {error}; install the Airflow provider of that store"
            " (docs/hr-sources.md says how)"
        ) from error
    return FileHrSource(source, folder=folder, archive=archive)


def _sql_engine(conn_id: str) -> Engine:
    """An engine for the database of the Connection, whose Airflow provider has to be installed."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    hook = _connection(conn_id).get_hook()
    if not hasattr(hook, "get_sqlalchemy_engine"):
        raise ConfigurationError(f"Connection {conn_id!r} is not one of a SQL database")
    is_postgres = isinstance(hook, PostgresHook)
    arguments = {"connect_args": _libpq_options(hook, conn_id)} if is_postgres else {}
    engine: Engine = hook.get_sqlalchemy_engine(engine_kwargs=arguments)
    return engine


def target_opener(target: AnyTarget, *, dry_run: bool = False) -> OpenConnector:
    """How to open a connector. Its Connection is looked up here, outside the event loop."""
    return partial(catalog.opened, target, endpoint(target.conn_id), dry_run=dry_run)


def be_a_command() -> None:
    """Prepares the process of a command; it has to run before anything else of Airflow is used.

    Airflow shows the Connections of the web UI to servers and tasks only, so the process says that
    it is a server, as Airflow's own commands do. Logs go to stderr, because stdout is for what the
    command prints. The secrets masker warns of values that are too short to be masked; these
    warnings are left out, because it counts every value of a Connection's extra. Masking itself
    stays as it is.
    """
    from airflow.sdk.log import configure_logging

    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    configure_logging(output=sys.stderr)
    event_logs.show_values()
    for masker in _MASKERS:
        logging.getLogger(masker).setLevel(logging.ERROR)


def _api(point: Endpoint, source: HttpSource) -> Api:
    auth = authenticator(source.auth, point)
    seconds = source.timeout.total_seconds()
    return Api(point, auth, rate=source.rate, timeout_s=seconds, parse=unreadable.parse)
