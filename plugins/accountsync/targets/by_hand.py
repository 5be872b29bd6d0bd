"""Operations that a human carries out: a look-up shows whether they have been done."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from accountsync.domain.accounts.account import Account, Attributes, Operation, RemoteAccount
from accountsync.errors import AccountExistsError, AccountMissingError, NeedsHumanError
from accountsync.targets.rest_look import Looks

_STATES = {Operation.ENABLE: True, Operation.DISABLE: False}


class ByHand:
    """`instructions`: what a human is asked to do. Without `looks` it is asked every time."""

    def __init__(self, instructions: Mapping[Operation, str], looks: Looks | None) -> None:
        self._instructions = instructions
        self._looks = looks

    @property
    def operations(self) -> Collection[Operation]:
        return self._instructions.keys()

    async def made(self, attributes: Attributes) -> RemoteAccount:
        """The account that somebody has made. Raises AccountExistsError where the one found is
        another person's, and NeedsHumanError while there is none."""
        account = await self._looks.find(attributes) if self._looks else None
        if account is None:
            raise self._asked(Operation.CREATE)
        if not account.ours:
            raise AccountExistsError("the account found does not carry this person's key")
        return account

    async def done(
        self, operation: Operation, account: Account, attributes: Attributes
    ) -> RemoteAccount:
        """The account as somebody has changed it. Raises NeedsHumanError while it is not so."""
        if self._looks is None:
            raise self._asked(operation)
        seen = await self._looks.own(account, attributes)
        if seen is None:
            raise AccountMissingError("a look-up does not show the account")
        if not is_done(operation, seen, attributes):
            raise self._asked(operation)
        return seen

    def _asked(self, operation: Operation) -> NeedsHumanError:
        return NeedsHumanError(f"by hand: {self._instructions[operation]}", code="manual")


def is_done(operation: Operation, account: RemoteAccount, wanted: Attributes) -> bool:
    """`wanted`: the attributes as they are to be. What the target does not show is not done."""
    if operation in _STATES:
        return account.enabled is _STATES[operation]
    if operation == Operation.DELETE:
        return False
    return all(
        name in account.attributes and account.attributes[name] == value
        for name, value in wanted.items()
    )
