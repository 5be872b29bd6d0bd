"""The walk over all pages: every row once and in order, or an error (I2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from accountsync.errors import IncompleteReadError, TransientError
from accountsync.settings.paging import Cursor, NextUrl, Offsets, PageNumbers
from accountsync.settings.parts import Rate
from accountsync.wire import paging
from accountsync.wire.api import Api
from accountsync.wire.page_walk import Received, all_pages, successive_pages
from accountsync.wire.paging import Page, Place, Successors
from tests.unit.wire.server import Handler, Server, api, endpoint, json, request, serving

SIZE = 2
ROWS = ["a", "b", "c", "d", "e", "f", "g"]
BY_PAGE = PageNumbers(kind="page_number", total_pages="body.pages", total_rows="body.total")
BY_OFFSET = Offsets(kind="offset", total_rows="body.total")
BY_CURSOR = Cursor(kind="cursor", next="body.next", total_rows="body.total")
BY_URL = NextUrl(kind="next_url", next="body.next")


@dataclass
class Walk:
    """A walk along the pages of a real little server. `asked`: places and numbers, in order."""

    server: Server
    client: Api
    asked: list[tuple[Place, int]] = field(default_factory=list)

    async def receive(self, place: Place, number: int) -> Received:
        self.asked.append((place, number))
        said = {name: str(value) for name, value in place.as_context().items() if value is not None}
        asked = place.applied_to(request("/rows", "GET", query=said))
        answer = await self.client.read(asked)
        rows = answer.body["rows"]
        return Received(answer=answer, rows=rows, address=self.client.address(asked.path))

    def along(self, route: paging.Paging, *, at_once: int = 1) -> Any:
        walked = paging.route(route, page_size=SIZE)
        return all_pages(walked, self.receive, page_size=SIZE, at_once=at_once)

    async def pages(self, route: paging.Paging, *, at_once: int = 1) -> list[Page]:
        return [page async for page, _ in self.along(route, at_once=at_once)]


@asynccontextmanager
async def walking(handler: Handler) -> AsyncIterator[Walk]:
    async with (
        serving({"/rows": handler}) as server,
        api(endpoint(server.url), rate=Rate(concurrency=10)) as client,
    ):
        yield Walk(server, client)


def numbered(
    rows: list[str] = ROWS, *, delays: Mapping[int, float] | None = None, **instead: Handler
) -> Handler:
    """Pages by number or offset. `delays`: seconds a page takes. `page_2=…`: it answers instead."""

    async def answer(asked: web.Request) -> web.StreamResponse:
        offset = int(asked.query["offset"]) or (int(asked.query["page"]) - 1) * SIZE
        number = offset // SIZE + 1
        await asyncio.sleep((delays or {}).get(number, 0))
        if special := instead.get(f"page_{number}"):
            return await special(asked)
        body = {"rows": rows[offset : offset + SIZE], "pages": -(-len(rows) // SIZE)}
        return web.json_response(body | {"total": len(rows)})

    return answer


def chained(*pages: tuple[list[str], str | None], total: int | None = None) -> Handler:
    """Pages by cursor: rows, and the cursor of the next page. The cursor is the page's number."""

    async def answer(asked: web.Request) -> web.StreamResponse:
        rows, following = pages[int(asked.query.get("cursor", 1)) - 1]
        return web.json_response({"rows": rows, "next": following, "total": total})

    return answer


def rows_of(pages: list[Page]) -> list[Any]:
    return [row for page in pages for row in page.rows]


# pages whose places are known


@pytest.mark.parametrize("route", [BY_PAGE, BY_OFFSET], ids=["by page", "by offset"])
@pytest.mark.parametrize("at_once", [1, 2, 10])
def test_all_pages_come_in_order_however_many_are_under_way(
    route: paging.Paging, at_once: int
) -> None:
    """I2: the first answers come last here."""

    async def scenario() -> None:
        async with walking(numbered(delays={1: 0.05, 2: 0.04, 3: 0.02})) as walk:
            pages = await walk.pages(route, at_once=at_once)
            assert [page.number for page in pages] == [1, 2, 3, 4]
            assert rows_of(pages) == ROWS
            assert [number for _, number in walk.asked] == [1, 2, 3, 4, 1]

    asyncio.run(scenario())


@pytest.mark.parametrize(("at_once", "most"), [(1, 1), (2, 2), (10, 3)])
def test_no_more_pages_are_under_way_than_was_said(at_once: int, most: int) -> None:
    """Three pages are left after the first."""

    async def scenario() -> None:
        async with walking(numbered(delays=dict.fromkeys(range(1, 5), 0.05))) as walk:
            await walk.pages(BY_PAGE, at_once=at_once)
            assert walk.server.most_in_flight == most

    asyncio.run(scenario())


@pytest.mark.parametrize("rows", [[], ["a"], ["a", "b"]])
def test_one_page_is_read_once(rows: list[str]) -> None:
    async def scenario() -> None:
        async with walking(numbered(rows)) as walk:
            assert [page.rows for page in await walk.pages(BY_PAGE, at_once=3)] == [rows]
            assert walk.asked == [(Place(page=1), 1)]

    asyncio.run(scenario())


def test_each_page_comes_with_the_answer_it_was_in() -> None:
    async def scenario() -> None:
        async with walking(numbered()) as walk:
            pages = [both async for both in walk.along(BY_PAGE, at_once=2)]
            assert [answer.body["rows"] for _, answer in pages] == [page.rows for page, _ in pages]

    asyncio.run(scenario())


def once_more(first: Handler, afterwards: Handler) -> Handler:
    handlers = [first]

    async def answer(asked: web.Request) -> web.StreamResponse:
        return await (handlers.pop() if handlers else afterwards)(asked)

    return answer


FAULTS: Mapping[str, tuple[Handler, str]] = {
    "a short page": (
        numbered(page_2=json({"rows": ["c"], "pages": 4, "total": 7})),
        "page 2 of 4 has 1 rows, expected 2",
    ),
    "another total": (
        numbered(page_3=json({"rows": ["e", "f"], "pages": 4, "total": 8})),
        r"changed from \(4, 7\) to \(4, 8\) at page 3",
    ),
    "a page twice": (
        numbered(page_3=json({"rows": ["c", "d"], "pages": 4, "total": 7})),
        "page 3 has the rows of an earlier page",
    ),
    "too few rows": (
        numbered(page_4=json({"rows": [], "pages": 4, "total": 7})),
        "7 rows declared, 6 received",
    ),
    "rows that moved meanwhile": (
        numbered(
            page_1=once_more(
                json({"rows": ["a", "b"], "pages": 4, "total": 7}),
                json({"rows": ["b", "c"], "pages": 4, "total": 7}),
            )
        ),
        "the first page changed while the others were read",
    ),
}


@pytest.mark.parametrize(("handler", "problem"), FAULTS.values(), ids=FAULTS)
def test_pages_that_are_not_whole_never_end_normally(handler: Handler, problem: str) -> None:
    """I2."""

    async def scenario() -> None:
        async with walking(handler) as walk:
            with pytest.raises(IncompleteReadError, match=problem):
                await walk.pages(BY_PAGE, at_once=2)

    asyncio.run(scenario())


async def _stop_at_page_2(walk: Walk) -> None:
    async with aclosing(walk.along(BY_PAGE, at_once=3)) as pages:
        async for page, _ in pages:
            if page.number == 2:
                return


async def _fail_at_page_2(walk: Walk) -> None:
    with pytest.raises(TransientError):
        await walk.pages(BY_PAGE, at_once=3)


@pytest.mark.parametrize(
    ("read", "page_2"),
    [(_stop_at_page_2, {}), (_fail_at_page_2, {"page_2": json({}, code=503)})],
    ids=["the reader stops", "a page fails"],
)
def test_pages_under_way_are_given_up_when_the_walk_ends_early(
    read: Callable[[Walk], Awaitable[None]], page_2: Mapping[str, Handler]
) -> None:
    """Nobody is called any more, neither now nor later."""
    delays = {2: 0.05, 3: 60.0, 4: 60.0}

    async def scenario() -> None:
        async with walking(numbered(delays=delays, **page_2)) as walk:
            await asyncio.wait_for(read(walk), timeout=5)
            assert len(walk.asked) == 4
            while walk.server.in_flight:  # the server sees that the line is cut a little later
                await asyncio.sleep(0.01)
            assert len(walk.server.calls) == 4

    asyncio.run(asyncio.wait_for(scenario(), timeout=10))


# pages that name the next one


def test_each_page_leads_to_the_next_until_one_names_none() -> None:
    async def scenario() -> None:
        handler = chained((["a", "b", "c"], "2"), ([], "3"), (["d"], None), total=4)
        async with walking(handler) as walk:
            assert rows_of(await walk.pages(BY_CURSOR, at_once=3)) == ["a", "b", "c", "d"]
            places = [Place(), Place(cursor="2"), Place(cursor="3")]
            assert walk.asked == [(place, n) for n, place in enumerate(places, start=1)]
            assert walk.server.most_in_flight == 1

    asyncio.run(scenario())


def test_an_address_is_meant_from_the_page_that_gave_it() -> None:
    """RFC 3986 §5.2."""

    async def first(_: web.Request) -> web.StreamResponse:
        return web.json_response({"rows": ["a"], "next": "rows/second"})

    async def scenario() -> None:
        async with walking(first) as walk:
            walk.server.handlers["/rows/second"] = json({"rows": ["b"], "next": "third?x=1"})
            walk.server.handlers["/rows/third"] = json({"rows": ["c"]})
            assert rows_of(await walk.pages(BY_URL)) == ["a", "b", "c"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        (chained((["a"], "2"), (["b"], "2")), "page 2 names an earlier page as the next one"),
        (
            chained((["a"], "2"), (["b"], "3"), (["c"], "2")),
            "page 3 names an earlier page as the next one",
        ),
        (chained((["a"], "2"), (["a"], None)), "page 2 has the rows of an earlier page"),
        (chained((["a"], "2"), (["b"], None), total=3), "3 rows declared, 2 received"),
    ],
    ids=["itself", "a circle", "a page twice", "too few rows"],
)
def test_a_chain_that_is_not_whole_never_ends_normally(handler: Handler, problem: str) -> None:
    """I2: one that goes in circles would never end at all."""

    async def scenario() -> None:
        async with walking(handler) as walk:
            with pytest.raises(IncompleteReadError, match=problem):
                await walk.pages(BY_CURSOR)

    asyncio.run(asyncio.wait_for(scenario(), timeout=10))


class OwnProof:
    """Of a caller that knows more about its rows than how many there are."""

    def __init__(self, *, objects_to: str | None = None) -> None:
        self._objects_to = objects_to
        self.told: list[str] = []

    def add(self, page: Page) -> None:
        self.told.append(f"page {page.number}")
        self._object()

    def finish(self) -> None:
        self.told.append("finish")
        self._object()

    def _object(self) -> None:
        if self.told[-1] == self._objects_to:
            raise IncompleteReadError("this proves nothing")


async def _yielded(proof: OwnProof) -> list[int]:
    """Numbers of the pages handed out, also when the walk ends in an error."""
    numbers = []
    async with walking(chained((["a"], "2"), (["b"], None))) as walk:
        route = paging.route(BY_CURSOR, page_size=SIZE)
        assert isinstance(route, Successors)
        try:
            async for page, _ in successive_pages(route, walk.receive, proof):
                numbers.append(page.number)
        except IncompleteReadError:
            numbers.append(-1)
    return numbers


@pytest.mark.parametrize(
    ("objects_to", "yielded", "told"),
    [
        (None, [1, 2], ["page 1", "page 2", "finish"]),
        ("page 2", [1, -1], ["page 1", "page 2"]),
        ("finish", [1, 2, -1], ["page 1", "page 2", "finish"]),
    ],
)
def test_a_proof_of_ones_own_is_told_of_every_page_before_anybody_else(
    objects_to: str | None, yielded: list[int], told: list[str]
) -> None:
    """I2: what it objects to is never handed out, and never ends normally."""
    proof = OwnProof(objects_to=objects_to)
    assert asyncio.run(_yielded(proof)) == yielded
    assert proof.told == told
