"""Misbehaviour on command: `POST /_sim/faults` with a list of rules, `GET` and `DELETE` them.

A rule is `{"kind", "path", "skip", "times", "probability", "seed", …options of the kind}`:
`path` is a regular expression searched in the request path (default: all but /_sim), the first
`skip` matches pass, at most `times` are hit (null: for ever), each with `probability` (seeded).
All rules that fire are applied, in the order in which they were posted. Only the request that is
hit waits: latency never holds up others. Kinds and options:

* latency `seconds, jitter`; slow_body `seconds, pieces`
* status `code, headers, body`; too_many_requests `retry_after, form` (seconds | date)
* drop_before: the connection is closed and nothing was applied; drop_after: it was applied
* ok_with_error `code, message`: HTTP 200 and an error in the system's own style
* html: a login page with HTTP 200; redirect `location`: 302, by default to the login page
* expired_token: every token issued so far is too old from now on
* truncated `cut`: half the body, well-formed HTTP (body) or cut off on the wire (connection)
* and those of `hr_faults`, on the HR server
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any, Final

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from .system import System

LOGIN_PAGE: Final = (
    "<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign in</h1>"
    "<form method='post'><input name='user'><input name='password' type='password'></form>"
    "</body></html>"
)
_EVERYWHERE = r"^/(?!_sim)"
_WITH_A_TOKEN = r"^/(?!_sim|.*(?:token|tickets)$)"
_COMMON_OPTIONS: Final = {"skip": 0, "times": None, "probability": 1.0, "seed": 0}


class FaultError(Exception):
    """A rule that means nothing: unknown kind, option or value."""


@dataclass(kw_only=True)
class Rule:
    """A posted rule with its counters: requests `matched` and requests `fired` at."""

    kind: str
    path: re.Pattern[str]
    skip: int
    times: int | None
    random: Random
    probability: float
    options: dict[str, Any]
    matched: int = 0
    fired: int = 0

    def fires(self, path: str) -> bool:
        if not self.path.search(path):
            return False
        self.matched += 1
        spent = self.times is not None and self.fired >= self.times
        if self.matched <= self.skip or spent or self.random.random() >= self.probability:
            return False
        self.fired += 1
        return True

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "path": self.path.pattern,
            "skip": self.skip,
            "times": self.times,
            "probability": self.probability,
            **self.options,
            "matched": self.matched,
            "fired": self.fired,
        }


@dataclass(kw_only=True)
class Call:
    """One request that a rule hits."""

    request: web.Request
    rule: Rule
    system: System

    async def refusal(self, code: Any, message: str) -> bytes:
        """Serialise an error in the system's own style."""
        try:
            body = orjson.loads(await self.request.read() or b"{}")
        except orjson.JSONDecodeError:
            body = {}
        return orjson.dumps(self.system.refuse(body, code, message))


Before = Callable[[Call], Awaitable[web.StreamResponse | None]]
After = Callable[[Call, web.Response], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A sort of fault: it acts before the system answers (and may answer instead) or after.

    `options` are the usual values; a tuple lists the choices, the usual one first.
    """

    options: dict[str, Any] = field(default_factory=dict)
    path: str = _EVERYWHERE
    before: Before | None = None
    after: After | None = None


class FaultBook:
    """The rules of one server."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self.kinds = {**KINDS, **kinds}
        self.rules: list[Rule] = []

    def add(self, raw_rules: list[dict[str, Any]]) -> None:
        """Add all rules, or none when one of them means nothing."""
        self.rules += [self._read(raw) for raw in raw_rules]

    def firing(self, path: str) -> list[Rule]:
        return [rule for rule in self.rules if rule.fires(path)]

    def _read(self, raw: dict[str, Any]) -> Rule:
        kind = self.kinds.get(raw.get("kind", "")) if isinstance(raw, dict) else None
        if kind is None:
            raise FaultError(f"kind must be one of {', '.join(self.kinds)}")
        usual = {**_COMMON_OPTIONS, "path": kind.path, **kind.options}
        unknown = raw.keys() - usual.keys() - {"kind"}
        if unknown:
            raise FaultError(f"{raw['kind']} has no option {', '.join(sorted(unknown))}")
        given = {name: _checked(name, raw.get(name, value), value) for name, value in usual.items()}
        return Rule(
            kind=raw["kind"],
            path=_compiled(given["path"]),
            skip=given["skip"],
            times=given["times"],
            random=Random(given["seed"]),
            probability=given["probability"],
            options={name: given[name] for name in kind.options},
        )


def _checked(name: str, value: Any, usual: Any) -> Any:
    """Let a value through that is like the usual one, or one of the choices."""
    if isinstance(usual, tuple):
        value = usual[0] if value is usual else value
        fits = value in usual
    else:
        sort = (int, float) if isinstance(usual, float) else type(usual)
        fits = usual is None or isinstance(value, sort)
    if not fits:
        raise FaultError(f"{name} cannot be {value!r}; usually it is {usual!r}")
    return value


def _compiled(path: str) -> re.Pattern[str]:
    try:
        return re.compile(path)
    except re.error as error:
        raise FaultError(f"path is not a regular expression: {error}") from error


def misbehaving(book: FaultBook, system: System) -> Middleware:
    """Make the middleware that applies the rules of a book."""

    @web.middleware
    async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not book.rules or request.path.startswith("/_sim"):
            return await handler(request)
        rules = book.firing(request.path)
        calls = [(Call(request=request, rule=r, system=system), book.kinds[r.kind]) for r in rules]
        for call, kind in calls:
            early = await kind.before(call) if kind.before else None
            if early is not None:
                return early
        response = await handler(request)
        for call, kind in calls:
            if kind.after and isinstance(response, web.Response):
                response = await kind.after(call, response)
        return response

    return misbehave


def routes(book: FaultBook) -> list[web.RouteDef]:
    """Make the `/_sim/faults` routes, and the login page that redirects lead to."""

    async def listed(_: web.Request | None = None) -> web.Response:
        return web.json_response({"rules": [rule.as_json() for rule in book.rules]})

    async def add(request: web.Request) -> web.Response:
        try:
            raw = orjson.loads(await request.read())
            book.add(raw if isinstance(raw, list) else [raw])
        except (FaultError, orjson.JSONDecodeError) as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return await listed()

    async def clear(_: web.Request) -> web.Response:
        book.rules.clear()
        return await listed()

    return [
        web.get("/_sim/faults", listed),
        web.post("/_sim/faults", add),
        web.delete("/_sim/faults", clear),
        web.get("/login", login_page),
    ]


async def login_page(_: web.Request | Call) -> web.Response:
    return web.Response(text=LOGIN_PAGE, content_type="text/html")


async def _latency(call: Call) -> None:
    """The request has arrived: it is carried out also if its sender is gone by then."""
    await call.request.read()
    options = call.rule.options
    jitter = options["jitter"] * (2 * call.rule.random.random() - 1)
    await asyncio.sleep(max(0.0, options["seconds"] + jitter))


async def _status(call: Call) -> web.Response:
    options = call.rule.options
    code, body = options["code"], options["body"]
    if body is None:
        data = await call.refusal(code, f"simulated HTTP {code}")
    else:
        data = body.encode() if isinstance(body, str) else orjson.dumps(body)
    headers = {"Content-Type": "application/json", **(options["headers"] or {})}
    return web.Response(status=code, body=data, headers=headers)


async def _too_many_requests(call: Call) -> web.Response:
    options = call.rule.options
    wait = str(options["retry_after"])
    if options["form"] == "date":
        moment = datetime.now(UTC) + timedelta(seconds=options["retry_after"])
        wait = format_datetime(moment, usegmt=True)
    return web.Response(
        status=429,
        body=await call.refusal(429, "too many requests"),
        headers={"Content-Type": "application/json", "Retry-After": wait},
    )


async def _drop_before(call: Call) -> web.Response:
    await call.request.read()
    return _hang_up(call)


async def _drop_after(call: Call, _: web.Response) -> web.Response:
    return _hang_up(call)


def _hang_up(call: Call) -> web.Response:
    if call.request.transport is not None:
        call.request.transport.close()
    return web.Response()


async def _ok_with_error(call: Call) -> web.Response:
    options = call.rule.options
    data = await call.refusal(options["code"], options["message"])
    return web.Response(body=data, content_type="application/json")


async def _redirect(call: Call) -> web.Response:
    return web.Response(status=302, headers={"Location": call.rule.options["location"]})


async def _expired_token(call: Call) -> web.Response | None:
    if call.system.tokens is not None:
        call.system.tokens.expire_all()
        return None
    return web.Response(
        status=401,
        body=await call.refusal(401, "simulated expiry"),
        content_type="application/json",
    )


async def _truncated(call: Call, response: web.Response) -> web.StreamResponse:
    data = body_of(response)
    half = data[: len(data) // 2]
    if call.rule.options["cut"] == "body":
        return web.Response(body=half, status=response.status, content_type=response.content_type)
    stream = await _begin(call, response, len(data))
    await stream.write(half)
    return _hang_up(call)


async def _slow_body(call: Call, response: web.Response) -> web.StreamResponse:
    data, pieces = body_of(response), call.rule.options["pieces"]
    stream = await _begin(call, response, len(data))
    size = max(1, -(-len(data) // pieces))
    for start in range(0, len(data), size):
        await asyncio.sleep(call.rule.options["seconds"] / pieces)
        await stream.write(data[start : start + size])
    return stream


async def _begin(call: Call, response: web.Response, length: int) -> web.StreamResponse:
    stream = web.StreamResponse(
        status=response.status, headers={"Content-Type": response.content_type}
    )
    stream.content_length = length
    await stream.prepare(call.request)
    return stream


def body_of(response: web.Response) -> bytes:
    """Give the bytes of an answer that was not sent yet."""
    return response.body if isinstance(response.body, bytes) else b""


KINDS: Final[dict[str, Kind]] = {
    "latency": Kind(options={"seconds": 1.0, "jitter": 0.0}, before=_latency),
    "status": Kind(options={"code": 503, "headers": None, "body": None}, before=_status),
    "too_many_requests": Kind(
        options={"retry_after": 1, "form": ("seconds", "date")}, before=_too_many_requests
    ),
    "drop_before": Kind(before=_drop_before),
    "drop_after": Kind(after=_drop_after),
    "ok_with_error": Kind(
        options={"code": None, "message": "simulated failure"}, before=_ok_with_error
    ),
    "html": Kind(before=login_page),
    "redirect": Kind(options={"location": "/login"}, before=_redirect),
    "expired_token": Kind(path=_WITH_A_TOKEN, before=_expired_token),
    "truncated": Kind(options={"cut": ("body", "connection")}, after=_truncated),
    "slow_body": Kind(options={"seconds": 2.0, "pieces": 10}, after=_slow_body),
}
