"""Whether what a target shows is what was wanted, however it spells it.

Directories and services keep values their own way: another case, another order, blanks, numbers as
text, one value for a list of one, a name with parts that nobody gave. That is no difference: to
send the same again would change nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from accountsync.domain.accounts.distinguished_name import folded


def as_found(wanted: Mapping[str, Any], shown: Mapping[str, Any]) -> dict[str, Any]:
    """What counts as applied: what was wanted, where the target does not show anything else. What
    it does not show at all, such as a password, is taken for applied."""
    return {
        name: value if shown.get(name) is None or is_like(value, shown[name]) else shown[name]
        for name, value in wanted.items()
    }


def with_gaps(
    shown: Mapping[str, Any], wanted: Mapping[str, Any], *, told: Collection[str]
) -> dict[str, Any]:
    """An empty text for what is wanted and not there. `told`: the attributes of which the target
    says nothing only where there is none."""
    gaps = {
        name: ""
        for name, value in wanted.items()
        if name in told and shown.get(name) is None and not _is_nothing(value)
    }
    return {**shown, **gaps}


def is_like(wanted: Any, shown: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(shown, Mapping) and all(
            shown.get(name) is None or is_like(value, shown[name]) for name, value in wanted.items()
        )
    if isinstance(wanted, list | tuple) or isinstance(shown, list | tuple):
        return _are_like(_values(wanted), _values(shown))
    if _is_nothing(wanted) or _is_nothing(shown) or isinstance(shown, Mapping):
        return _is_nothing(wanted) and _is_nothing(shown)
    return _spelt(wanted) == _spelt(shown) or _is_same_name(str(wanted), str(shown))


def _values(value: Any) -> list[Any]:
    many = value if isinstance(value, list | tuple) else [value]
    return [one for one in many if not _is_nothing(one)]


def _is_nothing(value: Any) -> bool:
    return value is None or value == ""


def _are_like(wanted: Sequence[Any], shown: Sequence[Any]) -> bool:
    left = list(shown)
    for value in wanted:
        match = next((n for n, one in enumerate(left) if is_like(value, one)), None)
        if match is None:
            return False
        del left[match]
    return not left


def _spelt(value: Any) -> str:
    return " ".join(unicodedata.normalize("NFKC", str(value)).casefold().split())


def _is_same_name(wanted: str, shown: str) -> bool:
    """Distinguished names, with blanks and escapes as each writes them."""
    if "=" not in wanted or "=" not in shown:
        return False
    try:
        return folded(wanted) == folded(shown)
    except ValueError:
        return False
