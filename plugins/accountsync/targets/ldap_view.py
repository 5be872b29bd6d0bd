"""What an entry shows of an account, and what of it differs from what is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accountsync.domain.accounts.account import Account, Attributes
from accountsync.domain.accounts.distinguished_name import folded, parent, rdn, relative
from accountsync.domain.accounts.likeness import is_like, with_gaps
from accountsync.errors import ForeignAccountError
from accountsync.settings.ldap import LdapTarget
from accountsync.targets.connector import required
from accountsync.targets.ldap_container import container_dn
from accountsync.wire import ldap_messages
from accountsync.wire.ldap_messages import Entry, Step


class EntryView:
    def __init__(self, target: LdapTarget) -> None:
        self._target = target

    def names(self, attributes: Attributes) -> Sequence[str]:
        """The wanted name, and the one for a namesake in the same container."""
        name = required(attributes, self._target.rdn)
        identifier = required(attributes, self._target.identifier)
        return [name] if name == identifier else [name, f"{name} ({identifier})"]

    def is_named(self, entry: Entry, attributes: Attributes) -> bool:
        """Whether it has the wanted name, or that of a namesake."""
        current = folded(entry.dn)[0]
        names = self.names(attributes)
        return any(folded(rdn(self._target.rdn, name))[0] == current for name in names)

    def values(self, attributes: Attributes) -> dict[str, list[bytes]]:
        """Without the entry's own name, which changes by moving the entry."""
        return {
            name: ldap_messages.as_values(attributes.get(name))
            for name in self._target.written
            if name != self._target.rdn
        }

    def differences(self, entry: Entry, attributes: Attributes) -> list[Step]:
        return [
            ("replace", name, values)
            for name, values in self.values(attributes).items()
            if set(values) != set(entry.attributes.get(name.lower(), ()))
        ]

    def carries(self, entry: Entry, *keys: object) -> bool:
        """Whether its key is one of these. An entry without a key carries the empty one."""
        shown = entry.texts(self._target.key) or [""]
        wanted = [str(key) for key in keys if key is not None]
        return any(is_like(key, text) for key in wanted for text in shown)

    def is_of(self, entry: Entry, account: Account, attributes: Attributes) -> bool:
        """Whether it carries the key last seen, or the one that is wanted (I18)."""
        name = self._target.key
        return self.carries(entry, account.attributes.get(name) or "", attributes.get(name))

    def require_ours(self, entry: Entry, account: Account, attributes: Attributes) -> None:
        if self.is_of(entry, account, attributes):
            return
        has_one = "another" if entry.texts(self._target.key) else "no"
        raise ForeignAccountError(
            f"the entry carries {has_one} {self._target.key} by now: whose is it? Nothing was"
            " changed. If it is the person's, put the key back there, then retry",
            code="key",
        )

    def shown(self, entry: Entry, wanted: Attributes) -> dict[str, Any]:
        """What it shows, an empty text where it shows nothing that is wanted. What is as wanted is
        spelled as wanted where a directory spells names in its own way."""
        shown: dict[str, Any] = with_gaps(
            self.attributes(entry), wanted, always_shown=self._target.written
        )
        if wanted.get(self._target.rdn) and self.is_named(entry, wanted):
            shown[self._target.rdn] = wanted[self._target.rdn]
        container = self._target.container
        if container and wanted.get(container):
            as_wanted = folded(parent(entry.dn)) == folded(container_dn(self._target, wanted))
            shown[container] = wanted[container] if as_wanted else shown[container]
        return shown

    def attributes(self, entry: Entry) -> dict[str, Any]:
        """A value, or all of them where there are several; the container below the base."""
        texts = {name: entry.texts(name) for name in self._target.written}
        shown: dict[str, Any] = {
            name: values[0] if len(values) == 1 else values
            for name, values in texts.items()
            if values
        }
        if self._target.container:
            shown[self._target.container] = relative(parent(entry.dn), self._target.base)
        return shown
