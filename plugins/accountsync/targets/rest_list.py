"""Every account of a declared target, with the proof that none was left out (I2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, assert_never

from accountsync.domain.accounts.account import RemoteAccount
from accountsync.errors import ConfigurationError, IncompleteReadError, TransientError
from accountsync.settings.targets import LIST_ROOTS, Listing, RestTarget
from accountsync.targets.declared import ItemView
from accountsync.wire import paging
from accountsync.wire.answer import Answer, answer_condition, answer_value
from accountsync.wire.api import Api
from accountsync.wire.paging import Page, Place
from accountsync.wire.proof import FeedProof
from accountsync.wire.request import Rendered, RequestTemplate


async def listed(target: RestTarget, api: Api) -> AsyncIterator[RemoteAccount]:
    if target.list is None:
        raise ConfigurationError(f"{api.endpoint.conn_id}: the target declares no `list`")
    view = ItemView(target.list, key=target.key, identifier=target.identifier)
    seen: set[str] = set()
    async for item in _Lots(target.list, api).items():
        key = view.key(item)
        account = view.account(item, ours=bool(key))
        own = account.remote_id or key or account.identifier
        if own in seen:
            raise IncompleteReadError("an account came twice: the list moved while it was read")
        seen.add(own)
        yield account


class _Lots:
    def __init__(self, listing: Listing, api: Api) -> None:
        self._api = api
        self._page_size = listing.page_size
        self._request = RequestTemplate(listing.request, roots=LIST_ROOTS)
        self._success = answer_condition(listing.success)
        self._items = answer_value(listing.items)
        self._route = paging.route(listing.paging, page_size=listing.page_size)

    async def items(self) -> AsyncIterator[dict[str, Any]]:
        match self._route:
            case paging.KnownPlaces():
                pages = self._known(self._route)
            case paging.Successors():
                pages = self._successive(self._route)
            case _:
                assert_never(self._route)
        async for answer, rows in pages:
            for row in rows:
                yield {**answer.as_context(), "item": row}

    async def _known(self, route: paging.KnownPlaces) -> AsyncIterator[tuple[Answer, list[Any]]]:
        proof = FeedProof(page_size=self._page_size)
        number, total = 0, 1
        while number < total:
            number += 1
            answer, page = await self._page(route, number)
            proof.add(page)
            total = page.total_pages or 1
            yield answer, page.rows
        proof.finish((await self._page(route, 1))[1] if total > 1 else None)

    async def _page(self, route: paging.KnownPlaces, number: int) -> tuple[Answer, Page]:
        answer, rows = await self._receive(self._asked(route.place(number)))
        pages, total = route.totals(answer)
        return answer, Page(number=number, rows=rows, total_pages=pages, total_rows=total)

    async def _successive(
        self, route: paging.Successors
    ) -> AsyncIterator[tuple[Answer, list[Any]]]:
        proof = FeedProof(page_size=None)
        place: Place | None = Place()
        seen: set[Place] = set()
        while place is not None:
            if place in seen:
                raise IncompleteReadError("a page names an earlier one as the next")
            seen.add(place)
            request = self._asked(place)
            answer, rows = await self._receive(request)
            total = route.total_rows(answer)
            proof.add(Page(number=len(seen), rows=rows, total_pages=None, total_rows=total))
            yield answer, rows
            place = route.next_place(answer, answered=self._api.address(request.path))
        proof.finish()

    def _asked(self, place: Place) -> Rendered:
        request = self._request.render(
            {
                "conn": self._api.endpoint.as_context(),
                "page": place.page,
                "page_size": self._page_size,
                "offset": place.offset,
                "cursor": place.cursor,
            }
        )
        return place.applied_to(request)

    async def _receive(self, request: Rendered) -> tuple[Answer, list[Any]]:
        answer = await self._api.read(request)
        if not self._success(answer):
            raise TransientError(f"list: HTTP {answer.status}, its body says failure")
        rows = self._items(answer)
        if not isinstance(rows, list):
            raise IncompleteReadError("list: no list of accounts where one is declared")
        return answer, rows
