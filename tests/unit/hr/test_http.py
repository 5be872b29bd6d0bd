"""Reading an HR system over HTTP: all of it, in order, or an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from multidict import CIMultiDict

from accountsync.errors import (
    IncompleteReadError,
    TargetDownError,
    ThrottledError,
    TransientError,
)
from accountsync.hr.http import HttpHrSource
from accountsync.hr.source import Ask
from accountsync.settings.hr import HttpSource
from accountsync.settings.parts import OAuth2Auth
from accountsync.wire import unreadable
from accountsync.wire.answer import Answer
from accountsync.wire.auth import Credentials, authenticator
from accountsync.wire.paging import Page
from tests.unit.wire.server import Server, api, endpoint, json, serving, status

EVERYBODY = Ask(since=None)
ROWS = [{"id": n} for n in range(1, 11)]
SIZE = 3

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def a_source(**more: Any) -> HttpSource:
    return HttpSource.model_validate(
        {
            "kind": "http",
            "name": "main",
            "conn_id": "hr",
            "request": {
                "method": "POST",
                "path": "/persons",
                "body": {"page": "{{ page }}", "size": "{{ page_size }}", "since": "{{ since }}"},
            },
            "records": "body.rows",
            "paging": {
                "kind": "page_number",
                "total_pages": "body.pages",
                "total_rows": "body.total",
            },
            "page_size": SIZE,
            "fields": {"source_key": "id", "employee_number": "n", "full_name": "f"},
        }
        | more
    )


def paged(rows: list[Any], **answers: Handler) -> Handler:
    """`page_2=…`: what this page answers instead."""

    async def answer(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        special = answers.get(f"page_{asked['page']}")
        if special:
            return await special(request)
        first = (asked["page"] - 1) * asked["size"]
        body = {
            "rows": rows[first : first + asked["size"]],
            "pages": -(-len(rows) // asked["size"]),
            "total": len(rows),
        }
        return web.json_response(body)

    return answer


async def read(
    handler: Handler, *, ask: Ask = EVERYBODY, **settings: Any
) -> tuple[list[Page], Server]:
    async with serving({"/persons": handler}) as server, api(endpoint(server.url)) as client:
        source = HttpHrSource(a_source(**settings), client)
        return [page async for page in source.pages(ask)], server


def test_all_pages_come_in_order_and_the_first_is_looked_at_again() -> None:
    pages, server = asyncio.run(read(paged(ROWS)))
    assert [page.number for page in pages] == [1, 2, 3, 4]
    assert [row for page in pages for row in page.rows] == ROWS
    assert len(server.calls) == 5


@pytest.mark.parametrize("rows", [[], ROWS[:2], ROWS[:3]])
def test_one_page_is_read_once(rows: list[Any]) -> None:
    pages, server = asyncio.run(read(paged(rows)))
    assert [page.rows for page in pages] == [rows]
    assert len(server.calls) == 1


def test_changes_are_asked_for_in_the_zone_of_the_system() -> None:
    """PREDECESSOR fault 2."""
    asked = []

    async def remember(request: web.Request) -> web.StreamResponse:
        asked.append((await request.json()).get("since"))
        return await json({"rows": [], "pages": 0, "total": 0})(request)

    moment = datetime(2026, 1, 31, 20, tzinfo=UTC)
    changed_since = {"zone": "Asia/Shanghai"}
    asyncio.run(read(remember, ask=Ask(since=moment), changed_since=changed_since))
    asyncio.run(read(remember, changed_since=changed_since))
    asyncio.run(read(remember, ask=Ask(since=moment)))
    assert asked == ["2026-02-01 04:00:00", None, None]


BERLIN = ZoneInfo("Europe/Berlin")
FOLD = datetime(2026, 10, 25, 1, tzinfo=UTC)
"""Clocks in Berlin are put back from 03:00 to 02:00."""


def asked_for(since: datetime, until: datetime, **changed_since: Any) -> tuple[str, str]:
    asked = []

    async def remember(request: web.Request) -> web.StreamResponse:
        said = await request.json()
        asked.append((said["since"], said["until"]))
        return await json({"rows": [], "pages": 0, "total": 0})(request)

    body = {"page": "{{ page }}", "since": "{{ since }}", "until": "{{ until }}"}
    request = {"method": "POST", "path": "/persons", "body": body}
    declared = {"zone": "Europe/Berlin", **changed_since}
    ask = Ask(since=since, until=until)
    asyncio.run(read(remember, ask=ask, request=request, changed_since=declared))
    return asked[0]


@pytest.mark.parametrize("minutes", range(-240, 240, 17))
def test_no_change_is_missed_where_clocks_are_put_back(minutes: int) -> None:
    """I1, I2: stamps without a zone repeat an hour; what is asked for covers every stamp that a
    change in the interval can have."""
    start = FOLD + timedelta(minutes=minutes)
    end = start + timedelta(minutes=90)
    since, until = asked_for(start, end)
    changes = [start + timedelta(minutes=n) for n in range(90)]
    stamps = [f"{moment.astimezone(BERLIN):%Y-%m-%d %H:%M:%S}" for moment in changes]
    assert since <= min(stamps)
    assert max(stamps) < until


def test_elsewhere_nothing_more_is_asked_for() -> None:
    noon = datetime(2026, 10, 24, 10, tzinfo=UTC)
    asked = asked_for(noon, noon + timedelta(hours=1))
    assert asked == ("2026-10-24 12:00:00", "2026-10-24 13:00:00")
    spring = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    asked = asked_for(spring, spring + timedelta(hours=1))
    assert asked == ("2026-03-29 01:30:00", "2026-03-29 03:30:00")


def test_an_upper_bound_is_rounded_up_to_whole_seconds() -> None:
    noon = datetime(2026, 10, 24, 10, 0, 0, 900_000, tzinfo=UTC)
    asked = asked_for(noon, noon, format="%H:%M:%S%z")
    assert asked == ("12:00:00+0200", "12:00:01+0200")


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("%Y-%m-%d", "2026-02-01"),
        ("%Y-%m-%d %H", "2026-01-31 12"),
        ("%d.%m.%Y %H:%M", "31.01.2026 11:51"),
        ("%Y-%m", "2026-02"),
        ("%H", "11"),
    ],
)
def test_an_upper_bound_is_rounded_up_to_what_the_format_tells_apart(
    format: str, text: str
) -> None:
    """I1: rounded down, a window's last day would never be read. Without a date it stays."""
    moment = datetime(2026, 1, 31, 10, 50, 30, tzinfo=UTC)
    assert asked_for(moment, moment, format=format)[1] == text


class OnceWithoutAToken:
    """The third page finds nobody who gives it one."""

    def __init__(self) -> None:
        self.asked = 0

    async def credentials(self, *_: Any, **__: Any) -> Credentials:
        self.asked += 1
        if self.asked == 3:
            raise TargetDownError("no token to be had")
        return Credentials()

    def is_refusal(self, _: Answer) -> bool:
        return False


def test_a_system_that_is_away_for_a_moment_in_the_middle_does_not_end_the_read() -> None:
    async def go() -> list[Page]:
        async with (
            serving({"/persons": paged(ROWS)}) as server,
            api(endpoint(server.url), auth=OnceWithoutAToken()) as client,
        ):
            return [page async for page in HttpHrSource(a_source(), client).pages(EVERYBODY)]

    assert [row for page in asyncio.run(go()) for row in page.rows] == ROWS


def test_a_value_that_is_none_takes_no_other_row_with_it() -> None:
    """I3."""
    answered = (
        b'{"total": 2, "pages": 1, "rows": [{"id": "\xff"}, {"id": 2, "x": "\\ud800", "y": NaN}]}'
    )

    async def go() -> list[Page]:
        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(body=answered, content_type="application/json")

        async with (
            serving({"/persons": answer}) as server,
            api(endpoint(server.url), parse=unreadable.parse) as client,
        ):
            return [page async for page in HttpHrSource(a_source(), client).pages(EVERYBODY)]

    (page,) = asyncio.run(go())
    assert [row["id"] for row in page.rows] == ["\udcff", 2]


def test_the_next_address_is_followed_as_it_was_given() -> None:
    """I2: repeated, empty and no keys, bytes that are no UTF-8, and relative to the page that gave
    it (RFC 3986 §5.2)."""
    asked = []
    given = ["?state=a&state=b&flag=&page=2&x=%FF&eyJhIjoxfQ==", "next/3", "/v2/4?x=1#y"]

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path_qs)
        following = given[len(asked) - 1] if len(asked) <= len(given) else None
        return web.json_response({"rows": [{"id": len(asked)}], "next": following})

    async def go() -> None:
        declared = {"kind": "next_url", "next": "body.next"}
        async with (
            serving(dict.fromkeys(("/v1/persons", "/v1/next/3", "/v2/4"), answer)) as server,
            api(endpoint(f"{server.url}/v1")) as client,
        ):
            source = a_source(paging=declared, request={"path": "/persons"})
            pages = [page async for page in HttpHrSource(source, client).pages(EVERYBODY)]
            assert len(pages) == 4

    asyncio.run(go())
    assert asked == ["/v1/persons", f"/v1/persons{given[0]}", "/v1/next/3", "/v2/4?x=1"]


def test_links_may_stand_in_lines_of_their_own() -> None:
    """I2: RFC 9110 §5.3, as Okta sends them. The first line alone would be the end of the data."""

    async def answer(request: web.Request) -> web.StreamResponse:
        number = int(request.query.get("page", 1))
        headers = CIMultiDict({"Link": '</persons>; rel="self"'})
        if number < 3:
            headers.add("Link", f'</persons?page={number + 1}>; rel="next"')
        return web.json_response({"rows": [{"id": number}]}, headers=headers)

    link = {"paging": {"kind": "link"}, "request": {"path": "/persons"}}
    pages, _ = asyncio.run(read(answer, **link))
    assert [row["id"] for page in pages for row in page.rows] == [1, 2, 3]


@pytest.mark.parametrize(
    ("parameters", "goes_on"),
    [
        ('; title="A, B and C"; rel="next"', True),
        ('; REL = "last Next"', True),
        ("; rel=next", True),
        ('; rel="next-archive"', False),
        ('; rel="last"; title="; rel=next"', False),
        ('; rel="last"; rel="next"', False),
    ],
)
def test_a_link_to_the_next_page_is_known_however_it_is_written(
    parameters: str, goes_on: bool
) -> None:
    """I2: RFC 8288 §3. One that is not understood would be the end of the data."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query.get("page") == "2":
            return web.json_response({"rows": [{"id": 2}]})
        headers = {"Link": f'</persons>; rel="self", </persons?page=2>{parameters}'}
        return web.json_response({"rows": [{"id": 1}]}, headers=headers)

    link = {"paging": {"kind": "link"}, "request": {"path": "/persons"}}
    pages, _ = asyncio.run(read(answer, **link))
    assert len(pages) == (2 if goes_on else 1)


@pytest.mark.parametrize("pages", [1.3, -1])
def test_a_count_that_is_none_proves_nothing(pages: float) -> None:
    """I2: some systems divide and do not round; the last page would be lost."""
    for rows in (ROWS[:SIZE], []):
        with pytest.raises(IncompleteReadError, match=f"count is {pages}, no number of pages"):
            asyncio.run(
                read(
                    json({"rows": rows, "pages": pages}),
                    paging={"kind": "page_number", "total_pages": "body.pages"},
                )
            )


def test_one_full_page_that_names_no_next_one_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """I2: nothing proves that it was all."""

    async def go(size: int) -> None:
        declared = {"kind": "next_url", "next": "body.misspelt"}
        rows = json({"rows": [{"id": 1}, {"id": 2}], "next": "?page=2"})
        async with (
            serving({"/persons": rows}) as server,
            api(endpoint(server.url)) as client,
        ):
            source = a_source(paging=declared, request={"path": "/persons"}, page_size=size)
            assert len([page async for page in HttpHrSource(source, client).pages(EVERYBODY)]) == 1

    asyncio.run(go(3))
    assert "no_next_page" not in caplog.text
    asyncio.run(go(2))
    assert "is `paging` right?" in caplog.text


def once(handler: Handler, then: Handler) -> Handler:
    handlers = [handler]

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (handlers.pop() if handlers else then)(request)

    return answer


@pytest.mark.parametrize(
    "trouble",
    [
        status(500),
        status(429, Retry_After="0"),
        status(200, text="<html>", kind="text/html"),
        json({"code": "busy"}),
        json({"rows": {}}),
    ],
)
def test_a_page_that_fails_is_read_again(trouble: Handler) -> None:
    """PREDECESSOR fault 1: a failed page is never the end of the data."""
    good = paged(ROWS)
    pages, _ = asyncio.run(read(paged(ROWS, page_2=once(trouble, good))))
    assert [row for page in pages for row in page.rows] == ROWS


def test_who_is_asked_to_wait_longer_than_a_run_lasts_gives_up_at_once() -> None:
    """I13: calling again earlier than asked would be the wrong thing to do."""

    async def scenario() -> None:
        handler = paged(ROWS, page_1=status(429, Retry_After="600"))
        async with serving({"/persons": handler}) as server, api(endpoint(server.url)) as client:
            source = HttpHrSource(a_source(), client)
            with pytest.raises(TransientError) as raised:
                await asyncio.wait_for(anext(aiter(source.pages(EVERYBODY))), timeout=5)
            assert raised.value.retry_after == timedelta(minutes=10).total_seconds()
            assert len(server.calls) == 1

    asyncio.run(scenario())


def test_who_gives_the_tokens_is_not_called_again_earlier_than_asked_either() -> None:
    """I13."""

    async def scenario() -> None:
        token = {"/token": status(429, Retry_After="600")}
        async with serving({"/persons": paged(ROWS), **token}) as server:
            point = endpoint(server.url)
            auth = authenticator(OAuth2Auth(kind="oauth2", token_path="/token"), point)
            async with api(point, auth=auth) as client:
                with pytest.raises(ThrottledError, match="HTTP 429") as caught:
                    await anext(aiter(HttpHrSource(a_source(), client).pages(EVERYBODY)))
            assert caught.value.retry_after == 600
            assert server.count("/token") == 1

    asyncio.run(scenario())


def test_a_read_that_proved_incomplete_calls_no_more() -> None:
    """The pages read ahead are given up before the error leaves."""
    under_way: list[set[asyncio.Task[Any]]] = []

    def pages_under_way() -> set[asyncio.Task[Any]]:
        tasks = asyncio.all_tasks()
        return {one for one in tasks if getattr(one.get_coro(), "__name__", "") == "_known_page"}

    async def never(request: web.Request) -> web.StreamResponse:
        under_way.append(pages_under_way())
        await asyncio.sleep(60)
        return web.Response()

    async def torn(_: web.Request) -> web.StreamResponse:
        while len(under_way) < 2:
            await asyncio.sleep(0)
        return web.json_response({"rows": [{"id": 4}], "pages": 4, "total": 10})

    async def scenario() -> set[asyncio.Task[Any]]:
        handler = paged(ROWS, page_2=torn, page_3=never, page_4=never)
        async with serving({"/persons": handler}) as server, api(endpoint(server.url)) as client:
            source = HttpHrSource(a_source(), client)
            with pytest.raises(IncompleteReadError, match="page 2 of 4 has 1 rows"):
                [page async for page in source.pages(EVERYBODY)]
            return pages_under_way()

    assert asyncio.run(scenario()) == set()
    assert all(under_way)
