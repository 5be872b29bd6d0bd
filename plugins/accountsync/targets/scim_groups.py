"""Memberships in the groups that the mapping names; all others are left alone.

Only differences are sent, one change of one group at a time, for some servers lose members when a
group is changed twice at once. What an account is a member of is what the provider shows.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from accountsync.domain.accounts.likeness import is_like
from accountsync.errors import RejectedByTargetError, TransientError
from accountsync.targets import scim_messages
from accountsync.targets.scim_dialects import Dialect, Operation
from accountsync.targets.scim_list import by_index
from accountsync.targets.scim_members import Members
from accountsync.targets.scim_provider import Provider, Seen, place
from accountsync.wire.answer import Answer
from accountsync.wire.dry_run import Refusals
from accountsync.wire.request import Rendered


@dataclass(frozen=True, slots=True, kw_only=True)
class Memberships:
    """Groups that a user is in, and those of which nothing shows whether it is."""

    joined: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    def sure(self, *declared: Iterable[str]) -> list[str] | None:
        """The groups joined; None where it is not seen of a group that the account was put into, or
        should be. In any other it is not, as far as anybody knows."""
        is_open = any(name in self.unseen for names in declared for name in names)
        return None if is_open else self.joined


class Groups:
    """`managed`: the groups that the mapping can name, as far as its text shows them. An account
    leaves those of them, and those that it was put into, that it is not to be in. Names come from
    the mapping, so they may stand in messages."""

    def __init__(self, provider: Provider, dialect: Dialect, managed: Collection[str]) -> None:
        self._provider = provider
        self._dialect = dialect
        self._members = Members(provider, dialect)
        self._managed = sorted(managed)
        self._ids: dict[str, str] = {}
        self._every: list[dict[str, Any]] | None = None
        self._reading = asyncio.Lock()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._users_show_groups = False
        self._removals: list[int] = list(range(len(dialect.removals)))

    async def known(self, declared: Iterable[str]) -> None:
        """Called before anything is sent. Raises RejectedByTargetError for an unknown group."""
        for name in declared:
            await self._id(name)

    def meant(self, *declared: Iterable[str]) -> list[str]:
        """The groups that are ours to look at, for one account: those declared for it, now or
        before, and the managed ones; each once, however it is spelt."""
        meant: list[str] = []
        for name in chain(*declared, self._managed):
            if not any(is_like(name, other) for other in meant):
                meant.append(name)
        return meant

    async def missing(self) -> list[str]:
        """The managed groups that are not there."""
        return [name for name in self._managed if await self._found(name) is None]

    async def of(self, user: Seen, meant: Iterable[str], *, is_new: bool = False) -> Memberships:
        """Those of the groups that the user is in: by its own `groups`, and where it has none, by
        the groups themselves, unless it is new."""
        shown = await self._shown_by(user.resource, meant)
        if shown is not None or is_new:
            return Memberships(joined=shown or [])
        told = {name: await self._has(name, user.id) for name in meant}
        return Memberships(
            joined=[name for name, is_in in told.items() if is_in],
            unseen=[name for name, is_in in told.items() if is_in is None],
        )

    async def of_listed(self, resource: Mapping[str, Any]) -> list[str]:
        """As `of`, for each of many users: every managed group is read once, as a whole."""
        shown = await self._shown_by(resource, self._managed)
        if shown is not None:
            return shown
        user, joined = str(resource["id"]), []
        for name in self._managed:
            group = await self._found(name)
            if group is not None and user in await self._members.roster(group):
                joined.append(name)
        return joined

    async def of_changed(
        self, user: Seen, meant: Iterable[str], wanted: Collection[str]
    ) -> Memberships:
        """As `of`, after a change: where the user is not shown as wanted, the groups are asked, for
        they know first."""
        shown = await self._shown_by(user.resource, meant)
        now = Memberships()
        for name in meant:
            is_in = None if shown is None else name in shown
            if is_in is not (name in wanted):
                told = await self._has(name, user.id)
                is_in = is_in if told is None else told
            if is_in is not False:
                (now.unseen if is_in is None else now.joined).append(name)
        return now

    async def change(
        self, user: str, *, join: Iterable[str], leave: Iterable[str], refusals: Refusals
    ) -> None:
        """Sets memberships, which is safe to repeat."""
        for name in join:
            await refusals.of(self._join(name, user))
        for name in leave:
            await refusals.of(self._leave(name, user))

    async def _join(self, name: str, user: str) -> None:
        group = await self._id(name)
        async with self._locks[group]:
            answer, request = await self._patched(name, group, self._dialect.member_added(user))
            if answer.status in (404, 410):
                self._ids.pop(name, None)
                raise TransientError(f"the group {name!r} has just gone")
            is_done = answer.status in (200, 204) or await self._is_in_already(group, user, answer)
            if not is_done:
                raise scim_messages.refusal(answer, request)

    async def _is_in_already(self, group: str, user: str, answer: Answer) -> bool:
        """Whether the refusal to add a member means that it is one."""
        try:
            is_in = await self._members.has(group, user)
        except TransientError:
            return False
        return answer.status == 409 if is_in is None else is_in

    async def _leave(self, name: str, user: str) -> None:
        """In the way that is seen to work; the others are tried after it. A group that has gone has
        been left."""
        group = await self._found(name)
        if group is None:
            return
        ways = self._dialect.member_removed(user)
        async with self._locks[group]:
            for number in list(self._removals):
                answer, request = await self._patched(name, group, ways[number])
                is_in = await self._members.has(group, user)
                is_done = answer.status in (200, 204, 404, 410)
                if is_in is False or (is_in is None and is_done):
                    self._removals.sort(key=lambda other: other != number)
                    return
            if answer.status not in (200, 204):
                raise scim_messages.refusal(answer, request)

    async def _patched(
        self, name: str, group: str, operation: Operation
    ) -> tuple[Answer, Rendered]:
        body = {"schemas": [scim_messages.PATCH_OP], "Operations": [operation]}
        route = f"/Groups {scim_messages.equals('displayName', name)}"
        path = place("Groups", group)
        request = scim_messages.request("PATCH", path, body=body, route=route)
        return await self._provider.change(request), request

    async def _shown_by(
        self, resource: Mapping[str, Any], meant: Iterable[str]
    ) -> list[str] | None:
        """Those of the groups that the user itself shows; None where its silence says nothing.
        Membership by another group (RFC 7643 §4.1.2, `indirect`) is none of ours."""
        shown = resource.get("groups")
        groups = [one if isinstance(one, Mapping) else {"display": one} for one in _list(shown)]
        if not groups and not self._users_show_groups:
            return None
        self._users_show_groups = True
        direct = [group for group in groups if group.get("type") != "indirect"]
        names = [group["display"] for group in direct if group.get("display")]
        ids = {str(group.get("value")) for group in direct}
        by_name = [name for name in meant if any(is_like(name, other) for other in names)]
        if len(names) == len(direct):
            return by_name
        return [name for name in meant if name in by_name or await self._found(name) in ids]

    async def _has(self, name: str, user: str) -> bool | None:
        group = await self._found(name)
        return False if group is None else await self._members.has(group, user)

    async def _id(self, name: str) -> str:
        group = await self._found(name)
        if group is None:
            raise RejectedByTargetError(f"the target has no group {name!r}", code="no_group")
        return group

    async def _found(self, name: str) -> str | None:
        """The group's id. Some servers ignore the filter, and some find nothing by it: so the group
        is picked out, and looked for among all groups."""
        if name in self._ids:
            return self._ids[name]
        query = {"filter": scim_messages.equals("displayName", name), "count": "10"}
        answer = await self._provider.read(scim_messages.request("GET", "/Groups", query=query))
        groups, _ = scim_messages.listed(answer, "find group")
        ids = _picked(groups, name) or _picked(await self._all(), name)
        if len(ids) > 1:
            raise RejectedByTargetError(f"the target has several groups {name!r}", code="no_group")
        if ids:
            self._ids[name] = ids[0]
        return ids[0] if ids else None

    async def _all(self) -> list[dict[str, Any]]:
        """Every group, read once. Who lists by cursor alone is believed about the filter."""
        if self._dialect.cursors:
            return []
        async with self._reading:
            if self._every is None:
                size = (await self._provider.features()).page_size
                listed = by_index(self._provider, path="/Groups", size=size)
                names = ("id", "displayName")
                self._every = [{name: group.get(name) for name in names} async for group in listed]
            return self._every


def _picked(groups: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    alike = [group for group in groups if is_like(name, group.get("displayName"))]
    exact = [group for group in alike if group.get("displayName") == name]
    return [str(group["id"]) for group in exact or alike]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
