"""Membership in the groups that the mapping declares; all other memberships are left alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from accountsync.domain.accounts.account import Attributes
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
        """Called before anything is sent. Raises RejectedByTargetError for an unknown group."""
        for name in declared:
            await self._id(name)

    def lacking(self, resource: Mapping[str, Any], attributes: Attributes) -> dict[str, list[str]]:
        """The declared groups that the user shows, where it does not show them all. Where it does,
        nothing, since it may be in a group that it had to leave. A user without groups counts as
        a member of none, because joining again is safe."""
        declared = scim_messages.declared_groups(attributes)
        shown = resource.get("groups")
        groups = shown if isinstance(shown, list) else []
        own = [group for group in groups if isinstance(group, Mapping)]
        labels = {group.get(key) for group in own for key in ("display", "value")}
        joined = [name for name in declared if name in labels or self._ids.get(name) in labels]
        return {} if joined == declared else {"groups": joined}

    async def change(
        self, user: str, *, join: Iterable[str], leave: Iterable[str], refusals: Refusals
    ) -> None:
        """Sets memberships, which is safe to repeat."""
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
        """Some servers ignore the filter, so the group that was asked for is picked out."""
        if name not in self._ids:
            query = {"filter": scim_messages.equals("displayName", name), "count": "10"}
            answer = await self._api.read(scim_messages.request("GET", "/Groups", query=query))
            groups, _ = scim_messages.listed(answer, "find group")
            ids = [str(group["id"]) for group in groups if group.get("displayName") == name]
            if len(ids) != 1:
                number = "no group" if not ids else "several groups"
                raise RejectedByTargetError(f"the target has {number} {name!r}", code="no_group")
            self._ids[name] = ids[0]
        return self._ids[name]
