"""Names of accounts: how they are compared, cut, numbered and chosen (I8)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import lru_cache

from accountsync.errors import NeedsDataError

_DIGITS_KEPT_FREE = 4
"""Cut names leave room for a number of so many digits, so that those of different bases differ.
Names with longer numbers may clash: the registry then refuses one, and the next one is tried."""


@lru_cache(maxsize=16384)
def fold(value: str) -> str:
    """The form in which two names are the same: width, Unicode composition and case removed."""
    if value.isascii():
        return value.lower().strip()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold()).strip()


def numbered(base: str, number: int, max_length: int | None = None) -> str:
    """zhangsan@example.com, 2 → zhangsan2@example.com; number 1 is the bare name.

    The part before the number is cut until the whole has at most `max_length` characters.
    Raises NeedsDataError where nothing is left of it.
    """
    if number == 1 and (max_length is None or len(base) <= max_length):
        return base
    digits = "" if number == 1 else str(number)
    local, at, domain = base.partition("@")
    if max_length is not None and len(base) + len(digits) > max_length:
        local = _cut(local, max_length - len(digits) - len(at) - len(domain))
    return f"{local}{digits}{at}{domain}"


def _cut(local: str, room: int) -> str:
    shortened = local[: max(room, 0)].rstrip(".-_")
    if not shortened:
        raise NeedsDataError("the name does not fit into the length allowed here")
    return shortened


def _may_be_cut(base: str, max_length: int | None) -> bool:
    return max_length is not None and len(base) + _DIGITS_KEPT_FREE > max_length


def stem(base: str, max_length: int | None = None) -> str:
    """The folded beginning that a base has in common with all its numbered names, however cut."""
    if max_length is None or not _may_be_cut(base, max_length):
        return fold(base)
    local, at, domain = base.partition("@")
    room = max(max_length - _DIGITS_KEPT_FREE - len(at) - len(domain), 1)
    return fold(local[:room].rstrip(".-_") + at + domain)


def is_reserved(base: str, reserved: AbstractSet[str]) -> bool:
    """Whether the part before the @ is one of these words."""
    return fold(base).partition("@")[0] in reserved


_LOCAL_PART = 64
"""What stands before the @ of an address is no longer (RFC 5321, 4.5.3.1.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the names of a namespace look like. `is_ascii` is about the part before the @."""

    is_address: bool = False
    is_ascii: bool = False

    def problem(self, name: str) -> str | None:
        """Why this can be no such name; None where it can."""
        local, _, domain = name.partition("@")
        if not name.strip() or not name.isprintable():
            return "a name is not blank and holds no control characters"
        if self.is_address and (not local or not domain or "@" in domain or " " in name):
            return "an address is written name@domain, with one @ and no blanks"
        if self.is_address and (local.startswith(".") or local.endswith(".") or ".." in local):
            return "no dot begins or ends an address, and no two stand together"
        if self.is_address and len(local.encode()) > _LOCAL_PART:
            return f"before the @ of an address stand at most {_LOCAL_PART} bytes"
        if self.is_ascii and not local.isascii():
            return "these names are made of ASCII letters"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class NameSet:
    """Names of one person that share a number: namespace (`username`, `email` …) → base value.

    `max_lengths`: by namespace, where there is a limit. `is_exact`: an operator
    chose them, so they are given as they are or not at all.
    """

    person_id: int
    bases: Mapping[str, str]
    max_lengths: Mapping[str, int] = field(default_factory=dict)
    is_exact: bool = False

    def folded(self, number: int) -> Iterator[tuple[str, str]]:
        for space, base in self.bases.items():
            yield space, fold(numbered(base, number, self.max_lengths.get(space)))

    def stems(self) -> Iterator[tuple[str, str]]:
        for space, base in self.bases.items():
            yield space, stem(base, self.max_lengths.get(space))


Owner = Mapping[tuple[str, str], int | None]
"""(namespace, folded value) → the person it was given to; None: it is kept from everybody."""


class FirstNumbers:
    """The lowest number of a base, in its namespace, that is not known to be taken."""

    _AT_MOST = 200_000

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}

    def knows(self, wanted: NameSet) -> bool:
        """Whether the registry need not be asked before a number is chosen. It has to be where a
        name is cut, which may then equal one of another base. A single name that is taken after
        all only costs another round."""
        limits = wanted.max_lengths
        if limits and any(
            _may_be_cut(base, limits.get(space)) for space, base in wanted.bases.items()
        ):
            return False
        return len(wanted.bases) == 1 or all(key in self._numbers for key in wanted.folded(1))

    def of(self, key: tuple[str, str]) -> int:
        return self._numbers.get(key, 1)

    def set(self, key: tuple[str, str], number: int) -> None:
        if len(self._numbers) > self._AT_MOST:
            self._numbers.clear()
        self._numbers[key] = number


def choose_numbers(
    wanted: Sequence[NameSet],
    taken: Owner,
    reserved: AbstractSet[str] = frozenset(),
    first: FirstNumbers | None = None,
) -> list[int | None]:
    """For each set of `wanted`, in order, the lowest number that is free in all its namespaces at
    once; None where there is none, or none that fits.

    A value that already belongs to the person counts as free; a reserved word never is.
    """
    owners = dict(taken)
    has_names = frozenset(taken.values())
    first = FirstNumbers() if first is None else first
    return [_choose(names, owners, reserved, has_names, first) for names in wanted]


def _choose(
    names: NameSet,
    owners: dict[tuple[str, str], int | None],
    reserved: AbstractSet[str],
    has_names: AbstractSet[int | None],
    first: FirstNumbers,
) -> int | None:
    person, keys = names.person_id, list(names.folded(1))
    number = 1 if person in has_names else max(map(first.of, keys), default=1)
    while True:
        tried = keys if number == 1 else _folded(names, number)
        if all(_is_free(name, person, owners, reserved) for name in tried):
            break
        if names.is_exact:
            return None
        number += 1
    if names.bases and not tried:
        return None
    owners.update((name, person) for name in tried)
    for key in keys if len(keys) > 1 else ():
        if first.of(key) == number:
            first.set(key, number + 1)
        elif first.of(key) < number:
            first.set(key, _next_number(names, key, first.of(key), owners))
    return number


def _folded(names: NameSet, number: int) -> list[tuple[str, str]]:
    """The names of a number; none where so long a number does not fit."""
    try:
        return list(names.folded(number))
    except NeedsDataError:
        return []


def _next_number(names: NameSet, key: tuple[str, str], number: int, owners: Owner) -> int:
    space = key[0]
    alone = NameSet(
        person_id=names.person_id,
        bases={space: names.bases[space]},
        max_lengths=names.max_lengths,
    )
    while any(name in owners for name in _folded(alone, number)):
        number += 1
    return number


def _is_free(
    name: tuple[str, str],
    person: int,
    owners: Owner,
    reserved: AbstractSet[str],
) -> bool:
    if name in owners:
        return owners[name] == person
    return not is_reserved(name[1], reserved)
