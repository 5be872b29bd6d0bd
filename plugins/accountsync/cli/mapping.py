"""Import, export and check the mappings of departments and person types."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from accountsync.cli import screen, session
from accountsync.errors import ConfigurationError
from accountsync.jobs.commands import mapping_tables
from accountsync.jobs.commands.mapping_tables import Change, Row
from accountsync.store.persons import mappings
from accountsync.store.persons.mappings import MappingTable

app = typer.Typer(help=__doc__, no_args_is_help=True)

Cells = dict[str, str | bool | None]
"""A row of a mapping as it is stored: column → value."""

Kind = Annotated[str, typer.Argument(help=" or ".join(mappings.TABLES))]
_KEYS = {table.key for table in mappings.TABLES.values()}
_TRUTH = {"1": True, "true": True, "yes": True, "": True, "0": False, "false": False, "no": False}


@app.command("import")
def mapping_import(
    kind: Kind,
    file: Path,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would change, and change nothing")
    ] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="remove the rows that the file does not have")
    ] = False,
    actor: Annotated[str, typer.Option(help="who; default: your login", show_default=False)] = "",
) -> None:
    """Load a CSV file and print what it changes. The persons concerned are planned again."""
    table = _mapping_table(kind)
    result = mapping_tables.import_rows(
        engine=session.store(),
        table=table,
        rows=read_csv(file, table),
        actor=session.actor(actor),
        delete=delete,
        dry_run=dry_run,
    )
    for change in result.changes:
        screen.say(_line(change))
    kinds = Counter(_kind(change) for change in result.changes)
    typer.echo(
        f"{kind}: {kinds['+']} new, {kinds['~']} changed, {kinds['-']} removed,"
        f" {result.unchanged} unchanged; {result.persons} people"
        f" {'would be' if dry_run else 'are'} planned again"
    )
    if result.kept:
        typer.echo(f"not in the file, kept: {', '.join(result.kept)} (--delete removes them)")


def _kind(change: Change) -> str:
    return "+" if change.old is None else "-" if change.new is None else "~"


def _line(change: Change) -> str:
    old, new = change.old or {}, change.new or {}
    cells = [
        f"{column}: {_cell(old, column)} → {_cell(new, column)}" if old and new
        else f"{column}: {_cell(new or old, column)}"
        for column in (new or old)
        if old.get(column) != new.get(column) and column not in _KEYS
    ]  # fmt: skip
    return f"{_kind(change)} {change.key}  {', '.join(cells)}"


def _cell(row: Row, column: str) -> str:
    value = row.get(column)
    return str(value).lower() if isinstance(value, bool) else str(value or "(empty)")


@app.command("export")
def mapping_export(
    kind: Kind,
    file: Annotated[Path | None, typer.Argument(help="default: standard output")] = None,
    before: Annotated[
        int | None,
        typer.Option(
            min=1, max=session.LARGEST, help="as it was before this change of `mapping history`"
        ),
    ] = None,
) -> None:
    """Write the mapping as CSV. To restore an older state, import it with `--delete`."""
    table = _mapping_table(kind)
    rows = mapping_tables.export(engine=session.store(), table=table, before=before)
    if file is None:
        _write_csv(sys.stdout, table, rows)
        return
    try:
        with file.open("w", encoding="utf-8", newline="") as lines:
            _write_csv(lines, table, rows)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be written: {error.strerror}") from error
    typer.echo(f"{file}: {len(rows)} rows")


def _write_csv(out: TextIO, table: MappingTable, rows: Sequence[Row]) -> None:
    writer = csv.DictWriter(out, table.columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = {
            column: str(value).lower() if isinstance(value, bool) else value
            for column, value in row.items()
        }
        writer.writerow(cells)


@app.command("gaps")
def mapping_gaps(kind: Annotated[str, typer.Argument(help="default: all")] = "") -> None:
    """List codes of HR that no active mapping knows, and who waits for them."""
    engine, has_gaps = session.store(), False
    for name, table in mappings.TABLES.items() if not kind else [(kind, _mapping_table(kind))]:
        for gap in mapping_tables.gaps(engine=engine, table=table):
            has_gaps = True
            code = gap["code"] if gap["code"] is not None else "(HR gives none)"
            screen.say(
                f"{name} {code}: {gap['persons']} people, {gap['tasks']} tasks wait;"
                f" for example {', '.join(gap['examples'])}"
            )
    if not has_gaps:
        typer.echo("every code is mapped")


@app.command("history")
def mapping_history(kind: Kind) -> None:
    """List the changes, the newest first: number, when, who, what."""
    events = mapping_tables.history(engine=session.store(), table=_mapping_table(kind))
    for event in events:
        typer.echo(f"{event['id']}  {event['at']:%F %H:%M} UTC  {event['actor']}")
        for change in event["details"]["changes"]:
            typer.echo(f"    {_line(Change(**change))}")
    if not events:
        typer.echo("nothing was changed yet")


def _mapping_table(kind: str) -> MappingTable:
    if kind not in mappings.TABLES:
        raise ConfigurationError(
            f"no mapping is called {kind!r}; use {' or '.join(mappings.TABLES)}"
        )
    return mappings.TABLES[kind]


def read_csv(file: Path, table: MappingTable) -> list[Cells]:
    """The rows of a CSV file. Raises ConfigurationError that names all problems by their lines."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            columns = list(reader.fieldnames or ())
            numbered = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{file}: cannot be read as CSV in UTF-8: {error}") from error
    absent = {table.key, *table.required} - set(columns)
    if absent:
        raise ConfigurationError(f"{file}: columns missing: {', '.join(sorted(absent))}")
    problems = [f"column {column} is unknown" for column in columns if column not in table.columns]
    problems += _wrong_rows(numbered, table)
    if problems:
        raise ConfigurationError(f"{file}: nothing imported\n  " + "\n  ".join(problems))
    return [_cells(row, table) for _, row in numbered]


def _wrong_rows(numbered: list[tuple[int, dict[str, Any]]], table: MappingTable) -> Iterator[str]:
    lines: dict[str, int] = {}
    for number, row in numbered:
        if None in row:
            yield f"line {number}: has more cells than the header"
        for column in (table.key, *table.required):
            if not (row[column] or "").strip():
                yield f"line {number}: {column} is empty"
        if (row.get("active") or "").strip().casefold() not in _TRUTH:
            yield f"line {number}: active is neither true nor false"
        key = (row[table.key] or "").strip()
        if key and lines.setdefault(key, number) != number:
            yield f"line {number}: {table.key} {key} is already on line {lines[key]}"


def _cells(row: dict[str, Any], table: MappingTable) -> Cells:
    cells: Cells = {column: (row.get(column) or "").strip() or None for column in table.columns}
    if "active" in cells:
        cells["active"] = _TRUTH[(row.get("active") or "").strip().casefold()]
    return cells
