"""OpenLDAP and its like: what differs from other directories."""

from __future__ import annotations

from collections.abc import Mapping

from accountsync.domain.accounts.account import Attributes
from accountsync.domain.accounts.distinguished_name import folded
from accountsync.errors import ConfigurationError
from accountsync.settings.ldap import LOCK, LdapTarget
from accountsync.targets.ldap_lockout import POLICY_OF_ENTRY, Lockout
from accountsync.wire.directory import Directory
from accountsync.wire.ldap_messages import Entry, EntryAttributes, Step


class OpenLdap:
    """No password is set, and nobody binds without one. `disabling` says what disables."""

    id_attribute = "entryUUID"
    skips_references = False
    groups_follow = False
    """True only where the overlay refint is loaded, which is not known."""

    deleted = None

    def __init__(self, target: LdapTarget, directory: Directory) -> None:
        self._disabling = target.disabling
        self._base = target.base
        self.tests: Mapping[str, bytes | None] = {"objectClass": target.object_classes[0].encode()}
        is_lock = self._disabling.attribute.lower() == LOCK
        self.lockout = Lockout(self._disabling, directory) if is_lock else None
        self.shown = [self._disabling.attribute, *([POLICY_OF_ENTRY] if is_lock else [])]

    def remote_id(self, entry: Entry) -> str:
        return entry.text(self.id_attribute) or ""

    def id_value(self, remote_id: str) -> bytes:
        return remote_id.encode()

    def name_by_id(self, remote_id: str) -> None:
        """No name: an entry is searched by its id."""

    def is_domain_wide(self, attribute: str) -> bool:
        return False

    def refuse(self, attributes: Attributes) -> None:
        """No rules beyond the server's schema."""

    def birth(self, *, enabled: bool) -> EntryAttributes:
        value, policy = self._wanted(enabled=enabled), self._disabling.policy
        own = {self._disabling.attribute: [value]} if value is not None else {}
        return own | ({POLICY_OF_ENTRY: [policy.encode()]} if policy and not enabled else {})

    def is_enabled(self, entry: Entry) -> bool:
        """Whoever disables by hand may spell the value in capitals, which most schemas allow."""
        values = {text.casefold() for text in entry.texts(self._disabling.attribute)}
        return self._disabling.disabled.casefold() not in values

    def set_enabled(self, entry: Entry, *, enabled: bool) -> list[Step]:
        """While it is disabled an account without a policy of its own is under the declared one."""
        steps: list[Step] = []
        if self.is_enabled(entry) != enabled:
            value = self._wanted(enabled=enabled)
            steps.append(("replace", self._disabling.attribute, [] if value is None else [value]))
        policy, current = self._disabling.policy, entry.text(POLICY_OF_ENTRY)
        if policy and not enabled and current is None:
            steps.append(("add", POLICY_OF_ENTRY, [policy.encode()]))
        if policy and enabled and steps and current and folded(current) == folded(policy):
            steps.append(("replace", POLICY_OF_ENTRY, []))
        return steps

    def _wanted(self, *, enabled: bool) -> bytes | None:
        text = self._disabling.enabled if enabled else self._disabling.disabled
        return None if text is None else text.encode()

    def is_sure_of_absence(self, root: Entry) -> bool:
        """A replica takes no changes, so the server that we use has them all."""
        return True

    async def check(self, directory: Directory, root: Entry) -> str:
        """The attribute that disables has to be in the schema, and to keep people out, or no leaver
        could be disabled."""
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
        if self.lockout:
            disabled = {name: self._disabling.disabled.encode()}
            locked = await directory.search_if_readable(
                self._base, tests={**self.tests, **disabled}, attributes=self.shown, size_limit=1
            )
            await self.lockout.check(locked[0] if locked else None)
        return "LDAP"
