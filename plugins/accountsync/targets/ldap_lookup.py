"""Where the entries of a directory are looked for, and what may be said of one that is not there.

A known entry is found by the directory's own id in the whole naming context (the domain), as far as
our login may read it: administrators move entries. New ones are looked for by their key below
`search_base`, which is wider than the base that they are made in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from accountsync.domain.accounts.account import Account, Attributes
from accountsync.domain.accounts.distinguished_name import folded, is_below
from accountsync.errors import (
    AccountMissingError,
    ConfigurationError,
    NeedsDataError,
    NeedsHumanError,
    RejectedByTargetError,
    TransientError,
)
from accountsync.settings.ldap import LdapTarget
from accountsync.targets.connector import required
from accountsync.targets.ldap_container import place_of
from accountsync.targets.ldap_dialect import Dialect
from accountsync.wire.directory import Directory, Tests
from accountsync.wire.ldap_controls import ASSERTION
from accountsync.wire.ldap_messages import Entry

_ENOUGH = 5
"""So many entries tell that there are several, and whether one lies below the base."""
_ROOT = ["dnsHostName", "subschemaSubentry", "namingContexts", "supportedControl"]


class Lookup:
    def __init__(self, target: LdapTarget, directory: Directory, dialect: Dialect) -> None:
        self._target = target
        self._directory = directory
        self._dialect = dialect
        self._hidden: set[str] = set()
        self._root: Entry | None = None
        self._base_is_there = False
        self.attributes = [*target.written, dialect.id_attribute, *dialect.shown]

    async def root(self) -> Entry:
        """What the server says of itself (RFC 4512 §5.1)."""
        if self._root is None:
            self._root = await self._directory.read("", attributes=_ROOT)
        if self._root is None:
            raise ConfigurationError("the server says nothing of itself: let our login read it")
        return self._root

    async def asserts(self) -> bool:
        """Whether the server can make a change depend on what the entry holds (RFC 4528)."""
        return ASSERTION in (await self.root()).texts("supportedControl")

    async def known(self, account: Account) -> Entry | None:
        """The entry of a known account, wherever it lies: by its id, and where the store has none
        by the key that it was last seen to carry, never by another (I18)."""
        if account.remote_id:
            return await self.by_id(account.remote_id)
        key = account.attributes.get(self._target.key)
        if key in (None, ""):
            raise NeedsDataError("neither its id nor the key that it carries is known")
        inside, outside = await self.by_key(str(key))
        return self._only(inside or outside)

    async def by_id(self, remote_id: str) -> Entry | None:
        try:
            name = self._dialect.name_by_id(remote_id)
            tests: Tests = {self._dialect.id_attribute: self._dialect.id_value(remote_id)}
        except ValueError:
            raise NeedsHumanError("the id known of it is none of this directory") from None
        if name:
            return await self._directory.read(name, attributes=self.attributes)
        return self._only(await self._below(await self._naming_context(), tests))

    async def by_key(self, key: str) -> tuple[list[Entry], list[Entry]]:
        """Those below the base, and those elsewhere."""
        tests: Tests = {**self._dialect.tests, self._target.key: key.encode()}
        place = self._target.search_base or await self._naming_context()
        entries = await self._below(place, tests)
        inside = [entry for entry in entries if self.is_inside(entry)]
        return inside, [entry for entry in entries if not self.is_inside(entry)]

    async def ours(self, attributes: Attributes) -> Entry | None:
        """The account below the base that carries the key. Raises NeedsHumanError for one that lies
        elsewhere, which is nobody's to make a second time."""
        inside, outside = await self.by_key(required(attributes, self._target.key))
        if outside and not inside:
            raise self.outside(outside[0])
        return self._only(inside)

    def outside(self, entry: Entry) -> NeedsHumanError:
        return NeedsHumanError(
            f"an entry with this {self._target.key} lies outside `base`, in {place_of(entry.dn)}:"
            " move it below the base, or take its key away, or set `search_base`; then retry",
            code="outside",
        )

    async def by_identifier(self, attributes: Attributes) -> Entry | None:
        """Whoever has the identifier: in a whole domain where it is the only one there."""
        name, value = self._target.identifier, required(attributes, self._target.identifier)
        if self._dialect.is_domain_wide(name):
            tests: Tests = {name: value.encode()}
            place = await self._naming_context()
        else:
            tests = {**self._dialect.tests, name: value.encode()}
            place = self._target.base
        return self._only(await self._below(place, tests))

    def is_inside(self, entry: Entry) -> bool:
        return is_below(entry.dn, self._target.base)

    async def is_surely_gone(self, account: Account) -> bool:
        """Whether the directory shows the entry among those that were deleted."""
        name = self._dialect.name_by_id(account.remote_id) if account.remote_id else None
        if not (name and self._dialect.deleted):
            return False
        deleted = await self._directory.read(
            name, attributes=["isDeleted"], controls=[self._dialect.deleted]
        )
        return deleted is not None and deleted.text("isDeleted") == "TRUE"

    async def refuse_as_hidden(self, account: Account, attributes: Attributes) -> NoReturn:
        """What is not shown may be where our login may not read, and a login there may work (I17).
        Raises AccountMissingError only where the directory shows that the entry was deleted, and
        nothing carries the key last seen or the one that is wanted."""
        for key in {account.attributes.get(self._target.key), attributes.get(self._target.key)}:
            if key not in (None, "") and any(await self.by_key(str(key))):
                raise NeedsHumanError(
                    "the entry with its id is gone, and another one carries its"
                    f" {self._target.key}: whose is it? Close it there, if it is the person's; then"
                    " `bin/accountsync task done --task N`",
                    code="rekeyed",
                )
        if await self.is_surely_gone(account):
            raise AccountMissingError("the directory shows that it was deleted", code="32")
        await self.be_sure_of_absence()
        known_by = "id" if account.remote_id else "key"
        raise NeedsHumanError(
            f"not found by its {known_by} anywhere that our login can see: deleted, or moved to"
            " where our login may not read? Look there, and see to it that nobody can log in with"
            " it; then `bin/accountsync task done --task N`",
            code="hidden",
        )

    async def be_sure_of_absence(self) -> None:
        """Raises an error where what is not found may be there all the same."""
        if not self._base_is_there:
            await self.require_base()
        if not self._dialect.is_sure_of_absence(await self.root()):
            raise TransientError("not found, but not every server has what is new: no sure answer")

    async def require_base(self) -> None:
        """Raises ConfigurationError where a base is not there."""
        for base in filter(None, (self._target.base, self._target.search_base)):
            await self._directory.search(
                base, scope="entry", tests={"objectClass": None}, attributes=["1.1"]
            )
        self._base_is_there = True

    async def _below(self, place: str, tests: Tests) -> list[Entry]:
        """Where our login may not read so much, below the base alone."""
        if place not in self._hidden and place != self._target.base:
            entries = await self._directory.search_if_readable(
                place, tests=tests, attributes=self.attributes, size_limit=_ENOUGH
            )
            if entries is not None:
                return entries
            self._hidden.add(place)
        return await self._directory.search(
            self._target.base,
            scope="subtree",
            tests=tests,
            attributes=self.attributes,
            size_limit=_ENOUGH,
        )

    async def _naming_context(self) -> str:
        contexts = (await self.root()).texts("namingContexts")
        above = [name for name in contexts if name and is_below(self._target.base, name)]
        return max(above, key=lambda name: len(folded(name)), default=self._target.base)

    def _only(self, entries: Sequence[Entry]) -> Entry | None:
        if len(entries) > 1:
            raise RejectedByTargetError("several entries carry this key", code="ambiguous")
        return entries[0] if entries else None
