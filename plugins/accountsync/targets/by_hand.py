"""Operations that a human carries out: a look-up shows whether they have been done."""

from __future__ import annotations

from accountsync.domain.accounts.account import Attributes, Operation, RemoteAccount
from accountsync.errors import AccountExistsError, AccountMissingError

_STATES = {Operation.ENABLE: True, Operation.DISABLE: False}


def is_done(operation: Operation, account: RemoteAccount | None, wanted: Attributes) -> bool:
    """`account`: as a look-up shows it. `wanted`: the attributes as they are to be. What the target
    does not show is not done.

    Raises AccountExistsError where the account is somebody else's, AccountMissingError where there
    is none to change.
    """
    if account is None:
        if operation == Operation.CREATE:
            return False
        raise AccountMissingError("a look-up by key does not show the account")
    if not account.ours:
        raise AccountExistsError("the account found does not carry this person's key")
    if operation in _STATES:
        return account.enabled is _STATES[operation]
    if operation == Operation.DELETE:
        return False
    return operation == Operation.CREATE or all(
        name in account.attributes and account.attributes[name] == value
        for name, value in wanted.items()
    )
