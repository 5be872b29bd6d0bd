"""Who may import whom: between the layers, and between the rooms of a layer.

`dags, scheduling, review_requests, decision_operator, web, cli → wiring → connections, jobs → hr,
targets, store → wire → domain → errors, clock`
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "plugins" / "accountsync"
FILES = sorted(PACKAGE.rglob("*.py"))

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "clock": set(),
    "domain": {"errors"},
    "settings": {"domain", "errors"},
    "wire": {"settings", "domain", "clock", "errors"},
    "hr": {"wire", "settings", "domain", "errors"},
    "targets": {"wire", "settings", "domain", "errors"},
    "store": {"domain", "clock", "errors"},
    "jobs": {"hr", "targets", "store", "settings", "domain", "clock", "errors"},
    "metrics": {"jobs"},
    "connections": {
        "event_logs",
        "jobs",
        "hr",
        "targets",
        "store",
        "wire",
        "settings",
        "domain",
        "errors",
    },
    "wiring": {
        "connections",
        "metrics",
        "jobs",
        "targets",
        "store",
        "settings",
        "domain",
        "clock",
        "errors",
    },
    "event_logs": {"domain"},
    "failure_mail": {"event_logs", "settings", "domain", "errors"},
    "review_mails": {"failure_mail", "settings"},
    "review_wiring": {"wiring", "connections", "jobs", "settings"},
    "decision_operator": {"review_mails", "review_wiring", "settings", "errors"},
    "review_requests": {"decision_operator", "review_mails", "review_wiring", "settings"},
    "scheduling": {"failure_mail", "settings", "errors"},
    "web": {"wiring", "store", "settings", "domain", "errors"},
    "plugin": set(),
    "cli": {"wiring", "connections", "jobs", "store", "settings", "domain", "clock", "errors"},
    "__main__": {"cli", "connections", "errors"},
    "testing": {"targets", "settings", "domain", "errors"},
    "__init__": set(),
}
ROOMS: dict[str, dict[str, set[str]]] = {
    "domain": {
        "names": set(),
        "mapping": {"names"},
        "persons": {"accounts"},
        "accounts": {"names"},
        "plans": {"accounts", "mapping", "persons", "tasks"},
        "tasks": {"accounts"},
    },
    "store": {
        "tables": set(),
        "names": set(),
        "persons": {"tables"},
        "tasks": {"tables"},
        "plans": {"tables", "tasks"},
        "accounts": {"names", "plans", "tables"},
    },
    "jobs": {
        "persons": set(),
        "tasks": set(),
        "plans": set(),
        "commands": {"persons", "plans", "tasks"},
    },
}
"""Layer → room → the rooms beside it that it may use. A module that stands in the layer itself
serves all of its rooms and uses none of them, but `store.schema` and `store.rights`, which know
every table."""

MAY_USE_AIRFLOW = {
    "plugin", "metrics", "connections", "failure_mail", "review_mails", "decision_operator",
    "review_requests", "scheduling", "web",
}  # fmt: skip


def _part(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _module(file: Path, root: Path) -> str:
    return ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _imports(file: Path) -> Iterator[str]:
    """Modules, and for `from package import name` both `package` and `package.name`."""
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.ImportFrom) and node.level:
            package = _module(file, file.parents[1]).rpartition(".")[0] or file.parent.name
            base = f"{package}.{node.module}" if node.module else package
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _ours(file: Path) -> Iterator[tuple[str, ...]]:
    """What a file imports of the package, by its parts."""
    for module in _imports(file):
        package, *parts = module.split(".")
        if package == "accountsync" and parts:
            yield tuple(parts)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_go_down_only(file: Path) -> None:
    part = _part(file)
    used = {parts[0] for parts in _ours(file)}
    known = {name for name in used if name in ALLOWED}  # not what __init__ of the package has
    assert known <= ALLOWED[part] | {part}


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_rooms_of_a_layer_use_each_other_one_way(file: Path) -> None:
    layer, *rest = file.relative_to(PACKAGE).parts
    rooms = ROOMS.get(layer, {})
    used = {parts[1] for parts in _ours(file) if parts[0] == layer and len(parts) > 1} & set(rooms)
    if rest and rest[0] in rooms:
        assert used <= rooms[rest[0]] | {rest[0]}
    elif file not in (PACKAGE / "store" / "schema.py", PACKAGE / "store" / "rights.py"):
        assert used == set()


def test_every_room_is_in_the_contract() -> None:
    for layer, rooms in ROOMS.items():
        folders = {path.parent.name for path in (PACKAGE / layer).glob("*/__init__.py")}
        assert folders - {"migrations"} == set(rooms)


@pytest.mark.parametrize("package", ["plugins/accountsync", "simulators", "demo", "benchmarks"])
def test_no_module_imports_itself_by_way_of_others(package: str) -> None:
    folder = REPOSITORY / package
    files = {_module(file, folder.parent): file for file in folder.rglob("*.py")}
    uses = {
        module: {name for name in _imports(file) if name in files} - {module, folder.name}
        for module, file in files.items()
    }
    while free := {module for module, needed in uses.items() if not needed & set(uses)}:
        uses = {module: needed for module, needed in uses.items() if module not in free}
    assert uses == {}


def test_what_needs_pytest_is_for_authors_of_connectors_and_nothing_imports_it() -> None:
    """A production machine has no pytest."""
    for file in FILES:
        used = {".".join(module.split(".")[:2]) for module in _imports(file)}
        if _part(file) != "testing":
            assert not used & {"pytest", "accountsync.testing"}, file


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_airflow_stays_at_the_edge(file: Path) -> None:
    if any(module.split(".")[0] == "airflow" for module in _imports(file)):
        assert _part(file) in MAY_USE_AIRFLOW


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_only_jobs_and_the_composition_root_commit(file: Path) -> None:
    """Store functions take a connection and never commit; migrations do, step by step."""
    if _part(file) != "store":
        return
    source = file.read_text(encoding="utf-8")
    assert ".commit()" not in source
    assert "engine.begin()" not in source
    assert ".transaction(" not in source or "migrations" in file.parts


def test_modules_stay_small() -> None:
    long = {
        str(file.relative_to(PACKAGE)): lines
        for file in FILES
        if "versions" not in file.parts
        and (lines := len(file.read_text(encoding="utf-8").splitlines())) > 350
    }
    assert long == {}


def test_functions_stay_small() -> None:
    """Nine of ten have twenty lines at most, and none is longer than a screen."""
    lengths = sorted(
        node.end_lineno - node.lineno + 1
        for file in FILES
        if "versions" not in file.parts
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    )
    assert lengths[len(lengths) * 9 // 10] <= 20
    assert lengths[-1] <= 50


def test_the_domain_has_no_clock_no_randomness_and_no_input_or_output() -> None:
    banned = {"random", "time", "os", "socket", "asyncio", "aiohttp", "sqlalchemy", "psycopg"}
    for file in (PACKAGE / "domain").rglob("*.py"):
        assert not {module.split(".")[0] for module in _imports(file)} & banned, file
        source = file.read_text(encoding="utf-8")
        assert "now()" not in source
        assert "today()" not in source


OURS = {"accountsync", "benchmarks", "demo", "simulators", "tests"}
EVERY_FILE = sorted(
    file
    for folder in ("plugins", "dags", "demo", "simulators", "benchmarks", "tests")
    for file in (REPOSITORY / folder).rglob("*.py")
)


def test_no_module_renames_another_on_import() -> None:
    """Of ours, that is: a thing has one name wherever one reads it."""
    assert [name for file in EVERY_FILE for name in _renamed(file)] == []


def _renamed(file: Path) -> Iterator[str]:
    for node in ast.walk(_tree(file)):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        module = "" if isinstance(node, ast.Import) else "." * node.level + (node.module or "")
        for alias in node.names:
            is_ours = (module or alias.name).split(".")[0] in OURS | {""}
            if is_ours and alias.asname not in (None, alias.name):
                where = file.relative_to(REPOSITORY)
                yield f"{where}:{node.lineno}: {module} {alias.name} as {alias.asname}"


def test_only_the_clock_knows_what_time_it_is() -> None:
    """Everybody else is given `now` or a Clock, or asks the store."""
    asking = {
        str(file.relative_to(PACKAGE)): calls
        for file in FILES
        if file.name != "clock.py" and (calls := sorted(_asks_for_now(file)))
    }
    assert asking == {}


def _asks_for_now(file: Path) -> Iterator[str]:
    """`time.monotonic` measures how long something takes, and is no time of day."""
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.endswith(_TIMES_OF_DAY):
                yield f"line {node.lineno}: {name}"
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (f"line {node.lineno}: {alias.name}" for alias in node.names)


_TIMES_OF_DAY = (
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time",
    "time.time_ns", "time.gmtime", "time.localtime",
)  # fmt: skip
