"""How Airflow loads the plugin: once, by its own name, replacing nothing, at next to no cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import REPOSITORY

_LOAD = """
import json, sys, time
before = {name: getattr(m, "__file__", None) for name, m in sys.modules.items()}
import airflow.settings
import http, types, logging
standard = {n: sys.modules[n].__file__ for n in ("http", "types", "logging")}
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
ours = [p for p in plugins if p.name == "accountsync"]
print(json.dumps({
    "plugins": len(ours),
    "module": ours[0].__module__ if ours else None,
    "errors": list(errors),
    "replaced": [n for n, f in standard.items() if sys.modules[n].__file__ != f],
    "stray": sorted(n for n, m in sys.modules.items()
        if "plugins/accountsync/" in (getattr(m, "__file__", None) or "")
        and not n.startswith("accountsync")),
    "heavy": [n for n in ("fastapi", "sqlalchemy.ext.asyncio", "accountsync.web.app")
        if n in sys.modules and n.startswith("accountsync")],
}))
"""


def _in_fresh_process(script: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ.copy(),
        cwd=REPOSITORY,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def loaded() -> Any:
    return _in_fresh_process(_LOAD)


def test_there_is_one_plugin_and_no_error(loaded: Any) -> None:
    assert loaded["plugins"] == 1
    assert loaded["module"] == "accountsync.plugin"
    assert loaded["errors"] == []


def test_no_standard_module_is_replaced_and_no_module_exists_twice(loaded: Any) -> None:
    """`accountsync/hr/http.py` must not become `http` (HOUSE §2)."""
    assert loaded["replaced"] == []
    assert loaded["stray"] == []


def test_loading_the_plugin_does_not_load_its_app(loaded: Any) -> None:
    assert loaded["heavy"] == []


def test_the_plugin_imports_little() -> None:
    """The cost of a task process; the number is for `benchmarks/`, the modules are the cause."""
    modules = _in_fresh_process(
        "import json, sys, airflow.plugins_manager; before = set(sys.modules);"
        f"sys.path.append({str(REPOSITORY / 'plugins')!r}); import accountsync.plugin;"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    assert [name for name in modules if not name.startswith("accountsync")] == []
