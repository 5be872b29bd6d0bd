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

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

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
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, dict):
        return _has_nothing(_parts(value))
    if isinstance(value, list | tuple):
        return all(map(is_empty, value))
    return value is None


def is_cleared(value: Any, old: Any) -> bool:
    """Whether it, or a part of it, had a value and has none now.

    A part of an object that is not named stays as it is. A list is replaced as a whole, so that
    each of its values needs another one in its place, and each part of these, too.
    """
    if isinstance(value, list | tuple) or isinstance(old, list | tuple):
        return _lacks_one(_entries(value), _entries(old))
    if is_empty(value):
        return not is_empty(old)
    if not (isinstance(value, dict) and isinstance(old, dict)):
        return False
    return any(is_cleared(part, old.get(name)) for name, part in value.items())


def loses_member(value: Any, old: Any) -> bool:
    """Whether a group or role of the one is none of the other. Directories and SCIM compare them
    without regard to case."""
    if not old or value == old:
        return False
    present = frozenset(_members(value))
    missing = frozenset(_members(old)) - present
    return any(not any(_is_same(one, other) for other in present) for one in missing)


def forms_of(names: Iterable[str]) -> frozenset[str]:
    """The names, and their local parts, in the form for comparing."""
    return frozenset(form for name in names for form in _forms(name))


def holds_name(value: Any, forms: Collection[str]) -> bool:
    """Whether one of its texts is one of the names, or an address with the same local part.
    `forms`: see `forms_of`."""
    if isinstance(value, str):
        return any(form in forms for form in _forms(value))
    if isinstance(value, dict):
        return any(holds_name(part, forms) for part in value.values())
    if isinstance(value, list | tuple):
        return any(holds_name(one, forms) for one in value)
    return False


def _parts(value: Mapping[Any, Any]) -> dict[str, Any]:
    """SCIM's names are the same in any case (RFC 7643 §2.1)."""
    return {str(name).casefold(): part for name, part in value.items()}


def _content(parts: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is more than a description; all of it where that is all that there is."""
    return {name: part for name, part in parts.items() if name not in _DESCRIBES} or parts


def _has_nothing(parts: Mapping[str, Any]) -> bool:
    if "value" in parts:
        return is_empty(parts["value"])
    return all(map(is_empty, _content(parts).values()))


class _Entry(NamedTuple):
    """What stands in a list: the form that tells it from others, its type, its parts."""

    form: str
    type: str
    parts: Mapping[str, Any]


def _entries(value: Any) -> list[_Entry]:
    """Those with something in them."""
    values = value if isinstance(value, list | tuple) else [value]
    return [entry for entry in map(_entry, values) if entry]


def _entry(value: Any) -> _Entry | None:
    if not isinstance(value, dict):
        return None if is_empty(value) else _Entry(_form(value), "", {})
    parts = _parts(value)
    if _has_nothing(parts):
        return None
    own = parts["value"] if "value" in parts else sorted(_content(parts).items())
    return _Entry(_form(own), _form(parts.get("type") or ""), parts)


def _lacks_one(entries: list[_Entry], old: list[_Entry]) -> bool:
    """An old entry's place is taken by the same one, else by the next one of its type."""
    for is_in_place in (_is_same_entry, _may_replace):
        left = []
        for one in old:
            place = next((n for n, other in enumerate(entries) if is_in_place(other, one)), None)
            if place is None:
                left.append(one)
            elif _lacks_a_part(entries.pop(place).parts, one.parts):
                return True
        old = left
    return bool(old)


def _is_same_entry(entry: _Entry, old: _Entry) -> bool:
    return entry.form == old.form


def _may_replace(entry: _Entry, old: _Entry) -> bool:
    return entry.type == old.type or not (entry.type and old.type)


def _lacks_a_part(parts: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    if not parts:
        return False
    return any(
        is_cleared(parts.get(name), part) for name, part in before.items() if name not in _ADDED
    )


def _form(value: Any) -> str:
    return str(value).strip().casefold()


def _members(value: Any) -> Iterator[_Member]:
    if isinstance(value, dict):
        yield from _members_of_object(_parts(value))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _members(one)
    elif value is not False and not is_empty(value):
        form = _form(value)
        yield form, form, form, form


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


def _forms(text: str) -> tuple[str, ...]:
    """Itself, and its local part."""
    whole = text.strip().casefold()
    local, _, domain = whole.partition("@")
    return tuple(form for form in (whole, local) if form) if domain else (whole,) if whole else ()
