"""An account, as we know it and as a target shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from accountsync.domain.storable import cleaned, is_storable


class Operation(StrEnum):
    """What an account task does to one account."""

    CREATE = "create"
    """Makes the account, enabled or (of somebody who has not begun yet) disabled."""
    UPDATE = "update"
    """Changes attributes, but not the identifier."""
    RENAME = "rename"
    """Changes the identifier, and whatever else has changed with it."""
    ENABLE = "enable"
    """Makes a disabled account usable again, with the attributes that are right by now."""
    DISABLE = "disable"
    """Nobody can log in with the account any more; the account and its data stay."""
    DELETE = "delete"
    """The account goes for good."""


GIVES = (Operation.CREATE, Operation.ENABLE)
"""What gives access: it waits for other systems (I12)."""

TAKES_AWAY = (Operation.DISABLE, Operation.DELETE)
"""What takes access away. The guard judges it (I7), it is done only to accounts that we made or
adopted (I11), an account that has gone satisfies it, and it runs in reverse order (I12)."""


class AccountState(StrEnum):
    """What an account is, as far as the store knows."""

    ABSENT = "absent"
    """It was there, and the target does not show it any more."""
    DISABLED = "disabled"
    """It is there, and nobody can log in with it."""
    ACTIVE = "active"
    """It is there, and can be used."""
    DELETED = "deleted"
    """We deleted it."""


GONE = (AccountState.ABSENT, AccountState.DELETED)
"""States of an account that is not there."""

THERE = (AccountState.ACTIVE, AccountState.DISABLED)
"""States of an account that is there."""

WANTED = (AccountState.ACTIVE, AccountState.DISABLED, AccountState.DELETED)
"""What an account can be wanted to be. Absent it is only found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the store knows of a person's account in one system."""

    state: AccountState
    identifier: str
    remote_id: str | None
    attributes: Mapping[str, Any]
    provenance: str = "created"
    disabled_by: str | None = None
    disabled_reason: str | None = None
    since: datetime | None = None
    """Since when it is in this state, or later."""
    as_shown: bool = False
    """Adopted, and not planned since: `attributes` are what the target showed of them."""

    def as_context(self) -> dict[str, Any]:
        own = {"identifier": self.identifier, "remote_id": self.remote_id}
        return {**self.attributes, **own}


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteAccount:
    """An account found in, or just made or changed in, a target.

    `ours`: it carries the person's stable key; an account that merely has the same name does not.
    In a list nobody is looked for: it carries a stable key at all. `enabled`: None where the target
    does not say. `attributes`: what it shows of those the configuration maps, under their names.
    """

    identifier: str
    remote_id: str | None
    ours: bool
    enabled: bool | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """What no store can keep is replaced: it is this account's trouble, and nobody else's."""
        for name in ("identifier", "remote_id", "attributes"):
            if not is_storable(value := getattr(self, name)):
                object.__setattr__(self, name, cleaned(value))
