"""Durations as people write them: `30s`, `10m`, `24h`, `7d`, `1h30m`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION = re.compile(r"(?:\d+[dhms])+")


def parse_duration(value: Any) -> timedelta:
    """Raises ValueError with the forms that are understood."""
    if isinstance(value, timedelta):
        return value
    text = str(value).replace(" ", "")
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{value!r} is not a duration; write for example 30s, 10m, 24h, 7d, 1h30m")
    parts = re.findall(r"(\d+)([dhms])", text)
    try:
        return sum((timedelta(**{_UNITS[u]: int(n)}) for n, u in parts), timedelta())
    except OverflowError as error:
        raise ValueError(f"{value!r} is too long a duration") from error
