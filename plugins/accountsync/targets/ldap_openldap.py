"""OpenLDAP and its like: what differs from other directories."""

from __future__ import annotations

from collections.abc import Mapping

from accountsync.domain.accounts.account import Attributes
from accountsync.errors import ConfigurationError
from accountsync.settings.ldap import LdapTarget
from accountsync.wire.directory import Directory
from accountsync.wire.ldap_messages import Entry, EntryAttributes, Step


class OpenLdap:
    """No password is set, and nobody binds without one. `disabling` says what disables."""

    id_attribute = "entryUUID"
    skips_references = False
    groups_follow = False
    """True only where the overlay refint is loaded, which is not known."""

    def __init__(self, target: LdapTarget) -> None:
        self._disabling = target.disabling
        self.tests: Mapping[str, bytes | None] = {"objectClass": target.object_classes[0].encode()}
        self.shown = [self._disabling.attribute]

    def remote_id(self, entry: Entry) -> str:
        return entry.text(self.id_attribute) or ""

    def id_value(self, remote_id: str) -> bytes:
        return remote_id.encode()

    def refuse(self, attributes: Attributes) -> None:
        """No rules beyond the server's schema."""

    def birth(self, *, enabled: bool) -> EntryAttributes:
        value = self._wanted(enabled=enabled)
        return {self._disabling.attribute: [value]} if value is not None else {}

    def is_enabled(self, entry: Entry) -> bool:
        values = entry.attributes.get(self._disabling.attribute.lower(), ())
        return self._disabling.disabled.encode() not in values

    def set_enabled(self, entry: Entry, *, enabled: bool) -> list[Step]:
        if self.is_enabled(entry) == enabled:
            return []
        value = self._wanted(enabled=enabled)
        return [("replace", self._disabling.attribute, [] if value is None else [value])]

    def _wanted(self, *, enabled: bool) -> bytes | None:
        text = self._disabling.enabled if enabled else self._disabling.disabled
        return None if text is None else text.encode()

    def is_sure_of_absence(self, root: Entry) -> bool:
        """A replica takes no changes, so the server that we use has them all."""
        return True

    async def check(self, directory: Directory, root: Entry) -> str:
        """The attribute that disables has to be in the schema, or no leaver could be disabled."""
        schema = root.text("subschemaSubentry") or "cn=Subschema"
        entries = await directory.search(
            schema, scope="entry", tests={"objectClass": None}, attributes=["attributeTypes"]
        )
        name = self._disabling.attribute
        known = " ".join(text for entry in entries for text in entry.texts("attributeTypes"))
        if f"'{name.lower()}'" not in known.lower():
            raise ConfigurationError(
                f"{directory.endpoint.conn_id}: the schema has no {name}: load the overlay that"
                " brings it (ppolicy), or name another attribute under `disabling`"
            )
        return "LDAP"
