"""Values as the store takes them.

A value of somebody else's may hold characters that no text of PostgreSQL can hold, and numbers
beyond 64 bits, which JSON does not carry here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\ufffd"
_SMALLEST, _BEYOND = -(2**63), 2**64


def is_storable(value: object) -> bool:
    if isinstance(value, str):
        return value.isascii() and "\x00" not in value or not _NO_TEXT.search(value)
    if isinstance(value, int | float):
        return _SMALLEST <= value < _BEYOND
    if isinstance(value, Mapping):
        return all(is_storable(key) and is_storable(member) for key, member in value.items())
    return not isinstance(value, list | tuple) or all(map(is_storable, value))


def cleaned(value: Any) -> Any:
    """A JSON value in which NUL and halves of surrogate pairs are replaced, and numbers beyond 64
    bits are texts."""
    if isinstance(value, str):
        return _NO_TEXT.sub(_REPLACEMENT, value)
    if isinstance(value, int | float) and not is_storable(value):
        return str(value)
    if isinstance(value, dict):
        return {cleaned(key): cleaned(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(member) for member in value]
    return value


def as_json(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as JSON. They are cleaned only where something is wrong, which is rare: cleaning
    visits every value."""
    try:
        raw = orjson.dumps(rows)
    except orjson.JSONEncodeError:
        raw = orjson.dumps(cleaned(rows))
    if b"\\u0000" in raw:
        raw = orjson.dumps(cleaned(rows))
    return raw.decode()
