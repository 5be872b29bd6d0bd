"""Every user of a service provider, with the proof that none was left out (I2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from accountsync.errors import IncompleteReadError
from accountsync.targets import scim_messages as messages
from accountsync.wire.api import Api

_MOVED = "the list of users moved while it was read"


class _Seen:
    """No user twice; the total, where one is declared, stands still and is reached."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.total: int | None = None

    def add(self, resources: Sequence[dict[str, Any]], total: int | None) -> None:
        fresh = {str(one["id"]) for one in resources} - self.ids
        moved = self.total is not None and total is not None and total != self.total
        if moved or len(fresh) != len(resources):
            raise IncompleteReadError(_MOVED)
        self.total = total if total is not None else self.total
        self.ids |= fresh

    def finish(self) -> None:
        if self.total is not None and self.total != len(self.ids):
            raise IncompleteReadError(f"{self.total} users declared, {len(self.ids)} received")


async def by_cursor(api: Api, *, size: int) -> AsyncIterator[dict[str, Any]]:
    """RFC 9865. A cursor that has expired makes all that was read worthless."""
    seen, cursor = _Seen(), ""
    cursors = {cursor}
    while True:
        query = {"cursor": cursor, "count": str(size)}
        answer = await api.read(messages.request("GET", "/Users", query=query))
        if answer.status == 400 and cursor:
            raise IncompleteReadError("the cursor has expired while the users were read")
        resources, total = messages.page(answer, "list")
        seen.add(resources, total)
        for resource in resources:
            yield resource
        cursor = messages.next_cursor(answer)
        if not cursor:
            seen.finish()
            return
        if cursor in cursors:
            raise IncompleteReadError("a page names an earlier one as the next")
        cursors.add(cursor)


async def by_index(api: Api, *, size: int) -> AsyncIterator[dict[str, Any]]:
    """RFC 7644 §3.4.2.4: users are skipped and repeated when the list moves."""
    seen = _Seen()
    while seen.total is None or len(seen.ids) < seen.total:
        query = {"startIndex": str(len(seen.ids) + 1), "count": str(size)}
        answer = await api.read(messages.request("GET", "/Users", query=query))
        resources, total = messages.listed(answer, "list")
        seen.add(resources, total)
        if total and not resources:
            raise IncompleteReadError(_MOVED)
        for resource in resources:
            yield resource
    seen.finish()
