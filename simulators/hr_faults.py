"""Faults that only a paged HR read can have; each acts on an answered page (see `faults`).

* page_loss `rows` (null: all): so many rows of the page are missing, the totals stay
* shifting_pages `mode` remove | insert: after the page was answered the first person of the read
  vanishes for good, or another one enters before it, so that all later pages shift by one row
* lying_totals `off_by`: totalRows is wrong by so much
* duplicate_rows `replace`: the first row comes twice, added to the page or instead of the second
* bad_rows `rows`: broken date, missing personId and wrong types, in turn
* future_stamp `ahead`: the first row was changed so many seconds in the future
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import orjson
from aiohttp import web

from .faults import After, Call, Kind, body_of
from .names import name_of
from .persons import Row, draws_of, now_stamp, row_of, start_seconds
from .population import Population

_PERSONS = r"/hr_person_info$"
Page = dict[str, Any]


def page_kinds(people: Population) -> dict[str, Kind]:
    """Make the fault kinds of an HR server over this population."""
    return {
        "page_loss": _kind(_lose, {"rows": None}),
        "lying_totals": _kind(_lie, {"off_by": 1}),
        "duplicate_rows": _kind(_duplicate, {"replace": False}),
        "bad_rows": _kind(_spoil, {"rows": 3}),
        "future_stamp": _kind(_postdate, {"ahead": 86_400}),
        "shifting_pages": Kind(
            options={"mode": ("remove", "insert")}, path=_PERSONS, after=_shifting(people)
        ),
    }


def _kind(distort: Callable[[Page, dict[str, Any]], None], options: dict[str, Any]) -> Kind:
    """Make a kind from a function that edits `data` of a page in place."""

    async def after(call: Call, response: web.Response) -> web.StreamResponse:
        body = orjson.loads(body_of(response))
        if not body.get("data"):
            return response
        distort(body["data"], call.rule.options)
        return web.Response(body=orjson.dumps(body), content_type="application/json")

    return Kind(options=options, path=_PERSONS, after=after)


def _lose(page: Page, options: dict[str, Any]) -> None:
    lost = options["rows"]
    page["result"] = [] if lost is None else page["result"][lost:]


def _lie(page: Page, options: dict[str, Any]) -> None:
    page["pageInfo"]["totalRows"] += options["off_by"]


def _duplicate(page: Page, options: dict[str, Any]) -> None:
    rows = page["result"]
    if rows:
        rows[1 : 2 if options["replace"] else 1] = [rows[0]]


def _spoil(page: Page, options: dict[str, Any]) -> None:
    for position, row in enumerate(page["result"][: options["rows"]]):
        _SPOILERS[position % len(_SPOILERS)](row)


def _break_date(row: Row) -> None:
    row["effectiveDate"] = "2025-13-45"


def _lose_key(row: Row) -> None:
    del row["personId"]


def _mistype(row: Row) -> None:
    row.update(fullName=["not", "a", "name"], employeeNumber={}, personDept="D1000")


_SPOILERS = (_break_date, _lose_key, _mistype)


def _postdate(page: Page, options: dict[str, Any]) -> None:
    if page["result"]:
        moment = datetime.fromisoformat(now_stamp()) + timedelta(seconds=options["ahead"])
        page["result"][0]["lastUpdateDate"] = moment.isoformat(sep=" ")


def _shifting(people: Population) -> After:
    async def shift(call: Call, response: web.Response) -> web.Response:
        query = orjson.loads(await call.request.read())
        positions = people.since(start_seconds(query.get("startTime")))
        if positions:
            first = people.person_ids()[positions[0]]
            _SHIFTS[call.rule.options["mode"]](people, first)
        return response

    return shift


def _remove(people: Population, first: int) -> None:
    people.change(vanish=[first])


def _insert(people: Population, first: int) -> None:
    if (neighbour := people.find(first - 1)) is not None:
        people.change(put=[{**neighbour, "lastUpdateDate": now_stamp()}])
        return
    index = people.next_index()
    draws = draws_of(people.seed, index)
    row = row_of(index, name_of(draws), draws)
    people.change(put=[{**row, "personId": first - 1, "lastUpdateDate": now_stamp()}])


_SHIFTS = {"remove": _remove, "insert": _insert}
