"""WeLink's address book (PREDECESSOR §3). Only creation is documented; the rest is ours.

* `POST /api/auth/v2/tickets` `{"client_id", "client_secret"}` → `{"code": "0", "access_token",
  "expires_in"}`; wrong credentials: HTTP 200 with `{"code": "41000", …}`
* `POST /api/contact/v1/user/create`, `/user/update` (given fields only; null
  clears one), `/user/disable`, `/user/enable`, `/user/delete` with `corpUserId` → `{"code": "0",
  "message": "ok"}`
* `POST /api/contact/v1/user/detail` `{"corpUserId"}` → `{"code": "0", "data": user}`
* `GET /api/contact/v1/users?page&size` → `{"code": "0", "data": {"users", "total", "page",
  "size"}}`

A user is what was sent plus `status`, "1" enabled or "2" disabled. The header of every request is
`x-wlk-Authorization`. Errors are HTTP 200 with a `code` of `CODES`; only a bad token is HTTP 401.
`corpDeptCodes` may be HR's codes or those of IDaaS.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from . import credentials
from .accounts import Account, AccountBook, TakenError, account_routes, page_query
from .departments import HR_DEPARTMENTS, IDAAS_DEPARTMENTS
from .server import make_app, read_json, reply
from .system import JsonObject, System
from .tokens import Tokens

WELINK_UNIQUE = ("corpUserId",)
CODES: Final = {
    "server error": "50000",
    "wrong credentials": "41000",
    "token": "41001",
    "missing field": "47001",
    "user not exist": "47009",
    "user already exists": "47010",
    "department not exist": "47012",
    "mobileNumber is malformed": "47013",
    "userEmail is malformed": "47014",
}
_DEPARTMENTS = frozenset(HR_DEPARTMENTS + IDAAS_DEPARTMENTS)
_REQUIRED = ("corpUserId", "userNameCn", "mobileNumber", "corpDeptCodes", "userEmail")
_PHONE = re.compile(r"(\+\d{1,3}[- ]?)?\d{7,15}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_BLANK = {"enabled": True, "userNameCn": "", "corpDeptCodes": []}


def refuse(_: JsonObject, code: Any, message: str) -> JsonObject:
    return {"code": CODES["server error"] if code is None else str(code), "message": message}


def make_welink(book: AccountBook, *, token_seconds: float) -> web.Application:
    """Build the WeLink application over its accounts."""
    welink = _Welink(book, Tokens(token_seconds))
    system = System(
        name="welink",
        refuse=refuse,
        state=book.state,
        reset=book.clear,
        close=book.close,
        tokens=welink.tokens,
    )
    guard, user = welink.guarded, "/api/contact/v1/user"
    return make_app(
        system,
        [
            web.post("/api/auth/v2/tickets", welink.issue_token),
            web.post(f"{user}/create", guard(welink.create)),
            web.post(f"{user}/detail", guard(welink.detail)),
            web.post(f"{user}/update", guard(welink.update)),
            web.post(f"{user}/disable", guard(welink.disable)),
            web.post(f"{user}/enable", guard(welink.enable)),
            web.post(f"{user}/delete", guard(welink.delete)),
            web.get(f"{user}s", guard(welink.list_users)),
            *account_routes(book, _BLANK),
        ],
    )


class _Welink:
    def __init__(self, book: AccountBook, tokens: Tokens) -> None:
        self.book = book
        self.tokens = tokens

    def guarded(self, handler: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        """Check the token before a handler, and translate what it raises."""

        async def guard(request: web.Request) -> web.Response:
            problem = self.tokens.problem(request.headers.get("x-wlk-Authorization"))
            if problem:
                return reply(refuse({}, CODES["token"], f"token is {problem}"), status=401)
            try:
                return reply(await handler(request))
            except (_RefusedError, TakenError) as error:
                message = "user already exists" if isinstance(error, TakenError) else str(error)
                return reply(refuse({}, CODES[message], message))

        return guard

    async def issue_token(self, request: web.Request) -> web.Response:
        body = await read_json(request)
        own = (credentials.WELINK_CLIENT_ID, credentials.WELINK_CLIENT_SECRET)
        if (body.get("client_id"), body.get("client_secret")) != own:
            return reply(refuse({}, CODES["wrong credentials"], "client_id or secret is wrong"))
        token, seconds = self.tokens.issue(), int(self.tokens.seconds)
        return reply({"code": "0", "message": "ok", "access_token": token, "expires_in": seconds})

    async def create(self, request: web.Request) -> JsonObject:
        body = await read_json(request)
        if not all(body.get(field) for field in _REQUIRED):
            raise _RefusedError("missing field")
        _check_shapes(body)
        self.book.add({"enabled": True, **body})
        return _ok()

    async def detail(self, request: web.Request) -> JsonObject:
        return _ok(data=_user(self._named(await read_json(request))))

    async def update(self, request: web.Request) -> JsonObject:
        body = await read_json(request)
        account = self._named(body)
        _check_shapes(body)
        self.book.change(account, **{name: v for name, v in body.items() if name != "id"})
        return _ok()

    async def disable(self, request: web.Request) -> JsonObject:
        self.book.change(self._named(await read_json(request)), enabled=False)
        return _ok()

    async def enable(self, request: web.Request) -> JsonObject:
        self.book.change(self._named(await read_json(request)), enabled=True)
        return _ok()

    async def delete(self, request: web.Request) -> JsonObject:
        self.book.remove(self._named(await read_json(request)))
        return _ok()

    async def list_users(self, request: web.Request) -> JsonObject:
        page, size = page_query(request)
        users = [_user(account) for account in self.book.page(page, size)]
        return _ok(data={"users": users, "total": len(self.book), "page": page, "size": size})

    def _named(self, body: JsonObject) -> Account:
        account = self.book.find("corpUserId", body.get("corpUserId"))
        if account is None:
            raise _RefusedError("user not exist")
        return account


class _RefusedError(Exception):
    """The request is refused with a reason of `CODES`."""


def _check_shapes(body: JsonObject) -> None:
    if body.get("mobileNumber") is not None and not _PHONE.fullmatch(str(body["mobileNumber"])):
        raise _RefusedError("mobileNumber is malformed")
    if "userEmail" in body and not _EMAIL.fullmatch(str(body["userEmail"])):
        raise _RefusedError("userEmail is malformed")
    if not _DEPARTMENTS.issuperset(body.get("corpDeptCodes", [])):
        raise _RefusedError("department not exist")


def _user(account: Account) -> JsonObject:
    hidden = ("id", "enabled")
    fields = {name: value for name, value in account.items() if name not in hidden}
    return {**fields, "status": "1" if account["enabled"] else "2"}


def _ok(**fields: Any) -> JsonObject:
    return {"code": "0", "message": "ok", **fields}
