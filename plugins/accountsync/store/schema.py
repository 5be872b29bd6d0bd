"""The version of the schema, how it is changed, and whether the tables are those of the models."""

from __future__ import annotations

import logging
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
from accountsync.store.migrations import catalog, online, rebuild
from accountsync.store.migrations.catalog import Shape
from accountsync.store.migrations.mending import Mending, stored_otherwise
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
        _refuse_an_older_number(connection)
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
    logging.getLogger("alembic").setLevel(logging.WARNING)  # `say` tells what happens
    with _alone(engine, say), engine.connect() as connection:
        with connection.begin():
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("SET lock_timeout = 0"))  # steps set their own
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
            say("another upgrade or repair is at work; waiting until it has ended")
            has_said_so = True
        time.sleep(_LOOK_AGAIN)


def _make_schema(connection: Connection) -> None:
    """Makes the schema where there is none: that takes a right on the whole database."""
    with connection.begin():
        if not connection.scalar(text(f"SELECT to_regnamespace('{SCHEMA}') IS NOT NULL")):
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))


def current(connection: Connection) -> str | None:
    """The store's version; None: it has none. Every job asks this first, so it is plain SQL.

    Raises ConfigurationError where this login has no rights, or somebody changed by hand what the
    store says of its version."""
    _require_use(connection)
    query = f"SELECT version_num FROM {SCHEMA}.alembic_version ORDER BY version_num"
    is_told = _has_table(connection, "alembic_version")
    versions = connection.scalars(text(query)).all() if is_told else []
    if len(versions) > 1 or (not versions and _has_table(connection, "person")):
        told = f"says that it is at {' and '.join(versions)}" if versions else "says no version"
        raise ConfigurationError(
            f"the store has tables and {told}: {SCHEMA}.alembic_version has to hold one row, the"
            " version before somebody changed it. Restore the backup, or correct that table with"
            " psql and run: bin/accountsync db check"
        )
    return versions[0] if versions else None


_MAY_USE = text("""
SELECT session_user, has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = :name
""")


def _require_use(connection: Connection) -> None:
    found = connection.execute(_MAY_USE, {"name": SCHEMA}).one_or_none()
    if found is not None and not found[1]:
        raise ConfigurationError(
            f"{found[0]} has no rights in the store; bin/accountsync db upgrade gives them to the"
            " run-time login (docs/deployment.md, Roles of the database)"
        )


def _has_table(connection: Connection, name: str) -> bool:
    query = "SELECT to_regclass(:name) IS NOT NULL"
    return bool(connection.scalar(text(query), {"name": f"{SCHEMA}.{name}"}))


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
    """`differences`: what keeps the code from its work, or may. `added`: what others put beside it.
    One line each."""

    differences: list[str]
    added: list[str]


def compare(connection: Connection) -> Comparison:
    """Compares every rule of the store with the models."""
    have, wanted = catalog.read(connection, SCHEMA), _of_the_models(connection)
    beside = sorted(catalog.beside(have, wanted))
    refusing = [
        f"{part} is not ours, and may refuse our rows" for part, may_refuse in beside if may_refuse
    ]
    return Comparison(
        differences=[
            *catalog.lacks(have, wanted),
            *refusing,
            *catalog.strange_properties(connection, SCHEMA),
        ],
        added=[
            *(part for part, may_refuse in beside if not may_refuse),
            *catalog.views_of(connection, SCHEMA),
        ],
    )


def _of_the_models(connection: Connection) -> Shape:
    """Made as temporary tables, read from the catalog, and taken back at once."""
    with online.rolled_back(connection):
        shape.make(connection, "pg_temp")
        return catalog.read(connection, "pg_temp")


def repair(engine: Engine, *, say: Say = _nobody) -> None:
    """Makes again what somebody took from the tables of this version, or changed in them, beside
    those who use the store. What others added stays.

    Raises ConfigurationError where the store is at another version, its rows break a rule, a
    column has another type, or a table or column is gone: made again it would be empty, and be
    taken for what is wanted."""
    with _migrating(engine, say) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        require_version(connection)
        wanted = _of_the_models(connection)
        _refuse_what_is_lost(catalog.read(connection, SCHEMA), wanted)
        rebuild.throw_away(connection, say=say)
        mending = Mending(connection, schema=SCHEMA, wanted=wanted, say=say, may_fill=False)
        mending.expand()
        mending.contract()


def _refuse_what_is_lost(have: Shape, wanted: Shape) -> None:
    if lost := catalog.lost(have, wanted):
        raise ConfigurationError(
            f"{'; '.join(lost)}: what was there cannot be known. Nothing was changed; restore the"
            " backup (docs/deployment.md, Back up)"
        )
    if otherwise := stored_otherwise(have, wanted):
        raise ConfigurationError(
            f"{'; '.join(otherwise)}: its rows would have to be written anew, which is not done"
            " here. Nothing was changed; bin/accountsync db check says what it should be: pause the"
            " DAGs and ALTER it with psql, or restore the backup"
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


def require_our_tables(connection: Connection) -> None:
    """Raises ConfigurationError when the store is not at the version of this code, or has not the
    tables of that version. Every job asks this first: one query of the catalog, a few ms."""
    require_version(connection)
    lacking = shape.lacking(connection)
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise ConfigurationError(
            f"the store says that it is at version {head()}, but its tables are other ones:"
            f" {'; '.join(lacking[:3])}{more}. Somebody changed them by hand. All differences:"
            " bin/accountsync db check. To mend them: bin/accountsync db repair"
        )


def _known_here(connection: Connection) -> None:
    with connection.begin():
        _refuse_newer(current(connection))


_OF_0003 = f"""
SELECT count(*) FROM pg_attribute
WHERE attrelid = to_regclass('{SCHEMA}.account_task') AND attname = 'cause_kind'
"""


def _refuse_an_older_number(connection: Connection) -> None:
    """0002 makes what 0001 says, so it would take away what came later."""
    with connection.begin():
        version = current(connection)
        if version == "0001" and connection.scalar(text(_OF_0003)):
            raise ConfigurationError(
                "the store says that it is at 0001, and has columns of 0003: somebody changed the"
                f" number. Put the right one into {SCHEMA}.alembic_version with psql, and run:"
                " bin/accountsync db check"
            )


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
