"""What every connector does for the processor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from accountsync.domain.accounts.account import Account, Operation, RemoteAccount
from accountsync.errors import NeedsDataError


class Connector(Protocol):
    """One target's operations. `attributes` are those the configuration maps for the target;
    `account` is what the store knows of the account, its `remote_id` above all.

    All raise TransientError, TargetDownError, ConfigurationError, RecordErrors and, for changes,
    UnknownOutcomeError: translated in one place (wire.api, and the connector's own answers).
    Changes set a state and are safe to repeat once a look-up has shown that the account is ours.
    """

    @property
    def operations(self) -> frozenset[Operation]:
        """Those that this target can carry out."""
        ...

    @property
    def can_find(self) -> bool:
        """Whether an account can be looked up; without it an unknown outcome needs a human."""
        ...

    @property
    def can_list(self) -> bool:
        """Whether all accounts can be listed: for adoption and reconciliation."""
        ...

    async def create(self, attributes: Mapping[str, Any], *, enabled: bool = True) -> RemoteAccount:
        """Raises AccountExistsError where the target already has such an account."""
        ...

    async def update(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        """Raises AccountMissingError where the account has gone; so do rename and enable."""
        ...

    async def rename(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        """As `update`, where the identifier itself changes."""
        ...

    async def enable(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount: ...

    async def disable(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        """Raises AccountMissingError where the account has gone: for the caller a success."""
        ...

    async def delete(self, account: Account) -> None:
        """Raises AccountMissingError where the account has gone: for the caller a success."""
        ...

    async def find(self, attributes: Mapping[str, Any]) -> RemoteAccount | None:
        """By stable key. None only when the account is surely absent (as of now). Of one that is
        adopted the attributes shown count as applied, and those not shown as they are wanted."""
        ...

    def list(self) -> AsyncIterator[RemoteAccount]:
        """Every account of the target. Raises IncompleteReadError rather than leave some out."""
        ...

    async def check(self) -> str:
        """Reaches the target with its credentials, changes nothing. What it did, after "It …"."""
        ...


OpenConnector = Callable[[], AbstractAsyncContextManager[Connector]]
"""Opens a connector and its connections; they are closed when the block ends."""


def required(attributes: Mapping[str, Any], name: str) -> str:
    """Asked before anything is sent. Raises NeedsDataError: the task is older than its rules."""
    if attributes.get(name) is None:
        raise NeedsDataError(f"the task was planned without the attribute {name!r}")
    return str(attributes[name])
