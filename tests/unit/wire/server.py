"""A tiny HTTP server that misbehaves by path, and a client's end to call it with."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from accountsync.settings.parts import NoAuth, Rate
from accountsync.wire.api import Api
from accountsync.wire.auth import Authenticator, authenticator
from accountsync.wire.endpoint import Endpoint
from accountsync.wire.request import Rendered

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Server:
    """`calls`: what arrived, in order. `handlers`: path → what to do instead of an empty object."""

    handlers: dict[str, Handler]
    calls: list[web.Request] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.calls.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            handler = self.handlers.get(request.path)
            return await handler(request) if handler else web.json_response({})
        finally:
            self.in_flight -= 1

    def count(self, path: str) -> int:
        return sum(call.path == path for call in self.calls)


@asynccontextmanager
async def serving(
    handlers: dict[str, Handler] | None = None, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    server = Server(handlers=handlers or {})
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


def endpoint(url: str, **facts: Any) -> Endpoint:
    return Endpoint(conn_id="target", base_url=url, **facts)


def api(
    point: Endpoint,
    *,
    auth: Authenticator | None = None,
    timeout_s: float = 5,
    rate: Rate | None = None,
    **more: Any,
) -> Api:
    return Api(
        point,
        auth or authenticator(NoAuth(), point),
        rate=rate or Rate(),
        timeout_s=timeout_s,
        **more,
    )


def request(path: str = "/", method: str = "POST", **parts: Any) -> Rendered:
    return Rendered(
        **{"method": method, "path": path, "headers": {}, "query": {}, "body": None} | parts
    )


# what a server can do


def status(
    code: int, *, text: str | None = None, kind: str = "application/json", **headers: str
) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=code, text=text or "", content_type=kind, headers=named)

    return answer


def json(body: Any, *, code: int = 200) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=code)

    return answer


def after(seconds: float, handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await handler(request)

    return answer


async def drop(request: web.Request) -> web.StreamResponse:
    """The connection ends without a byte."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cut(request: web.Request) -> web.StreamResponse:
    """The connection ends in the middle of the body."""
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b'{"code":')
    assert request.transport is not None
    request.transport.close()
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    """A body without an end, in parts."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 1000)
