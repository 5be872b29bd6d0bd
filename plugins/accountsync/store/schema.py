"""The version of the schema, how it is changed, and whether the tables are those of the models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text

from accountsync.errors import ConfigurationError
from accountsync.store import locks
from accountsync.store.migrations import catalog
from accountsync.store.tables import SCHEMA, Table, shape

_MIGRATIONS = str(Path(__file__).parent / "migrations")
_LOCK = "migrations"
_LOOK_AGAIN = 1.0

Say = Callable[[str], object]


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


def _nobody(line: str) -> None:
    """Hears the lines that nobody wants to read."""


def upgrade(engine: Engine, revision: str = "head", *, say: Say = _nobody) -> None:
    """Brings the store to a revision. Each migration commits by itself, so an interrupted upgrade
    goes on from there when it is run again. A second one waits. `say` gets a line for each step."""
    with _migrating(engine, say) as connection:
        _make_schema(connection)
        _known_here(connection)
        command.upgrade(_config(connection, say), revision)


def downgrade(engine: Engine, revision: str, *, say: Say = _nobody) -> None:
    with _migrating(engine, say) as connection:
        _known_here(connection)
        command.downgrade(_config(connection, say), revision)


@contextmanager
def _migrating(engine: Engine, say: Say) -> Iterator[Connection]:
    """A connection for the migrations alone, closed afterwards.

    A second upgrade asks for the lock again and again. A statement that waited for it inside of
    PostgreSQL would keep the indexes of the first one from being finished, and both would wait for
    ever.
    """
    with _alone(engine, say), engine.connect() as connection:
        with connection.begin():
            connection.execute(text("SET statement_timeout = 0"))
        try:
            yield connection
        except CommandError as error:
            raise ConfigurationError(str(error)) from error
        finally:
            connection.invalidate()


@contextmanager
def _alone(engine: Engine, say: Say) -> Iterator[None]:
    has_said_so = False
    while True:
        with locks.held_or_not(engine, _LOCK) as lock:
            if lock:
                yield
                return
        if not has_said_so:
            say("another upgrade is at work; waiting until it has ended")
            has_said_so = True
        time.sleep(_LOOK_AGAIN)


def _make_schema(connection: Connection) -> None:
    """Makes the schema where there is none: that takes a right on the whole database."""
    with connection.begin():
        if not connection.scalar(text(f"SELECT to_regnamespace('{SCHEMA}') IS NOT NULL")):
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))


def current(connection: Connection) -> str | None:
    """The store's version; None: it has none. Every job asks this first, so it is plain SQL."""
    exists = f"to_regclass('{SCHEMA}.alembic_version') IS NOT NULL"
    if not connection.scalar(text(f"SELECT {exists}")):
        return None
    query = f"SELECT version_num FROM {SCHEMA}.alembic_version"
    version: str | None = connection.scalar(text(query))
    return version


@cache
def head() -> str | None:
    return ScriptDirectory(_MIGRATIONS).get_current_head()


@cache
def _revisions() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory(_MIGRATIONS).walk_revisions())


def differences(connection: Connection) -> list[Any]:
    """What autogenerate would change: empty when the database equals the models."""
    return list(compare_metadata(_context(connection), Table.metadata))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`differences`: one line each. `added_indexes`: indexes beside ours, which do no harm."""

    differences: list[str]
    added_indexes: list[str]


def compare(connection: Connection) -> Comparison:
    """Compares every rule of the store with the models. These are made as temporary tables, read
    from the catalog, and taken back at once."""
    have = catalog.read(connection, SCHEMA)
    with connection.begin_nested() as attempt:
        shape.make(connection, "pg_temp")
        wanted = catalog.read(connection, "pg_temp")
        attempt.rollback()
    return Comparison(
        differences=[*catalog.lacks(have, wanted), *catalog.more(have, wanted)],
        added_indexes=catalog.more_indexes(have, wanted),
    )


def require_version(connection: Connection) -> None:
    """Raises ConfigurationError when the store does not say that it is at this code's version."""
    version, wanted = current(connection), head()
    if version == wanted:
        return
    _refuse_newer(version)
    raise ConfigurationError(
        f"the store is at version {version or 'none'}, this code needs {wanted};"
        " run: bin/accountsync db upgrade"
    )


def require_head(connection: Connection) -> None:
    """Raises ConfigurationError when the store is not at the version of this code, or has not the
    tables of that version. Every job asks this first: one query of the catalog, a few ms."""
    require_version(connection)
    lacking = shape.lacking(connection)
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise ConfigurationError(
            f"the store says that it is at version {head()}, but its tables are other ones:"
            f" {'; '.join(lacking[:3])}{more}. Somebody changed them by hand. All differences:"
            " bin/accountsync db check. How they are mended: docs/deployment.md, Upgrade"
        )


def _known_here(connection: Connection) -> None:
    with connection.begin():
        _refuse_newer(current(connection))


def _refuse_newer(version: str | None) -> None:
    if version is not None and version not in _revisions():
        raise ConfigurationError(
            f"the store is at version {version}, which this code does not know: newer code has"
            " upgraded it. Install that code, or restore the backup from before its upgrade"
        )


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts=COMPARISON)


def _config(connection: Connection, say: Say) -> Config:
    config = Config(attributes={"connection": connection, "say": say})
    config.set_main_option("script_location", _MIGRATIONS.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
