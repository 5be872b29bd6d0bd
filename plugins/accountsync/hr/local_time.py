"""Bounds for change times without a zone: no change is missed where clocks change."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

_LONGEST_FOLD = timedelta(hours=3)
_NONE = timedelta(0)


def at_or_before(moment: datetime, zone: ZoneInfo) -> datetime:
    """The local time of a moment. Where clocks are about to be put back, an hour comes twice, and
    the earlier one is meant."""
    local, later = moment.astimezone(zone), (moment + _LONGEST_FOLD).astimezone(zone)
    put_back = (local.utcoffset() or _NONE) - (later.utcoffset() or _NONE)
    return local - max(put_back, _NONE)


def at_or_after(moment: datetime, zone: ZoneInfo) -> datetime:
    """The local time of a moment. Where clocks were put forward or back, the later one is meant."""
    local, before = moment.astimezone(zone), (moment - _LONGEST_FOLD).astimezone(zone)
    put_back = (before.utcoffset() or _NONE) - (local.utcoffset() or _NONE)
    return local + max(put_back, _NONE)
