"""The composition root: configuration and Airflow Connections in, working parts out.

The only module besides the web page's access check that knows Airflow.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Engine

from accountsync import settings as configuration
from accountsync.errors import ConfigurationError
from accountsync.hr.http import HttpHrSource
from accountsync.settings import HttpSource, Settings
from accountsync.store import engine as store_engine
from accountsync.targets import catalog
from accountsync.targets.connector import Connector
from accountsync.wire.api import Api
from accountsync.wire.auth import authenticator
from accountsync.wire.endpoint import Endpoint

CONFIG_VARIABLE = "ACCOUNTSYNC_CONFIG"
DATABASE_VARIABLE = "ACCOUNTSYNC_DATABASE_URL"
_DEFAULT_CONFIG = Path(__file__).parents[2] / "config" / "accountsync.yaml"


def config_path() -> Path:
    return Path(os.environ.get(CONFIG_VARIABLE) or _DEFAULT_CONFIG)


def load_settings() -> Settings:
    """Read anew on every call: a DAG file is parsed again when the configuration changes."""
    return configuration.load(config_path())


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
    return PostgresHook(postgres_conn_id=conn_id).sqlalchemy_url.render_as_string(
        hide_password=False
    )


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
    """The facts of an Airflow Connection of type `http`.

    Of its extra, `verify` (true, false or a CA file) and `proxy` are read here; the rest is for the
    templates of the configuration (`conn.extra.…`).
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


def open_hr_api(source: HttpSource) -> Api:
    """To be entered; then hand it to `hr_source`."""
    point = endpoint(source.conn_id)
    return Api(
        point,
        authenticator(source.auth, point),
        rate=source.rate,
        timeout_s=source.timeout.total_seconds(),
    )


def hr_source(source: HttpSource, api: Api) -> HttpHrSource:
    return HttpHrSource(source, api)


def open_target_api(settings: Settings, system: str) -> Api:
    target = settings.systems[system]
    point = endpoint(target.conn_id)
    return Api(
        point,
        authenticator(target.auth, point),
        rate=target.rate,
        timeout_s=target.timeout.total_seconds(),
    )


def connector(settings: Settings, system: str, api: Api) -> Connector:
    return catalog.connector(settings.systems[system], api)
