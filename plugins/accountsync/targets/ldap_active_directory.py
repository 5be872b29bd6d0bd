"""Active Directory, and Samba as its domain controller: what differs from other directories."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from uuid import UUID

from accountsync.domain.accounts.account import Attributes
from accountsync.errors import ConfigurationError, RejectedByTargetError
from accountsync.settings.ldap import LdapTarget
from accountsync.wire.directory import Directory
from accountsync.wire.ldap_controls import SHOW_DELETED
from accountsync.wire.ldap_messages import Entry, EntryAttributes, Step

_CONTROL = "userAccountControl"
_NORMAL_ACCOUNT, _ACCOUNTDISABLE = 0x200, 0x2
_LOGON_NAME = re.compile(r'[^"/\\\[\]:;|=,+*?<>@\x00-\x1f]{1,20}(?<!\.)')
"""sAMAccountName: at most 20 characters for a user, some of them forbidden."""


class ActiveDirectory:
    id_attribute = "objectGUID"
    groups_follow = True
    skips_references = True
    """A search from the domain's root refers to the partitions of DNS, which hold no accounts."""
    tests: Mapping[str, bytes | None] = {"objectClass": b"user", "objectCategory": b"person"}
    shown = (_CONTROL,)
    deleted = SHOW_DELETED
    lockout = None

    def __init__(self, target: LdapTarget, directory: Directory) -> None:
        self._host = directory.server_name
        if not directory.is_encrypted:
            raise ConfigurationError(
                f"{target.conn_id}: Active Directory takes passwords on an encrypted channel only:"
                " `tls` in the Connection's extra has to be ldaps or start_tls"
            )

    def remote_id(self, entry: Entry) -> str:
        raw = next(iter(entry.attributes.get("objectguid", ())), b"")
        return str(UUID(bytes_le=raw)) if len(raw) == 16 else ""

    def id_value(self, remote_id: str) -> bytes:
        return UUID(remote_id).bytes_le

    def name_by_id(self, remote_id: str) -> str:
        """MS-ADTS §3.1.1.3.1.2.4."""
        return f"<GUID={UUID(remote_id)}>"

    def is_domain_wide(self, attribute: str) -> bool:
        """Users, groups and computers share these."""
        return attribute.lower() in ("samaccountname", "userprincipalname")

    def refuse(self, attributes: Attributes) -> None:
        name = str(attributes.get("sAMAccountName", ""))
        if not _LOGON_NAME.fullmatch(name):
            raise RejectedByTargetError(
                'sAMAccountName has to have 1 to 20 characters, none of "/\\[]:;|=,+*?<>@',
                code="sAMAccountName",
            )

    def birth(self, *, enabled: bool) -> EntryAttributes:
        """One request takes them and the mapped attributes, so no half account is ever there."""
        control = _NORMAL_ACCOUNT if enabled else _NORMAL_ACCOUNT | _ACCOUNTDISABLE
        return {_CONTROL: [b"%d" % control], "unicodePwd": [_password()]}

    def is_enabled(self, entry: Entry) -> bool | None:
        flags = _flags(entry)
        return None if flags is None else not flags & _ACCOUNTDISABLE

    def set_enabled(self, entry: Entry, *, enabled: bool) -> list[Step]:
        """Changes one bit, and only if no bit has changed since it was read: others own them."""
        flags = _flags(entry)
        if flags is None:
            raise RejectedByTargetError(
                "our login may not read its userAccountControl", code=_CONTROL
            )
        wanted = flags & ~_ACCOUNTDISABLE if enabled else flags | _ACCOUNTDISABLE
        if flags == wanted:
            return []
        return [("delete", _CONTROL, [b"%d" % flags]), ("add", _CONTROL, [b"%d" % wanted])]

    def is_sure_of_absence(self, root: Entry) -> bool:
        """Only where we always ask one domain controller, which has all our changes. The name of a
        domain or a balancer leads to another one each time, and new accounts get there late."""
        return (root.text("dnsHostName") or "").casefold() == self._host.casefold()

    async def check(self, directory: Directory, root: Entry) -> str:
        server = f"Active Directory, domain controller {root.text('dnsHostName')}"
        if not self.is_sure_of_absence(root):
            server += " (name it as host: behind another name no look-up can say 'not there')"
        return server


def _flags(entry: Entry) -> int | None:
    text = entry.text(_CONTROL) or ""
    return int(text) if re.fullmatch(r"-?[0-9]{1,10}", text) else None


def _password() -> bytes:
    """A random password that nobody sees and nothing keeps. The person's own is set by a reset."""
    text = f'"{secrets.token_urlsafe(30)}aA1!"'
    return text.encode("utf-16-le")
