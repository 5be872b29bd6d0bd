"""Who is in a group, asked of the group itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accountsync.errors import TransientError
from accountsync.targets import scim_messages
from accountsync.targets.scim_dialects import Dialect
from accountsync.targets.scim_provider import Provider, place

_BIG = 200
"""Members of a group from which on it is worth while to ask for one member alone."""
_NOBODY = "accountsync-nobody"


class Members:
    """A group is read with all of its members, because that is what every provider answers. For
    groups of many a filter for one member is cheaper: it is used once it was seen to tell a member
    from somebody who is none, since some providers take any filter and ignore it."""

    def __init__(self, provider: Provider, dialect: Dialect) -> None:
        self._provider = provider
        self._attribute = dialect.member_filter or "members.value"
        self._is_filter_right = True if dialect.member_filter else None
        self._are_shown = False
        self._big: set[str] = set()
        self._rosters: dict[str, frozenset[str]] = {}

    async def has(self, group: str, user: str) -> bool | None:
        """None where the group does not show its members, as far as any group has shown some: one
        without members need not say so (RFC 7643 §2.5)."""
        if self._is_filter_right and (group in self._big or self._attribute == "members"):
            return await self._matches(group, user)
        members = await self._read(group)
        if members is None:
            return None
        if len(members) > _BIG:
            self._big.add(group)
            await self._try_filter(group, next(iter(members)))
        return user in members

    async def roster(self, group: str) -> frozenset[str]:
        """All members, read once: for a list of users."""
        if group not in self._rosters:
            self._rosters[group] = await self._read(group) or frozenset()
        return self._rosters[group]

    async def _read(self, group: str) -> frozenset[str] | None:
        query = {"attributes": "members"}
        request = scim_messages.request("GET", place("Groups", group), query=query)
        answer = await self._provider.read(request)
        if answer.status in (404, 410):
            return frozenset()
        if answer.status != 200 or not isinstance(answer.body, Mapping):
            raise TransientError(f"read a group: HTTP {answer.status} is not a group")
        members: Any = answer.body.get("members")
        if not isinstance(members, list):
            return frozenset() if self._are_shown else None
        self._are_shown = self._are_shown or bool(members)
        return frozenset(
            str(member.get("value")) for member in members if isinstance(member, Mapping)
        )

    async def _try_filter(self, group: str, member: str) -> None:
        if self._is_filter_right is None:
            finds = await self._matches(group, member)
            self._is_filter_right = finds is True and await self._matches(group, _NOBODY) is False

    async def _matches(self, group: str, user: str) -> bool | None:
        by_id, by_member = ("id", group), (self._attribute, user)
        text = " and ".join(scim_messages.equals(*pair) for pair in (by_id, by_member))
        query = {"filter": text, "count": "1", "excludedAttributes": "members"}
        answer = await self._provider.read(scim_messages.request("GET", "/Groups", query=query))
        if answer.status in (400, 403, 501):
            return None
        if answer.status == 404:  # AWS: there is no such user
            return False
        groups, _ = scim_messages.listed(answer, "find member")
        return any(str(one["id"]) == group for one in groups)
