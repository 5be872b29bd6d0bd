"""An account, as we know it and as a target shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

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
        """The store keeps no NUL characters: an account with one is not what it should be, and
        stops nobody else's."""
        for name in ("identifier", "remote_id", "attributes"):
            if has_nul(value := getattr(self, name)):
                object.__setattr__(self, name, without_nul(value))


def has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, Mapping):
        return any(has_nul(key) or has_nul(one) for key, one in value.items())
    return isinstance(value, list | tuple) and any(map(has_nul, value))


def without_nul(value: Any) -> Any:
    """Each is replaced by U+FFFD, the sign for what cannot be shown."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, Mapping):
        return {without_nul(key): without_nul(one) for key, one in value.items()}
    return [without_nul(one) for one in value] if isinstance(value, list | tuple) else value
