"""Memberships in the groups that the configuration names; all other groups are left alone.

What is wrong with one group is that group's failure: it is named, and neither other groups nor the
rest of the account wait for it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

from accountsync.domain.accounts.account import Attributes
from accountsync.domain.accounts.distinguished_name import Rdn, folded
from accountsync.domain.accounts.likeness import is_like
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    NeedsDataError,
    RecordError,
    RejectedByTargetError,
)
from accountsync.settings.ldap import Groups
from accountsync.wire import ldap_messages
from accountsync.wire.directory import Directory
from accountsync.wire.dry_run import Refusals
from accountsync.wire.ldap_messages import Entry, Step

_ALREADY = "20"
"""attributeOrValueExists: the group already is as it is to be."""
_RANGE = re.compile(r";range=[0-9]+-(?P<last>[0-9]+|\*)$", re.I)
Kind = Literal["add", "delete"]
Name = tuple[Rdn, ...]
"""A distinguished name in the form for comparing."""


class Memberships:
    """`follow`: the server keeps an entry that moves in its groups (`Dialect.groups_follow`)."""

    def __init__(self, groups: Groups, directory: Directory, *, follow: bool) -> None:
        self._groups = groups
        self._directory = directory
        self._follow = follow
        self._managed = {folded(dn): dn for dn in groups.managed}
        self.attribute = groups.attribute

    async def settle(
        self,
        dn: str,
        attributes: Attributes,
        *,
        formerly: str,
        applied: Attributes,
        refusals: Refusals,
    ) -> None:
        """`formerly`: the entry's name before; not every directory changes it in the groups.
        `applied`: what was last seen; a group that is not there matters to who is or was in it."""
        wanted = self.wanted(attributes)
        concerned = wanted | self._known(applied)
        if folded(formerly) != folded(dn) and refusals and self._follow:
            dn = formerly  # a dry run: it has not moved yet
        failures: list[RecordError] = []
        for name, group in self._managed.items():
            try:
                await self._settle_one(group, name in wanted, dn, formerly, refusals)
            except AccountMissingError as error:
                if name in concerned:
                    failures.append(_not_there(group, error.code))
            except RecordError as error:
                failures.append(error)
        if failures:
            said = "; ".join(dict.fromkeys(str(error) for error in failures))
            raise RejectedByTargetError(
                f"{said} (all else that was to change is done)", code=failures[0].code
            )

    async def _settle_one(
        self, group: str, is_wanted: bool, dn: str, formerly: str, refusals: Refusals
    ) -> None:
        if folded(formerly) != folded(dn) and await self._has(group, formerly):
            await refusals.of(self._change(group, "delete", formerly))
        if is_wanted != await self._has(group, dn):
            await refusals.of(self._change(group, "add" if is_wanted else "delete", dn))

    async def join(self, dn: str, attributes: Attributes, *, refusals: Refusals) -> None:
        """For a new entry, which is in no group yet."""
        failures: list[RecordError] = []
        for name in self.wanted(attributes):
            try:
                await refusals.of(self._change(self._managed[name], "add", dn))
            except AccountMissingError as error:
                failures.append(_not_there(self._managed[name], error.code))
            except RecordError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    async def of(self, dn: str, attributes: Attributes) -> Any:
        """The managed groups that the entry is in, spelled as wanted where they are as wanted. In
        a group that is not there is nobody."""
        current = {name for name, group in self._managed.items() if await self._shows(group, dn)}
        if current == self.wanted(attributes):
            return attributes.get(self.attribute)
        return [self._managed[name] for name in sorted(current)]

    async def of_everybody(self) -> dict[Name, list[str]]:
        """The managed groups by the names of their members."""
        groups: dict[Name, list[str]] = {}
        for _, group in sorted(self._managed.items()):
            async for member in self._members(group):
                groups.setdefault(member, []).append(group)
        return groups

    def wanted(self, attributes: Attributes) -> set[Name]:
        """The groups that the attributes name; a rule may leave one open (none). Raises
        NeedsDataError before anything is sent."""
        try:
            wanted = {folded(name) for name in _names(attributes.get(self.attribute))}
        except ValueError:
            raise NeedsDataError("a group is not a distinguished name") from None
        if unknown := wanted - set(self._managed):
            raise NeedsDataError(f"{len(unknown)} group(s) are not among `groups.managed`")
        return wanted

    async def check(self) -> None:
        """Raises RejectedByTargetError, since all but memberships in these groups works."""
        groups = list(self._managed.values())
        lost = [group for group in groups if await self._read(group, "1.1") is None]
        if lost:
            raise _not_there(" and ".join(lost), "32")

    def _known(self, attributes: Attributes) -> set[Name]:
        """The managed groups among those that the attributes name."""
        names = list(_names(attributes.get(self.attribute), strict=False))
        return {
            name
            for name, group in self._managed.items()
            if any(is_like(group, known) for known in names)
        }

    async def _has(self, group: str, dn: str) -> bool:
        """Raises AccountMissingError where the group is not there."""
        has = await self._shows(group, dn)
        if has is None:
            raise AccountMissingError(f"the group {group} is not there", code="32")
        return has

    async def _shows(self, group: str, dn: str) -> bool | None:
        """Whether the entry is a member. None: the group is not there, or hidden."""
        hits = await self._directory.search_if_readable(
            group,
            scope="entry",
            tests={self._groups.member: dn.encode()},
            attributes=["1.1"],
            size_limit=1,
        )
        return None if hits is None else bool(hits)

    async def _read(self, group: str, attribute: str) -> Entry | None:
        """None: the group is not there, or hidden."""
        entries = await self._directory.search_if_readable(
            group,
            scope="entry",
            tests={"objectClass": None},
            attributes=[attribute],
            size_limit=1,
        )
        return entries[0] if entries else None

    async def _members(self, group: str) -> AsyncIterator[Name]:
        """All, however many: Active Directory shows 1,500 at once (MS-ADTS §3.1.1.3.1.3.3)."""
        member = self._groups.member.lower()
        asked: str | None = member
        while asked:
            entry = await self._read(group, asked)
            name = _shown_as(entry, member) if entry else member
            for value in entry.attributes.get(name, ()) if entry else ():
                yield _comparable(value)
            part = _RANGE.search(name)
            last = part["last"] if part else "*"
            asked = None if last == "*" else f"{member};range={int(last) + 1}-*"

    async def _change(self, group: str, kind: Kind, dn: str) -> None:
        """Raises AccountMissingError where the group is not there."""
        step: Step = (kind, self._groups.member, [dn.encode()])
        try:
            await self._directory.change(ldap_messages.modify(group, [step]))
        except AccountExistsError:
            return
        except RejectedByTargetError as error:
            if (error.code or "").split("/")[0] != _ALREADY:
                advice = f"the group {group}: let our login change its members, then retry"
                raise RejectedByTargetError(f"{error}; {advice}", code=error.code) from None


def _not_there(group: str, code: str | None) -> RejectedByTargetError:
    return RejectedByTargetError(
        f"the group {group} is not there, or hidden from our login: make it again, or take it out"
        " of `groups.managed`",
        code=code,
    )


def _names(value: object, *, strict: bool = True) -> Iterator[str]:
    """Raises ValueError for what cannot be a name, unless not `strict`."""
    for name in value if isinstance(value, list | tuple) else [value]:
        if isinstance(name, str) and name:
            yield name
        elif strict and name not in (None, ""):
            raise ValueError("not a distinguished name")


def _shown_as(entry: Entry, member: str) -> str:
    parts = [name for name in entry.attributes if name.startswith(f"{member};range=")]
    return parts[0] if parts else member


def _comparable(value: bytes) -> Name:
    """A member whose name cannot be read is no account of ours."""
    try:
        return folded(value.decode("utf-8", "replace"))
    except ValueError:
        return ()
