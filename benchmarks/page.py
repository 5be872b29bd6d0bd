"""docs/benchmarks.md, from what the benchmarks measured last: no number is typed by hand."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import NAMES, report

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_RULE = ("---", "--:", "---", "---", "--:", "--:", "--:")

_HEAD = """# Benchmarks

`make bench SCALE=full` measures all of this, `make bench` a small part of it, `make bench
ARGS=planning` one benchmark; then it writes this page. Absolute numbers are those of one machine;
a ratio is against a reference measured in the same run on the same machine.
"""


def page(names: Iterable[str]) -> str:
    """The whole page; a benchmark without a result yet is left out."""
    parts = [_HEAD]
    for name in names:
        result = report.RESULTS / f"{name}.json"
        if result.exists():
            parts.append(_section(name, json.loads(result.read_text(encoding="utf-8"))))
    return "\n".join(parts)


def _section(name: str, document: dict[str, Any]) -> str:
    said = (importlib.import_module(f"benchmarks.{name}").__doc__ or "").strip()
    title, _, rest = said.partition("\n\n")
    lines = [f"## {title.rstrip('.')}", "", *([rest, ""] if rest else [])]
    lines += [f"Measured on: {document['machine']}.", ""]
    chart = report.CHARTS / f"{name}.png"
    if chart.exists():
        lines += [f"![{title.rstrip('.')}](charts/{chart.name})", ""]
    rows = [report.HEADINGS, _RULE, *(report.cells(report.Row(**row)) for row in document["rows"])]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def write() -> None:
    PAGE.write_text(page(NAMES), encoding="utf-8")
