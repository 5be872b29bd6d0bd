"""The schema: migrations equal the models, in every rule; there and back leaves nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, make_url, text

from accountsync.errors import ConfigurationError
from accountsync.store import engine as store_engine
from accountsync.store import schema
from accountsync.store.tables import SCHEMA, Table

REPOSITORY = Path(__file__).parents[2]

# What alembic's comparison does not look at: checks, predicates of indexes, deferrable constraints,
# comments. As PostgreSQL itself writes them down.
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
        " ordinal_position) FROM information_schema.columns WHERE table_schema = 'accountsync'"
    ),
}
_LEFT = (
    "SELECT 'relation ' || relname FROM pg_class"
    " WHERE relnamespace = to_regnamespace('accountsync')"
    " UNION ALL SELECT 'function ' || proname FROM pg_proc"
    " WHERE pronamespace = to_regnamespace('accountsync')"
    " UNION ALL SELECT 'type ' || typname FROM pg_type"
    " WHERE typnamespace = to_regnamespace('accountsync') AND typcategory <> 'A'"
)


def _catalog(connection: Connection) -> dict[str, set[tuple[object, ...]]]:
    return {
        name: {tuple(row) for row in connection.execute(text(query)) if "alembic" not in str(row)}
        for name, query in _CATALOG.items()
    }


@pytest.fixture
def empty(engine: Engine) -> Iterator[Engine]:
    """A database without our schema."""
    name = f"empty_{uuid4().hex[:12]}"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        url = engine.url.set(database=name).render_as_string(hide_password=False)
        other = store_engine.create(url)
        yield other
        other.dispose()
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def test_migrations_make_what_the_models_say(engine: Engine) -> None:
    with engine.connect() as connection:
        assert schema.differences(connection) == []


def test_migrations_make_every_rule_of_the_models(engine: Engine, empty: Engine) -> None:
    with empty.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        Table.metadata.create_all(connection)
        wanted = _catalog(connection)
    with engine.connect() as connection:
        found = _catalog(connection)
    for kind, rules in wanted.items():
        assert found[kind] == rules


def test_a_staged_feed_is_no_difference(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE accountsync.staged_7 (i int)"))
        assert schema.differences(connection) == []


def test_a_missing_column_is_a_difference(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE accountsync.person DROP COLUMN phone"))
        assert schema.differences(connection) != []


def test_down_to_nothing_leaves_nothing_and_up_again_makes_all(engine: Engine) -> None:
    with engine.begin() as connection:
        before = _catalog(connection)
        schema.downgrade(connection, "base")
        left = set(connection.scalars(text(_LEFT)))
        assert {name for name in left if "alembic" not in name} == set()
        assert schema.current(connection) is None
        schema.upgrade(connection)
        assert _catalog(connection) == before
        assert schema.differences(connection) == []


def test_upgrading_twice_is_upgrading_once(engine: Engine) -> None:
    with engine.begin() as connection:
        before = _catalog(connection)
        schema.upgrade(connection)
        assert _catalog(connection) == before
        assert schema.current(connection) == schema.head()


def test_a_job_refuses_a_store_of_another_version_and_says_what_to_run(empty: Engine) -> None:
    with empty.begin() as connection:
        with pytest.raises(ConfigurationError, match="at version none.*db upgrade"):
            schema.require_head(connection)
        schema.upgrade(connection)
        schema.require_head(connection)
        connection.execute(text("UPDATE accountsync.alembic_version SET version_num = '9999'"))
        with pytest.raises(ConfigurationError, match="at version 9999"):
            schema.require_head(connection)


def test_times_come_back_in_utc_whatever_the_server_says(engine: Engine) -> None:
    with engine.begin() as connection:
        found = connection.scalar(text("SELECT timestamptz '2026-01-01 00:00:00+08'"))
        assert found.isoformat() == "2025-12-31T16:00:00+00:00"


def test_what_a_command_prints_is_not_mixed_with_logs(database_url: str, tmp_path: Path) -> None:
    """So that it can be piped; logs go to stderr."""
    url = make_url(database_url).set(drivername="postgresql")
    done = subprocess.run(
        [REPOSITORY / "bin" / "accountsync", "db", "upgrade"],
        env={
            "PATH": os.environ["PATH"],
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW_CONN_ACCOUNTSYNC_DB": url.render_as_string(hide_password=False),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "store is at 0001\n"
    assert "alembic" in done.stderr
