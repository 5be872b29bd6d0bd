"""docs/glossary.md has an entry for every word that the store and its users share."""

from __future__ import annotations

import re

import pytest

from accountsync.domain.accounts.account import OPERATIONS
from accountsync.domain.persons.lifecycle import Lifecycle
from accountsync.domain.tasks import breaker
from accountsync.domain.tasks.outcomes import Outcome
from accountsync.store.tables.base import TASK_STATES
from accountsync.store.tables.tasks import PLAN_STATES
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "glossary.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?!English|---)(.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
ENTRIES = ROW.findall(PAGE)
TERMS = [term for term, _, _ in ENTRIES]


@pytest.mark.parametrize(
    "values",
    [TASK_STATES, OPERATIONS, tuple(Lifecycle), tuple(Outcome), PLAN_STATES, breaker.STATES],
    ids=["task states", "operations", "lifecycle", "outcomes", "plan states", "breaker states"],
)
def test_every_value_of_the_store_has_an_entry(values: tuple[str, ...]) -> None:
    assert [value for value in values if f"`{value}`" not in TERMS] == []


def test_a_term_has_one_entry() -> None:
    assert sorted(TERMS) == sorted(set(TERMS))


@pytest.mark.parametrize(("term", "chinese", "meaning"), ENTRIES, ids=TERMS)
def test_an_entry_has_both_languages_and_one_sentence(
    term: str, chinese: str, meaning: str
) -> None:
    assert re.search(r"[\u4e00-\u9fff]", chinese)
    assert meaning.endswith(".")
    assert ". " not in meaning
    assert meaning[0].isupper()
