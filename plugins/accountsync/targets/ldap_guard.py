"""Makes a change of an entry depend on the key that the entry was seen to carry (I18).

A modification takes the key away and adds it again: as a whole it fails, with noSuchAttribute, once
the entry has another one. A disable leaves the key alone where the server can compare by the
assertion control (RFC 4528). That control is used for nothing else: slapd's overlays, such as
`unique`, hand it on to searches of their own, which then fail.
"""

from __future__ import annotations

from collections.abc import Sequence

from accountsync.errors import RejectedByTargetError
from accountsync.settings.ldap import LdapTarget
from accountsync.targets.ldap_lookup import Lookup
from accountsync.wire import ldap_controls, ldap_messages
from accountsync.wire.directory import Directory
from accountsync.wire.ldap_messages import Entry, Step

_NO_RIGHT = "50"


class KeyGuard:
    def __init__(self, target: LdapTarget, directory: Directory, lookup: Lookup) -> None:
        self._key, self._is_name = target.key, target.key == target.rdn
        self._directory = directory
        self._lookup = lookup

    async def set_state(self, entry: Entry, steps: Sequence[Step]) -> None:
        """Changes what disables and enables, and no mapped attribute."""
        values = entry.attributes.get(self._key.lower(), ())
        if not (values and await self._lookup.asserts()):
            await self.modify(entry, steps)
            return
        only_if = ldap_controls.only_if({self._key: values[0]})
        await self._directory.change(ldap_messages.modify(entry.dn, steps), controls=[only_if])

    async def modify(self, entry: Entry, steps: Sequence[Step]) -> None:
        """A login that may change these attributes and not the key has to do without a guard."""
        safe = list(steps) if self._is_name else self._guarded(entry, steps)
        try:
            await self._directory.change(ldap_messages.modify(entry.dn, safe))
        except RejectedByTargetError as error:
            if safe == list(steps) or (error.code or "").split("/")[0] != _NO_RIGHT:
                raise
            await self._directory.change(ldap_messages.modify(entry.dn, steps))

    def _guarded(self, entry: Entry, steps: Sequence[Step]) -> list[Step]:
        values = entry.attributes.get(self._key.lower(), ())
        if not values:
            return list(steps)
        is_key = [name.lower() == self._key.lower() for _, name, _ in steps]
        others = [step for step, own in zip(steps, is_key, strict=True) if not own]
        wanted = next((step[2] for step, own in zip(steps, is_key, strict=True) if own), values)
        added: list[Step] = [("add", self._key, wanted)] if wanted else []
        return [("delete", self._key, values), *added, *others]
