"""Durations as people write them: `30s`, `10m`, `24h`, `7d`, `1h30m`."""

from __future__ import annotations

import re
from datetime import timedelta

_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d+[dhms])+")


def parse_duration(value: object) -> timedelta:
    """The duration that a text names. Raises ValueError, which says what forms are understood."""
    if isinstance(value, timedelta):
        return value
    text = str(value).replace(" ", "")
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{value!r} is not a duration; write for example 30s, 10m, 24h, 7d, 1h30m")
    parts = re.findall(r"(\d+)([dhms])", text)
    try:
        return timedelta(seconds=sum(int(number) * _SECONDS[unit] for number, unit in parts))
    except OverflowError as error:
        raise ValueError(f"{value!r} is too long a duration") from error


def duration_text(duration: timedelta) -> str:
    """5400 s → 1h30m, which parse_duration reads again."""
    rest, text = int(duration.total_seconds()), ""
    for unit, seconds in _SECONDS.items():
        number, rest = divmod(rest, seconds)
        text += f"{number}{unit}" if number else ""
    return text or "0s"
