"""A SCIM 2.0 service provider (RFC 7643, RFC 7644): User resources found again by `externalId`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from accountsync.domain.account import OPERATIONS, Account, RemoteAccount
from accountsync.errors import (
    AccountMissingError,
    IncompleteReadError,
    RejectedByTargetError,
    TransientError,
)
from accountsync.settings.targets import ScimTarget
from accountsync.targets import scim_messages as messages
from accountsync.targets.connector import required
from accountsync.targets.scim_messages import Features
from accountsync.wire.answer import Answer
from accountsync.wire.api import Api

_NEEDED = ("externalId", "userName")
_CANNOT_FILTER = (400, 403, 501)
_PAGE_SIZE = 100


class ScimConnector:
    operations = frozenset(OPERATIONS)
    can_find = True
    can_list = True

    def __init__(self, target: ScimTarget, api: Api) -> None:
        self._api = api
        self._mapped = target.attributes
        self._features: Features | None = None
        self._asking = asyncio.Lock()

    async def create(self, attributes: Mapping[str, Any], *, enabled: bool = True) -> RemoteAccount:
        """POST /Users (RFC 7644 §3.3). A 202 only says that it will be tried, and a 201 without the
        user not who was made: unknown."""
        for name in _NEEDED:
            required(attributes, name)
        body = messages.new_user(attributes, enabled=enabled)
        answer = await self._api.change(messages.request("POST", "/Users", body=body))
        if answer.status == 201 and messages.has_user(answer):
            return self._account(answer.body, attributes, ours=True)
        if answer.status == 404:
            raise RejectedByTargetError("HTTP 404: there is no /Users here", code="404")
        raise messages.refusal(answer)

    async def update(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        return await self._changed(account, attributes, enabled=None)

    async def rename(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        """A user's id never changes; its userName is an attribute like others."""
        return await self._changed(account, attributes, enabled=None)

    async def enable(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        return await self._changed(account, attributes, enabled=True)

    async def disable(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        """The state alone: a leaver's name and address stay as they are."""
        return await self._changed(account, {}, enabled=False, known=attributes)

    async def delete(self, account: Account) -> None:
        path = await self._path(account, account.attributes)
        answer = await self._api.change(messages.request("DELETE", path))
        if answer.status not in (200, 204):
            raise messages.refusal(answer)

    async def _changed(
        self,
        account: Account,
        attributes: Mapping[str, Any],
        *,
        enabled: bool | None,
        known: Mapping[str, Any] | None = None,
    ) -> RemoteAccount:
        path = await self._path(account, known or attributes)
        if (await self._provider()).patch:
            body = messages.patch(attributes, enabled=enabled)
            answer = await self._api.change(messages.request("PATCH", path, body=body))
        else:
            answer = await self._put(path, attributes, enabled=enabled)
        if answer.status == 204 or (answer.status == 200 and messages.has_user(answer)):
            return self._after(account, answer, attributes, enabled=enabled)
        raise messages.refusal(answer)

    async def _put(
        self, path: str, attributes: Mapping[str, Any], *, enabled: bool | None
    ) -> Answer:
        """Read, change, write; with If-Match nobody else's change in between is undone."""
        there = await self._api.read(messages.request("GET", path))
        if there.status in (404, 410):
            raise messages.refusal(there)
        if there.status != 200 or not messages.has_user(there):
            raise TransientError(f"read before write: HTTP {there.status} is not a user")
        body = messages.replaced_user(there.body, attributes, enabled=enabled)
        tag = there.headers.get("ETag") if (await self._provider()).etag else None
        return await self._api.change(messages.request("PUT", path, body=body, if_match=tag))

    def _after(
        self,
        account: Account,
        answer: Answer,
        attributes: Mapping[str, Any],
        *,
        enabled: bool | None,
    ) -> RemoteAccount:
        if messages.has_user(answer):
            return self._account(answer.body, attributes, ours=True)
        return RemoteAccount(
            identifier=str(attributes.get("userName") or account.identifier),
            remote_id=account.remote_id,
            ours=True,
            enabled=enabled,
        )

    async def _path(self, account: Account, attributes: Mapping[str, Any]) -> str:
        """By the server's id; one recorded without it is looked up by its key."""
        remote_id = account.remote_id
        if remote_id is None:
            found = await self.find(attributes)
            if found is None:
                raise AccountMissingError("a look-up by key does not show the account")
            if not found.ours:
                raise RejectedByTargetError("the account found does not carry this person's key")
            remote_id = str(found.remote_id)
        return f"/Users/{quote(remote_id, safe='')}"

    async def find(self, attributes: Mapping[str, Any]) -> RemoteAccount | None:
        """By externalId, then by userName: by the first some servers find nothing, refuse, or list
        everybody. The second has to be answered."""
        for attribute in _NEEDED:
            found = await self._lookup(attribute, attributes)
            if found is not None:
                return found
        return None

    async def _lookup(self, attribute: str, attributes: Mapping[str, Any]) -> RemoteAccount | None:
        wanted = required(attributes, attribute)
        query = {"filter": messages.equals(attribute, wanted), "count": "10"}
        answer = await self._api.read(messages.request("GET", "/Users", query=query))
        decides = attribute == _NEEDED[-1]
        if not decides and answer.status in _CANNOT_FILTER:
            return None
        resources, total = messages.listed(answer, "find")
        if total and not resources:
            raise TransientError("find: hits are declared but not delivered")
        for resource in resources:
            if str(resource.get(attribute, "")).casefold() == wanted.casefold():
                ours = resource.get("externalId") == attributes["externalId"]
                return self._account(resource, attributes, ours=ours)
        if resources and decides:
            raise TransientError(f"the filter on {attribute} was ignored: no sure answer")
        return None

    async def list(self) -> AsyncIterator[RemoteAccount]:
        """By index (RFC 7644 §3.4.2.4), where users are skipped and repeated when the list moves:
        the total must stand still, and as many different ones come."""
        seen: set[str] = set()
        total = 1
        while len(seen) < total:
            resources, declared = await self._lot(len(seen) + 1)
            moved = declared != total if seen else False
            total = declared
            fresh = {str(one["id"]) for one in resources} - seen
            if moved or len(fresh) != len(resources) or (total and not fresh):
                raise IncompleteReadError("the list of users moved while it was read")
            seen |= fresh
            for resource in resources:
                yield self._account(resource, {}, ours=bool(resource.get("externalId")))

    async def _lot(self, start: int) -> tuple[Sequence[dict[str, Any]], int]:
        query = {"startIndex": str(start), "count": str(_PAGE_SIZE)}
        answer = await self._api.read(messages.request("GET", "/Users", query=query))
        return messages.listed(answer, "list")

    async def check(self) -> str:
        provider = await self._provider()
        query = {"startIndex": "1", "count": "1"}
        answer = await self._api.read(messages.request("GET", "/Users", query=query))
        _, total = messages.listed(answer, "check")
        changes = "PATCH" if provider.patch else "PUT"
        return f"SCIM 2.0, {total} users, changes by {changes}"

    async def _provider(self) -> Features:
        async with self._asking:
            if self._features is None:
                asked = messages.request("GET", "/ServiceProviderConfig")
                self._features = messages.features(await self._api.read(asked))
            return self._features

    def _account(
        self, resource: Mapping[str, Any], attributes: Mapping[str, Any], *, ours: bool
    ) -> RemoteAccount:
        identifier = str(attributes.get("userName", ""))
        return messages.account(resource, self._mapped, ours=ours, identifier=identifier)
