"""scim2-server, a SCIM service provider that is not ours, behind a door that can misbehave.

The door is a simulator: it forwards, and takes faults at `/_sim/faults` like all of them.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from aiohttp import web
from scim2_models import Pagination
from scim2_server.memory import InMemoryStorage
from scim2_server.service import ScimService
from scim2_server.testserver.application import BearerTokenApplication
from scim2_server.utils import load_default_provider

from simulators.client import SimClient
from simulators.run import HOST
from simulators.server import System, make_app, reply
from tests.serving import serving

TOKEN = "scim-secret"
_USER_TYPE = "User"
logging.getLogger("scim2_server").setLevel(logging.ERROR)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """It would print every request."""


@contextmanager
def running(*, cursors: bool = False) -> Iterator[SimClient]:
    """`cursors`: it announces pages by cursor (RFC 9865) besides those by index."""
    storage = InMemoryStorage()
    provider = load_default_provider()
    if cursors:
        assert provider.config is not None
        provider.config.pagination = Pagination(cursor=True, index=True, max_page_size=50)
    service = ScimService(provider, secret=TOKEN)
    app = BearerTokenApplication(storage, provider, service, bearer_tokens=[TOKEN])
    server = make_server(HOST, 0, app, server_class=_Server, handler_class=_Quiet)
    with serving(server), _door(server.server_port, storage) as url:
        yield SimClient(url)


@contextmanager
def _door(port: int, storage: InMemoryStorage) -> Iterator[str]:
    system = System(
        name="scim",
        refuse=lambda _, code, message: {"status": str(code or 400), "detail": message},
        state=lambda: {"accounts": len(storage.resources)},
        reset=lambda: _forget(storage),
    )

    async def forward(request: web.Request) -> web.Response:
        body = await request.read()
        return await asyncio.to_thread(_forwarded, port, request, body)

    async def accounts(_: web.Request) -> web.Response:
        return reply({"accounts": [one.model_dump() for one in storage.resources]})

    routes = [web.get("/_sim/accounts", accounts), web.route("*", "/{path:(?!_sim).*}", forward)]
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    runner = web.AppRunner(make_app(system, routes), access_log=None, shutdown_timeout=0.1)

    async def begin() -> int:
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        return int(runner.addresses[0][1])

    thread = Thread(target=loop.run_until_complete, args=(stop.wait(),), daemon=True)
    listening = loop.run_until_complete(begin())
    thread.start()
    try:
        yield f"http://{HOST}:{listening}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.run_until_complete(runner.cleanup())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _forget(storage: InMemoryStorage) -> None:
    with storage.lock:
        storage.resources = []


def _forwarded(port: int, request: web.Request, body: bytes) -> web.Response:
    kept = ("Content-Type", "Accept", "Authorization", "If-Match")
    headers = {name: request.headers[name] for name in kept if name in request.headers}
    connection = HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request(request.method, request.raw_path, body, headers)
        answer = connection.getresponse()
        shown = {"Content-Type": answer.headers["Content-Type"] or "application/scim+json"}
        shown |= {"ETag": answer.headers["ETag"]} if "ETag" in answer.headers else {}
        return web.Response(status=answer.status, body=answer.read(), headers=shown)
    finally:
        connection.close()


def make(url: str, path: str, resource: dict[str, Any]) -> Any:
    """What an administrator would make."""
    schema = "User" if path == "/Users" else "Group"
    body = {"schemas": [f"urn:ietf:params:scim:schemas:core:2.0:{schema}"], **resource}
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/scim+json"}
    return asked(url, "POST", path, body, headers)


def edit(url: str, field: str, value: str, changes: dict[str, Any]) -> None:
    """What an administrator would change of the user with this value."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/scim+json"}
    users = asked(url, "GET", "/Users", None, headers)["Resources"]
    (user,) = [one for one in users if one.get(field) == value]
    asked(url, "PUT", f"/Users/{user['id']}", {**user, **changes}, headers)


def asked(url: str, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
    """One request past our own code."""
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        raw = answer.read()
        assert answer.status < 300, raw
        return json.loads(raw) if raw else None
    finally:
        connection.close()
