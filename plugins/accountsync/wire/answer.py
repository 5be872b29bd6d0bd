"""What came back over the wire, read strictly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from accountsync.domain.mapping import compile_condition, compile_value
from accountsync.errors import RecordError
from accountsync.settings.parts import ANSWER_ROOTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`body` is the parsed JSON, or None for an empty body."""

    status: int
    headers: Mapping[str, str]
    body: Any

    def as_context(self) -> dict[str, Any]:
        return {"status": self.status, "body": self.body}


def retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds to wait by the Retry-After header, which is a number or a date (RFC 9110 §10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (at - now).total_seconds()) if at.tzinfo else None


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
    value = compile_value(f"{{{{ {expression} }}}}", roots=ANSWER_ROOTS)

    def read(answer: Answer) -> Any:
        try:
            return value(answer.as_context())
        except RecordError:
            return None

    return read
