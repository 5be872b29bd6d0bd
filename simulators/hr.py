"""The HR system, HIEDS-shaped (PREDECESSOR §2): token, persons by page, and events on command.

* `POST /api/iam/auth/token` → `{"code": "201", "access_token", "expires_in"}`; wrong credentials:
  HTTP 200 with `{"code": "401", …}`
* `POST /api/meta/api/engine/idata/projects/P1/catalog/hr_person_info` → `{"status": 200,
  "data": {"result": [row…], "pageInfo": {totalPages, totalRows, curPage, pageSize}}}`, ordered by
  personId; `startTime` keeps `lastUpdateDate >= startTime`. No valid token: HTTP 401 and
  `{"status": 401, …}`. Other errors: HTTP 200 and `{"status": 400 | 403 | 404, …}`.
* `POST /_sim/events` `{"join": n, …, "at"?: stamp, "in_days"?: n}` → `{"at", "changed": {kind:
  [employee numbers]}}`
* `POST /_sim/persons` (a row or a list; missing fields are kept or made up) → `{"changed":
  [personId…]}`; `DELETE /_sim/persons/{personId}`; `GET /_sim/persons?offset&limit` →
  `{"total", "persons"}`
"""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from . import credentials
from .events import EventError, happen
from .hr_faults import page_kinds
from .names import Name
from .persons import (
    FIRST_PERSON_ID,
    Row,
    draws_of,
    now_stamp,
    row_of,
    seconds_of,
    stamp_of,
    start_seconds,
)
from .population import Population
from .server import make_app, read_json, reply
from .system import JsonObject, System
from .tokens import Tokens

TOKEN_PATH = "/api/iam/auth/token"
PERSONS_PATH = "/api/meta/api/engine/idata/projects/{project}/catalog/hr_person_info"
LARGEST_PAGE = 5_000


def refuse(_: JsonObject, code: Any, message: str) -> JsonObject:
    return {"status": 500 if code is None else code, "message": message, "data": None}


def make_hr(people: Population, *, token_seconds: float) -> web.Application:
    """Build the HR application over a population."""
    hr = _Hr(people, Tokens(token_seconds))
    system = System(
        name="hr",
        refuse=refuse,
        state=hr.state,
        reset=people.reset,
        close=people.close,
        tokens=hr.tokens,
    )
    return make_app(
        system,
        [
            web.post(TOKEN_PATH, hr.issue_token),
            web.post(PERSONS_PATH, hr.read_page),
            *control_routes(people),
        ],
        own_faults=page_kinds(people),
    )


def control_routes(people: Population) -> list[web.RouteDef]:
    """What happens to people, and who they are, whatever the API that tells of them."""
    control = _Control(people)
    return [
        web.post("/_sim/events", control.let_happen),
        web.post("/_sim/persons", control.put_persons),
        web.get("/_sim/persons", control.list_persons),
        web.delete("/_sim/persons/{person_id:\\d+}", control.vanish_person),
    ]


class _Hr:
    def __init__(self, people: Population, tokens: Tokens) -> None:
        self.people = people
        self.tokens = tokens

    def state(self) -> JsonObject:
        return {"persons": len(self.people), "changes": self.people.sequence}

    async def issue_token(self, request: web.Request) -> web.Response:
        data = (await read_json(request)).get("data") or {}
        if data.get("type") != "JWT-Token" or data.get("attributes") != _ATTRIBUTES:
            return reply({"code": "401", "message": "account, secret or project is wrong"})
        token, seconds = self.tokens.issue(), int(self.tokens.seconds)
        return reply({"code": "201", "access_token": token, "expires_in": seconds})

    async def read_page(self, request: web.Request) -> web.Response:
        problem = self.tokens.problem(request.headers.get("Authorization"))
        if problem:
            return reply(refuse({}, 401, f"token is {problem}"), status=401)
        query = await read_json(request)
        if request.match_info["project"] != credentials.HR_PROJECT:
            return reply(refuse({}, 404, "no such project"))
        if query.get("tenant_id") != credentials.HR_TENANT:
            return reply(refuse({}, 403, "no such tenant"))
        return self._page(query)

    def _page(self, query: JsonObject) -> web.Response:
        size, page = query.get("pageSize", 20), query.get("curPage", 1)
        start = query.get("startTime")
        since = start_seconds(start)
        if not (_is_count(size) and size <= LARGEST_PAGE and _is_count(page)):
            return reply(refuse({}, 400, "pageSize or curPage is out of range"))
        if start is not None and since is None:
            return reply(refuse({}, 400, "startTime must be YYYY-MM-DD HH:MM:SS"))
        positions = self.people.since(since)
        rows = self.people.json_rows(positions[(page - 1) * size : page * size])
        return _page_of(rows, total=len(positions), page=page, size=size)


class _Control:
    def __init__(self, people: Population) -> None:
        self.people = people

    async def let_happen(self, request: web.Request) -> web.Response:
        counts = await read_json(request)
        seconds = seconds_of(counts.pop("at", None) or now_stamp())
        in_days = counts.pop("in_days", 0)
        if seconds is None or type(in_days) is not int:
            raise web.HTTPBadRequest(text="at must be YYYY-MM-DD HH:MM:SS, in_days an integer")
        at = stamp_of(seconds)
        try:
            changed = happen(self.people, counts, at=at, in_days=in_days)
        except EventError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return reply({"at": at, "changed": changed})

    async def put_persons(self, request: web.Request) -> web.Response:
        raw = orjson.loads(await request.read())
        fields = raw if isinstance(raw, list) else [raw]
        if not all(isinstance(row, dict) and type(row.get("personId")) is int for row in fields):
            raise web.HTTPBadRequest(text="every person needs a personId, an integer")
        self.people.change(put=[self._completed(row) for row in fields])
        return reply({"changed": [row["personId"] for row in fields]})

    async def list_persons(self, request: web.Request) -> web.Response:
        offset = int(request.query.get("offset", 0))
        limit = int(request.query.get("limit", 100))
        total = len(self.people)
        rows = self.people.json_rows(range(min(offset, total), min(offset + limit, total)))
        return _json(b'{"total":%d,"persons":[%b]}' % (total, rows))

    async def vanish_person(self, request: web.Request) -> web.Response:
        person_id = int(request.match_info["person_id"])
        if self.people.find(person_id) is None:
            raise web.HTTPNotFound(text="no such person")
        self.people.change(vanish=[person_id])
        return reply({"changed": [person_id]})

    def _completed(self, fields: Row) -> Row:
        known = self.people.find(fields["personId"]) or _blank_row(fields["personId"])
        return {**known, "lastUpdateDate": now_stamp(), **fields}


_ATTRIBUTES = {
    "method": "CREATE",
    "account": credentials.HR_ACCOUNT,
    "secret": credentials.HR_SECRET,
    "project": credentials.HR_PROJECT,
    "enterprise": credentials.HR_ENTERPRISE,
}


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _blank_row(person_id: int) -> Row:
    """Make a valid, plain person for an id that HR does not know."""
    index = person_id - FIRST_PERSON_ID
    row = row_of(abs(index), Name("张三", "zhang san", ""), draws_of(0, index))
    plain = {"personType": "10", "employeeStatus": "1", "disableDate": None}
    return {**row, **plain, "personId": person_id, "employeeNumber": f"{person_id:08d}"}


def _page_of(rows: bytes, *, total: int, page: int, size: int) -> web.Response:
    return _json(
        b'{"status":200,"message":"success","data":{"result":[%b],"pageInfo":'
        b'{"totalPages":%d,"totalRows":%d,"curPage":%d,"pageSize":%d}}}'
        % (rows, -(-total // size), total, page, size)
    )


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")
