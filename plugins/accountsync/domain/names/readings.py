"""Readings of names: Chinese ones surname first, without tones; other scripts in ASCII letters.

Surnames have readings of their own (单 is shàn as a surname, dān elsewhere) that a general
dictionary misreads: `surnames`. What operators have recorded (`Readings`) wins over everything.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from anyascii import anyascii

from accountsync.domain.names.surnames import GIVEN_NAMES, IN_GIVEN_NAMES, SURNAMES
from accountsync.errors import NeedsDataError

DOTS = "·•・‧∙⋅."
"""These stand between the parts of a minority or foreign name, whose first part is no surname."""

_LATIN = re.compile(r"[\u0000-\u024f\u1e00-\u1eff]+")
_HAN = "\u2e80-\u2fdf\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_PLAIN = re.compile("[\u4e00-\u9fff]+")
_BEGINS_HAN = re.compile(f"[{_HAN}]")
_PADDING = re.compile(rf"(?<=[{_HAN}])\s+(?=[{_HAN}])")
_REPEATED = re.compile(rf"([{_HAN}])々")
_DOTTED = re.compile(rf"\w\s*[{re.escape(DOTS)}]\s*\w")
_BETWEEN_PARTS = re.compile(rf"[\s,{re.escape(DOTS)}'’-]+")

UMLAUTS: Mapping[str, Mapping[str, str]] = {
    "v": {},
    "yu": {"lv": "lyu", "nv": "nyu", "lve": "lue", "nve": "nue"},
    "u": {"lv": "lu", "nv": "nu", "lve": "lue", "nve": "nue"},
}
"""How ü is written. v: as on keyboards · yu: as in passports since 2012 (GB/T 28039-2011; the
National Immigration Administration's notice of 2021-09-29) · u: as in older passports."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readings:
    """What operators have recorded: characters → syllables, as a surname and elsewhere. `own`: the
    reading of one person's whole name, as `spelt` takes it."""

    surnames: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    characters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    own: str | None = None


BUILT_IN = Readings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Syllables of the surname (none where the name has no surname) and of the rest. `written`: the
    same two parts as they are written; `surname_last` in names such as "David 单"."""

    surname: tuple[str, ...]
    given_name: tuple[str, ...]
    written: tuple[str, str]
    surname_last: bool = False

    @property
    def syllables(self) -> tuple[str, ...]:
        if self.surname_last:
            return self.given_name + self.surname
        return self.surname + self.given_name


def syllables(name: str) -> tuple[str, ...]:
    """The syllables that `read` gives; a surname of several characters is one word."""
    reading = read(name)
    surname = ("".join(reading.surname),) if reading.surname else ()
    return reading.given_name + surname if reading.surname_last else surname + reading.given_name


@lru_cache(maxsize=8192)
def read(name: str, readings: Readings = BUILT_IN) -> Reading:
    """How a name is read. Raises NeedsDataError where a character has no known reading."""
    if _PLAIN.fullmatch(name):  # nearly everybody
        return _surname_first([name], 0, readings)
    text = unicodedata.normalize("NFKC", name)
    _refuse(c for c in text if c in "?\ufffd" or unicodedata.category(c) in ("Co", "Cs", "Cn"))
    text = _REPEATED.sub(r"\1\1", _PADDING.sub("", text)).strip()
    reading = _of_parts(text, readings)
    if not reading.syllables:
        raise NeedsDataError("the name has no readable character; correct it in HR")
    return reading


def spelt(reading: str) -> Reading:
    """An operator's spelling: the surname's word first, hyphens between syllables of one word, as
    in "ou-yang xiao-ming".

    Raises NeedsDataError where it is no word of letters.
    """
    words = [tuple(filter(None, word.casefold().split("-"))) for word in reading.split()]
    if not words or not all(s.isascii() and s.isalnum() for word in words for s in word):
        raise NeedsDataError("a reading is made of words in ASCII letters, such as ou-yang xiao")
    rest = tuple(syllable for word in words[1:] for syllable in word)
    return Reading(surname=words[0], given_name=rest, written=("", ""))


def umlauts(syllables: Iterable[str], rule: str) -> Iterator[str]:
    """The syllables with ü written by the rule. Raises KeyError for one that is not in UMLAUTS."""
    table = UMLAUTS[rule]
    return (table.get(syllable, syllable) for syllable in syllables)


def _of_parts(text: str, readings: Readings) -> Reading:
    parts = [part for part in _BETWEEN_PARTS.split(text) if part]
    if _DOTTED.search(text):
        rest = tuple(s for part in parts for s in _read_given(part, readings))
        return Reading(surname=(), given_name=rest, written=("", text))
    for n, part in enumerate(parts):
        if _BEGINS_HAN.match(part):
            return _surname_first(parts, n, readings)
    return _western(text, parts)


def _surname_first(parts: list[str], n: int, readings: Readings) -> Reading:
    """The n-th part is written in Chinese and begins with the surname."""
    surname, read_as = _surname(parts[n], readings)
    rest = parts[n][len(surname) :]
    given = [*parts[:n], *([rest] if rest else []), *parts[n + 1 :]]
    return Reading(
        surname=read_as,
        given_name=tuple(s for part in given for s in _read_given(part, readings)),
        written=(surname, " ".join(given)),
        surname_last=n > 0,
    )


def _surname(part: str, readings: Readings) -> tuple[str, tuple[str, ...]]:
    for length in (2, 1):
        characters = part[:length]
        if syllables := readings.surnames.get(characters) or SURNAMES.get(characters):
            return characters, syllables
    return part[:1], _read_given(part[:1], readings)


def _western(text: str, parts: list[str]) -> Reading:
    """The surname is what stands before a comma, else the last word; one word is no surname."""
    surname, comma, given = (part.strip() for part in text.partition(","))
    if not comma:
        given, _, surname = text.rpartition(" ")
    if not given or not surname:
        surname, given = "", surname or given
    first, last = _words(given), _words(surname)
    return Reading(
        surname=last,
        given_name=first,
        written=(surname, given.strip()),
        surname_last=not comma and bool(last),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(s for part in _BETWEEN_PARTS.split(text) if part for s in _read(part))


def _read_given(part: str, readings: Readings) -> tuple[str, ...]:
    """Characters with a recorded reading are read by it, the longest first, the others as usual."""
    recorded = sorted((c for c in readings.characters if c in part), key=len, reverse=True)
    if not recorded:
        return _read(part)
    pieces = re.split("(" + "|".join(map(re.escape, recorded)) + ")", part)
    return tuple(s for piece in pieces for s in readings.characters.get(piece) or _read(piece))


@lru_cache(maxsize=65536)
def _read(text: str) -> tuple[str, ...]:
    """Given names occur again and again, so the dictionary is asked once for each."""
    if not text:
        return ()
    if _LATIN.fullmatch(text):
        return tuple(word for word in (_letters(text),) if word)
    lazy_pinyin, style = _dictionary()
    words = lazy_pinyin(text, style=style, v_to_u=False, errors=_transliterate)
    return tuple(word for word in map(_letters, words) if word)


@cache
def _dictionary() -> tuple[Any, Any]:
    """The function that reads characters, and the style to pass to it.

    It is imported when the first name is read, because the import takes 0.3 s.
    """
    from pypinyin import Style, lazy_pinyin, load_phrases_dict, load_single_dict

    load_single_dict({ord(character): reading for character, reading in IN_GIVEN_NAMES.items()})
    load_phrases_dict(
        {
            name: [[syllable] for syllable in reading.split()]
            for name, reading in GIVEN_NAMES.items()
        }
    )
    return lazy_pinyin, Style.NORMAL


def _transliterate(run: str) -> str:
    """The dictionary passes what is not Chinese, and Chinese characters that it cannot read."""
    _refuse(re.findall(f"[{_HAN}]", run))
    return anyascii(run)


def _refuse(unread: Iterable[str]) -> None:
    """Raises NeedsDataError: an unreadable character would be missing from the names for ever."""
    if codes := " ".join(f"U+{ord(c):04X}" for c in unread):
        raise NeedsDataError(f"the name holds a character without a known reading ({codes})")


def ascii_text(text: str) -> str:
    """é → e, ł → l, ß → ss, Ж → Zh: letters of any script in ASCII."""
    return anyascii(text)


def _letters(text: str) -> str:
    return "".join(c for c in anyascii(text).casefold() if c.isascii() and c.isalnum())
