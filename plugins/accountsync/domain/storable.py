"""Values as the store takes them: what others said may hold characters that no text has there,
and numbers that are read back as integers which JSON does not carry here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\ufffd"
_SMALLEST, _BEYOND = -(2**63), 2**64


def is_storable(value: Any) -> bool:
    if isinstance(value, str):
        return value.isascii() and "\x00" not in value or not _NO_TEXT.search(value)
    if isinstance(value, int | float):
        return _SMALLEST <= value < _BEYOND
    if isinstance(value, Mapping):
        return all(is_storable(key) and is_storable(one) for key, one in value.items())
    return not isinstance(value, list | tuple) or all(map(is_storable, value))


def cleaned(value: Any) -> Any:
    """NUL and halves of surrogate pairs replaced, numbers beyond 64 bits as text, through all of a
    JSON value."""
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
    """Cleaned only where something is wrong, which is next to never."""
    try:
        raw = orjson.dumps(rows)
    except orjson.JSONEncodeError:
        raw = orjson.dumps(cleaned(rows))
    if b"\\u0000" in raw:
        raw = orjson.dumps(cleaned(rows))
    return raw.decode()
