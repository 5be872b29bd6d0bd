"""Every user of a service provider, with the proof that none was left out (I2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from accountsync.errors import IncompleteReadError
from accountsync.targets import scim_messages
from accountsync.targets.scim_provider import Provider
from accountsync.wire.answer import Answer
from accountsync.wire.page_walk import Receive, Received, successive_pages
from accountsync.wire.paging import Page, Place, Successors

_USERS = "/Users"
_MOVED = "the list of users moved while it was read"


class _UsersProof:
    """No user comes twice. The total may be left out (RFC 9865 §2); where one is declared, it
    stands still and is reached."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._total: int | None = None

    def add(self, page: Page) -> None:
        new_ids = {str(resource["id"]) for resource in page.rows} - self._ids
        declared = page.total_rows if page.total_rows is not None else self._total
        has_moved = self._total is not None and declared != self._total
        if has_moved or len(new_ids) != len(page.rows):
            raise IncompleteReadError(_MOVED)
        self._total = declared
        self._ids |= new_ids

    def next_index(self) -> int | None:
        """Where the next page begins, counted from 1; None: all users have come."""
        is_reached = self._total is not None and len(self._ids) >= self._total
        return None if is_reached else len(self._ids) + 1

    def finish(self) -> None:
        if self._total is not None and self._total != len(self._ids):
            raise IncompleteReadError(f"{self._total} users declared, {len(self._ids)} received")


def by_cursor(provider: Provider, *, size: int) -> AsyncIterator[dict[str, Any]]:
    """RFC 9865. Once a cursor has expired, nothing that was read may be used."""

    async def receive(place: Place, _: int) -> Received:
        answer = await _asked(provider, _USERS, cursor=place.cursor or "", count=str(size))
        if answer.status == 400 and place.cursor:
            raise IncompleteReadError("the cursor has expired while the users were read")
        resources, _total = scim_messages.page(answer, "list")
        return _received(provider, answer, resources)

    route = Successors(following=scim_messages.next_cursor, by_url=False, total=_declared_total)
    return _users(route, receive, _UsersProof())


def by_index(provider: Provider, *, size: int, path: str = _USERS) -> AsyncIterator[dict[str, Any]]:
    """RFC 7644 §3.4.2.4. Users are skipped and repeated when the list moves. `path`: /Groups, for
    groups without their members."""
    without = {"excludedAttributes": "members"} if path != _USERS else {}

    async def receive(place: Place, _: int) -> Received:
        index = {"startIndex": place.cursor or "1", "count": str(size)}
        answer = await _asked(provider, path, **index, **without)
        resources, total = scim_messages.listed(answer, "list")
        if total and not resources:
            raise IncompleteReadError(_MOVED)
        return _received(provider, answer, resources)

    proof = _UsersProof()
    # Where the next page begins depends on how many users have come: the index is its cursor.
    route = Successors(following=lambda _: proof.next_index(), by_url=False, total=_declared_total)
    return _users(route, receive, proof)


async def _users(
    route: Successors, receive: Receive, proof: _UsersProof
) -> AsyncIterator[dict[str, Any]]:
    async with aclosing(successive_pages(route, receive, proof)) as pages:
        async for page, _ in pages:
            for resource in page.rows:
                yield resource


async def _asked(provider: Provider, path: str, **query: str) -> Answer:
    return await provider.read(scim_messages.request("GET", path, query=query))


def _received(provider: Provider, answer: Answer, resources: list[dict[str, Any]]) -> Received:
    return Received(answer=answer, rows=resources, address=provider.address(_USERS))


def _declared_total(answer: Answer) -> int | None:
    return scim_messages.page(answer, "list")[1]
