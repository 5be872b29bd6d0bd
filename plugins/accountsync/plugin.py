"""What Airflow's plugin manager gets. Every task process imports it: it imports next to nothing."""

from __future__ import annotations

import importlib
import re
from collections.abc import Awaitable, Callable
from typing import Any

from airflow.plugins_manager import AirflowPlugin

_Scope = dict[str, Any]
_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]
_GIVES_VALUES = re.compile(
    r"/api/v2/(dags/[^/]+/dagRuns|backfills(/dry_run)?|assets/(events|[^/]+/materialize)"
    r"|dags/[^/]+/dagRuns/[^/]+/taskInstances/[^/]+/xcomEntries(/[^/]+)?)/?$"
)
_METHODS = ("POST", "PATCH")


class LazyApp:
    """An ASGI app that is imported with its first request: FastAPI costs a task process 0.4 s."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._app: Any = None

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if self._app is None:
            self._app = importlib.import_module(self._module).app
        await self._app(scope, receive, send)


class RunDoor:
    """Looks at requests that give values to runs, before Airflow does; everything else passes at
    once."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        is_asked = scope["type"] == "http" and scope["method"] in _METHODS
        if is_asked and _GIVES_VALUES.search(scope["path"]):
            door = importlib.import_module("accountsync.web.run_door")
            receive = await door.guarded(scope["path"], receive, send)
            if receive is None:
                return
        await self._app(scope, receive, send)


class AccountSyncPlugin(AirflowPlugin):
    name = "accountsync"
    fastapi_root_middlewares: list[Any] = [{"middleware": RunDoor, "name": "AccountSync run door"}]
    fastapi_apps: list[Any] = [
        {"app": LazyApp("accountsync.web.app"), "url_prefix": "/accountsync", "name": "AccountSync"}
    ]
