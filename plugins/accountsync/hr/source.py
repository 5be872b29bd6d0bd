"""What every HR source does: it hands out one complete read, page by page, or fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from accountsync.wire.paging import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is read: everything; changes at or after `since`; of those, where the system can tell,
    only changes before `until`; or the persons with these employee numbers."""

    since: datetime | None = None
    until: datetime | None = None
    numbers: frozenset[str] | None = None


class HrSource(Protocol):
    """`pages` ends normally only after the read proved complete (I2).

    Raises IncompleteReadError when it did not; then nothing of it may be used.
    """

    def pages(self, ask: Ask) -> AsyncIterator[Page]:
        """The pages may hold more than was asked for; the job keeps what it asked for."""
        ...
