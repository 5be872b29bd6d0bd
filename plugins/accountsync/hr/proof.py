"""The proof that a read was complete (I2)."""

from __future__ import annotations

from typing import Any

from accountsync.errors import IncompleteReadError
from accountsync.hr.source import Page


class FeedProof:
    """Told of every page in order, then asked. Each message says what disagreed."""

    def __init__(self, first: Page, *, page_size: int) -> None:
        self._first = first
        self._page_size = page_size
        self._rows = 0

    def add(self, page: Page) -> None:
        self._same_totals(page)
        if page.number < page.total_pages and len(page.rows) != self._page_size:
            raise IncompleteReadError(
                f"page {page.number} of {page.total_pages} has {len(page.rows)} rows,"
                f" expected {self._page_size}"
            )
        self._rows += len(page.rows)

    def finish(self, first_again: Page) -> None:
        """`first_again`: the first page, read once more at the end."""
        self._same_totals(first_again)
        if _outline(first_again.rows) != _outline(self._first.rows):
            raise IncompleteReadError("the first page changed while the others were read")
        total = self._first.total_rows
        if total is not None and total != self._rows:
            raise IncompleteReadError(f"{total} rows declared, {self._rows} received")

    def _same_totals(self, page: Page) -> None:
        then = (self._first.total_pages, self._first.total_rows)
        now = (page.total_pages, page.total_rows)
        if then != now:
            raise IncompleteReadError(
                f"declared (pages, rows) changed from {then} to {now} at page {page.number}"
            )


def _outline(rows: list[Any]) -> tuple[Any, ...]:
    """Enough of a page to see rows move in or out of it."""
    return (len(rows), rows[:1], rows[-1:])
