"""What a user shown lacks of what is wanted, and what an answer says against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accountsync.domain.accounts.likeness import is_like
from accountsync.targets.scim_messages import state_of

_NOTHING: tuple[object, ...] = (None, "", [])


def lacking(wanted: Mapping[str, Any], shown: Mapping[str, Any]) -> dict[str, Any]:
    """The wanted attributes, down to their parts, that are not shown to the letter; null for what
    has to go. What the provider spells in its own way is sent again, which is safe."""
    parts: dict[str, Any] = {}
    for name, value in wanted.items():
        other = shown.get(name)
        if isinstance(value, Mapping):
            part = lacking(value, other if isinstance(other, Mapping) else {})
            if part:
                parts[name] = part
        elif not _is_there(value, other):
            parts[name] = value
    return parts


def _is_there(wanted: Any, shown: Any) -> bool:
    if wanted in _NOTHING:
        return shown in _NOTHING
    if isinstance(wanted, list):
        return isinstance(shown, list) and _are_there(wanted, shown)
    if isinstance(wanted, Mapping):
        values = {name: value for name, value in wanted.items() if value is not None}
        return isinstance(shown, Mapping) and all(
            _is_there(value, shown.get(name)) for name, value in values.items()
        )
    return type(wanted) is type(shown) and bool(wanted == shown)


def _are_there(wanted: list[Any], shown: list[Any]) -> bool:
    left = list(shown)
    for value in (value for value in wanted if value is not None):
        match = next((n for n, other in enumerate(left) if _is_there(value, other)), None)
        if match is None:
            return False
        del left[match]
    return not left


def contradicted(
    sent: Mapping[str, Any], shown: Mapping[str, Any], *, enabled: bool | None
) -> set[str]:
    """The names of what was sent and is shown otherwise. What is not shown says nothing."""
    names = {
        name
        for name, value in sent.items()
        if shown.get(name) is not None and not is_like(value, shown[name])
    }
    state = state_of(shown)
    return names | ({"active"} if None not in (enabled, state) and enabled != state else set())
