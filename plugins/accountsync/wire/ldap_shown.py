"""An LDAP change as a dry run shows it: names of attributes, no values (I15)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from accountsync.domain.accounts.distinguished_name import Rdn, folded, joined, parsed, rdn
from accountsync.wire.ldap_messages import STEPS, Request
from accountsync.wire.request import MASK, masked_value

_PASSWORDS = frozenset({"unicodepwd", "userpassword"})
_BOOLEANS = {b"TRUE": True, b"FALSE": False}
_STEP_NAMES = {number: name for name, number in STEPS.items()}


def shown(request: Request, *, configured: Collection[str]) -> str:
    """The operation and its content, read from the very message that would be sent.

    `configured`: distinguished names of the configuration, such as the base and the groups. They
    are shown in full. Of any other name only the attributes are shown."""
    kind, content = request
    operation, shape = _SHAPES[kind](content, configured)
    return f"{operation} {orjson.dumps(shape).decode()}"


def _added(content: Any, configured: Collection[str]) -> tuple[str, Mapping[str, Any]]:
    attributes = dict(_attribute(attribute) for attribute in content["attributes"])
    return "add", {"entry": _name(content["entry"], configured), "attributes": attributes}


def _modified(content: Any, configured: Collection[str]) -> tuple[str, Mapping[str, Any]]:
    changes = [
        {_STEP_NAMES[int(change["operation"])]: dict([_attribute(change["modification"])])}
        for change in content["changes"]
    ]
    return "modify", {"entry": _name(content["object"], configured), "changes": changes}


def _moved(content: Any, configured: Collection[str]) -> tuple[str, Mapping[str, Any]]:
    return "modifyDN", {
        "entry": _name(content["entry"], configured),
        "newrdn": _name(content["newrdn"], ()),
        "newSuperior": _name(content["newSuperior"], configured),
    }


def _deleted(content: Any, configured: Collection[str]) -> tuple[str, Mapping[str, Any]]:
    return "delete", {"entry": _name(content, configured)}


_SHAPES = {
    "addRequest": _added,
    "modifyRequest": _modified,
    "modDNRequest": _moved,
    "delRequest": _deleted,
}


def _attribute(attribute: Any) -> tuple[str, Any]:
    """Its name, and the shape of its values as HTTP bodies have it."""
    name = bytes(attribute["type"]).decode()
    if name.lower() in _PASSWORDS:
        return name, "set"
    values = [masked_value(_BOOLEANS.get(bytes(value), MASK)) for value in attribute["vals"]] or [
        None
    ]
    return name, values[0] if len(values) == 1 else values


def _name(raw: Any, configured: Collection[str]) -> str:
    """A distinguished name in which only what the configuration names can be read."""
    text = bytes(raw).decode("utf-8", "replace")
    try:
        parts, readable = parsed(text), _readable(text, configured)
    except ValueError:
        return MASK
    hidden = len(parts) - readable
    return joined(
        *(_part(part, is_readable=position >= hidden) for position, part in enumerate(parts)),
    )


def _readable(text: str, configured: Collection[str]) -> int:
    """How many of its outermost parts stand in the configuration."""
    parts = folded(text)
    suffixes = [folded(name) for name in configured]
    return max((len(suffix) for suffix in suffixes if _ends_with(parts, suffix)), default=0)


def _ends_with(parts: Sequence[Rdn], suffix: Sequence[Rdn]) -> bool:
    return len(suffix) <= len(parts) and parts[len(parts) - len(suffix) :] == suffix


def _part(part: Rdn, *, is_readable: bool) -> str:
    return "+".join(rdn(kind, value) if is_readable else f"{kind}={MASK}" for kind, value in part)
