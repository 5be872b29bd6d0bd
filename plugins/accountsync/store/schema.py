"""The schema's version: upgrade, downgrade, current, differences from the models."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from accountsync.errors import ConfigurationError
from accountsync.store.tables import SCHEMA, Table

_MIGRATIONS = str(Path(__file__).parent / "migrations")


def _ours(name: str | None, kind: str, parents: Any) -> bool:
    """Only our schema; staged feeds (`staged_…`) come and go with their runs."""
    if kind == "schema":
        return name == SCHEMA
    return not (kind == "table" and str(name).startswith("staged_"))


COMPARISON: dict[str, Any] = {
    "target_metadata": Table.metadata,
    "version_table_schema": SCHEMA,
    "include_schemas": True,
    "include_name": _ours,
    "compare_type": True,
    "compare_server_default": True,
}


def upgrade(connection: Connection, revision: str = "head") -> None:
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    command.upgrade(_config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    command.downgrade(_config(connection), revision)


def current(connection: Connection) -> str | None:
    """Plain SQL: every job asks this first."""
    exists = f"to_regclass('{SCHEMA}.alembic_version') IS NOT NULL"
    if not connection.scalar(text(f"SELECT {exists}")):
        return None
    found: str | None = connection.scalar(text(f"SELECT version_num FROM {SCHEMA}.alembic_version"))
    return found


@cache
def head() -> str | None:
    return ScriptDirectory(_MIGRATIONS).get_current_head()


def differences(connection: Connection) -> list[Any]:
    """What autogenerate would change: empty when the database equals the models."""
    return list(compare_metadata(_context(connection), Table.metadata))


def require_head(connection: Connection) -> None:
    """Raises ConfigurationError when the store is not at the version of this code."""
    found, wanted = current(connection), head()
    if found != wanted:
        raise ConfigurationError(
            f"the store is at version {found or 'none'}, this code needs {wanted};"
            " run: bin/accountsync db upgrade"
        )


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts=COMPARISON)


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", _MIGRATIONS.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
