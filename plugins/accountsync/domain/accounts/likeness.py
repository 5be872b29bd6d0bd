"""Whether a target shows the wanted values, however it spells them.

Directories and services store values in their own way: in another case or order, with blanks, with
numbers as texts, with one value for a list of one, with parts of a name that nobody gave. None of
these is a difference, because sending the value again would change nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from accountsync.domain.accounts.account import Attributes
from accountsync.domain.accounts.distinguished_name import Rdn, folded, from_path


def as_found(wanted: Attributes, shown: Attributes) -> dict[str, Any]:
    """The attributes that count as applied: the wanted value, unless the target shows another one.
    An attribute that it does not show at all, such as a password, counts as applied."""
    return {
        name: value if shown.get(name) is None or is_like(value, shown[name]) else shown[name]
        for name, value in wanted.items()
    }


def with_gaps(
    shown: Attributes, wanted: Attributes, *, always_shown: Collection[str]
) -> dict[str, Any]:
    """The shown attributes, with an empty text for each that is wanted and not there.

    `always_shown`: the attributes that the target shows whenever they have a value.
    """
    gaps = {
        name: ""
        for name, value in wanted.items()
        if name in always_shown and shown.get(name) is None and not _is_nothing(value)
    }
    return {**shown, **gaps}


def is_like(wanted: object, shown: object) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(shown, Mapping) and all(
            shown.get(name) is None or is_like(value, shown[name]) for name, value in wanted.items()
        )
    if isinstance(wanted, list | tuple) or isinstance(shown, list | tuple):
        return _are_like(_values(wanted), _values(shown))
    if _is_nothing(wanted) or _is_nothing(shown) or isinstance(shown, Mapping):
        return _is_nothing(wanted) and _is_nothing(shown)
    return _spelt(wanted) == _spelt(shown) or _is_same_name(str(wanted), str(shown))


def _values(value: object) -> list[object]:
    values = value if isinstance(value, list | tuple) else [value]
    return [member for member in values if not _is_nothing(member)]


def _is_nothing(value: object) -> bool:
    return value is None or value == ""


def _are_like(wanted: Sequence[object], shown: Sequence[object]) -> bool:
    left = list(shown)
    for value in wanted:
        match = next((n for n, other in enumerate(left) if is_like(value, other)), None)
        if match is None:
            return False
        del left[match]
    return not left


def _spelt(value: object) -> str:
    return " ".join(unicodedata.normalize("NFKC", str(value)).casefold().split())


def _is_same_name(wanted: str, shown: str) -> bool:
    """Whether both are the same distinguished name, whatever blanks and escapes each has. One of
    them may be written as a path: Group/Research."""
    if "=" not in wanted + shown:
        return False
    try:
        return _name(wanted) == _name(shown)
    except ValueError:
        return False


def _name(text: str) -> tuple[Rdn, ...]:
    return folded(text if "=" in text else from_path(text))
