"""The identity service, IDaaS-shaped (PREDECESSOR §3). Only onboarding is documented; the rest is
ours. All paths under `/api/idaas/idm-openapi/enterprise/E1`, header `Authorization: <token>`.

* `POST /api/iam/auth/enterprise-token` → `{"code": "201", "access_token", "expires_in"}`; wrong
  credentials: HTTP 200 with `{"code": "401", …}`
* `POST /user/onboarding` `{"userInfo": {…}}` → `{"code": 201, "data": {userName, userId,
  employeeNumber}}`; taken employeeNumber, userName or email: `{"code": 409, …}`
* `GET /user?employeeNumber= | userName= | email= | userId=` → `{"code": 200, "users":
  [user]}`, maybe empty
* `GET /users?page&size` → `{"code": 200, "users": […], "total", "page", "size"}`
* `PUT /user/{userId}` `{"userInfo": {changed fields}}`, `POST /user/{userId}/disable | enable`,
  `DELETE /user/{userId}` → `{"code": 200, "data": user}`; unknown id: `{"code": 404, …}`

A user is its userInfo plus `userId` and `enabled`. Errors are HTTP 200 with a numeric `code` (400,
404, 409) and `message`; only a bad token is HTTP 401, with `{"code": 401, …}`.
`userExtends` of an update is merged, not replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from . import credentials
from .accounts import Account, AccountBook, TakenError, account_routes, page_query
from .server import make_app, read_json, reply
from .system import JsonObject, System
from .tokens import Tokens

ROOT = "/api/idaas/idm-openapi/enterprise/{enterprise_id}"
IDAAS_UNIQUE = ("employeeNumber", "userName", "email")
_REQUIRED = ("employeeNumber", "name", "userName", "userType", "email")
_LOOKUPS = ("employeeNumber", "userName", "email")
_ATTRIBUTES = {"account": credentials.IDAAS_ACCOUNT, "secret": credentials.IDAAS_SECRET}
_BLANK = {"enabled": True, "name": "", "userType": "employee", "userExtends": {}}


def refuse(_: JsonObject, code: Any, message: str) -> JsonObject:
    return {"code": 500 if code is None else code, "message": message}


def make_idaas(book: AccountBook, *, token_seconds: float) -> web.Application:
    """Build the IDaaS application over its accounts."""
    idaas = _Idaas(book, Tokens(token_seconds))
    system = System(
        name="idaas",
        refuse=refuse,
        state=book.state,
        reset=book.clear,
        close=book.close,
        tokens=idaas.tokens,
    )
    guard = idaas.guarded
    return make_app(
        system,
        [
            web.post("/api/iam/auth/enterprise-token", idaas.issue_token),
            web.post(f"{ROOT}/user/onboarding", guard(idaas.onboard)),
            web.get(f"{ROOT}/user", guard(idaas.look_up)),
            web.get(f"{ROOT}/users", guard(idaas.list_users)),
            web.put(f"{ROOT}/user/{{user_id}}", guard(idaas.update)),
            web.delete(f"{ROOT}/user/{{user_id}}", guard(idaas.delete)),
            web.post(f"{ROOT}/user/{{user_id}}/disable", guard(idaas.disable)),
            web.post(f"{ROOT}/user/{{user_id}}/enable", guard(idaas.enable)),
            *account_routes(book, _BLANK),
        ],
    )


def knows_user_name(book: AccountBook) -> Callable[[str], bool]:
    """Make Exchange's view of the directory: who has an IDaaS account."""
    return lambda user_name: book.find("userName", user_name) is not None


class _Idaas:
    def __init__(self, book: AccountBook, tokens: Tokens) -> None:
        self.book = book
        self.tokens = tokens

    def guarded(self, handler: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        """Check the token and the enterprise before a handler."""

        async def guard(request: web.Request) -> web.Response:
            problem = self.tokens.problem(request.headers.get("Authorization"))
            if problem:
                return reply(refuse({}, 401, f"token is {problem}"), status=401)
            if request.match_info["enterprise_id"] != credentials.IDAAS_ENTERPRISE:
                return reply(refuse({}, 404, "no such enterprise"))
            try:
                return reply(await handler(request))
            except TakenError as error:
                return reply(refuse({}, 409, f"user already exists: {error}"))

        return guard

    async def issue_token(self, request: web.Request) -> web.Response:
        data = (await read_json(request)).get("data") or {}
        if data.get("type") != "token" or data.get("attributes") != _ATTRIBUTES:
            return reply({"code": "401", "message": "account or secret is wrong"})
        token, seconds = self.tokens.issue(), int(self.tokens.seconds)
        return reply({"code": "201", "access_token": token, "expires_in": seconds})

    async def onboard(self, request: web.Request) -> JsonObject:
        info = (await read_json(request)).get("userInfo") or {}
        missing = [field for field in _REQUIRED if not info.get(field)]
        if missing:
            return refuse({}, 400, f"missing: {', '.join(missing)}")
        if "@" not in info["email"]:
            return refuse({}, 400, "email is malformed")
        user = _user(self.book.add({"enabled": True, **info}))
        data = {field: user[field] for field in ("userName", "userId", "employeeNumber")}
        return {"code": 201, "message": "created", "data": data}

    async def look_up(self, request: web.Request) -> JsonObject:
        if "userId" in request.query:
            known = self.book.get(request.query["userId"])
            return {"code": 200, "users": [] if known is None else [_user(known)]}
        field = next((name for name in _LOOKUPS if name in request.query), None)
        if field is None:
            return refuse({}, 400, f"one of {', '.join(_LOOKUPS)} is needed")
        found = self.book.find(field, request.query[field])
        return {"code": 200, "users": [] if found is None else [_user(found)]}

    async def list_users(self, request: web.Request) -> JsonObject:
        page, size = page_query(request)
        users = [_user(account) for account in self.book.page(page, size)]
        total = len(self.book)
        return {"code": 200, "users": users, "total": total, "page": page, "size": size}

    async def update(self, request: web.Request) -> JsonObject:
        info = (await read_json(request)).get("userInfo") or {}
        account = self.book.get(request.match_info["user_id"])
        if account is None:
            return _unknown()
        if "userExtends" in info:
            info["userExtends"] = {**account.get("userExtends", {}), **info["userExtends"]}
        own = {field: value for field, value in info.items() if field not in ("id", "userId")}
        return _done(self.book.change(account, **own))

    async def delete(self, request: web.Request) -> JsonObject:
        account = self.book.get(request.match_info["user_id"])
        if account is None:
            return _unknown()
        self.book.remove(account)
        return _done(account)

    async def disable(self, request: web.Request) -> JsonObject:
        return self._switch(request, enabled=False)

    async def enable(self, request: web.Request) -> JsonObject:
        return self._switch(request, enabled=True)

    def _switch(self, request: web.Request, *, enabled: bool) -> JsonObject:
        account = self.book.get(request.match_info["user_id"])
        return _unknown() if account is None else _done(self.book.change(account, enabled=enabled))


def _user(account: Account) -> JsonObject:
    fields = {name: value for name, value in account.items() if name != "id"}
    return {**fields, "userId": account["id"]}


def _done(account: Account) -> JsonObject:
    return {"code": 200, "message": "done", "data": _user(account)}


def _unknown() -> JsonObject:
    return refuse({}, 404, "user not exist")
