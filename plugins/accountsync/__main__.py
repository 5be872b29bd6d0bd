"""The operator's command line. Every command says what it did, and exits 1 where it could not."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from sqlalchemy import Connection

from accountsync import settings as configuration
from accountsync import wiring
from accountsync.errors import AccountSyncError, ConfigurationError
from accountsync.settings import Settings
from accountsync.store import mappings, schema
from accountsync.store.mappings import MappingTable

app = typer.Typer(
    name="accountsync", help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False
)
config = typer.Typer(help="The configuration file.", no_args_is_help=True)
db = typer.Typer(help="The store's schema.", no_args_is_help=True)
mapping = typer.Typer(help="Department and person-type mappings.", no_args_is_help=True)
app.add_typer(config, name="config")
app.add_typer(db, name="db")
app.add_typer(mapping, name="mapping")

ConfigFile = Annotated[
    Path | None, typer.Argument(help="default: ACCOUNTSYNC_CONFIG, else config/accountsync.yaml")
]


@config.command("check")
def config_check(file: ConfigFile = None) -> None:
    """Validate the configuration; list every problem."""
    path = file or configuration.config_path()
    settings = configuration.load(path)
    sources = ", ".join(source.name for source in settings.hr)
    typer.echo(f"{path}: valid. HR: {sources}. Targets: {', '.join(settings.systems)}.")


@config.command("show")
def config_show(file: ConfigFile = None) -> None:
    """Print the configuration with presets and defaults filled in."""
    settings = configuration.load(file or configuration.config_path())
    shown = settings.model_dump(mode="json", exclude_none=True)
    typer.echo(yaml.safe_dump(shown, allow_unicode=True, sort_keys=False), nl=False)


@config.command("schema")
def config_schema() -> None:
    """Print the JSON schema of the configuration, for editors."""
    typer.echo(json.dumps(Settings.model_json_schema(), indent=2, ensure_ascii=False))


@contextmanager
def _store() -> Iterator[Connection]:
    engine = wiring.open_store(configuration.load(configuration.config_path()))
    with engine.begin() as connection:
        yield connection


@db.command("upgrade")
def db_upgrade(revision: Annotated[str, typer.Argument()] = "head") -> None:
    """Bring the schema to a version, by default the newest."""
    with _store() as connection:
        schema.upgrade(connection, revision)
        typer.echo(f"store is at {schema.current(connection)}")


@db.command("downgrade")
def db_downgrade(revision: str) -> None:
    """Take the schema back to a version; `base` removes every table and all data."""
    with _store() as connection:
        schema.downgrade(connection, revision)
        typer.echo(f"store is at {schema.current(connection) or 'nothing'}")


@db.command("current")
def db_current() -> None:
    """Print the schema's version."""
    with _store() as connection:
        typer.echo(schema.current(connection) or "nothing")


@db.command("check")
def db_check() -> None:
    """Compare the database with the models; exit 1 where they differ."""
    with _store() as connection:
        schema.require_head(connection)
        differences = schema.differences(connection)
    for difference in differences:
        typer.echo(f"differs: {difference}")
    if differences:
        raise typer.Exit(1)
    typer.echo("store and models are equal")


@mapping.command("import")
def mapping_import(
    kind: Annotated[str, typer.Argument(help=" or ".join(mappings.TABLES))], file: Path
) -> None:
    """Load a CSV file; persons whose mapping changed are planned again."""
    table = _mapping_table(kind)
    rows = _read_csv(file, table)
    with _store() as connection:
        changed = mappings.write(connection, table, rows)
    typer.echo(f"{kind}: {len(rows)} rows read, {changed} new or changed")


def _mapping_table(kind: str) -> MappingTable:
    if kind not in mappings.TABLES:
        raise ConfigurationError(
            f"no mapping is called {kind!r}; use {' or '.join(mappings.TABLES)}"
        )
    return mappings.TABLES[kind]


def _read_csv(file: Path, table: MappingTable) -> list[dict[str, Any]]:
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


def main(run: Callable[[], None] = app) -> None:
    """Errors of ours are messages, not tracebacks."""
    try:
        run()
    except AccountSyncError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
