"""What every connector does for the processor, and the types that connectors share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from accountsync.domain.accounts.account import Account, Attributes, Operation, RemoteAccount
from accountsync.errors import NeedsDataError


class Connector(Protocol):
    """One target's operations. `attributes` are those the configuration maps for the target;
    `account` is what the store knows of the account, its `remote_id` above all.

    All raise TransientError, TargetDownError, ConfigurationError and RecordErrors; changes raise
    UnknownOutcomeError, too. Errors of the wire are translated in wire.api and wire.directory.
    Changes set a state and are safe to repeat once a look-up has shown that the account is ours.
    """

    @property
    def operations(self) -> frozenset[Operation]:
        """The operations that this target can carry out."""
        ...

    @property
    def can_find(self) -> bool:
        """Whether an account can be looked up; without it an unknown outcome needs a human."""
        ...

    @property
    def can_list(self) -> bool:
        """Whether all accounts can be listed: for adoption and reconciliation."""
        ...

    async def create(self, attributes: Attributes, *, enabled: bool = True) -> RemoteAccount:
        """Raises AccountExistsError where the target already has such an account."""
        ...

    async def update(self, account: Account, attributes: Attributes) -> RemoteAccount:
        """Raises AccountMissingError where the account has gone; so do rename and enable."""
        ...

    async def rename(self, account: Account, attributes: Attributes) -> RemoteAccount:
        """As `update`, where the identifier itself changes."""
        ...

    async def enable(self, account: Account, attributes: Attributes) -> RemoteAccount: ...

    async def disable(self, account: Account, attributes: Attributes) -> RemoteAccount:
        """Raises AccountMissingError where the account has gone: for the caller a success."""
        ...

    async def delete(self, account: Account) -> None:
        """Raises AccountMissingError where the account has gone: for the caller a success."""
        ...

    async def find(self, attributes: Attributes) -> RemoteAccount | None:
        """Looks the account up by its stable key. None only when it is surely absent now. When an
        account is adopted, the attributes shown count as applied, and others as wanted."""
        ...

    def list(self) -> AsyncIterator[RemoteAccount]:
        """Every account of the target. Raises IncompleteReadError rather than leave some out."""
        ...

    async def check(self) -> str:
        """Reaches the target with its credentials, changes nothing. Its text goes on after "It"."""
        ...


OpenConnector = Callable[[], AbstractAsyncContextManager[Connector]]
"""Opens a connector and its connections; they are closed when the block ends."""


def required(attributes: Attributes, name: str) -> str:
    """Called before anything is sent. Raises NeedsDataError: the task is older than its rules."""
    if attributes.get(name) is None:
        raise NeedsDataError(f"the task was planned without the attribute {name!r}")
    return str(attributes[name])
