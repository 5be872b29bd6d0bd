"""The schema's version: upgrade, downgrade, current, differences from the models."""

from __future__ import annotations

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


def upgrade(connection: Connection, revision: str = "head") -> None:
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    command.upgrade(_config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    command.downgrade(_config(connection), revision)


def current(connection: Connection) -> str | None:
    return _context(connection).get_current_revision()


def head() -> str | None:
    return ScriptDirectory.from_config(
        Config(attributes={"script_location": _script_location()})
    ).get_current_head()


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
    return MigrationContext.configure(
        connection,
        opts={
            "version_table_schema": SCHEMA,
            "include_schemas": True,
            "include_name": _ours,
            "target_metadata": Table.metadata,
            "compare_type": True,
            "compare_server_default": True,
        },
    )


def _ours(name: str | None, kind: str, parents: Any) -> bool:
    """Only our schema; staged feeds (`staged_…`) come and go with their runs."""
    if kind == "schema":
        return name == SCHEMA
    return not (kind == "table" and str(name).startswith("staged_"))


def _script_location() -> str:
    return str(Path(__file__).parent / "migrations")


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", _script_location().replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
