"""The docs hold what the benchmarks measured, and nothing else."""

from __future__ import annotations

from benchmarks import NAMES, page


def test_the_page_of_numbers_is_the_one_that_the_results_make() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.page(NAMES)
