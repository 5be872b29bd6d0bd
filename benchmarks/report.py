"""What a benchmark leaves behind: a table on the screen, a JSON file and a chart beside it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
CHARTS = Path(__file__).parents[1] / "docs" / "charts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`ratio`: how many times the reference's value; None: nothing to compare with."""

    case: str
    value: float
    unit: str
    reference: str | None = None
    ratio: float | None = None
    peak_rss_mb: float | None = None
    wal_mb: float | None = None


class Kept:
    """Parts of a long measurement, so that a run which ends early need not begin anew."""

    def __init__(self, name: str, scale: str) -> None:
        self._file = RESULTS / f"{name}.{scale}.part.json"
        self._parts = json.loads(self._file.read_text()) if self._file.exists() else {}

    def part(self, name: str, measure: Callable[[], Any]) -> Any:
        if name not in self._parts:
            self._parts[name] = measure()
            RESULTS.mkdir(exist_ok=True)
            self._file.write_text(json.dumps(self._parts))
        return self._parts[name]

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = platform.python_version()
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {python}"


def write(name: str, rows: list[Row]) -> None:
    RESULTS.mkdir(exist_ok=True)
    document = {"name": name, "machine": machine(), "rows": [asdict(row) for row in rows]}
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
    print(table(rows))


def chart(name: str, *, title: str, unit: str, bars: Mapping[str, Mapping[str, float]]) -> None:
    """Group → series → value, as bars on a logarithmic scale, in a PNG for the docs."""
    from matplotlib.figure import Figure

    series = list(dict.fromkeys(kind for group in bars.values() for kind in group))
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(series)
    for n, kind in enumerate(series):
        shown = [(at, group[kind]) for at, group in enumerate(bars.values()) if kind in group]
        places = [at + n * width for at, _ in shown]
        drawn = axes.bar(places, [value for _, value in shown], width, label=kind)
        axes.bar_label(drawn, fmt="{:,.0f}", fontsize=7)
    axes.set_xticks([at + 0.4 - width / 2 for at in range(len(bars))], list(bars))
    axes.set(title=title, ylabel=unit, yscale="log")
    figure.legend(fontsize=8, loc="outside lower center", ncols=len(series))
    CHARTS.mkdir(exist_ok=True)
    figure.savefig(CHARTS / f"{name}.png", dpi=110, metadata={"Software": None})


HEADINGS = ("case", "value", "unit", "against", "ratio", "peak RSS", "WAL")


def cells(row: Row) -> tuple[str, ...]:
    """As HEADINGS."""
    return (
        row.case,
        f"{row.value:,.0f}" if row.value >= 10 else f"{row.value:.2f}",
        row.unit,
        row.reference or "",
        f"{row.ratio:.2f} x" if row.ratio is not None else "",
        f"{row.peak_rss_mb:.0f} MB" if row.peak_rss_mb is not None else "",
        f"{row.wal_mb:,.2f} MB" if row.wal_mb is not None else "",
    )


def table(rows: list[Row]) -> str:
    """Fixed-width, for people."""
    lines = [HEADINGS, *map(cells, rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
