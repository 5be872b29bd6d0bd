"""An HR system of another shape than `hr`, over the same people: OAuth2, cursors, nested records.

* `POST /oauth/token`, a form `grant_type=client_credentials` with the client in Basic auth (RFC
  6749 §4.4) → `{"access_token", "token_type": "Bearer", "expires_in"}`; a wrong client: HTTP 401
* `GET /v2/workers?limit&after&changedFrom&changedBefore` with `Authorization: Bearer …` →
  `{"workers": [worker…], "paging": {"next": cursor | null}, "count": n}`, ordered by id. The times
  are in milliseconds since 1970: `changedFrom <= changedAt < changedBefore`. No valid token: HTTP
  401; a cursor that it did not give: HTTP 410. Errors are `{"error": {"code", "message"}}`.
* `/_sim/events` and `/_sim/persons` as of `hr`: the people are rows of that one.

A fault of its own: forgotten_cursors, all cursors given so far are unknown from now on.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from . import credentials
from .faults import Call, Kind
from .hr import control_routes
from .persons import ZONE, Row
from .population import Population
from .server import make_app, reply
from .system import JsonObject, System
from .tokens import Tokens

TOKEN_PATH = "/oauth/token"
WORKERS_PATH = "/v2/workers"
LARGEST_PAGE = 1_000

_KINDS = {"10": "EMPLOYEE", "11": "OUTSOURCED", "12": "INTERN", "13": "ADVISER"}
_STATES = {"1": "ACTIVE", "2": "ENDED", "3": "ON_LEAVE"}
_CLIENT = f"{credentials.STAFF_CLIENT_ID}:{credentials.STAFF_CLIENT_SECRET}"


def refuse(_: JsonObject, code: Any, message: str) -> JsonObject:
    return {"error": {"code": code or "internal", "message": message}}


def make_staff(people: Population, *, token_seconds: float) -> web.Application:
    """Build the application over a population."""
    staff = _Staff(people, Tokens(token_seconds))
    system = System(
        name="staff",
        refuse=refuse,
        state=lambda: {"persons": len(people), "changes": people.sequence},
        reset=people.reset,
        close=people.close,
        tokens=staff.tokens,
    )
    routes = [web.post(TOKEN_PATH, staff.issue_token), web.get(WORKERS_PATH, staff.read_page)]
    forget = Kind(path=f"^{WORKERS_PATH}$", before=staff.forget_cursors)
    return make_app(
        system, [*routes, *control_routes(people)], own_faults={"forgotten_cursors": forget}
    )


def worker_of(row: Row) -> JsonObject:
    """A row of `hr`, as this system tells it."""
    department = row["personDept"][0]["department_code"] if row["personDept"] else None
    return {
        "id": f"w-{row['personId']}",
        "name": {"legal": row["fullName"], "latin": row["englishName"] or None},
        "employment": {
            "number": row["employeeNumber"],
            "kind": _KINDS.get(row["personType"], row["personType"]),
            "state": _STATES.get(row["employeeStatus"], row["employeeStatus"]),
            "unit": {"code": department},
            "period": {"from": _day(row["originalHireDate"]), "to": _day(row["disableDate"])},
        },
        "contacts": [{"type": "mobile", "value": row["telephoneNumber1"]}],
        "changedAt": _milliseconds(row["lastUpdateDate"]),
    }


def _day(text: str | None) -> str | None:
    """As this system writes days: 31/01/2026."""
    return datetime.fromisoformat(text).strftime("%d/%m/%Y") if text else None


def _milliseconds(stamp: str) -> int:
    return round(datetime.fromisoformat(stamp).replace(tzinfo=ZONE).timestamp() * 1000)


class _Staff:
    """`_cursors`: what was given out → the position it stands for."""

    def __init__(self, people: Population, tokens: Tokens) -> None:
        self.people = people
        self.tokens = tokens
        self._cursors: dict[str, int] = {}

    async def forget_cursors(self, _: Call) -> None:
        self._cursors.clear()

    async def issue_token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if request.headers.get("Authorization") != f"Basic {b64encode(_CLIENT.encode()).decode()}":
            return reply({"error": "invalid_client"}, status=401)
        if form.get("grant_type") != "client_credentials":
            return reply({"error": "unsupported_grant_type"}, status=400)
        token, seconds = self.tokens.issue(), int(self.tokens.seconds)
        return reply({"access_token": token, "token_type": "Bearer", "expires_in": seconds})

    async def read_page(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        problem = self.tokens.problem(token if scheme == "Bearer" else None)
        if problem:
            return reply(refuse({}, "unauthorized", f"token is {problem}"), status=401)
        cursor = request.query.get("after")
        if cursor and cursor not in self._cursors:
            return reply(refuse({}, "cursor_expired", "begin again"), status=410)
        return self._page(request, after=self._cursors[cursor] if cursor else 0)

    def _page(self, request: web.Request, *, after: int) -> web.Response:
        size = min(int(request.query.get("limit", 50)), LARGEST_PAGE)
        found = self._changed(request)
        lot = [worker for worker in found if worker[0] > after][:size]
        more = bool(lot) and lot[-1] is not found[-1]
        body = {
            "workers": [worker_of(row) for _, row in lot],
            "paging": {"next": self._cursor(lot[-1][0]) if more else None},
            "count": len(found),
        }
        return web.Response(body=orjson.dumps(body), content_type="application/json")

    def _changed(self, request: web.Request) -> list[tuple[int, Row]]:
        start = int(request.query.get("changedFrom", 0))
        end = int(request.query.get("changedBefore", 2**62))
        rows = ((row["personId"], row) for row in map(self.people.row, range(len(self.people))))
        return [
            (key, row) for key, row in rows if start <= _milliseconds(row["lastUpdateDate"]) < end
        ]

    def _cursor(self, position: int) -> str:
        cursor = secrets.token_urlsafe(9)
        self._cursors[cursor] = position
        return cursor
