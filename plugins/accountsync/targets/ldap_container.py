"""The container below the base that an account lies in."""

from __future__ import annotations

from accountsync.domain.accounts.account import Attributes
from accountsync.domain.accounts.distinguished_name import is_below, joined, parsed, rdn
from accountsync.errors import NeedsDataError
from accountsync.settings.ldap import LdapTarget
from accountsync.targets.connector import required


def container_dn(target: LdapTarget, attributes: Attributes) -> str:
    """Read from a path such as Group/Research, or from OU=Research,OU=Group, with or without the
    base. Raises NeedsDataError for any other text."""
    if target.container is None:
        return target.base
    text = required(attributes, target.container)
    if text.startswith("/") or "=" not in text:
        names = [name for name in text.split("/") if name.strip()]
        return joined(*(rdn("OU", name) for name in reversed(names)), target.base)
    try:
        parsed(text)
    except ValueError:
        raise NeedsDataError(
            f"{target.container!r} is neither a path (Group/Research) nor OU=…,OU=…: correct the"
            " department mapping"
        ) from None
    return text if is_below(text, target.base) else joined(text, target.base)
