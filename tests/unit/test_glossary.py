"""docs/glossary.md has an entry for every word that the store and its users share."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from accountsync.domain.accounts.account import AccountState, Operation
from accountsync.domain.persons.lifecycle import Lifecycle
from accountsync.domain.task_states import TaskState
from accountsync.domain.tasks import breaker
from accountsync.domain.tasks.outcomes import Outcome
from accountsync.store.tables.tasks import PLAN_STATES
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "glossary.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?!English|---)(.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
ENTRIES = ROW.findall(PAGE)
TERMS = [term for term, _, _ in ENTRIES]


_VALUES = {
    "task states": TaskState,
    "operations": Operation,
    "account states": AccountState,
    "lifecycle": Lifecycle,
    "outcomes": Outcome,
    "plan states": PLAN_STATES,
    "breaker states": breaker.STATES,
}


@pytest.mark.parametrize("values", _VALUES.values(), ids=_VALUES)
def test_every_value_of_the_store_has_an_entry(values: Iterable[str]) -> None:
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
