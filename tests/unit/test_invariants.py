"""docs/invariants.md defines every invariant that is cited, and what it says is there is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "invariants.md").read_text(encoding="utf-8")
PACKAGE = REPOSITORY / "plugins" / "accountsync"
ROOTS = ("plugins", "tests", "docs", "dags", "simulators", "benchmarks", "demo", "config")
SUFFIXES = {".py", ".md", ".yaml", ".html", ".mako"}
CITED = re.compile(r"\bI(\d{1,2})\b")
RANGE = re.compile(r"\bI(\d{1,2})[-\u2013]I?(\d{1,2})\b")


def _sections() -> dict[int, str]:
    parts = re.split(r"^## I(\d+): .+$", PAGE, flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


SECTIONS = _sections()
KEPT = sorted(number for number, text in SECTIONS.items() if "**Kept.**" in text)


def _texts(*roots: str) -> Iterator[tuple[Path, str]]:
    for root in roots:
        for file in sorted((REPOSITORY / root).rglob("*")):
            if file.suffix in SUFFIXES and file != Path(__file__):
                yield file, file.read_text(encoding="utf-8")


def _cited(text: str) -> set[int]:
    numbers = {int(number) for number in CITED.findall(text)}
    for first, last in RANGE.findall(text):
        numbers |= set(range(int(first), int(last) + 1))
    return numbers


def test_every_invariant_that_is_cited_is_defined() -> None:
    undefined = {
        str(file.relative_to(REPOSITORY)): sorted(numbers)
        for file, text in _texts(*ROOTS)
        if (numbers := _cited(text) - SECTIONS.keys())
    }
    assert undefined == {}


def test_the_invariants_are_numbered_without_a_gap() -> None:
    assert list(SECTIONS) == list(range(1, len(SECTIONS) + 1))


@pytest.mark.parametrize("number", SECTIONS, ids=lambda number: f"I{number}")
def test_an_invariant_is_either_kept_or_promised(number: int) -> None:
    """One that is only promised says what holds today and what does not."""
    text = SECTIONS[number]
    assert ("**Kept.**" in text) != ("**Promised.**" in text)
    expected = ["- Enforced in: ", "- Proven by: "]
    if "**Promised.**" in text:
        expected = ["- Holds today: ", "- Not yet: "]
    assert [words for words in expected if words not in text] == []


@pytest.mark.parametrize("number", KEPT, ids=lambda number: f"I{number}")
def test_a_test_file_that_is_said_to_prove_an_invariant_cites_it(number: int) -> None:
    """So a kept invariant is cited by at least one test."""
    _, _, proofs = SECTIONS[number].partition("- Proven by: ")
    names = re.findall(r"`(test_\w+\.py)`", proofs.partition("\n- ")[0])
    assert names
    texts: dict[str, str] = {}
    for file, text in _texts("tests"):
        texts[file.name] = texts.get(file.name, "") + text
    assert [name for name in names if number not in _cited(texts.get(name, ""))] == []


def test_every_module_that_the_page_names_exists() -> None:
    paths = re.findall(r"`([\w./]+\.(?:py|yaml)|\.\./\.airflowignore)`", PAGE)
    names = {file.name for file in (REPOSITORY / "tests").rglob("test_*.py")}
    missing = [
        path
        for path in paths
        if path not in names and not (PACKAGE / path).exists() and not (REPOSITORY / path).exists()
    ]
    assert missing == []
