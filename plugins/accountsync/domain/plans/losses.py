"""What a value loses when another one takes its place, in whatever shape a target has its values.

| shape                                 | example                                                  |
|---------------------------------------|----------------------------------------------------------|
| a text, a number                      | `"1"`                                                    |
| a list of them (LDAP, REST)           | `["1", "2"]`                                             |
| an object (SCIM's `name`, `manager`)  | `{"value": "7", "displayName": "A"}`                     |
| a list of objects (RFC 7643 §2.4)     | `[{"value": "1", "type": "work"}]`, `[{"display": "x"}]` |
| switches (REST)                       | `{"admin": true, "user": false}`                         |
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

_DESCRIBES = frozenset({"type", "primary", "display", "$ref"})
"""Parts of an object that say something about its value, and are none."""

_ADDED = _DESCRIBES | {"formatted"}
"""Parts that services add by themselves."""

_TELLS_APART = ("value", "id", "display", "name")
"""The parts by which a group or role is told from others: the first that two of them both have."""

_Member = tuple[str | None, ...]
"""A group or role, by `_TELLS_APART`; one that is a plain text may be meant by any of them."""


def is_empty(value: Any) -> bool:
    """Whether there is nothing in it. What only describes a value is nothing without it."""
    if isinstance(value, Mapping):
        parts = _parts(value)
        return is_empty(parts["value"] if "value" in parts else [*_content(parts).values()])
    if isinstance(value, list | tuple):
        return all(map(is_empty, value))
    return value is None or (isinstance(value, str) and not value.strip())


def is_cleared(value: Any, old: Any) -> bool:
    """Whether it, or a part of it, had a value and has none now.

    A part of an object that is not named stays as it is. A list is replaced as a whole, so that
    each of its values needs another one in its place, and each part of these, too.
    """
    if is_empty(value):
        return not is_empty(old)
    if isinstance(value, list | tuple) or isinstance(old, list | tuple):
        return _lacks_one(_listed(value), _listed(old))
    if not (isinstance(value, Mapping) and isinstance(old, Mapping)):
        return False
    return any(is_cleared(part, old.get(name)) for name, part in value.items())


def loses_member(value: Any, old: Any) -> bool:
    """Whether a group or role of the one is none of the other. Directories and SCIM compare them
    without regard to case."""
    present = frozenset(_members(value))
    missing = frozenset(_members(old)) - present
    return any(not any(_is_same(one, other) for other in present) for one in missing)


def names_in(value: Any, names: Collection[str]) -> bool:
    """Whether one of its texts is one of the names, or an address with the same local part."""
    known = {form for name in names for form in _forms(name)}
    return any(not known.isdisjoint(_forms(text)) for text in _texts(value))


def _parts(value: Mapping[Any, Any]) -> dict[str, Any]:
    """SCIM's names are the same in any case (RFC 7643 §2.1)."""
    return {str(name).casefold(): part for name, part in value.items()}


def _listed(value: Any) -> list[Any]:
    values = value if isinstance(value, list | tuple) else [value]
    return [one for one in values if not is_empty(one)]


def _content(parts: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is more than a description; all of it where that is all that there is."""
    return {name: part for name, part in parts.items() if name not in _DESCRIBES} or parts


def _lacks_one(values: list[Any], old: list[Any]) -> bool:
    """An old value's place is taken by the same one, else by the next one of its type."""
    for is_in_place in (_is_same_value, _may_replace):
        left = []
        for one in old:
            place = next((n for n, other in enumerate(values) if is_in_place(other, one)), None)
            if place is None:
                left.append(one)
            elif _lacks_a_part(values.pop(place), one):
                return True
        old = left
    return bool(old)


def _is_same_value(value: Any, old: Any) -> bool:
    return _value(value) == _value(old)


def _may_replace(value: Any, old: Any) -> bool:
    types = {_type(value), _type(old)} - {""}
    return len(types) < 2


def _lacks_a_part(value: Any, old: Any) -> bool:
    if not (isinstance(value, Mapping) and isinstance(old, Mapping)):
        return False
    parts, before = _parts(value), _parts(old)
    return any(is_cleared(parts.get(name), before[name]) for name in before.keys() - _ADDED)


def _value(value: Any) -> str:
    """To tell it from others of its list."""
    if not isinstance(value, Mapping):
        return _form(value)
    parts = _parts(value)
    if not is_empty(parts.get("value")):
        return _form(parts["value"])
    return _form(sorted(_content(parts).items()))


def _type(value: Any) -> str:
    kind = _parts(value).get("type") if isinstance(value, Mapping) else None
    return _form(kind or "")


def _form(value: Any) -> str:
    return str(value).strip().casefold()


def _members(value: Any) -> Iterator[_Member]:
    if isinstance(value, Mapping):
        yield from _members_of_object(_parts(value))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _members(one)
    elif value is not False and not is_empty(value):
        yield (_form(value),) * len(_TELLS_APART)


def _members_of_object(parts: Mapping[str, Any]) -> Iterator[_Member]:
    """An object with none of `_TELLS_APART` has a member for each of its parts."""
    told = [parts.get(name) for name in _TELLS_APART]
    if not is_empty(told):
        yield tuple(None if is_empty(part) else _form(part) for part in told)
        return
    for name, part in parts.items():
        for member in _members(part):
            yield tuple(f"{name} {form}" for form in member)


def _is_same(left: _Member, right: _Member) -> bool:
    both = ((one, other) for one, other in zip(left, right, strict=True) if one and other)
    one, other = next(both, (None, ""))
    return one == other


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value


def _forms(text: str) -> tuple[str, ...]:
    """Itself, and its local part."""
    whole = _form(text)
    return tuple(filter(None, (whole, whole.partition("@")[0])))
