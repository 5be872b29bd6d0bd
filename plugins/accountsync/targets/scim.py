"""A SCIM 2.0 service provider (RFC 7643, RFC 7644): `externalId` tells whose a User is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from accountsync.domain.accounts.account import Account, Attributes, Operation, RemoteAccount
from accountsync.domain.accounts.likeness import is_like, with_gaps
from accountsync.errors import (
    FOREIGN,
    AccountMissingError,
    AccountSyncError,
    ForeignAccountError,
    RejectedByTargetError,
    UnknownOutcomeError,
)
from accountsync.settings.targets import ScimTarget
from accountsync.targets import scim_check, scim_messages
from accountsync.targets.connector import required
from accountsync.targets.scim_groups import Groups
from accountsync.targets.scim_list import by_cursor, by_index
from accountsync.targets.scim_look_ups import LookUps, carries
from accountsync.targets.scim_provider import Provider, Seen
from accountsync.targets.scim_writes import Writer, deletion, look_after
from accountsync.wire.api import Api
from accountsync.wire.dry_run import Refusals
from accountsync.wire.request import MASK

_NEEDED = ("externalId", "userName")
_NEVER_SHOWN = {"password"}
_GROUPS = "groups"
_Joined = list[str] | None
"""The names of the groups that an account is seen to be in; None where that was not looked at."""


class ScimConnector:
    is_watched = True
    operations = frozenset(Operation)
    can_find = True
    can_list = True

    def __init__(self, target: ScimTarget, api: Api) -> None:
        self._target = target
        self._mapped = target.attributes
        self._provider = Provider(api, mapped=target.attributes)
        self._writer = Writer(self._provider, target.dialect)
        self._dialect = self._writer.dialect
        self._look_ups = LookUps(self._provider, self._dialect.lookups)
        self._groups = Groups(self._provider, self._dialect, target.named_groups)

    async def create(self, attributes: Attributes, *, enabled: bool = True) -> RemoteAccount:
        """POST /Users (RFC 7644 §3.3). A 202 only says that it will be tried, and a 201 without the
        user does not say who was made: both are unknown outcomes."""
        for name in _NEEDED:
            required(attributes, name)
        groups = scim_messages.declared_groups(attributes)
        await self._groups.known(groups)
        refusals = Refusals()
        made = await refusals.of(self._posted(attributes, enabled=enabled))
        if made is None:
            await self._groups.change(MASK, join=groups, leave=(), refusals=refusals)
            raise refusals.error()
        try:
            if scim_messages.state_of(made.resource) is not enabled:
                made = await self._switched(made, enabled, refusals)
            made, joined = await self._joined(made, groups, refusals=refusals)
        except AccountSyncError as error:
            raise UnknownOutcomeError(f"created, but not yet as wanted: {error}") from error
        ours = carries(made.resource, (attributes["externalId"],))
        return self._account(made.resource, joined, ours=ours)

    async def _posted(self, attributes: Attributes, *, enabled: bool) -> Seen:
        body = scim_messages.new_user(attributes, enabled=enabled)
        request = scim_messages.request("POST", "/Users", body=body)
        answer = await self._provider.change(request)
        if answer.status == 404:
            raise RejectedByTargetError("HTTP 404: there is no /Users here", code="404")
        if answer.status != 201 or not scim_messages.has_user(answer):
            raise scim_messages.refusal(answer, request)
        made = await self._provider.seen(answer)
        if not enabled and scim_messages.state_of(made.resource) is None:
            return await look_after(self._provider, made.id)
        return made

    async def _switched(self, made: Seen, enabled: bool, refusals: Refusals) -> Seen:
        """Some providers ignore the state that a user is made with, and some show none."""
        if enabled and scim_messages.state_of(made.resource) is None:
            return made
        return await self._writer.write(made, {}, enabled=enabled, refusals=refusals) or made

    async def update(self, account: Account, attributes: Attributes) -> RemoteAccount:
        return await self._changed(account, attributes, enabled=None)

    async def rename(self, account: Account, attributes: Attributes) -> RemoteAccount:
        """A user's id never changes, and userName is an attribute like others."""
        return await self._changed(account, attributes, enabled=None)

    async def enable(self, account: Account, attributes: Attributes) -> RemoteAccount:
        return await self._changed(account, attributes, enabled=True)

    async def disable(self, account: Account, attributes: Attributes) -> RemoteAccount:
        """Changes the state alone: a leaver's name and address stay as they are."""
        user = await self._own(account, attributes)
        refusals = Refusals()
        after = await self._writer.write(user, {}, enabled=False, refusals=refusals)
        if after is None:
            raise refusals.error()
        return self._known(account, attributes, after, None, before=user)

    async def delete(self, account: Account) -> None:
        """What is answered as deleted and is still shown may be gone a moment later, so its outcome
        is unknown."""
        user = await self._own(account, account.attributes)
        request = deletion(user)
        answer = await self._provider.change(request)
        if answer.status not in (200, 204):
            raise scim_messages.refusal(answer, request)
        if await self._provider.user(user.id) is not None:
            raise UnknownOutcomeError("answered as deleted, and still there")

    async def _changed(
        self, account: Account, attributes: Attributes, *, enabled: bool | None
    ) -> RemoteAccount:
        user = await self._own(account, attributes)
        wanted = self._sendable(account, attributes)
        groups = scim_messages.declared_groups(wanted)
        await self._groups.known(groups)
        refusals = Refusals()
        own = scim_messages.own(wanted)
        after = await self._writer.write(user, own, enabled=enabled, refusals=refusals) or user
        joined: _Joined = None
        if self._has_groups and (_GROUPS in wanted or _GROUPS not in attributes):
            before = scim_messages.declared_groups(account.attributes)
            after, joined = await self._joined(after, groups, before, refusals=refusals)
        if refusals:
            raise refusals.error()
        return self._known(account, attributes, after, joined, before=user)

    def _sendable(self, account: Account, attributes: Attributes) -> dict[str, Any]:
        """Without the attributes that stay as they were first applied."""
        kept = {name for name in self._target.keep if account.attributes.get(name) is not None}
        return {name: value for name, value in attributes.items() if name not in kept}

    async def _joined(
        self,
        user: Seen,
        wanted: Sequence[str],
        before: Iterable[str] | None = None,
        *,
        refusals: Refusals,
    ) -> tuple[Seen, _Joined]:
        """The user and its groups, once it is in those that are wanted and in no other of ours.
        `before`: those that it was in; None: it is new."""
        meant = self._groups.meant(wanted, before or ())
        present = await self._groups.of(user, meant, is_new=before is None)
        was_in = [*present.joined, *(name for name in before or () if name in present.unseen)]
        join = [name for name in wanted if name not in present.joined]
        leave = [name for name in was_in if name not in wanted]
        if not join and not leave:
            return user, present.joined
        await self._groups.change(user.id, join=join, leave=leave, refusals=refusals)
        if refusals:
            return user, None
        user = await look_after(self._provider, user.id)
        now = await self._groups.of_changed(user, meant, wanted)
        return user, now.sure(wanted, before or ())

    async def _own(self, account: Account, attributes: Attributes) -> Seen:
        """The account's user, read before it is changed. Raises ForeignAccountError where it
        carries neither the key that it was last seen to carry nor the wanted one."""
        found = await self._look_ups.known(account, attributes)
        if found is None:
            raise AccountMissingError("neither its id nor its key shows the account")
        user, ours = found
        if not ours:
            raise ForeignAccountError(FOREIGN)
        return user

    async def find(self, attributes: Attributes) -> RemoteAccount | None:
        """By externalId, then by userName: for externalId some servers find nothing, refuse, or
        list everybody. The look-up by userName has to be answered."""
        for name in _NEEDED:
            required(attributes, name)
        user = await self._look_ups.matching(attributes)
        if user is None:
            return None
        ours = is_like(str(attributes["externalId"]), str(user.resource.get("externalId", "")))
        declared = scim_messages.declared_groups(attributes)
        joined = None
        if self._has_groups:
            # What nothing shows counts as no membership, because joining again is safe.
            joined = (await self._groups.of(user, self._groups.meant(declared))).joined
        return self._account(user.resource, joined, ours=ours, wanted=attributes)

    async def look(self, account: Account, attributes: Attributes) -> RemoteAccount | None:
        found = await self._look_ups.known(account, attributes)
        if found is None:
            return None
        user, ours = found
        declared = [scim_messages.declared_groups(one) for one in (attributes, account.attributes)]
        joined = None
        if self._has_groups:
            joined = (await self._groups.of(user, self._groups.meant(*declared))).sure(*declared)
        return self._account(user.resource, joined, ours=ours, wanted=attributes)

    async def list(self) -> AsyncIterator[RemoteAccount]:
        features = await self._provider.features()
        read = by_cursor if features.cursor or self._dialect.cursors else by_index
        everything = dict.fromkeys(self._mapped, "wanted")
        async for resource in read(self._provider, size=features.page_size):
            joined = await self._groups.of_listed(resource) if self._has_groups else None
            ours = bool(resource.get("externalId"))
            yield self._account(resource, joined, ours=ours, wanted=everything)

    @property
    def _has_groups(self) -> bool:
        return _GROUPS in self._mapped

    def _known(
        self,
        account: Account,
        attributes: Attributes,
        user: Seen,
        joined: _Joined,
        *,
        before: Seen,
    ) -> RemoteAccount:
        keys = (account.attributes.get("externalId"), attributes.get("externalId"))
        shown = self._account(user.resource, joined, ours=carries(user.resource, keys))
        was_enabled = scim_messages.state_of(before.resource)
        identifier = shown.identifier or account.identifier
        return replace(shown, identifier=identifier, was_enabled=was_enabled)

    def _account(
        self,
        resource: Mapping[str, Any],
        joined: _Joined,
        *,
        ours: bool,
        wanted: Attributes | None = None,
    ) -> RemoteAccount:
        """`wanted`: attributes that are shown as empty where the user has none of them (RFC 7643
        §2.5); a password is shown by nobody."""
        shown = scim_messages.shown_attributes(resource, self._mapped)
        if joined is not None:
            shown[_GROUPS] = joined
        names = self._mapped.keys() - _NEVER_SHOWN - {_GROUPS}
        return RemoteAccount(
            identifier=str(resource.get("userName") or ""),
            remote_id=str(resource["id"]),
            ours=ours,
            enabled=scim_messages.state_of(resource),
            attributes=with_gaps(shown, wanted or {}, always_shown=names),
        )

    async def check(self) -> str:
        """Changes the user that is declared for it, and nothing else."""
        said = await scim_check.offered(self._provider, self._writer, self._look_ups)
        if self._has_groups:
            await scim_check.require_groups(self._provider, self._groups)
        tried = ""
        if name := self._target.check_user:
            parts = (self._provider, self._writer, self._look_ups)
            tried = await scim_check.understood(*parts, name)
        return f"{said}; {scim_check.seeming(self._provider, self._writer)}{tried}"
