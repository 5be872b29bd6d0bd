"""The filters of mapping expressions: they read names, and give texts a safe form.

A filter that reads names asks the person in the expression's context for what operators have
recorded about readings (`Readings`); without one, the built-in tables decide.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context

from accountsync.domain.names import numbering
from accountsync.domain.names.readings import (
    BUILT_IN,
    UMLAUTS,
    Reading,
    Readings,
    ascii_text,
    read,
    spelt,
    umlauts,
)
from accountsync.errors import NeedsDataError

_LONGEST_LOCAL_PART = 64  # RFC 5321 §4.5.3.1.1


def _person_of(context: Context) -> tuple[Readings, Mapping[str, Any]]:
    """What operators have recorded about readings, and the person; no person: an empty mapping."""
    person = context.get("person")
    if not isinstance(person, Mapping):
        return BUILT_IN, {}
    readings = person.get("readings")
    return (readings if isinstance(readings, Readings) else BUILT_IN), person


def _reading(context: Context, name: str) -> Reading:
    """The reading that an operator gave this person, else the one of surname and characters."""
    readings, person = _person_of(context)
    if readings.own and name == person.get("full_name"):
        return spelt(readings.own)
    return read(name, readings)


def _spelt(syllables: Iterable[str], umlaut: str) -> Iterable[str]:
    if umlaut not in UMLAUTS:
        raise ValueError(f"ü is written {' or '.join(UMLAUTS)}")
    return umlauts(syllables, umlaut) if UMLAUTS[umlaut] else syllables


@pass_context
def pinyin(context: Context, name: str, umlaut: str = "v") -> str:
    """单小明 → shanxiaoming; 吕布 → lvbu, with "yu" lyubu."""
    return "".join(_spelt(_reading(context, name).syllables, umlaut))


@pass_context
def pinyin_initial(context: Context, name: str) -> str:
    """单小明 → s: the first letter of the name's reading."""
    return _reading(context, name).syllables[0][0]


@pass_context
def pinyin_initials(context: Context, name: str) -> str:
    """欧阳小明 → oyxm: the first letter of every syllable."""
    return "".join(syllable[0] for syllable in _reading(context, name).syllables)


@pass_context
def surname_pinyin(context: Context, name: str, umlaut: str = "v") -> str:
    """欧阳小明 → ouyang; empty where the name has no surname."""
    return "".join(_spelt(_reading(context, name).surname, umlaut))


@pass_context
def given_name_pinyin(context: Context, name: str, umlaut: str = "v") -> str:
    """欧阳小明 → xiaoming; empty where the name is a surname alone."""
    return "".join(_spelt(_reading(context, name).given_name, umlaut))


@pass_context
def given_name_initials(context: Context, name: str) -> str:
    """欧阳小明 → xm."""
    return "".join(syllable[0] for syllable in _reading(context, name).given_name)


@pass_context
def surname(context: Context, name: str) -> str:
    """欧阳小明 → 欧阳; the whole of a name without a surname, because directories demand one."""
    readings, _ = _person_of(context)
    family, given = read(name, readings).written
    return family or given


@pass_context
def given_name(context: Context, name: str) -> str:
    """欧阳小明 → 小明; empty for a name without a surname."""
    readings, _ = _person_of(context)
    family, given = read(name, readings).written
    return given if family else ""


def email_local(text: str) -> str:
    """Jürgen O'Neil → jurgen.oneil: safe before the @ everywhere (RFC 5321, RFC 5322 dot-atom).

    Raises NeedsDataError where nothing is left.
    """
    plain = re.sub(r"[\s.]+", ".", ascii_text(text).casefold())
    safe = re.sub(r"[^a-z0-9._-]", "", plain)
    local = re.sub(r"\.{2,}", ".", safe)[:_LONGEST_LOCAL_PART].strip(".-_")
    if not local:
        raise NeedsDataError("nothing of the text can stand in an e-mail address")
    return local


def base64_text(text: str) -> str:
    """The text in base64, as credentials stand in headers."""
    return b64encode(text.encode()).decode()


ASCII_FILTERS = frozenset({
    "pinyin", "pinyin_initial", "pinyin_initials", "surname_pinyin", "given_name_pinyin",
    "given_name_initials", "ascii", "transliterate", "email_local",
})  # fmt: skip
"""The results of these are in ASCII, whatever script the name is written in."""

FILTERS: Mapping[str, Callable[..., Any]] = {
    "pinyin": pinyin,
    "pinyin_initial": pinyin_initial,
    "pinyin_initials": pinyin_initials,
    "surname": surname,
    "surname_pinyin": surname_pinyin,
    "given_name": given_name,
    "given_name_pinyin": given_name_pinyin,
    "given_name_initials": given_name_initials,
    "ascii": ascii_text,
    "transliterate": ascii_text,
    "email_local": email_local,
    "fold": numbering.fold,
    "base64": base64_text,
}
