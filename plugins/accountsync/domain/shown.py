"""Texts of others (HR's values, names of targets, messages) as they are shown to people.

A value is never trusted with where it is shown: what steers a terminal, turns the direction of
writing, cuts a line or is invisible is shown as an escape, and in Markdown a value is only text.
"""

from __future__ import annotations

import re
import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of Unicode: control, format (bidi marks, zero width), half characters, private use,
unassigned, line and paragraph separators."""
_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""They count as letters or symbols, and nobody sees them."""
_JOINERS = frozenset("\u200c\u200d")
"""Words of some scripts need them; they steer nothing."""
_BLANKS = re.compile(r"\s+")
_PLAIN = re.compile(r"[^\W_][\w .,;()%/+\-（），；：、。…→]*")
_NOT_PLAIN = re.compile(
    r"//|www\.|\d+[.)]\s|(?<![^\W_])_|_(?![^\W_])",
    re.IGNORECASE,
)
"""What is a link, a list or emphasis somewhere although each of its characters is harmless."""
_INSTEAD = {"`": r"\x60", "|": r"\x7c", "://": r":\x2f\x2f", "www.": r"www\x2e"}
"""What would end the code or the cell, and what mail programs make links of by themselves."""
_ENDS_CODE = re.compile("|".join(map(re.escape, _INSTEAD)), re.IGNORECASE)


def visible(text: str, *, but: str = "") -> str:
    """The text with what nobody would see, and what steers a terminal, as escapes; `but` are
    characters that stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in but or not _is_hidden(character) else _escape(character)
        for character in text
    )


def visible_lines(text: str) -> str:
    """As `visible`, where lines and tabs are our own."""
    return visible(text, but="\n\t")


def one_line(text: str) -> str:
    """As `visible`, with blanks of any kind and number as one blank: nothing cuts a line or a
    table."""
    return visible(_BLANKS.sub(" ", text).strip())


def as_markdown(value: object) -> str:
    """The value as text within a line or a table of Markdown. What could be anything else there (a
    link, an image, a heading, HTML) stands as code, in which nothing has a meaning."""
    text = one_line(str(value))
    if not text or (_PLAIN.fullmatch(text) and not _NOT_PLAIN.search(text)):
        return text
    return f"`{_ENDS_CODE.sub(lambda found: _INSTEAD[found[0].lower()], text)}`"


def _is_hidden(character: str) -> bool:
    if character in _JOINERS:
        return False
    return character in _BLANK_LETTERS or unicodedata.category(character) in _HIDDEN


def _escape(character: str) -> str:
    """As JSON writes it, so that JSON stays what it was."""
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
