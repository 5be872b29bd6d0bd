"""Distinguished names (RFC 4514): how they are built, read and compared."""

from __future__ import annotations

import re
from collections.abc import Iterator

Rdn = tuple[tuple[str, str], ...]
"""A relative distinguished name: attribute and value, more than one where joined by `+`."""

_SPECIAL = re.compile(r'[\\,+"<>;=]')
_PAIR = re.compile(r"\\(?P<hex>[0-9A-Fa-f]{2})|\\(?P<char>[ \"#+,;<=>\\])|(?P<plain>[^\\])", re.S)
_TYPE = re.compile(r" *([A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+) *= *")
_VALUE = re.compile(r"(?:\\[0-9A-Fa-f]{2}|\\[ \"#+,;<=>\\]|[^\\,+;\"<>])*", re.S)


def escaped(value: str) -> str:
    """A value as it may stand in a distinguished name (RFC 4514 §2.4)."""
    text = _SPECIAL.sub(lambda match: "\\" + match[0], value).replace("\0", "\\00")
    if text.startswith(("#", " ")):
        text = "\\" + text
    return text[:-1] + "\\ " if value.endswith(" ") and len(value) > 1 else text


def rdn(attribute: str, value: str) -> str:
    return f"{attribute}={escaped(value)}"


def joined(*parts: str) -> str:
    return ",".join(part for part in parts if part)


def parsed(text: str) -> tuple[Rdn, ...]:
    """The parts, the innermost first; none of an empty text. Raises ValueError without the text."""
    return tuple(_rdns(text)) if text.strip() else ()


def _rdns(text: str) -> Iterator[Rdn]:
    at, pairs = 0, []
    while True:
        kind = _TYPE.match(text, at)
        if kind is None:
            raise ValueError("not a distinguished name: expected attribute=value,attribute=value")
        value = _VALUE.match(text, kind.end())
        at = value.end() if value else kind.end()
        pairs.append((kind[1], _unescaped(value[0] if value else "")))
        if at == len(text):
            yield tuple(pairs)
            return
        if text[at] not in ",+":
            raise ValueError("not a distinguished name: a special character is not escaped")
        if text[at] == ",":
            yield tuple(pairs)
            pairs = []
        at += 1


def _unescaped(text: str) -> str:
    """The value. Blanks around it do not count unless they are escaped."""
    raw = bytearray()
    length = 0
    for pair in _PAIR.finditer(text.lstrip(" ")):
        raw += bytes.fromhex(pair["hex"]) if pair["hex"] else (pair[2] or pair[3]).encode()
        if pair["plain"] != " ":
            length = len(raw)
    return bytes(raw[:length]).decode("utf-8", "replace")


def folded(text: str) -> tuple[Rdn, ...]:
    """A form for comparing: directories ignore case in names and in nearly all values."""
    return tuple(
        tuple(sorted((kind.casefold(), " ".join(value.split()).casefold()) for kind, value in part))
        for part in parsed(text)
    )


def parent(text: str) -> str:
    """All but the innermost part, in the normal form."""
    return joined(
        *("+".join(rdn(kind, value) for kind, value in part) for part in parsed(text)[1:])
    )


def is_below(text: str, base: str) -> bool:
    """Whether it is `base` or lies below it."""
    inner, outer = folded(text), folded(base)
    return inner[len(inner) - len(outer) :] == outer


def relative(text: str, base: str) -> str:
    """The parts below `base`, in the normal form; nothing for the base itself. A name that does not
    lie below it stays as it is."""
    if not is_below(text, base):
        return text
    parts = parsed(text)[: len(parsed(text)) - len(parsed(base))]
    return joined(*("+".join(rdn(kind, value) for kind, value in part) for part in parts))


def from_path(path: str) -> str:
    """The name of a path such as Group/Research, the outermost unit first: OU=Research,OU=Group."""
    names = [name for name in path.split("/") if name.strip()]
    return joined(*(rdn("OU", name) for name in reversed(names)))
