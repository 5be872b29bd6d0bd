"""Every statement of the store, as PostgreSQL itself reads it: grammar, tables, columns, types."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, TextClause, text
from sqlalchemy.dialects import postgresql

from accountsync import store
from accountsync.store.engine import driver
from accountsync.store.persons import absences, claims, feeds, mappings, ownership, rejects
from accountsync.store.tasks import dependants, task_commands

PACKAGE = Path(store.__file__).parents[1]
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(store.__path__, f"{store.__name__}.")
    if ".migrations" not in module.name
]

_RUN = 1  # the run whose staged table the statements read
_MADE = (
    "INSERT INTO accountsync.sync_run (id, source, mode) OVERRIDING SYSTEM VALUE"
    " VALUES (:run, 'hr', 'full')"
)
_FILLED = {  # what stands in the templates, other than the tables that operators edit
    "table": feeds.table(_RUN),
    "key": rejects._KEY,
    "examples": 5,
    "reasons": 20,
    "fields": "full_name = p.full_name",
    "who": absences._LONG_ABSENT,
    "only": dependants._OVERLOOKED,
    "taker_may_replace": feeds.MAY_REPLACE.format(row="s", person="p"),
    "mover_may_replace": feeds.MAY_REPLACE.format(row="moving", person="holder"),
    **ownership._KINDS,
    **claims._names(_RUN),
    "claim": claims._CLAIM.format(**claims._names(_RUN)),
}
_FILLED_THEMSELVES = {"_CLAIM", "_PEEK"}  # their modules keep what was made of them
_STARTS = re.compile(r"\s*(--[^\n]*\s*)*(WITH|SELECT|INSERT|UPDATE|DELETE)\b")
_SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|FROM|WHERE|SET)\s")


def _clauses(value: Any) -> Iterator[TextClause]:
    if isinstance(value, TextClause):
        if _STARTS.match(value.text):
            yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _clauses(member)


def _templates() -> Iterator[tuple[str, str]]:
    """Name and text of what is filled in when it is used."""
    for module in MODULES:
        for name, value in vars(module).items():
            if not isinstance(value, str) or not _STARTS.match(value):
                continue
            if any(field for _, field, *_ in Formatter().parse(value)):
                yield f"{module.__name__}.{name}", value


def _fillings(name: str, template: str) -> Iterator[str]:
    *_, module, constant = name.split(".")
    if constant in _FILLED_THEMSELVES:
        return
    if module == mappings.__name__.rpartition(".")[2]:
        for table in mappings.TABLES.values():
            made = mappings._write_of(table), mappings._gaps_of(table)
            yield made[constant == "_GAPS"]
    elif module == task_commands.__name__.rpartition(".")[2]:
        for command in task_commands.TASK_COMMANDS.values():
            yield template.format(may=command.may, follows=command.follows, sets=command.sets)
    else:
        yield template.format(**_FILLED)


def _inline() -> Iterator[tuple[str, str]]:
    """Those that stand where they are used, in one piece."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="text"), args=[ast.Constant(value=str(said))]):
                    if _STARTS.match(said):
                        yield f"{file.stem}:{node.lineno}", said


def _statements() -> dict[str, str]:
    """Text → where it stands."""
    found = {}
    for module in MODULES:
        for name, value in vars(module).items():
            found |= {clause.text: f"{module.__name__}.{name}" for clause in _clauses(value)}
    for name, template in _templates():
        found |= dict.fromkeys(_fillings(name, template), name)
    return found | {said: name for name, said in _inline()}


def _prepare(connection: Connection, statement: str) -> None:
    """Raises what PostgreSQL finds wrong with it. Nothing is carried out."""
    compiled = text(statement).compile(dialect=postgresql.dialect(paramstyle="numeric_dollar"))
    with driver(connection).cursor() as cursor:
        cursor.execute(f"PREPARE statement AS {compiled}".encode())
        cursor.execute(b"DEALLOCATE statement")


def test_postgresql_understands_every_statement(engine: Engine) -> None:
    wrong = {}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(_MADE), {"run": _RUN})
        feeds.create(connection, run_id=_RUN)
        statements = _statements()
        for statement, place in statements.items():
            try:
                _prepare(connection, statement)
            except psycopg.Error as error:
                wrong[place] = str(error)
    assert wrong == {}
    assert len(statements) > 150


def test_postgresql_understands_every_copy(engine: Engine) -> None:
    copies = [
        value
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, bytes) and b"COPY" in value
    ]
    assert copies
    with engine.begin() as connection:
        for statement in copies:
            with driver(connection).cursor() as cursor, cursor.copy(statement):
                pass


def test_a_statement_of_more_than_two_lines_can_be_pasted() -> None:
    """It is one string between triple quotes, not pieces between quotes of their own."""
    assert {str(file): lines for file in FILES if (lines := list(_in_pieces(file)))} == {}


def _in_pieces(file: Path) -> Iterator[int]:
    source = file.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Constant | ast.JoinedStr):
            continue
        if (node.end_lineno or 0) - node.lineno > 1:
            segment = ast.get_source_segment(source, node) or ""
            if segment.count("\n") > 1 and '"""' not in segment and _SQL.search(segment):
                yield node.lineno
