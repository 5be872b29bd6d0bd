"""A directory (RFC 4511): an attribute with the employee number tells whose an entry is."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator
from contextlib import suppress

from accountsync.domain.accounts.account import Account, Attributes, Operation, RemoteAccount
from accountsync.domain.accounts.distinguished_name import folded, joined, parent, rdn
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    ConfigurationError,
    IncompleteReadError,
    NeedsHumanError,
    RejectedByTargetError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.settings.ldap import LdapTarget
from accountsync.targets.connector import required
from accountsync.targets.ldap_container import container_dn, place_of
from accountsync.targets.ldap_dialect import Dialect
from accountsync.targets.ldap_groups import Memberships, Name
from accountsync.targets.ldap_guard import KeyGuard
from accountsync.targets.ldap_lookup import Lookup
from accountsync.targets.ldap_view import EntryView
from accountsync.wire import ldap_messages
from accountsync.wire.directory import Directory
from accountsync.wire.dry_run import Refusals
from accountsync.wire.ldap_messages import Entry


class LdapConnector:
    is_watched = True
    operations = frozenset(Operation)
    can_find = True
    can_list = True

    def __init__(self, target: LdapTarget, directory: Directory, dialect: Dialect) -> None:
        self._target = target
        self._directory = directory
        self._dialect = dialect
        self._lookup = Lookup(target, directory, dialect)
        self._view = EntryView(target)
        self._guard = KeyGuard(target, directory, self._lookup)
        self._groups = (
            Memberships(target.groups, directory, follow=dialect.groups_follow)
            if target.groups
            else None
        )

    async def create(self, attributes: Attributes, *, enabled: bool = True) -> RemoteAccount:
        """One request makes the whole entry. Where a namesake in the container has its name, the
        identifier is put behind it."""
        self._ready_to_write(attributes)
        container = container_dn(self._target, attributes)
        await self._refuse_if_there(attributes)
        refusals = Refusals()
        for name in self._view.names(attributes):
            dn = joined(rdn(self._target.rdn, name), container)
            added = await refusals.of(self._added(dn, name, attributes, enabled=enabled))
            if refusals:
                await self._join(dn, attributes, refusals=refusals)
                raise refusals.error()
            if added:
                entry = await self._seen_again(dn, "made")
                await self._join(dn, attributes, refusals=refusals)
                return await self._account(entry, attributes, ours=True)
            await self._refuse_if_there(attributes)
            await self._refuse_if_named_elsewhere(attributes)
        raise AccountExistsError("the name is taken within its container", code="68")

    async def _refuse_if_there(self, attributes: Attributes) -> None:
        """An entry that an earlier attempt of ours made may still lack its memberships."""
        entry = await self._lookup.ours(attributes)
        if entry is None:
            return
        if not self._view.differences(entry, attributes):
            with suppress(AccountSyncError):  # a look-up shows what it lacks
                await self._join(entry.dn, attributes, refusals=Refusals())
        raise AccountExistsError("an entry with this key", code="68")

    async def _refuse_if_named_elsewhere(self, attributes: Attributes) -> None:
        entry = await self._lookup.by_identifier(attributes)
        if entry is None:
            return
        name = self._target.identifier
        if self._lookup.is_inside(entry):
            raise AccountExistsError(f"an entry with this {name}", code="68")
        raise NeedsHumanError(
            f"its {name} is taken by another object of the domain, in {place_of(entry.dn)}: in"
            " Active Directory such a name is given once in the whole domain, to users, groups and"
            " computers. Rename the other object, or give the person another name, then retry",
            code="68",
        )

    async def _join(self, dn: str, attributes: Attributes, *, refusals: Refusals) -> None:
        """The entry is there, whatever goes wrong here; a look-up shows what it lacks."""
        try:
            if self._groups:
                await self._groups.join(dn, attributes, refusals=refusals)
        except UnknownOutcomeError as error:
            raise TransientError(f"made, its memberships are not complete: {error}") from None

    async def _added(self, dn: str, name: str, attributes: Attributes, *, enabled: bool) -> bool:
        classes = [name.encode() for name in self._target.object_classes]
        values = self._view.values(attributes)
        present = {name: given for name, given in values.items() if given}
        own = {self._target.rdn: [name.encode()], "objectClass": classes}
        birth = self._dialect.birth(enabled=enabled)
        try:
            await self._directory.change(ldap_messages.add(dn, {**present, **own, **birth}))
        except AccountExistsError:
            return False
        except AccountMissingError as error:
            raise RejectedByTargetError("no such container", code=error.code) from None
        return True

    async def _seen_again(self, dn: str, done: str) -> Entry:
        """What the directory shows after a change: that counts, and not what was sent (I18)."""
        try:
            entry = await self._directory.read(dn, attributes=self._lookup.attributes)
        except (TransientError, ConfigurationError) as error:  # such as a replica that lags behind
            raise UnknownOutcomeError(f"{done}, but not seen afterwards: {error}") from None
        if entry is None:
            raise UnknownOutcomeError(f"{done}, but not seen afterwards")
        return entry

    async def update(self, account: Account, attributes: Attributes) -> RemoteAccount:
        return await self._changed(account, attributes, enabled=None)

    async def rename(self, account: Account, attributes: Attributes) -> RemoteAccount:
        """Its names are attributes like others. The entry moves if its own name changes."""
        return await self._changed(account, attributes, enabled=None)

    async def enable(self, account: Account, attributes: Attributes) -> RemoteAccount:
        return await self._changed(account, attributes, enabled=True)

    async def disable(self, account: Account, attributes: Attributes) -> RemoteAccount:
        """Changes the state alone, wherever the entry lies: a leaver's name, place and groups stay
        as they are, and are not looked at. What could not lock is refused (I17)."""
        entry = await self._lookup.known(account)
        if entry is None:
            await self._lookup.refuse_as_hidden(account, attributes)
        self._view.require_ours(entry, account, attributes)
        lockout = self._dialect.lockout
        if lockout:
            await lockout.refuse_what_cannot_lock(entry)
        after = entry
        if steps := self._dialect.set_enabled(entry, enabled=False):
            await self._guard.set_state(entry, steps)
            after = await self._seen_again(entry.dn, "disabled")
        if lockout and self._dialect.is_enabled(after) is False:
            await lockout.require(after)
        was_enabled = await self._enabled(entry)
        return await self._account(
            after, attributes, ours=True, was_enabled=was_enabled, with_groups=False
        )

    async def delete(self, account: Account) -> None:
        """An entry that has got somebody else's key since is not deleted (I11)."""
        entry = await self._known_inside(account, account.attributes)
        await self._directory.change(ldap_messages.delete(entry.dn))

    async def _changed(
        self, account: Account, attributes: Attributes, *, enabled: bool | None
    ) -> RemoteAccount:
        """What fails last is said last: a container or group that is not there stops nothing else
        of the account."""
        self._ready_to_write(attributes)
        entry = await self._known_inside(account, attributes)
        refusals = Refusals()
        steps = self._view.differences(entry, attributes)
        if enabled is not None:
            steps += self._dialect.set_enabled(entry, enabled=enabled)
        if steps:
            await refusals.of(self._guard.modify(entry, steps))
        try:
            dn = await self._moved(entry, attributes, refusals=refusals)
        except RejectedByTargetError:
            await self._settle(entry.dn, entry, account, attributes, refusals)
            raise
        await self._settle(dn, entry, account, attributes, refusals)
        if refusals:
            raise refusals.error()
        is_changed = bool(steps) or dn != entry.dn
        after = await self._seen_again(dn, "changed") if is_changed else entry
        was_enabled = await self._enabled(entry)
        return await self._account(after, attributes, ours=True, was_enabled=was_enabled)

    async def _settle(
        self,
        dn: str,
        entry: Entry,
        account: Account,
        attributes: Attributes,
        refusals: Refusals,
    ) -> None:
        """`dn`: the name that the entry has now."""
        if self._groups:
            applied = account.attributes
            await self._groups.settle(
                dn, attributes, formerly=entry.dn, applied=applied, refusals=refusals
            )

    async def _known_inside(self, account: Account, attributes: Attributes) -> Entry:
        """The entry of an account, which is seen to be the person's. Raises AccountMissingError."""
        entry = await self._lookup.known(account)
        if entry is None:
            if not await self._lookup.is_surely_gone(account):
                await self._lookup.be_sure_of_absence()
            raise AccountMissingError("a look-up does not show the account", code="32")
        self._view.require_ours(entry, account, attributes)
        if not self._lookup.is_inside(entry):
            raise NeedsHumanError(
                f"the entry lies outside `base`, in {place_of(entry.dn)}: somebody moved it there,"
                " so nothing but disabling is done to it. Move it back below the base, then retry",
                code="outside",
            )
        return entry

    async def _moved(self, entry: Entry, attributes: Attributes, *, refusals: Refusals) -> str:
        """Returns its name then. Without a declared container it stays where it was put."""
        current = parent(entry.dn)
        container = container_dn(self._target, attributes) if self._target.container else current
        stays = folded(container) == folded(current)
        if stays and self._view.is_named(entry, attributes):
            return entry.dn
        if not stays and await self._directory.read(container, attributes=["1.1"]) is None:
            raise RejectedByTargetError("no such container", code="32")
        for name in self._view.names(attributes):
            own = rdn(self._target.rdn, name)
            move = ldap_messages.move(entry.dn, rdn=own, parent=container)
            try:
                await refusals.of(self._directory.change(move))
            except AccountExistsError:
                continue
            except AccountMissingError as error:
                raise RejectedByTargetError("no such container", code=error.code) from None
            return joined(own, container)
        raise RejectedByTargetError("its name is taken within its container", code="68")

    async def find(self, attributes: Attributes) -> RemoteAccount | None:
        """By key, then by identifier. Who has the identifier without our key is somebody else."""
        key = required(attributes, self._target.key)
        entry = await self._lookup.ours(attributes) or await self._lookup.by_identifier(attributes)
        if entry is None:
            await self._lookup.be_sure_of_absence()
            return None
        ours = self._view.carries(entry, key)
        if ours and not self._lookup.is_inside(entry):
            raise self._lookup.outside(entry)
        return await self._account(entry, attributes, ours=ours)

    async def look(self, account: Account, attributes: Attributes) -> RemoteAccount | None:
        """Not found, it is absent only where the directory shows that it was deleted."""
        entry = await self._lookup.known(account)
        key = account.attributes.get(self._target.key)
        if entry is None and account.remote_id and key and not account.key_taken:
            inside, outside = await self._lookup.by_key(str(key))
            entry = next(iter(inside or outside), None)
        if entry is None:
            with suppress(AccountMissingError):
                await self._lookup.refuse_as_hidden(account, {})
            return None
        ours = self._view.is_of(entry, account, attributes)
        return await self._account(entry, attributes, ours=ours)

    async def _account(
        self,
        entry: Entry,
        wanted: Attributes,
        *,
        ours: bool,
        was_enabled: bool | None = None,
        with_groups: bool = True,
    ) -> RemoteAccount:
        """An account as its entry shows it; a lock that is not proven to count says nothing."""
        shown = self._view.shown(entry, wanted)
        if self._groups and with_groups:
            shown[self._groups.attribute] = await self._groups.of(entry.dn, wanted)
        return RemoteAccount(
            identifier=entry.text(self._target.identifier) or "",
            remote_id=self._dialect.remote_id(entry) or None,
            ours=ours,
            enabled=await self._enabled(entry),
            was_enabled=was_enabled,
            attributes=shown,
        )

    async def _enabled(self, entry: Entry) -> bool | None:
        enabled, lockout = self._dialect.is_enabled(entry), self._dialect.lockout
        if enabled is False and lockout and not await lockout.is_proven(entry):
            return None
        return enabled

    async def list(self) -> AsyncIterator[RemoteAccount]:
        seen: set[str] = set()
        groups = await self._groups.of_everybody() if self._groups else {}
        pages = self._directory.pages(
            self._target.base,
            tests=self._dialect.tests,
            attributes=self._lookup.attributes,
            page_size=self._target.page_size,
        )
        async for rows in pages:
            for row in rows:
                if isinstance(row, Entry):
                    account = await self._listed(row, groups)
                    if not account.remote_id or account.remote_id in seen:
                        raise IncompleteReadError("an entry without an id, or twice")
                    seen.add(account.remote_id)
                    yield account
                elif not self._dialect.skips_references:
                    raise IncompleteReadError("a part of the base lies in another server")

    async def _listed(self, entry: Entry, groups: dict[Name, builtins.list[str]]) -> RemoteAccount:
        """As a look-up shows it, where nothing is wanted: an empty text for what it has not."""
        shown = dict.fromkeys(self._target.written, "") | self._view.attributes(entry)
        if self._groups:
            shown[self._groups.attribute] = groups.get(folded(entry.dn), [])
        return RemoteAccount(
            identifier=entry.text(self._target.identifier) or "",
            remote_id=self._dialect.remote_id(entry) or None,
            ours=bool(entry.text(self._target.key)),
            enabled=await self._enabled(entry),
            attributes=shown,
        )

    async def check(self) -> str:
        """Tries the bind, the bases, whether accounts can be disabled here, and last the groups."""
        server = await self._dialect.check(self._directory, await self._lookup.root())
        await self._lookup.require_base()
        if self._groups:
            await self._groups.check()
        channel = "encrypted" if self._directory.is_encrypted else "in clear"
        return f"answered as {server}; base {self._target.base}; {channel}"

    def _ready_to_write(self, attributes: Attributes) -> None:
        for name in (self._target.key, self._target.identifier, self._target.rdn):
            required(attributes, name)
        self._dialect.refuse(attributes)
        if self._groups:
            self._groups.wanted(attributes)
