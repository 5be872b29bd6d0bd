"""The proof that a read was complete (I2). It raises IncompleteReadError where it was not."""

from __future__ import annotations

from typing import Any

from accountsync.errors import IncompleteReadError
from accountsync.wire.paging import Page


class CompletenessProof:
    """Gets every page in order, and then the question whether all have come. Its messages say what
    disagreed.

    `page_size`: rows of every page but the last; None where pages may be of any size.
    """

    def __init__(self, *, page_size: int | None) -> None:
        self._page_size = page_size
        self._totals: tuple[int | None, int | None] | None = None
        self._outline: tuple[Any, ...] = ()
        self._seen: set[int] = set()
        self._pages = 0
        self._rows = 0

    def add(self, page: Page) -> None:
        if self._totals is None:
            self._totals = (page.total_pages, page.total_rows)
            self._outline = _outline(page.rows)
        self._require_same_totals(page)
        if page.rows and page.total_pages is not None and page.number > page.total_pages:
            raise IncompleteReadError(
                f"page {page.number} has rows, but {page.total_pages} pages are declared"
            )
        self._require_new_rows(page)
        is_last = page.total_pages is None or page.number >= page.total_pages
        if not is_last and self._page_size not in (None, len(page.rows)):
            raise IncompleteReadError(
                f"page {page.number} of {page.total_pages} has {len(page.rows)} rows,"
                f" expected {self._page_size}"
            )
        self._pages += 1
        self._rows += len(page.rows)

    def finish(self, first_again: Page | None = None) -> None:
        """`first_again`: the first page, read once more at the end of several."""
        if self._totals is None:
            raise IncompleteReadError("not one page was received")
        if first_again is not None:
            self._require_same_totals(first_again)
            if _outline(first_again.rows) != self._outline:
                raise IncompleteReadError("the first page changed while the others were read")
        pages, total = self._totals
        if pages is not None and self._pages != max(pages, 1):
            raise IncompleteReadError(f"{pages} pages declared, {self._pages} received")
        if total is not None and total != self._rows:
            raise IncompleteReadError(f"{total} rows declared, {self._rows} received")

    def _require_new_rows(self, page: Page) -> None:
        """Asked with each page, because a system that goes in circles would never end."""
        outline = hash(repr(_outline(page.rows)))
        if page.rows and outline in self._seen:
            raise IncompleteReadError(f"page {page.number} has the rows of an earlier page")
        self._seen.add(outline)
        declares_pages_only = page.total_pages is not None and page.total_rows is None
        if declares_pages_only and page.number > 1 and not page.rows:
            raise IncompleteReadError(
                f"page {page.number} of {page.total_pages} has no rows; if that is how the system"
                " counts its pages, declare `total_rows` (`paging`)"
            )

    def _require_same_totals(self, page: Page) -> None:
        totals = (page.total_pages, page.total_rows)
        if totals != self._totals:
            raise IncompleteReadError(
                f"declared (pages, rows) changed from {self._totals} to {totals}"
                f" at page {page.number}"
            )


def _outline(rows: list[Any]) -> tuple[Any, ...]:
    """As much of a page as shows that rows have moved in or out of it."""
    return (len(rows), rows[:1], rows[-1:])
