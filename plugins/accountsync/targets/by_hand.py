"""Operations that a human carries out: what a look says about whether it has been done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accountsync.domain.accounts.account import Operation, RemoteAccount
from accountsync.errors import AccountExistsError, AccountMissingError

_STATES = {Operation.ENABLE: True, Operation.DISABLE: False}


def is_done(operation: Operation, found: RemoteAccount | None, wanted: Mapping[str, Any]) -> bool:
    """`wanted`: the attributes as they are to be. What the target does not show is not done.

    Raises AccountExistsError where the account is somebody else's, AccountMissingError where there
    is none to change.
    """
    if found is None:
        if operation == Operation.CREATE:
            return False
        raise AccountMissingError("a look-up by key does not show the account")
    if not found.ours:
        raise AccountExistsError("the account found does not carry this person's key")
    if operation in _STATES:
        return found.enabled is _STATES[operation]
    if operation == Operation.DELETE:
        return False
    return operation == Operation.CREATE or all(
        name in found.attributes and found.attributes[name] == value
        for name, value in wanted.items()
    )
