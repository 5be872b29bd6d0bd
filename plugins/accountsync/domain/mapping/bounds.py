"""What an expression may make of a short text: no filter and no method fills the memory.

Widths, counts and precisions are bounded, and so is what a replacement or a joint may add up to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sized
from functools import wraps
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS

_LARGEST = 10_000
"""Of a width, a count or a precision. Years are below it."""
_LONGEST = 1_000_000
"""Of what one step makes of its parts, in characters."""
_SPECIFIER = re.compile(r"%(?:\([^)]*\))?[-#0 +]*(\*|\d+)?(?:\.(\*|\d+))?")
_FIELD = re.compile(r"\{([^{}]*)\}")
_NUMBER = re.compile(r"\d+")
_WIDE = ("batch", "center", "indent", "round", "slice", "tojson", "wordwrap")
_ADDING = ("join", "replace")


def bounded_filters() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Those of Jinja's filters that make much of little, with their bounds."""
    for name in _WIDE:
        yield name, _bounded(FILTERS[name], require_small)
    for name in _ADDING:
        yield name, _bounded(FILTERS[name], require_short)
    yield "format", _bounded(FILTERS["format"], _require_narrow)


def _bounded(call: Callable[..., Any], require: Callable[..., None]) -> Callable[..., Any]:
    @wraps(call)
    def bounded(*arguments: Any, **named: Any) -> Any:
        require(*arguments, *named.values())
        return call(*arguments, **named)

    return bounded


def require_small(*values: Any) -> None:
    """Raises SecurityError where one is a number that is too large for a width."""
    if any(isinstance(value, int) and abs(value) > _LARGEST for value in values):
        raise SecurityError(f"a width or a count above {_LARGEST} is refused")


def require_short(*values: Any) -> None:
    """Raises SecurityError where the values, multiplied, would be too long."""
    size = 1
    for value in values:
        size *= max(1, _size(value))
    if size > _LONGEST:
        raise SecurityError(f"a text of more than {_LONGEST} characters is refused")


def require_narrow(text: str) -> None:
    """As `require_small`, of the widths in a format of the older kind."""
    for widths in _SPECIFIER.findall(text):
        if "*" in widths:
            raise SecurityError("a width that is computed is refused")
        require_small(*(int(width) for width in widths if width))


def require_narrow_fields(text: str) -> None:
    """As `require_small`, of the widths in a format of the newer kind."""
    for field in _FIELD.findall(text):
        require_small(*map(int, _NUMBER.findall(field)))


def require_bounded_call(method: Any, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    """For methods of values, such as `ljust`, `replace` and `to_bytes`."""
    values = (*arguments, *named.values())
    require_small(*values)
    owner = getattr(method, "__self__", None)
    if isinstance(owner, str):
        require_short(owner, *values)


def _require_narrow(*values: Any) -> None:
    """Jinja may hand its own state in before the text that is filtered."""
    for text in values:
        if isinstance(text, str):
            require_narrow(text)


def _size(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    return len(value) if isinstance(value, Sized) else 1
