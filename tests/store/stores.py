"""Stores as they stood once, and what a store is compared by.

`NN_commit.sql` in `earlier_stores.tar.xz` is the store of the NN-th version of the first migration:
that commit's own jobs read a simulated HR system of 24 persons, planned, and carried a part out; a
row or more was added to every table by hand. The first two had no tests to run them with: theirs
were added by hand only. The first one's migration ended with a statement that failed: it stands
for what it would have made.
"""

from __future__ import annotations

import tarfile
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from accountsync.store.engine import driver


@cache
def _earlier() -> dict[int, bytes]:
    with tarfile.open(Path(__file__).with_name("earlier_stores.tar.xz")) as archive:
        files = [(int(member.name[:2]), archive.extractfile(member)) for member in archive]
        return {number: file.read() for number, file in files if file is not None}


EARLIER = range(1, 22)
"""One for each version that the first migration had."""

# What alembic's comparison does not look at: checks, predicates of indexes, deferrable constraints,
# comments, triggers, functions. As PostgreSQL itself writes them down.
_CATALOG = {
    "constraints": (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = to_regnamespace('accountsync')"
    ),
    "indexes": (
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'accountsync'"
    ),
    "columns": (
        "SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity,"
        " identity_generation, col_description(to_regclass('accountsync.' || table_name),"
        " ordinal_position), is_generated, generation_expression"
        " FROM information_schema.columns WHERE table_schema = 'accountsync'"
    ),
}
_BEYOND_THE_MODELS = {
    "triggers": (
        "SELECT pg_get_triggerdef(oid), tgenabled FROM pg_trigger WHERE NOT tgisinternal"
        " AND tgrelid::regclass::text LIKE 'accountsync.%'"
    ),
    "functions": (
        "SELECT pg_get_functiondef(oid) FROM pg_proc"
        " WHERE pronamespace = to_regnamespace('accountsync')"
    ),
    "schemas": "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'accountsync%'",
}

Catalog = dict[str, set[tuple[object, ...]]]


def catalog(connection: Connection) -> Catalog:
    """What the models make."""
    return _read(connection, _CATALOG)


def whole_catalog(connection: Connection) -> Catalog:
    """And what migrations make beside it."""
    return _read(connection, _CATALOG | _BEYOND_THE_MODELS)


def _read(connection: Connection, queries: dict[str, str]) -> Catalog:
    return {
        name: {
            tuple(row)
            for row in connection.execute(text(query))
            if "alembic" not in str(row) and "staged_" not in str(row)
        }
        for name, query in queries.items()
    }


def restore(engine: Engine, number: int) -> None:
    """Into a database without our schema."""
    with engine.begin() as connection:
        driver(connection).execute(_earlier()[number])


def rows(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Of every table, as JSON, in the order of their keys."""
    tables = connection.scalars(
        text(
            "SELECT relname FROM pg_class WHERE relnamespace = 'accountsync'::regnamespace"
            " AND relkind = 'r' AND relname <> 'alembic_version'"
        )
    ).all()
    return {
        table: list(
            connection.scalars(
                text(f"SELECT to_jsonb(t) FROM accountsync.{table} t ORDER BY to_jsonb(t)::text")
            )
        )
        for table in tables
    }
