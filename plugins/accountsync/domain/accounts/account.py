"""An account, as we know it and as a target shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from accountsync.domain.storable import cleaned, is_storable

GONE = frozenset({"absent", "deleted"})
"""States of an account that is not there."""

OPERATIONS = ("create", "update", "rename", "enable", "disable", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the store knows of a person's account in one system."""

    state: str
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
