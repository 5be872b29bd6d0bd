"""JSON with values that cannot be read: a bad value of one row costs no other row (I3)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import isinf
from typing import Any

import orjson

from accountsync.domain.reasons import Kind, Reason

_HALF_CHARACTER = Reason.of(Kind.HAS_HALF_A_CHARACTER)
NO_NUMBER = Reason.of(Kind.IS_NO_NUMBER)
_INTEGERS = range(-(2**63), 2**64)
"""What orjson reads as integers. It reads larger numbers as numbers with a fraction."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a value that cannot be read. `text`: how it was written, perhaps with lone
    surrogates: bytes that are no character are U+DC80 … U+DCFF. `reason`: without a field."""

    text: str = field(repr=False)
    reason: Reason


def parse(document: bytes | str) -> Any:
    """Parses as orjson does. Where only some values are bad, those are `Unreadable`, or texts with
    lone surrogates. Raises json.JSONDecodeError for what is no JSON at all."""
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError as error:
        return _parse(document, error)


def _parse(document: bytes | str, refused: orjson.JSONDecodeError) -> Any:
    text = document if isinstance(document, str) else document.decode("utf-8", "surrogateescape")
    try:
        return json.loads(text, parse_int=_int, parse_float=_float, parse_constant=_no_number)
    except RecursionError:
        raise refused from None


def _no_number(text: str) -> Unreadable:
    return Unreadable(text, NO_NUMBER)


def _float(text: str) -> float | Unreadable:
    number = float(text)
    return _no_number(text) if isinf(number) else number


def _int(text: str) -> float | int | Unreadable:
    if len(text) <= 20 and (number := int(text)) in _INTEGERS:
        return number
    return _float(text)


def marked(node: Any) -> Any:
    """The same node, with `Unreadable` in place of each text that cannot be encoded."""
    if isinstance(node, str):
        return node if _is_whole(node) else Unreadable(node, _HALF_CHARACTER)
    if isinstance(node, dict):
        return {name: marked(value) for name, value in node.items()}
    if isinstance(node, list):
        return [marked(value) for value in node]
    return node


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def written(row: Any) -> bytes:
    """A row with unreadable values as JSON that any database keeps: the row as one text."""
    if isinstance(row, Unreadable):
        text = row.text
    else:
        text = json.dumps(row, default=_spelling, ensure_ascii=False, sort_keys=True)
    return orjson.dumps(text.encode("utf-8", "backslashreplace").decode())


def _spelling(value: Any) -> str:
    if isinstance(value, Unreadable):
        return value.text
    raise TypeError(f"{type(value).__name__} has no place in a row")


def read_again(raw: Any) -> Any:
    """The row that `written` was given, as far as it can be restored; other rows unchanged."""
    if not isinstance(raw, str):
        return raw
    try:
        return parse(raw)
    except json.JSONDecodeError:
        return raw
