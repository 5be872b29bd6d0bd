"""What all simulated HTTP systems share: JSON in and out, counted traffic, faults, `/_sim/state`.

`GET /_sim/state` answers the system's own counts and, always, `requests` (per method and route),
`in_flight` and `in_flight_max`. `POST /_sim/reset` forgets data and counts, not the faults.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from . import faults
from .system import JsonObject, System

_LARGEST_REQUEST = 256 * 1024 * 1024


class Traffic:
    """Requests outside `/_sim`, counted per route and at the same time."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.requests: Counter[str] = Counter()
        self.in_flight = 0
        self.in_flight_max = 0

    def start(self, request: web.Request) -> None:
        resource = request.match_info.route.resource
        self.requests[f"{request.method} {resource.canonical if resource else request.path}"] += 1
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)

    def as_json(self) -> JsonObject:
        return {
            "requests": dict(self.requests),
            "in_flight": self.in_flight,
            "in_flight_max": self.in_flight_max,
        }


def reply(body: JsonObject, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


async def read_json(request: web.Request) -> JsonObject:
    """Read an object; anything else is HTTP 400, as no system here would understand it."""
    try:
        body = orjson.loads(await request.read() or b"{}")
    except orjson.JSONDecodeError as error:
        raise web.HTTPBadRequest(text=f"not JSON: {error}") from error
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="a JSON object is expected")
    return body


def make_app(
    system: System,
    routes: list[web.RouteDef],
    *,
    own_faults: Mapping[str, faults.Kind] | None = None,
) -> web.Application:
    """Build the HTTP application of one system, with faults and state routes.

    `own_faults`: kinds of faults that only this system can have.
    """
    traffic, book = Traffic(), faults.FaultBook(own_faults or {})
    app = web.Application(
        middlewares=[_counting(traffic), faults.misbehaving(book, system)],
        client_max_size=_LARGEST_REQUEST,
    )
    app.add_routes(routes)
    app.add_routes(faults.routes(book))
    app.add_routes(_state_routes(system, traffic))

    async def close(_: web.Application) -> None:
        system.close()

    app.on_cleanup.append(close)
    return app


def _counting(traffic: Traffic) -> Middleware:
    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/_sim"):
            return await handler(request)
        traffic.start(request)
        try:
            return await handler(request)
        finally:
            traffic.in_flight -= 1

    return count


def _state_routes(system: System, traffic: Traffic) -> list[web.RouteDef]:
    async def state(_: web.Request) -> web.Response:
        return reply({"system": system.name, **system.state(), **traffic.as_json()})

    async def reset(_: web.Request) -> web.Response:
        system.reset()
        in_flight = traffic.in_flight
        traffic.clear()
        traffic.in_flight = in_flight
        return reply({"reset": system.name})

    return [web.get("/_sim/state", state), web.post("/_sim/reset", reset)]
