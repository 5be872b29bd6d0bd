"""What the pages for developers name is there: files by their path, functions in their file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.unit.test_architecture import ALLOWED, ROOMS

PACKAGE = REPOSITORY / "plugins" / "accountsync"
PAGES = {
    name: (REPOSITORY / name).read_text(encoding="utf-8")
    for name in ("docs/architecture.md", "CONTRIBUTING.md", "SECURITY.md")
}
PAGES["README.md"] = (
    (REPOSITORY / "README.md").read_text(encoding="utf-8").partition("\n## Where to find what")[2]
)
LINKED = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md"))]
MADE_LATER = {".venv/", ".demo/"}
PLACEHOLDER = re.compile(r"\b(?:NAME|NOUN|NNNN)")
PATH = re.compile(r"`([\w.][\w.*/-]*(?:/|\.(?:py|md|yaml|yml|toml|json|txt|in|html)))`")
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
STEP = re.compile(r"^\| [^|]+ \| `([\w./]+\.py)` \| (`.+`) \|$", re.MULTILINE)
STEPS = [
    (path, name)
    for path, names in STEP.findall(PAGES["docs/architecture.md"])
    for name in re.findall(r"`(\w+)`", names)
]


def _file(path: str) -> Path | None:
    """As it is named: from the root, or below `plugins/accountsync/`."""
    for root in (REPOSITORY, PACKAGE):
        if found := next(iter(root.glob(path)), None):
            return found
    return None


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_exists(page: str) -> None:
    named = [path for path in PATH.findall(PAGES[page]) if not PLACEHOLDER.search(path)]
    paths = [path.rstrip("/") for path in named if path not in MADE_LATER]
    assert paths
    assert [path for path in paths if _file(path) is None] == []


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(("path", "name"), STEPS, ids=lambda value: str(value))
def test_every_step_of_a_persons_way_is_a_function_of_its_file(path: str, name: str) -> None:
    file = _file(path)
    assert file is not None
    defined = {
        node.name
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    assert name in defined


def test_the_page_of_the_architecture_names_every_layer_and_every_room() -> None:
    """As the contracts between them have it."""
    named = set(PATH.findall(PAGES["docs/architecture.md"]))
    layers = set(ALLOWED) - {"__init__", "__main__"}
    assert {name for name in layers if not {f"{name}/", f"{name}.py"} & named} == set()
    rooms = {f"{layer}/{room}/" for layer, rooms in ROOMS.items() for room in rooms}
    assert rooms - named == set()
