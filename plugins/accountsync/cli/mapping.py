"""Department and person-type mappings."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import typer

from accountsync.cli import store
from accountsync.errors import ConfigurationError
from accountsync.store import mappings
from accountsync.store.mappings import MappingTable

app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("import")
def mapping_import(
    kind: Annotated[str, typer.Argument(help=" or ".join(mappings.TABLES))], file: Path
) -> None:
    """Load a CSV file; persons whose mapping changed are planned again."""
    table = _mapping_table(kind)
    rows = read_csv(file, table)
    with store.transaction() as connection:
        changed = mappings.write(connection, table, rows)
    typer.echo(f"{kind}: {len(rows)} rows read, {changed} new or changed")


def _mapping_table(kind: str) -> MappingTable:
    if kind not in mappings.TABLES:
        raise ConfigurationError(
            f"no mapping is called {kind!r}; use {' or '.join(mappings.TABLES)}"
        )
    return mappings.TABLES[kind]


def read_csv(file: Path, table: MappingTable) -> list[dict[str, Any]]:
    """All problems at once, by line."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        absent = {table.key, *table.required} - set(reader.fieldnames or ())
        if absent:
            raise ConfigurationError(f"{file}: columns missing: {', '.join(sorted(absent))}")
        numbered = [(reader.line_num, row) for row in reader]
    problems = [
        f"line {number}: {column} is empty"
        for number, row in numbered
        for column in (table.key, *table.required)
        if not (row[column] or "").strip()
    ]
    if problems:
        raise ConfigurationError(f"{file}: nothing imported\n  " + "\n  ".join(problems))
    return [_cells(row, table) for _, row in numbered]


def _cells(row: dict[str, str], table: MappingTable) -> dict[str, Any]:
    cells: dict[str, Any] = {column: (row.get(column) or "").strip() for column in table.columns}
    if "active" in cells:
        cells["active"] = cells["active"].casefold() not in ("0", "false", "no")
    return cells
