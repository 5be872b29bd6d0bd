"""Where below the base an account lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accountsync.domain.accounts.distinguished_name import is_below, joined, parsed, rdn
from accountsync.errors import NeedsDataError
from accountsync.settings.ldap import LdapTarget
from accountsync.targets.connector import required


def container_dn(target: LdapTarget, attributes: Mapping[str, Any]) -> str:
    """A path such as Group/Research, or OU=Research,OU=Group, or such a name with the base."""
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
