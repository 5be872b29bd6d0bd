"""Names of accounts: how they are compared, numbered and chosen (I8)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


def fold(value: str) -> str:
    """The form in which two names are the same: width, Unicode composition and case removed."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold()).strip()


def numbered(base: str, number: int) -> str:
    """zhangsan@example.com, 2 → zhangsan2@example.com; number 1 is the bare name."""
    if number == 1:
        return base
    local, at, domain = base.partition("@")
    return f"{local}{number}{at}{domain}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NameSet:
    """One person's names before numbering: namespace (`username`, `email` …) → base value."""

    person_id: int
    bases: Mapping[str, str]

    def values(self, number: int) -> dict[str, str]:
        return {space: numbered(base, number) for space, base in self.bases.items()}

    def folded(self, number: int) -> Iterator[tuple[str, str]]:
        for space, value in self.values(number).items():
            yield space, fold(value)


Owner = Mapping[tuple[str, str], int]
"""(namespace, folded value) → the person it was given to."""


def choose_numbers(wanted: Sequence[NameSet], taken: Owner) -> dict[int, int]:
    """The lowest number free in all namespaces at once, in the order of `wanted`.

    Returns person id → number. A value that already belongs to the person counts as free for it.
    """
    owners = dict(taken)
    has_names = frozenset(taken.values())
    chosen: dict[int, int] = {}
    hints: dict[tuple[tuple[str, str], ...], int] = {}
    for names in wanted:
        bases = tuple(names.bases.items())
        number = 1 if names.person_id in has_names else hints.get(bases, 1)
        while any(
            owners.get(name, names.person_id) != names.person_id for name in names.folded(number)
        ):
            number += 1
        owners.update((name, names.person_id) for name in names.folded(number))
        chosen[names.person_id] = number
        hints[bases] = number
    return chosen
