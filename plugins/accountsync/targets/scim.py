"""A SCIM 2.0 service provider (RFC 7643, RFC 7644): `externalId` tells whose a User is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from accountsync.domain.accounts.account import Account, Attributes, Operation, RemoteAccount
from accountsync.domain.accounts.likeness import with_gaps
from accountsync.errors import (
    AccountMissingError,
    AccountSyncError,
    RejectedByTargetError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.settings.targets import ScimTarget
from accountsync.targets import scim_messages
from accountsync.targets.connector import required
from accountsync.targets.scim_dialects import DIALECTS
from accountsync.targets.scim_groups import Groups
from accountsync.targets.scim_list import by_cursor, by_index
from accountsync.targets.scim_messages import Features
from accountsync.wire.answer import Answer
from accountsync.wire.api import Api
from accountsync.wire.dry_run import Refusals
from accountsync.wire.request import MASK

_NEEDED = ("externalId", "userName")
_CANNOT_FILTER = (400, 403, 501)
_NEVER_SHOWN = {"password"}
_NOT_BY_PATCH = (405, 501)
"""django-scim2 announces PATCH, but has it for few attributes only."""


class ScimConnector:
    is_watched = True
    operations = frozenset(Operation)
    can_find = True
    can_list = True

    def __init__(self, target: ScimTarget, api: Api) -> None:
        self._api = api
        self._mapped = target.attributes
        self._dialect = DIALECTS[target.dialect]
        self._groups = Groups(api, self._dialect)
        self._features: Features | None = None
        self._asking = asyncio.Lock()

    async def create(self, attributes: Attributes, *, enabled: bool = True) -> RemoteAccount:
        """POST /Users (RFC 7644 §3.3). A 202 only says that it will be tried, and a 201 without the
        user does not say who was made: both are unknown outcomes."""
        for name in _NEEDED:
            required(attributes, name)
        groups = scim_messages.declared_groups(attributes)
        await self._groups.known(groups)
        body = scim_messages.new_user(attributes, enabled=enabled)
        refusals = Refusals()
        answer = await refusals.of(
            self._api.change(scim_messages.request("POST", "/Users", body=body))
        )
        if answer is None:
            await self._groups.change(MASK, join=groups, leave=(), refusals=refusals)
            raise refusals.error()
        if answer.status == 201 and scim_messages.has_user(answer):
            made = self._account(answer.body, attributes, ours=True)
            await self._joined(made, groups)
            return made
        if answer.status == 404:
            raise RejectedByTargetError("HTTP 404: there is no /Users here", code="404")
        raise scim_messages.refusal(answer)

    async def _joined(self, made: RemoteAccount, groups: list[str]) -> None:
        try:
            await self._groups.change(
                str(made.remote_id), join=groups, leave=(), refusals=Refusals()
            )
        except AccountSyncError as error:
            raise UnknownOutcomeError(f"created, but not yet in its groups: {error}") from error

    async def update(self, account: Account, attributes: Attributes) -> RemoteAccount:
        return await self._changed(account, attributes, enabled=None)

    async def rename(self, account: Account, attributes: Attributes) -> RemoteAccount:
        """A user's id never changes, and userName is an attribute like others."""
        return await self._changed(account, attributes, enabled=None)

    async def enable(self, account: Account, attributes: Attributes) -> RemoteAccount:
        return await self._changed(account, attributes, enabled=True)

    async def disable(self, account: Account, attributes: Attributes) -> RemoteAccount:
        """Changes the state alone: a leaver's name and address stay as they are."""
        return await self._changed(account, {}, enabled=False, known=attributes)

    async def delete(self, account: Account) -> None:
        path = _path(await self._remote_id(account, account.attributes))
        answer = await self._api.change(scim_messages.request("DELETE", path))
        if answer.status not in (200, 204):
            raise scim_messages.refusal(answer)

    async def _changed(
        self,
        account: Account,
        attributes: Attributes,
        *,
        enabled: bool | None,
        known: Mapping[str, Any] | None = None,
    ) -> RemoteAccount:
        groups = scim_messages.declared_groups(attributes)
        await self._groups.known(groups)
        remote_id = await self._remote_id(account, known or attributes)
        refusals = Refusals()
        answer = await refusals.of(
            self._sent(_path(remote_id), attributes, enabled=enabled, refusals=refusals)
        )
        if answer is not None and not scim_messages.is_changed(answer):
            raise scim_messages.refusal(answer)
        if attributes:
            left = set(scim_messages.declared_groups(account.attributes)) - set(groups)
            await self._groups.change(remote_id, join=groups, leave=sorted(left), refusals=refusals)
        if answer is None:
            raise refusals.error()
        return self._after(account, answer, attributes, enabled=enabled)

    async def _sent(
        self,
        path: str,
        attributes: Attributes,
        *,
        enabled: bool | None,
        refusals: Refusals,
    ) -> Answer:
        """By PATCH where the provider has it and the dialect uses it. Raises DryRunError for the
        last change; those before it are among the refusals."""
        can_patch = (await self._provider()).patch
        if can_patch and self._dialect.put_attributes and attributes:
            if enabled is not None:
                switched = await refusals.of(
                    self._sent(path, {}, enabled=enabled, refusals=refusals)
                )
                if switched is not None and switched.status not in (200, 204):
                    return switched
            can_patch = False
        if not can_patch:
            return await self._put(path, attributes, enabled=enabled)
        body = scim_messages.patch(attributes, enabled=enabled, dialect=self._dialect)
        answer = await self._api.change(scim_messages.request("PATCH", path, body=body))
        if answer.status in _NOT_BY_PATCH:
            return await self._put(path, attributes, enabled=enabled)
        return answer

    async def _put(self, path: str, attributes: Attributes, *, enabled: bool | None) -> Answer:
        """Reads, changes and writes. If-Match protects what others change in between."""
        current = await self._api.read(scim_messages.request("GET", path))
        if current.status in (404, 410):
            raise scim_messages.refusal(current)
        if current.status != 200 or not scim_messages.has_user(current):
            raise TransientError(f"read before write: HTTP {current.status} is not a user")
        body = scim_messages.replaced_user(current.body, attributes, enabled=enabled)
        tag = current.headers.get("ETag") if (await self._provider()).etag else None
        return await self._api.change(scim_messages.request("PUT", path, body=body, if_match=tag))

    def _after(
        self,
        account: Account,
        answer: Answer,
        attributes: Attributes,
        *,
        enabled: bool | None,
    ) -> RemoteAccount:
        if scim_messages.has_user(answer):
            return self._account(answer.body, attributes, ours=True)
        return RemoteAccount(
            identifier=str(attributes.get("userName") or account.identifier),
            remote_id=account.remote_id,
            ours=True,
            enabled=enabled,
        )

    async def _remote_id(self, account: Account, attributes: Attributes) -> str:
        """An account that was recorded without the server's id is looked up by its key."""
        if account.remote_id is not None:
            return account.remote_id
        remote = await self.find(attributes)
        if remote is None:
            raise AccountMissingError("a look-up by key does not show the account")
        if not remote.ours:
            raise RejectedByTargetError("the account found does not carry this person's key")
        return str(remote.remote_id)

    async def find(self, attributes: Attributes) -> RemoteAccount | None:
        """By externalId, then by userName: for externalId some servers find nothing, refuse, or
        list everybody. The look-up by userName has to be answered."""
        for name in _NEEDED:
            required(attributes, name)
        for attribute in self._dialect.lookups:
            account = await self._lookup(attribute, attributes)
            if account is not None:
                return account
        return None

    async def _lookup(self, attribute: str, attributes: Attributes) -> RemoteAccount | None:
        wanted = required(attributes, attribute)
        query = {"filter": scim_messages.equals(attribute, wanted), "count": "10"}
        answer = await self._api.read(scim_messages.request("GET", "/Users", query=query))
        decides = attribute == self._dialect.lookups[-1]
        if not decides and answer.status in _CANNOT_FILTER:
            return None
        resources, total = scim_messages.listed(answer, "find")
        if total and not resources:
            raise TransientError("find: hits are declared but not delivered")
        for resource in resources:
            if str(resource.get(attribute, "")).casefold() == wanted.casefold():
                ours = resource.get("externalId") == attributes["externalId"]
                account = self._account(resource, attributes, ours=ours)
                names = account.attributes.keys() - _NEVER_SHOWN
                shown = with_gaps(account.attributes, attributes, always_shown=names)
                lacking = self._groups.lacking(resource, attributes)
                return replace(account, attributes={**shown, **lacking})
        if resources and decides:
            raise TransientError(f"the filter on {attribute} was ignored: no sure answer")
        return None

    async def look(self, account: Account, attributes: Attributes) -> RemoteAccount | None:
        return await self.find({**attributes, **account.attributes})

    async def list(self) -> AsyncIterator[RemoteAccount]:
        provider = await self._provider()
        read = by_cursor if provider.cursor or self._dialect.cursors else by_index
        async for resource in read(self._api, size=provider.page_size):
            yield self._account(resource, {}, ours=bool(resource.get("externalId")))

    async def check(self) -> str:
        """Asks for users, too, since the provider's configuration may be public."""
        provider = await self._provider()
        cursor = {"cursor": ""} if provider.cursor or self._dialect.cursors else {"startIndex": "1"}
        request = scim_messages.request("GET", "/Users", query={**cursor, "count": "1"})
        scim_messages.page(await self._api.read(request), "check")
        features = (("PATCH", provider.patch), ("ETag", provider.etag))
        names = [name for name, is_there in features if is_there]
        pages = "cursors" if "cursor" in cursor else "index"
        return f"answered as SCIM 2.0: {', '.join(names) or 'PUT only'}; lists by {pages}"

    async def _provider(self) -> Features:
        async with self._asking:
            if self._features is None:
                request = scim_messages.request("GET", "/ServiceProviderConfig")
                self._features = scim_messages.features(await self._api.read(request))
            return self._features

    def _account(
        self, resource: Mapping[str, Any], attributes: Attributes, *, ours: bool
    ) -> RemoteAccount:
        identifier = str(attributes.get("userName", ""))
        return scim_messages.account(resource, self._mapped, ours=ours, identifier=identifier)


def _path(remote_id: str) -> str:
    return f"/Users/{quote(remote_id, safe='')}"
