"""An answer of an HTTP API, and how values are read out of it."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any

from accountsync.domain.mapping.values import compile_condition, compile_expression
from accountsync.errors import RecordError
from accountsync.settings.parts import ANSWER_ROOTS

_LONGEST_WAIT_S = 86_400.0
_UTF_8 = ("utf-8", "ascii", "iso8859-1")
"""Charsets that are named for it: the last one by servers that name it by default."""
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030"}
"""Charset → one that reads all of it, and the characters that services send under its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`body` is the parsed JSON, or None for an empty body. It may hold a token or a person."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Any = field(repr=False)

    def as_context(self) -> dict[str, Any]:
        return {"status": self.status, "headers": self.headers, "body": self.body}


def retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds to wait by the Retry-After header, which is a number or a date (RFC 9110 §10.2.3).

    It is a day at most, so that one answer parks nothing for longer. None where the header is
    neither of the two.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_WAIT_S)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return min(max(0.0, (moment - now).total_seconds()), _LONGEST_WAIT_S)


def as_utf8(raw: bytes, headers: Mapping[str, str]) -> bytes:
    """The body as JSON has to be (RFC 8259 §8.1). Some services send a byte order mark, or another
    charset that they name. What is not in it stays as it is, and is no JSON."""
    message = Message()
    message["Content-Type"] = headers.get("Content-Type", "")
    charset = str(message.get_content_charset("utf-8"))
    try:
        charset = codecs.lookup(charset).name
        if charset not in _UTF_8 and not _is_utf_8(raw, charset):
            raw = raw.decode(_WIDER.get(charset, charset)).encode()
    except (LookupError, ValueError):
        return raw
    return raw.removeprefix(codecs.BOM_UTF8)


def _is_utf_8(raw: bytes, declared: str) -> bool:
    """Whether the header is wrong, as some servers' is. UTF-16 may look like UTF-8, and is not."""
    if declared.startswith(("utf-16", "utf-32")):
        return False
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def answer_condition(text: str) -> Callable[[Answer], bool]:
    """A condition over `status` and `body`; an answer of another shape does not fulfil it."""
    condition = compile_condition(text, roots=ANSWER_ROOTS)

    def holds(answer: Answer) -> bool:
        try:
            return condition(answer.as_context())
        except RecordError:
            return False

    return holds


def answer_value(expression: str) -> Callable[[Answer], Any]:
    """A value out of `status` and `body`; None where the answer has another shape."""
    value = compile_expression(expression, roots=ANSWER_ROOTS)

    def read(answer: Answer) -> Any:
        try:
            return value(answer.as_context())
        except RecordError:
            return None

    return read
