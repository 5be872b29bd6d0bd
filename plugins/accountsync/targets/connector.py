"""What every connector does for the processor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from accountsync.domain.account import RemoteAccount
from accountsync.errors import NeedsDataError


class Connector(Protocol):
    """One target's operations. `attributes` are those the configuration maps for the target.

    All raise TransientError, TargetDownError, ConfigurationError, RecordErrors and, for changes,
    UnknownOutcomeError: translated in one place (wire.api, and the connector's own answers).
    """

    @property
    def can_find(self) -> bool:
        """Whether an account can be looked up; without it an unknown outcome needs a human."""
        ...

    async def create(self, attributes: Mapping[str, Any]) -> RemoteAccount:
        """Raises AccountExistsError where the target already has such an account."""
        ...

    async def find(self, attributes: Mapping[str, Any]) -> RemoteAccount | None:
        """By stable key. None only when the account is surely absent (as of now)."""
        ...


def required(attributes: Mapping[str, Any], name: str) -> str:
    """Asked before anything is sent. Raises NeedsDataError: the task is older than its rules."""
    if attributes.get(name) is None:
        raise NeedsDataError(f"the task was planned without the attribute {name!r}")
    return str(attributes[name])
