"""Every account of a declared target, with the proof that none was left out (I2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from accountsync.domain.accounts.account import RemoteAccount
from accountsync.errors import ConfigurationError, IncompleteReadError, TransientError
from accountsync.settings.targets import LIST_ROOTS, Listing, RestTarget
from accountsync.targets.declared import ItemView
from accountsync.wire import paging
from accountsync.wire.answer import answer_condition, answer_value
from accountsync.wire.api import Api
from accountsync.wire.page_walk import Received, all_pages
from accountsync.wire.paging import Place
from accountsync.wire.request import Rendered, RequestTemplate


async def listed(target: RestTarget, api: Api) -> AsyncIterator[RemoteAccount]:
    if target.list is None:
        raise ConfigurationError(f"{api.endpoint.conn_id}: the target declares no `list`")
    view = ItemView(target.list, key=target.key, identifier=target.identifier)
    seen: set[str] = set()
    async for item in _Items(target.list, api).all():
        key = view.key(item)
        account = view.account(item, ours=bool(key))
        own = account.remote_id or key or account.identifier
        if own in seen:
            raise IncompleteReadError("an account came twice: the list moved while it was read")
        seen.add(own)
        yield account


class _Items:
    """The items of all pages, each with the answer it came in."""

    def __init__(self, listing: Listing, api: Api) -> None:
        self._api = api
        self._listing = listing
        self._request = RequestTemplate(listing.request, roots=LIST_ROOTS)
        self._success = answer_condition(listing.success)
        self._items = answer_value(listing.items)

    async def all(self) -> AsyncIterator[dict[str, Any]]:
        size = self._listing.page_size
        route = paging.route(self._listing.paging, page_size=size)
        async with aclosing(all_pages(route, self._receive, page_size=size)) as pages:
            async for page, answer in pages:
                for row in page.rows:
                    yield {**answer.as_context(), "item": row}

    async def _receive(self, place: Place, _: int) -> Received:
        request = self._render(place)
        answer = await self._api.read(request)
        if not self._success(answer):
            raise TransientError(f"list: HTTP {answer.status}, its body says failure")
        rows = self._items(answer)
        if not isinstance(rows, list):
            raise IncompleteReadError("list: no list of accounts where one is declared")
        return Received(answer=answer, rows=rows, address=self._api.address(request.path))

    def _render(self, place: Place) -> Rendered:
        context = {
            "conn": self._api.endpoint.as_context(),
            "page_size": self._listing.page_size,
        }
        return place.applied_to(self._request.render(context | place.as_context()))
