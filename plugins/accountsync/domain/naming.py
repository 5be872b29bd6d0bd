"""Names of accounts: how they are compared, cut, numbered and chosen (I8)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from accountsync.errors import NeedsDataError

_DIGITS_KEPT_FREE = 4


def fold(value: str) -> str:
    """The form in which two names are the same: width, Unicode composition and case removed."""
    if value.isascii():
        return value.lower().strip()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold()).strip()


def numbered(base: str, number: int, max_length: int | None = None) -> str:
    """zhangsan@example.com, 2 → zhangsan2@example.com; number 1 is the bare name.

    What stands before the number is cut until the whole is at most `max_length` long.
    Raises NeedsDataError where that leaves no letter.
    """
    digits = "" if number == 1 else str(number)
    local, at, domain = base.partition("@")
    if max_length is not None and len(base) + len(digits) > max_length:
        local = _cut(local, max_length - len(digits) - len(at) - len(domain))
    return f"{local}{digits}{at}{domain}"


def _cut(local: str, room: int) -> str:
    kept = local[: max(room, 0)].rstrip(".-_")
    if not kept:
        raise NeedsDataError("the name does not fit into the length allowed here")
    return kept


def stem(base: str, max_length: int | None = None) -> str:
    """What all numbers of a base have in common, folded, however far they are cut."""
    if max_length is None or len(base) + _DIGITS_KEPT_FREE <= max_length:
        return fold(base)
    local, at, domain = base.partition("@")
    room = max(max_length - _DIGITS_KEPT_FREE - len(at) - len(domain), 1)
    return fold(local[:room].rstrip(".-_") + at + domain)


def is_reserved(base: str, reserved: AbstractSet[str]) -> bool:
    """Whether what stands before the @ is one of these words."""
    return fold(base).partition("@")[0] in reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class NameSet:
    """Names of one person that share a number: namespace (`username`, `email` …) → base value.

    `max_lengths`: by namespace, where there is a limit.
    """

    person_id: int
    bases: Mapping[str, str]
    max_lengths: Mapping[str, int] = field(default_factory=dict)

    def values(self, number: int) -> dict[str, str]:
        limits = self.max_lengths
        return {s: numbered(base, number, limits.get(s)) for s, base in self.bases.items()}

    def folded(self, number: int) -> Iterator[tuple[str, str]]:
        for space, value in self.values(number).items():
            yield space, fold(value)

    def stems(self) -> Iterator[tuple[str, str]]:
        for space, base in self.bases.items():
            yield space, stem(base, self.max_lengths.get(space))


Owner = Mapping[tuple[str, str], int | None]
"""(namespace, folded value) → the person it was given to; None: kept for nobody."""


def choose_numbers(
    wanted: Sequence[NameSet], taken: Owner, reserved: AbstractSet[str] = frozenset()
) -> list[int]:
    """The lowest number free in all namespaces of a set at once, in the order of `wanted`.

    A value that already belongs to the person counts as free for it; a reserved word is nobody's.
    """
    owners = dict(taken)
    has_names = frozenset(taken.values())
    hints: dict[tuple[tuple[str, str], ...], int] = {}
    return [_choose(names, owners, reserved, has_names, hints) for names in wanted]


def _choose(
    names: NameSet,
    owners: dict[tuple[str, str], int | None],
    reserved: AbstractSet[str],
    has_names: AbstractSet[int | None],
    hints: dict[tuple[tuple[str, str], ...], int],
) -> int:
    bases, person = tuple(names.bases.items()), names.person_id
    number = 1 if person in has_names else hints.get(bases, 1)
    while True:
        tried = list(names.folded(number))
        if all(_is_free(name, person, owners, reserved) for name in tried):
            break
        number += 1
    owners.update((name, person) for name in tried)
    hints[bases] = number
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
