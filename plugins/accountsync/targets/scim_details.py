"""What a provider says of its refusal, without anything about anybody (I15)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from accountsync.wire.request import MASK, Rendered

_QUOTED = re.compile(r"""(["'`“‘«]).*?(["'`”’»])""", re.DOTALL)
_NAME_OF_ATTRIBUTE = re.compile(r"(externalId|userName|displayName|[Ss]cim|SCIM|ID|URN|JSON|HTTP)")
_PLAIN = re.compile(r"[A-Za-z]?[a-z]+")
_PROTOCOL = ("schemas", "op")
_QUOTED_IN_PATH = re.compile(r'\[.*"(.*)".*\]')
_FIRST_WORD = re.compile(
    r"(An?|Another|Attribute|Bad|Cannot|Conflict|Duplicate|E-?mail|Error|Failed|Filter|Group|Invalid"
    r"|Missing|Must|No|Not|Operation|Password|Path|Request|Required|Resource|Schema|The|This|Unable"
    r"|Unique|Unknown|Unsupported|User|Username|Value)"
)
"""Other words that begin with a capital may be somebody's name."""
_EDGES = ".,;:!?()[]{}<>"
_LONGEST = 200
"""In characters."""


def masked_detail(body: Any, request: Rendered) -> str:
    """The detail of an error (RFC 7644 §3.12), ready to be put after a message. Only plain words
    stay, and names of attributes: no value that was sent or named in the path, nothing in quotes,
    no name with a capital, no figure, no sign of an address, no other script."""
    detail = body.get("detail") if isinstance(body, Mapping) else None
    if not isinstance(detail, str) or not detail.strip():
        return ""
    secrets = {part for text in _texts(request) for part in _parts(text)}
    attributes = set(_names(request.body))
    words: list[str] = []
    for word in _QUOTED.sub(MASK, detail).split():
        stays = _is_harmless(word.strip(_EDGES), attributes, secrets)
        if stays or not words or words[-1] != MASK:
            words.append(word if stays else MASK)
    return f": {' '.join(words)[:_LONGEST]}"


def _is_harmless(word: str, attributes: set[str], secrets: set[str]) -> bool:
    if word in attributes or _NAME_OF_ATTRIBUTE.fullmatch(word):
        return True
    if not _PLAIN.fullmatch(word) or (word[0].isupper() and not _FIRST_WORD.fullmatch(word)):
        return False
    folded = word.casefold()
    return not any(folded == part or (len(part) > 2 and part in folded) for part in secrets)


def _texts(request: Rendered) -> Iterator[str]:
    """Everything that was sent and may be about somebody."""
    yield unquote(request.path.rpartition("/")[2])
    yield from _values({**request.query})
    yield from _values(request.body)


def _values(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            if name == "path":
                yield from _QUOTED_IN_PATH.findall(str(value))
            elif name not in _PROTOCOL:
                yield from _values(value)
    elif isinstance(node, list):
        for child in node:
            yield from _values(child)
    elif isinstance(node, str):
        yield node


def _parts(text: str) -> Iterator[str]:
    return (part for part in re.split(r"[\W_\d]+", text.casefold()) if len(part) > 1)


def _names(node: Any) -> Iterator[str]:
    """The names of attributes that were sent."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield name
            if name == "path":
                yield from re.split(r"[.:]", _QUOTED_IN_PATH.sub("", str(value)))
            yield from _names(value)
    elif isinstance(node, list):
        for child in node:
            yield from _names(child)
