"""Membership in groups that the mapping declares. Other memberships are nobody's business here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from accountsync.errors import RejectedByTargetError, TransientError
from accountsync.targets import scim_messages
from accountsync.targets.scim_dialects import Dialect
from accountsync.wire.api import Api
from accountsync.wire.dry_run import Refusals


class Groups:
    """`declared` names come from the mapping, so they may stand in messages."""

    def __init__(self, api: Api, dialect: Dialect) -> None:
        self._api = api
        self._dialect = dialect
        self._ids: dict[str, str] = {}

    async def known(self, declared: Iterable[str]) -> None:
        """Asked before anything is sent. Raises RejectedByTargetError for a group that is not."""
        for name in declared:
            await self._id(name)

    def lacking(
        self, resource: Mapping[str, Any], attributes: Mapping[str, Any]
    ) -> dict[str, list[str]]:
        """The declared groups that the user says it is in, where it is not in all; where it is,
        nothing, for it may be in one that it had to leave. A provider that shows no groups is
        taken to have none of its members: to join again is safe."""
        named = scim_messages.declared_groups(attributes)
        told = resource.get("groups")
        own = [one for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []
        there = {one.get(key) for one in own for key in ("display", "value")}
        joined = [name for name in named if name in there or self._ids.get(name) in there]
        return {} if joined == named else {"groups": joined}

    async def change(
        self, user: str, *, join: Iterable[str], leave: Iterable[str], refusals: Refusals
    ) -> None:
        """Sets a state: safe to repeat."""
        for name in join:
            await refusals.of(self._patch(name, self._dialect.member_added(user)))
        for name in leave:
            await refusals.of(self._patch(name, self._dialect.member_removed(user)))

    async def _patch(self, name: str, operation: dict[str, Any]) -> None:
        path = f"/Groups/{quote(await self._id(name), safe='')}"
        body = {"schemas": [scim_messages.PATCH_OP], "Operations": [operation]}
        route = f"/Groups {scim_messages.equals('displayName', name)}"
        answer = await self._api.change(
            scim_messages.request("PATCH", path, body=body, route=route)
        )
        if answer.status in (404, 410):
            self._ids.pop(name, None)
            raise TransientError(f"the group {name!r} has just gone")
        if answer.status not in (200, 204):
            raise scim_messages.refusal(answer)

    async def _id(self, name: str) -> str:
        """Some servers ignore the filter: the one that was asked for is picked out."""
        if name not in self._ids:
            query = {"filter": scim_messages.equals("displayName", name), "count": "10"}
            answer = await self._api.read(scim_messages.request("GET", "/Groups", query=query))
            groups, _ = scim_messages.listed(answer, "find group")
            ids = [str(one["id"]) for one in groups if one.get("displayName") == name]
            if len(ids) != 1:
                said = "no group" if not ids else "several groups"
                raise RejectedByTargetError(f"the target has {said} {name!r}", code="no_group")
            self._ids[name] = ids[0]
        return self._ids[name]
