"""What every HR source does: hand out one complete read, page by page, or fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """`total_pages` and `total_rows` as declared with this page; None where the API declares none."""

    number: int
    rows: list[Any]
    total_pages: int
    total_rows: int | None


class HrSource(Protocol):
    """`pages` ends normally only after the read proved complete (I2).

    Raises IncompleteReadError when it did not; then nothing of it may be used.
    """

    def pages(self, *, since: datetime | None) -> AsyncIterator[Page]:
        """All rows changed at or after `since`, or all rows there are."""
        ...
