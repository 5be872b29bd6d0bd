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

    An account that is known is addressed by the target's own id, and without one by the key that
    it was last seen to carry (`account.attributes`), never by one that it never carried. Every
    change of a known account sees first, where the target can show it, that the account carries
    that key or the one that `attributes` ask for; else it raises ForeignAccountError and sends
    nothing (I18). What a change returns is what the target showed, in its answer or in a look;
    `was_enabled` is the state that it saw before.
    """

    @property
    def is_watched(self) -> bool:
        """Whether every request goes through `accountsync.wire`, which reports what leaves."""
        ...

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
        """Raises AccountMissingError where the account has surely gone, and NeedsHumanError where
        it may only be hidden from our login."""
        ...

    async def delete(self, account: Account) -> None:
        """Raises AccountMissingError where the account has gone: for the caller a success."""
        ...

    async def find(self, attributes: Attributes) -> RemoteAccount | None:
        """Looks the account up by its stable key. None only when it is surely absent now. When an
        account is adopted, the attributes shown count as applied, and others as wanted."""
        ...

    async def look(self, account: Account, attributes: Attributes) -> RemoteAccount | None:
        """The known account as the target shows it now, wherever it lies. `ours`: it carries the
        key last seen, or the one that `attributes` ask for. None only when it is surely absent by
        the target's own id and by the key that it was last seen to carry. Raises NeedsHumanError
        where it may only be hidden from our login."""
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
