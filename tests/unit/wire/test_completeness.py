"""The proof that a read was complete: every way of not being so (I2)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.errors import IncompleteReadError
from accountsync.wire.completeness import CompletenessProof
from accountsync.wire.paging import Page

SIZE = 3


def page(number: int, rows: int, pages: int | None, total: int | None = None, **more: Any) -> Page:
    keys = [f"{number}.{n}{more.get('mark', '')}" for n in range(rows)]
    return Page(number=number, rows=keys, total_pages=pages, total_rows=total)


def prove(pages: list[Page], again: Page | None, *, page_size: int | None = SIZE) -> None:
    proof = CompletenessProof(page_size=page_size)
    for one in pages:
        proof.add(one)
    proof.finish(again)


@pytest.mark.parametrize(
    "pages",
    [
        [page(1, 0, 0)],
        [page(1, 0, 1)],
        [page(1, 2, 1)],
        [page(1, 3, 1, 3)],
        [page(1, 3, 2, 4), page(2, 1, 2, 4)],
        [page(1, 3, 2), page(2, 3, 2)],
        [page(1, 3, 2, 3), page(2, 0, 2, 3)],
    ],
)
def test_a_complete_read_is_proven(pages: list[Page]) -> None:
    prove(pages, pages[0] if len(pages) > 1 else None)


def test_pages_of_any_size_follow_one_another_where_no_number_is_declared() -> None:
    prove([page(1, 5, None, 6), page(2, 1, None, 6)], None, page_size=None)


@pytest.mark.parametrize(
    ("pages", "again", "said"),
    [
        ([], None, "not one page was received"),
        ([page(1, 2, 2)], None, "page 1 of 2 has 2 rows, expected 3"),
        ([page(1, 4, 2)], None, "page 1 of 2 has 4 rows, expected 3"),
        ([page(1, 0, 2)], None, "page 1 of 2 has 0 rows, expected 3"),
        ([page(1, 3, 3), page(2, 1, 3)], None, "page 2 of 3 has 1 rows"),
        ([page(1, 3, 2), page(2, 1, 3)], None, "changed from (2, None) to (3, None) at page 2"),
        ([page(1, 3, 2, 4), page(2, 1, 2, 5)], None, "changed from (2, 4) to (2, 5) at page 2"),
        ([page(1, 3, 2, 4), page(2, 1, 2)], None, "changed from (2, 4) to (2, None) at page 2"),
        ([page(1, 3, 2, 5), page(2, 1, 2, 5)], None, "5 rows declared, 4 received"),
        ([page(1, 3, 1, 4)], None, "4 rows declared, 3 received"),
        ([page(1, 0, 1, 4)], None, "4 rows declared, 0 received"),
        ([page(1, 3, 2)], None, "2 pages declared, 1 received"),
        ([page(1, 3, 0)], None, "page 1 has rows, but 0 pages are declared"),
        ([page(1, 3, 2), page(2, 0, 2)], None, "page 2 of 2 has no rows"),
        ([page(1, 3, None), page(1, 3, None)], None, "page 1 has the rows of an earlier page"),
        ([page(1, 3, -1)], None, "page 1 has rows, but -1 pages are declared"),
        ([page(1, 3, 2), page(2, 1, 2)], page(1, 3, 3), "changed from (2, None) to (3, None)"),
        ([page(1, 3, 2), page(2, 1, 2)], page(1, 2, 2), "the first page changed"),
        ([page(1, 3, 2), page(2, 1, 2)], page(1, 3, 2, mark="x"), "the first page changed"),
    ],
)
def test_an_incomplete_read_is_found_out(pages: list[Page], again: Page | None, said: str) -> None:
    """PREDECESSOR fault 1."""
    with pytest.raises(IncompleteReadError) as raised:
        prove(pages, again)
    assert said in str(raised.value)


def pages_of(rows: list[int]) -> list[Page]:
    lots = [rows[n : n + SIZE] for n in range(0, len(rows), SIZE)] or [[]]
    return [
        Page(number=n, rows=lot, total_pages=len(lots), total_rows=len(rows))
        for n, lot in enumerate(lots, start=1)
    ]


@given(st.integers(0, 12), st.data())
def test_a_read_that_lost_any_row_or_page_is_never_proven(count: int, data: st.DataObject) -> None:
    pages = pages_of(list(range(count)))
    prove(pages, pages[0])
    if count:
        hit = data.draw(st.integers(0, len(pages) - 1))
        lost = data.draw(st.integers(0, len(pages[hit].rows) - 1))
        rows = pages[hit].rows[:lost] + pages[hit].rows[lost + 1 :]
        torn = Page(
            number=hit + 1, rows=rows, total_pages=len(pages), total_rows=pages[hit].total_rows
        )
        with pytest.raises(IncompleteReadError):
            prove([*pages[:hit], torn, *pages[hit + 1 :]], pages[0])
    if len(pages) > 1:
        hit = data.draw(st.integers(0, len(pages) - 1))
        with pytest.raises(IncompleteReadError):
            prove([*pages[:hit], *pages[hit + 1 :]], pages[0])
