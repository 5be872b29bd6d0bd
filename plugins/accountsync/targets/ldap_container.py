"""The container that an account lies in, or is to lie in."""

from __future__ import annotations

from accountsync.domain.accounts.account import Attributes
from accountsync.domain.accounts.distinguished_name import (
    from_path,
    is_below,
    joined,
    parent,
    parsed,
    rdn,
)
from accountsync.errors import NeedsDataError
from accountsync.settings.ldap import LdapTarget
from accountsync.targets.connector import required

_UNITS = frozenset({"ou", "dc", "o", "c", "l"})


def container_dn(target: LdapTarget, attributes: Attributes) -> str:
    """Read from a path such as Group/Research, or from OU=Research,OU=Group, with or without the
    base. Raises NeedsDataError for any other text."""
    if target.container is None:
        return target.base
    text = required(attributes, target.container)
    if text.startswith("/") or "=" not in text:
        return joined(from_path(text), target.base)
    try:
        parsed(text)
    except ValueError:
        raise NeedsDataError(
            f"{target.container!r} is neither a path (Group/Research) nor OU=…,OU=…: correct the"
            " department mapping"
        ) from None
    return text if is_below(text, target.base) else joined(text, target.base)


def place_of(dn: str) -> str:
    """The container of an entry for a message: units and domains can be read, any other part may
    be called like a person (I15)."""
    return joined(
        *(
            "+".join(
                rdn(kind, value) if kind.lower() in _UNITS else f"{kind}=…" for kind, value in part
            )
            for part in parsed(parent(dn))
        )
    )
