"""Makes a change of an entry depend on the key that the entry was seen to carry (I18)."""

from __future__ import annotations

from collections.abc import Sequence

from accountsync.wire import ldap_controls
from accountsync.wire.ldap_messages import Control, Entry, Step


class KeyGuard:
    """By the assertion control where the server has it. Elsewhere a modification takes the key away
    and adds it again: it fails as a whole, with noSuchAttribute, once the entry has another one."""

    def __init__(self, key: str, entry: Entry, *, asserts: bool, is_name: bool) -> None:
        self._key = key
        self._values = entry.attributes.get(key.lower(), ())
        self._by_steps = bool(self._values) and not asserts and not is_name
        self.controls: Sequence[Control] = (
            [ldap_controls.only_if({key: self._values[0]})] if self._values and asserts else []
        )

    def steps(self, steps: Sequence[Step]) -> list[Step]:
        if not self._by_steps:
            return list(steps)
        is_key = [name.lower() == self._key.lower() for _, name, _ in steps]
        others = [step for step, own in zip(steps, is_key, strict=True) if not own]
        wanted = next((step[2] for step, own in zip(steps, is_key, strict=True) if own), None)
        values = self._values if wanted is None else wanted
        added: list[Step] = [("add", self._key, values)] if values else []
        return [("delete", self._key, self._values), *added, *others]
