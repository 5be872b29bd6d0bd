"""The walk over all pages of a list, with the proof that none was left out (I2).

Whoever lists something says how one page is received. Which page comes next, how many are under way
at the same time, and what proves that the list is complete is decided here, for every list.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, assert_never

from accountsync.errors import IncompleteReadError
from accountsync.wire.answer import Answer
from accountsync.wire.completeness import CompletenessProof
from accountsync.wire.paging import KnownPlaces, Page, Place, Successors


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A page as it came. `address`: where it was asked for."""

    answer: Answer
    rows: list[Any]
    address: str


class Proof(Protocol):
    """Gets every page in order, and then the question whether all have come. Both raise
    IncompleteReadError."""

    def add(self, page: Page) -> None: ...

    def finish(self) -> None: ...


Receive = Callable[[Place, int], Coroutine[Any, Any, Received]]
"""Receives the page at a place; the number, from 1, is for messages."""

Pages = AsyncGenerator[tuple[Page, Answer], None]
"""Every page in order, with the answer it came in. It ends normally only after the pages proved
complete, and raises IncompleteReadError otherwise; then nothing of them may be used."""

_ReceivePage = Callable[[int], Coroutine[Any, Any, tuple[Page, Answer]]]


def all_pages(
    route: KnownPlaces | Successors, receive: Receive, *, page_size: int, at_once: int = 1
) -> Pages:
    """`at_once`: how many pages are under way at the same time where their places are known."""
    match route:
        case KnownPlaces():
            return _known_pages(route, receive, page_size=page_size, at_once=at_once)
        case Successors():
            return successive_pages(route, receive, CompletenessProof(page_size=None))
        case _:
            assert_never(route)


async def _known_pages(
    route: KnownPlaces, receive: Receive, *, page_size: int, at_once: int
) -> Pages:
    """The first page is read once more at the end: it shows whether rows have moved meanwhile."""
    receive_page = partial(_known_page, route, receive)
    proof = CompletenessProof(page_size=page_size)
    page, answer = await receive_page(1)
    proof.add(page)
    total_pages = page.total_pages or 1
    yield page, answer
    del page, answer  # a page takes much memory, and the others take long
    async with aclosing(_later_pages(receive_page, total_pages, at_once=at_once)) as later_pages:
        async for page, answer in later_pages:
            proof.add(page)
            yield page, answer
    proof.finish((await receive_page(1))[0] if total_pages > 1 else None)


async def _later_pages(receive_page: _ReceivePage, total_pages: int, *, at_once: int) -> Pages:
    """Pages 2 … in order. Those still under way are given up before the walk ends early."""
    numbers = iter(range(2, total_pages + 1))
    under_way: list[asyncio.Task[tuple[Page, Answer]]] = []
    try:
        while True:
            while len(under_way) < at_once and (number := next(numbers, None)):
                under_way.append(asyncio.create_task(receive_page(number)))
            if not under_way:
                return
            yield await under_way.pop(0)
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _known_page(route: KnownPlaces, receive: Receive, number: int) -> tuple[Page, Answer]:
    received = await receive(route.place(number), number)
    pages, rows = route.totals(received.answer)
    page = Page(number=number, rows=received.rows, total_pages=pages, total_rows=rows)
    return page, received.answer


async def successive_pages(route: Successors, receive: Receive, proof: Proof) -> Pages:
    """Each page names the next one, so they come one after the other."""
    place: Place | None = Place()
    visited: set[Place] = set()
    while place is not None:
        if place in visited:
            raise IncompleteReadError(f"page {len(visited)} names an earlier page as the next one")
        visited.add(place)
        number = len(visited)
        received = await receive(place, number)
        total = route.total_rows(received.answer)
        page = Page(number=number, rows=received.rows, total_pages=None, total_rows=total)
        proof.add(page)
        yield page, received.answer
        place = route.next_place(received.answer, answered=received.address)
    proof.finish()
