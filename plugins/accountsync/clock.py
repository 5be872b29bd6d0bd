"""What time it is by this machine. Only what composes or commands asks: `now` is an argument below.

What the store compares with its own times asks the store: `database_time` in `store.engine`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns an aware datetime."""


def utc_now() -> datetime:
    return datetime.now(UTC)
