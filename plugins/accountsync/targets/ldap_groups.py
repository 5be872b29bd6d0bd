"""Memberships in the groups that the configuration names; all other groups are left alone."""

from __future__ import annotations

from typing import Any, Literal

from accountsync.domain.accounts.account import Attributes
from accountsync.domain.accounts.distinguished_name import Rdn, folded
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    ConfigurationError,
    NeedsDataError,
    RejectedByTargetError,
)
from accountsync.settings.ldap import Groups
from accountsync.wire import ldap_messages
from accountsync.wire.directory import Directory
from accountsync.wire.dry_run import Refusals
from accountsync.wire.ldap_messages import Step

_ALREADY = "20"
"""attributeOrValueExists: the group already is as it is to be."""
Kind = Literal["add", "delete"]


class Memberships:
    """`follow`: the server keeps an entry that moves in its groups (`Dialect.groups_follow`)."""

    def __init__(self, groups: Groups, directory: Directory, *, follow: bool) -> None:
        self._groups = groups
        self._directory = directory
        self._follow = follow
        self._managed = {folded(dn): dn for dn in groups.managed}
        self.attribute = groups.attribute

    async def settle(
        self, dn: str, attributes: Attributes, *, formerly: str, refusals: Refusals
    ) -> None:
        """`formerly`: the entry's name before. Not every directory changes it in the groups."""
        wanted = self.wanted(attributes)
        has_moved = folded(formerly) != folded(dn)
        if has_moved and refusals and self._follow:  # a dry run: it has not moved yet
            dn, has_moved = formerly, False
        for folded_dn, group in self._managed.items():
            if has_moved and await self._has(group, formerly):
                await refusals.of(self._change(group, "delete", formerly))
            if (folded_dn in wanted) != await self._has(group, dn):
                kind: Kind = "add" if folded_dn in wanted else "delete"
                await refusals.of(self._change(group, kind, dn))

    async def join(self, dn: str, attributes: Attributes, *, refusals: Refusals) -> None:
        """For a new entry, which is in no group yet."""
        for folded_dn in self.wanted(attributes):
            await refusals.of(self._change(self._managed[folded_dn], "add", dn))

    async def of(self, dn: str, attributes: Attributes) -> Any:
        """The managed groups that the entry is in, spelled as wanted where they are as wanted."""
        current = {folded(group) for group in self._managed.values() if await self._has(group, dn)}
        if current == self.wanted(attributes):
            return attributes.get(self.attribute)
        return [self._managed[group] for group in sorted(current)]

    def wanted(self, attributes: Attributes) -> set[tuple[Rdn, ...]]:
        """The groups that the attributes name. Raises NeedsDataError before anything is sent."""
        names: Any = attributes.get(self.attribute) or []
        try:
            wanted = {folded(name) for name in ([names] if isinstance(names, str) else names)}
        except ValueError:
            raise NeedsDataError("a group is not a distinguished name") from None
        if unknown := wanted - set(self._managed):
            raise NeedsDataError(f"{len(unknown)} group(s) are not among `groups.managed`")
        return wanted

    async def _has(self, group: str, dn: str) -> bool:
        tests = {self._groups.member: dn.encode()}
        hits = await self._directory.search(group, scope="entry", tests=tests, attributes=["1.1"])
        return bool(hits)

    async def _change(self, group: str, kind: Kind, dn: str) -> None:
        step: Step = (kind, self._groups.member, [dn.encode()])
        try:
            await self._directory.change(ldap_messages.modify(group, [step]))
        except AccountExistsError:
            return
        except AccountMissingError:
            raise ConfigurationError(f"the group {group} is not there") from None
        except RejectedByTargetError as error:
            if (error.code or "").split("/")[0] != _ALREADY:
                advice = f"the group {group}: let our login change its members, then retry"
                raise RejectedByTargetError(f"{error}; {advice}", code=error.code) from None
