"""A directory (RFC 4511): an attribute with the employee number tells whose an entry is."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from accountsync.domain.accounts.account import Account, Attributes, Operation, RemoteAccount
from accountsync.domain.accounts.distinguished_name import folded, joined, parent, parsed, rdn
from accountsync.domain.accounts.likeness import with_gaps
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    ConfigurationError,
    IncompleteReadError,
    RejectedByTargetError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.settings.ldap import LdapTarget
from accountsync.targets.connector import required
from accountsync.targets.ldap_container import container_dn
from accountsync.targets.ldap_dialect import Dialect
from accountsync.targets.ldap_groups import Memberships
from accountsync.wire import ldap_messages
from accountsync.wire.directory import Directory
from accountsync.wire.dry_run import Refusals
from accountsync.wire.ldap_messages import Entry, Step


class LdapConnector:
    is_watched = True
    operations = frozenset(Operation)
    can_find = True
    can_list = True

    def __init__(self, target: LdapTarget, directory: Directory, dialect: Dialect) -> None:
        self._target = target
        self._directory = directory
        self._dialect = dialect
        self._groups = (
            Memberships(target.groups, directory, follow=dialect.groups_follow)
            if target.groups
            else None
        )
        self._read = [*target.written, dialect.id_attribute, *dialect.shown]
        self._root: Entry | None = None

    async def create(self, attributes: Attributes, *, enabled: bool = True) -> RemoteAccount:
        """One request makes the whole entry. Where a namesake in the container has its name, the
        identifier is put behind it."""
        self._ready_to_write(attributes)
        container = container_dn(self._target, attributes)
        refusals = Refusals()
        for name in self._entry_names(attributes):
            dn = joined(rdn(self._target.rdn, name), container)
            added = await refusals.of(self._added(dn, name, attributes, enabled=enabled))
            if refusals:
                await self._join(dn, attributes, refusals=refusals)
                raise refusals.error()
            if added:
                entry = await self._entry_just_made(dn, name, attributes)
                await self._join(dn, attributes, refusals=refusals)
                return self._account(entry, ours=True)
            await self._refuse_if_there(attributes)
        raise AccountExistsError("the name is taken within its container", code="68")

    async def _refuse_if_there(self, attributes: Attributes) -> None:
        """An entry that an earlier attempt of ours made may still lack its memberships."""
        hit = await self._look(attributes)
        if hit is None:
            return
        entry, ours = hit
        if ours and not self._differences(entry, attributes):
            with suppress(AccountSyncError):  # a look-up shows what it lacks
                await self._join(entry.dn, attributes, refusals=Refusals())
        raise AccountExistsError("an entry with this key or identifier", code="68")

    async def _join(self, dn: str, attributes: Attributes, *, refusals: Refusals) -> None:
        """The entry is there, whatever goes wrong here; a look-up shows what it lacks."""
        try:
            if self._groups:
                await self._groups.join(dn, attributes, refusals=refusals)
        except UnknownOutcomeError as error:
            raise TransientError(f"made, its memberships are not complete: {error}") from None

    async def _added(self, dn: str, name: str, attributes: Attributes, *, enabled: bool) -> bool:
        classes = [name.encode() for name in self._target.object_classes]
        present = {name: values for name, values in self._values(attributes).items() if values}
        own = {self._target.rdn: [name.encode()], "objectClass": classes}
        birth = self._dialect.birth(enabled=enabled)
        try:
            await self._directory.change(ldap_messages.add(dn, {**present, **own, **birth}))
        except AccountExistsError:
            return False
        except AccountMissingError as error:
            raise RejectedByTargetError("no such container", code=error.code) from None
        return True

    async def _entry_just_made(self, dn: str, name: str, attributes: Attributes) -> Entry:
        """Read again for what only the directory knows."""
        own = [self._dialect.id_attribute, *self._dialect.shown]
        tests = {"objectClass": None}
        try:
            entries = await self._directory.search(dn, scope="entry", tests=tests, attributes=own)
        except (TransientError, ConfigurationError) as error:  # such as a replica that lags behind
            raise UnknownOutcomeError(f"made, but not seen afterwards: {error}") from None
        if len(entries) != 1:
            raise UnknownOutcomeError("made, but not seen afterwards")
        given = {key.lower(): values for key, values in self._values(attributes).items()}
        given[self._target.rdn.lower()] = [name.encode()]
        return Entry(dn=dn, attributes={**given, **entries[0].attributes})

    async def update(self, account: Account, attributes: Attributes) -> RemoteAccount:
        return await self._changed(account, attributes, enabled=None)

    async def rename(self, account: Account, attributes: Attributes) -> RemoteAccount:
        """Its names are attributes like others. The entry moves if its own name changes."""
        return await self._changed(account, attributes, enabled=None)

    async def enable(self, account: Account, attributes: Attributes) -> RemoteAccount:
        return await self._changed(account, attributes, enabled=True)

    async def disable(self, account: Account, attributes: Attributes) -> RemoteAccount:
        """Changes the state alone: a leaver's name, place and groups stay as they are."""
        entry = await self._entry(account, attributes)
        if steps := self._dialect.set_enabled(entry, enabled=False):
            await self._directory.change(ldap_messages.modify(entry.dn, steps))
        return self._account(entry, ours=True, enabled=False)

    async def delete(self, account: Account) -> None:
        """An entry that has got somebody else's key since is not deleted (I11)."""
        entry = await self._entry(account, account.attributes)
        key = account.attributes.get(self._target.key)
        if key is not None and entry.text(self._target.key) != str(key):
            raise RejectedByTargetError("the entry carries another key by now", code="key")
        await self._directory.change(ldap_messages.delete(entry.dn))

    async def _changed(
        self, account: Account, attributes: Attributes, *, enabled: bool | None
    ) -> RemoteAccount:
        self._ready_to_write(attributes)
        entry = await self._entry(account, attributes)
        refusals = Refusals()
        dn = await self._moved(entry, attributes, refusals=refusals)
        steps = self._differences(entry, attributes)
        if enabled is not None:
            steps += self._dialect.set_enabled(entry, enabled=enabled)
        if steps:
            await refusals.of(self._directory.change(ldap_messages.modify(dn, steps)))
        if self._groups:
            await self._groups.settle(dn, attributes, formerly=entry.dn, refusals=refusals)
        if refusals:
            raise refusals.error()
        return self._changed_account(entry, dn, attributes, enabled=enabled)

    def _changed_account(
        self, entry: Entry, dn: str, attributes: Attributes, *, enabled: bool | None
    ) -> RemoteAccount:
        written = {name.lower(): values for name, values in self._values(attributes).items()}
        if dn != entry.dn:
            written[self._target.rdn.lower()] = [parsed(dn)[0][0][1].encode()]
        after = Entry(dn=dn, attributes={**entry.attributes, **written})
        return self._account(after, ours=True, enabled=enabled)

    async def _moved(self, entry: Entry, attributes: Attributes, *, refusals: Refusals) -> str:
        """Returns its name then. Without a declared container it stays where it was put."""
        current = parent(entry.dn)
        container = container_dn(self._target, attributes) if self._target.container else current
        stays = folded(container) == folded(current)
        names = self._entry_names(attributes)
        if stays and self._is_named(entry, attributes):
            return entry.dn
        for name in names:
            own = rdn(self._target.rdn, name)
            try:
                move = ldap_messages.move(entry.dn, rdn=own, parent=container)
                await refusals.of(self._directory.change(move))
            except AccountExistsError:
                continue
            except AccountMissingError as error:
                raise RejectedByTargetError("no such container", code=error.code) from None
            return joined(own, container)
        raise RejectedByTargetError("its name is taken within its container", code="68")

    def _is_named(self, entry: Entry, attributes: Attributes) -> bool:
        """Whether it has the wanted name, or that of a namesake."""
        current = folded(entry.dn)[0]
        names = self._entry_names(attributes)
        return any(folded(rdn(self._target.rdn, name))[0] == current for name in names)

    def _differences(self, entry: Entry, attributes: Attributes) -> builtins.list[Step]:
        return [
            ("replace", name, values)
            for name, values in self._values(attributes).items()
            if set(values) != set(entry.attributes.get(name.lower(), ()))
        ]

    async def _entry(self, account: Account, attributes: Attributes) -> Entry:
        """Looked up by the directory's own id, or by the key where the store has no id. Raises
        AccountMissingError."""
        tests: dict[str, bytes | None]
        if account.remote_id:
            tests = {self._dialect.id_attribute: self._dialect.id_value(account.remote_id)}
        else:
            key = required({**account.attributes, **attributes}, self._target.key)
            tests = {**self._dialect.tests, self._target.key: key.encode()}
        entries = await self._search(self._target.base, scope="subtree", tests=tests)
        if not entries:
            await self._be_sure_of_absence()
            raise AccountMissingError("a look-up does not show the account", code="32")
        if len(entries) > 1:
            raise RejectedByTargetError("several entries carry this key", code="ambiguous")
        return entries[0]

    async def find(self, attributes: Attributes) -> RemoteAccount | None:
        """By key, then by identifier. Who has the identifier without our key is somebody else."""
        hit = await self._look(attributes)
        if hit is None:
            await self._be_sure_of_absence()
            return None
        entry, ours = hit
        account = self._account(entry, ours=ours)
        shown = with_gaps(account.attributes, attributes, always_shown=self._target.written)
        return replace(account, attributes={**shown, **await self._place(entry, attributes)})

    async def _place(self, entry: Entry, attributes: Attributes) -> dict[str, Any]:
        """Name, container and memberships. What is as wanted is spelled as wanted."""
        shown: dict[str, Any] = {}
        if attributes.get(self._target.rdn) and self._is_named(entry, attributes):
            shown[self._target.rdn] = attributes[self._target.rdn]
        if self._target.container:
            current, wanted = parent(entry.dn), attributes.get(self._target.container)
            as_wanted = wanted and folded(current) == folded(container_dn(self._target, attributes))
            shown[self._target.container] = wanted if as_wanted else current
        if self._groups:
            shown[self._groups.attribute] = await self._groups.of(entry.dn, attributes)
        return shown

    async def _look(self, attributes: Attributes) -> tuple[Entry, bool] | None:
        for attribute in (self._target.key, self._target.identifier):
            value = required(attributes, attribute)
            tests = {**self._dialect.tests, attribute: value.encode()}
            entries = await self._search(self._target.base, scope="subtree", tests=tests)
            if len(entries) > 1:
                raise RejectedByTargetError("several entries carry this key", code="ambiguous")
            if entries:
                key = required(attributes, self._target.key)
                ours = (entries[0].text(self._target.key) or "").casefold() == key.casefold()
                return entries[0], ours
        return None

    async def look(self, account: Account, attributes: Attributes) -> RemoteAccount | None:
        return await self.find({**attributes, **account.attributes})

    async def list(self) -> AsyncIterator[RemoteAccount]:
        seen: set[str] = set()
        pages = self._directory.pages(
            self._target.base,
            tests=self._dialect.tests,
            attributes=self._read,
            page_size=self._target.page_size,
        )
        async for rows in pages:
            for row in rows:
                if isinstance(row, Entry):
                    account = self._account(row, ours=bool(row.text(self._target.key)))
                    if not account.remote_id or account.remote_id in seen:
                        raise IncompleteReadError("an entry without an id, or twice")
                    seen.add(account.remote_id)
                    yield account
                elif not self._dialect.skips_references:
                    raise IncompleteReadError("a part of the base lies in another server")

    async def check(self) -> str:
        """Tries the bind, the base, and whether accounts can be disabled here."""
        server = await self._dialect.check(self._directory, await self._root_entry())
        await self._directory.search(
            self._target.base, scope="entry", tests={"objectClass": None}, attributes=["1.1"]
        )
        channel = "encrypted" if self._directory.is_encrypted else "in clear"
        return f"answered as {server}; base {self._target.base}; {channel}"

    async def _be_sure_of_absence(self) -> None:
        if not self._dialect.is_sure_of_absence(await self._root_entry()):
            raise TransientError("not found, but not every server has what is new: no sure answer")

    async def _root_entry(self) -> Entry:
        """What the server says of itself (RFC 4512 §5.1)."""
        if self._root is None:
            (self._root,) = await self._directory.search(
                "",
                scope="entry",
                tests={"objectClass": None},
                attributes=["dnsHostName", "subschemaSubentry"],
            )
        return self._root

    async def _search(
        self, base: str, *, scope: ldap_messages.Scope, tests: Mapping[str, bytes | None]
    ) -> builtins.list[Entry]:
        """Two entries are enough to know that there is more than one."""
        return await self._directory.search(
            base,
            scope=scope,
            tests=tests or {"objectClass": None},
            attributes=self._read,
            size_limit=2,
        )

    def _ready_to_write(self, attributes: Attributes) -> None:
        for name in (self._target.key, self._target.identifier, self._target.rdn):
            required(attributes, name)
        self._dialect.refuse(attributes)
        if self._groups:
            self._groups.wanted(attributes)

    def _entry_names(self, attributes: Attributes) -> Sequence[str]:
        """The wanted name, and the one for a namesake in the same container."""
        name = required(attributes, self._target.rdn)
        identifier = required(attributes, self._target.identifier)
        return [name] if name == identifier else [name, f"{name} ({identifier})"]

    def _values(self, attributes: Attributes) -> dict[str, builtins.list[bytes]]:
        """Without the entry's own name, which changes by moving the entry."""
        return {
            name: ldap_messages.as_values(attributes.get(name))
            for name in self._target.written
            if name != self._target.rdn
        }

    def _account(self, entry: Entry, *, ours: bool, enabled: bool | None = None) -> RemoteAccount:
        shown = {name: entry.texts(name) for name in self._target.written}
        return RemoteAccount(
            identifier=entry.text(self._target.identifier) or "",
            remote_id=self._dialect.remote_id(entry) or None,
            ours=ours,
            enabled=self._dialect.is_enabled(entry) if enabled is None else enabled,
            attributes={
                name: values[0] if len(values) == 1 else values
                for name, values in shown.items()
                if values
            },
        )
