"""Who may import whom.

`dags, scheduling, web, cli → wiring → connections, jobs → hr, targets, store → wire → domain →
errors`
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "plugins" / "accountsync"
FILES = sorted(PACKAGE.rglob("*.py"))

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "domain": {"errors"},
    "settings": {"domain", "errors"},
    "wire": {"settings", "domain", "errors"},
    "hr": {"wire", "settings", "domain", "errors"},
    "targets": {"wire", "settings", "domain", "errors"},
    "store": {"domain", "errors"},
    "jobs": {"hr", "targets", "store", "settings", "domain", "errors"},
    "metrics": {"jobs"},
    "connections": {"jobs", "hr", "targets", "store", "wire", "settings", "domain", "errors"},
    "wiring": {
        "connections",
        "metrics",
        "jobs",
        "targets",
        "store",
        "wire",
        "settings",
        "domain",
        "errors",
    },
    "scheduling": {"wiring", "settings", "errors"},
    "web": {"wiring", "store", "settings", "errors"},
    "plugin": set(),
    "cli": {"wiring", "jobs", "store", "settings", "domain", "errors"},
    "__main__": {"cli", "connections", "errors"},
    "__init__": set(),
}
MAY_USE_AIRFLOW = {"plugin", "metrics", "connections", "scheduling", "web"}


def _part(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "accountsync":
                names = [f"accountsync.{alias.name}" for alias in node.names]
            yield from names
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_go_down_only(file: Path) -> None:
    part = _part(file)
    used = {module.split(".")[1] for module in _imports(file) if module.startswith("accountsync.")}
    assert used <= ALLOWED[part] | {part}


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_airflow_stays_at_the_edge(file: Path) -> None:
    if any(module.split(".")[0] == "airflow" for module in _imports(file)):
        assert _part(file) in MAY_USE_AIRFLOW


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_only_jobs_and_the_composition_root_commit(file: Path) -> None:
    """Store functions take a connection and never commit."""
    if _part(file) != "store":
        return
    source = file.read_text(encoding="utf-8")
    assert ".commit()" not in source
    assert "engine.begin()" not in source


def test_modules_stay_small() -> None:
    long = {
        str(file.relative_to(PACKAGE)): lines
        for file in FILES
        if "versions" not in file.parts
        and (lines := len(file.read_text(encoding="utf-8").splitlines())) > 450
    }
    assert long == {}


def test_the_domain_has_no_clock_no_randomness_and_no_input_or_output() -> None:
    banned = {"random", "time", "os", "socket", "asyncio", "aiohttp", "sqlalchemy", "psycopg"}
    for file in (PACKAGE / "domain").rglob("*.py"):
        assert not {module.split(".")[0] for module in _imports(file)} & banned, file
        source = file.read_text(encoding="utf-8")
        assert "now()" not in source
        assert "today()" not in source
