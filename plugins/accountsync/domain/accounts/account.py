"""An account, as we know it and as a target shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from accountsync.domain.storable import cleaned, is_storable

Attributes = Mapping[str, object]
"""The attributes of an account: name → value, as JSON has values."""


class Operation(StrEnum):
    """What an account task does to one account."""

    CREATE = "create"
    """Makes the account: enabled, or disabled for somebody who has not begun yet."""
    UPDATE = "update"
    """Changes attributes, but not the identifier."""
    RENAME = "rename"
    """Changes the identifier, and whatever else has changed with it."""
    ENABLE = "enable"
    """Makes a disabled account usable again, with the attributes that it should have now."""
    DISABLE = "disable"
    """Keeps everybody from logging in with the account; the account and its data stay."""
    DELETE = "delete"
    """Takes the account away for good."""


GIVES = (Operation.CREATE, Operation.ENABLE)
"""These give access, and wait for other systems (I12)."""

TAKES_AWAY = (Operation.DISABLE, Operation.DELETE)
"""These take access away. The guard judges them (I7), and they run in reverse order (I12). They are
done only to accounts that we made or adopted (I11), and an account that has gone needs none."""


class AccountState(StrEnum):
    """The state of an account, as far as the store knows."""

    ABSENT = "absent"
    """It was there, and the target does not show it any more."""
    DISABLED = "disabled"
    """It is there, and nobody can log in with it."""
    ACTIVE = "active"
    """It is there, and can be used."""
    DELETED = "deleted"
    """We deleted it."""


US = "accountsync"
"""Who disabled an account, where we did."""

GONE = (AccountState.ABSENT, AccountState.DELETED)
"""States of an account that is not there."""

THERE = (AccountState.ACTIVE, AccountState.DISABLED)
"""States of an account that is there."""

WANTED = (AccountState.ACTIVE, AccountState.DISABLED, AccountState.DELETED)
"""The states that an account can be wanted to have. Nobody wants it absent: it is found so."""


class Closure(StrEnum):
    """How we know that an account gives no access to somebody who is to have none (I17)."""

    SEEN = "seen"
    """The target showed it disabled, or confirmed that it was."""
    ABSENT = "absent"
    """The target surely had it no more."""
    TOLD = "told"
    """A human said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the store knows of a person's account in one target.

    `attributes`: as sent and confirmed, or as last seen. `remote_id`: the target's own id, of an
    account that is absent the one under which it was last seen. `closed`: whether and how we know
    that it gives no access; None as soon as the person is to have access again.
    """

    state: AccountState
    identifier: str
    remote_id: str | None
    attributes: Attributes
    provenance: str = "created"
    disabled_by: str | None = None
    disabled_reason: str | None = None
    since: datetime | None = None
    """When it came into this state, or later."""
    made_at: datetime | None = None
    """When we made it; None: it was adopted."""
    as_shown: bool = False
    """It was adopted and not planned since, so `attributes` are those that the target showed."""
    closed: Closure | None = None
    key_taken: bool = False
    """Another person has the key by now, and an account that carries it, so that only the target's
    own id tells this one."""

    @property
    def was_used(self) -> bool:
        """Whether somebody could log in with it, now or before: all but what we made disabled for
        somebody who had not begun."""
        never = self.state == AccountState.DISABLED and self.disabled_by == US
        return not (never and self.disabled_reason == "prehire")

    def as_context(self) -> dict[str, Any]:
        own = {"identifier": self.identifier, "remote_id": self.remote_id}
        return {**self.attributes, **own}


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteAccount:
    """An account found in, or just made or changed in, a target.

    `ours`: it carries the person's stable key, and not merely the same name; in a list, where no
    person is looked for, it carries a stable key at all. `enabled`: None where the target does not
    say. `was_enabled`: the same, as the target showed it before a change. `attributes`: those that
    the configuration maps and the target shows, by their names. Nothing of it is what was wished
    for: what the target did not show is missing (I18).
    """

    identifier: str
    remote_id: str | None
    ours: bool
    enabled: bool | None = None
    was_enabled: bool | None = None
    attributes: Attributes = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Replaces what no store can keep, so that the account does not stop all others."""
        for name in ("identifier", "remote_id", "attributes"):
            if not is_storable(value := getattr(self, name)):
                object.__setattr__(self, name, cleaned(value))
