"""A database for each test: the newest schema, no rows.

To clone one costs the kernel more than many a test costs in all. So one that a test is done with is
emptied for the next, under a new name: what outlives its test finds no other's. If a test changed
the schema, or somebody holds on to the database, it is dropped, and another one is cloned.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from accountsync.store import rights, schema
from accountsync.store.engine import make_engine

_TABLES = (
    "SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relkind = 'r'"
    " AND relnamespace = 'accountsync'::regnamespace AND relname <> 'alembic_version'"
    " AND pg_relation_size(oid) > 0"
)
_SEQUENCES = (
    "SELECT setval(format('%I.%I', schemaname, sequencename), start_value, false)"
    " FROM pg_sequences WHERE last_value IS NOT NULL"
)
_OURS = {  # whose rows are one kind of thing that a schema has → which of them are not PostgreSQL's
    "pg_attribute": "attrelid >= 16384",
    "pg_class": "oid >= 16384 AND (relrowsecurity OR relpersistence <> 'p')",
    "pg_constraint": "oid >= 16384",
    "pg_index": "indexrelid >= 16384",
    "pg_namespace": "oid >= 16384 AND nspname !~ '^pg_'",
    "pg_proc": "oid >= 16384",
    "pg_rewrite": "oid >= 16384",
    "pg_trigger": "oid >= 16384",
    "pg_type": "oid >= 16384",
    "pg_db_role_setting": "setdatabase = (SELECT oid FROM pg_database"
    " WHERE datname = current_database())",
    "accountsync.alembic_version": "true",
}
_SHAPE = " UNION ALL ".join(
    f"SELECT '{table}', count(*), max(xmin::text::bigint) FROM {table} WHERE {ours}"
    for table, ours in _OURS.items()
)
"""Whatever makes, changes or removes a part of a schema changes an answer; rows do not."""

RUN_TIME = "accountsync_tests"
"""A login that owns nothing and has the rights that an upgrade gives: what the product works with
in integration tests, which shows that it needs no more."""

_servers: dict[tuple[str | None, int | None], URL] = {}


def at_run_time(url: URL) -> str:
    """The database as the run-time login sees it."""
    logged_in = url.set(username=RUN_TIME, password=RUN_TIME)
    return logged_in.render_as_string(hide_password=False)


@contextmanager
def as_superuser(engine: Engine) -> Iterator[Connection]:
    """For what a test does to a store by hand, whoever the engine logs in as."""
    server = _servers[engine.url.host, engine.url.port]
    url = server.set(database=engine.url.database).render_as_string(hide_password=False)
    by_hand = make_engine(url)
    try:
        with by_hand.begin() as connection:
            yield connection
    finally:
        by_hand.dispose()


def execute(url: URL, statement: str) -> None:
    with connected(url) as connection:
        connection.execute(statement.encode())


def connected(url: URL) -> psycopg.Connection[tuple[object, ...]]:
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(dsn, autocommit=True)


class Databases:
    """Those of one process, on one server."""

    def __init__(self, server: URL) -> None:
        self._server = server
        self._used: list[str] = []
        self._template = f"template_{uuid4().hex[:12]}"
        url = server.set(database=self._template)
        execute(server, f"CREATE DATABASE {self._template}")
        _servers[server.host, server.port] = server
        with suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            execute(server, f"CREATE ROLE {RUN_TIME} LOGIN PASSWORD '{RUN_TIME}'")
        engine = make_engine(url.render_as_string(hide_password=False))
        schema.upgrade(engine)
        with engine.begin() as connection:
            rights.give(connection, run_time=RUN_TIME, reports=None)
        engine.dispose()
        with connected(url) as connection:
            self._shape = connection.execute(_SHAPE.encode()).fetchall()
            assert connection.execute(_TABLES.encode()).fetchone() == (None,), "it has rows"

    @contextmanager
    def one(self) -> Iterator[URL]:
        """Nobody else's while it is used."""
        name = f"test_{uuid4().hex[:12]}"
        if not (self._used and self._recycled(self._used.pop(), name)):
            execute(self._server, f"CREATE DATABASE {name} TEMPLATE {self._template}")
        yield self._server.set(database=name)
        self._used.append(name)

    @contextmanager
    def empty(self) -> Iterator[URL]:
        """Without our schema."""
        name = f"empty_{uuid4().hex[:12]}"
        execute(self._server, f"CREATE DATABASE {name}")
        yield self._server.set(database=name)
        execute(self._server, f"DROP DATABASE {name} WITH (FORCE)")

    def drop(self) -> None:
        for name in (*self._used, self._template):
            execute(self._server, f"DROP DATABASE {name} WITH (FORCE)")

    def _recycled(self, used: str, name: str) -> bool:
        """Whether the used one is as good as new now, and has the name; else it is gone."""
        with connected(self._server) as admin:
            ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            admin.execute(ends, [used])
            try:
                admin.execute(f"ALTER DATABASE {used} RENAME TO {name}".encode())
            except psycopg.errors.ObjectInUse:
                admin.execute(f"DROP DATABASE {used} WITH (FORCE)".encode())
                return False
            if self._emptied(name):
                return True
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            return False

    def _emptied(self, name: str) -> bool:
        with connected(self._server.set(database=name)) as connection:
            if connection.execute(_SHAPE.encode()).fetchall() != self._shape:
                return False
            connection.execute("SET session_replication_role = replica")  # some are append only
            (tables,) = connection.execute(_TABLES.encode()).fetchone() or (None,)
            if tables:
                connection.execute(f"TRUNCATE {tables} CASCADE".encode())
            connection.execute(_SEQUENCES.encode())
            return True
