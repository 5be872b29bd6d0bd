"""Changes of large tables beside those who read and write them.

A change that needs a table for itself is made in a short transaction that gives up when it does not
get the table at once, and tries again: whoever comes meanwhile waits behind it no longer than that.
What takes long (building an index, proving a constraint, filling a column) takes no lock that
readers or writers wait for. Every step is complete when its statement is, so an interrupted
migration is run again and goes on with what is left.

The connection is in autocommit (`autocommit_block` of the migration). These functions commit: a
migration is the one part of the store that does.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from psycopg.errors import LockNotAvailable, UniqueViolation
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from accountsync.errors import ConfigurationError, TransientError
from accountsync.store.engine import driver

Say = Callable[[str], object]
Result = TypeVar("Result")

LOCK_TIMEOUT_MS = 300
_PAUSE = 1.0
_TRIES = 300
LOT = 2_000
"""Rows: who writes one of them waits for the rest of its lot."""
_TELL_EVERY = 5.0
_COLON = re.compile(r"(?<!:):(?=\w)")


def briefly(
    connection: Connection,
    *statements: str,
    what: str,
    say: Say,
    tries: int = _TRIES,
    pause: float = _PAUSE,
) -> None:
    """All statements in one transaction, each waiting LOCK_TIMEOUT_MS for a table at most. Raises
    TransientError when the table was in use at every try."""

    def step() -> None:
        for statement in statements:
            run(connection, statement)

    patiently(connection, step, what=what, say=say, tries=tries, pause=pause)


def patiently(
    connection: Connection,
    step: Callable[[], Result],
    *,
    what: str,
    say: Say,
    tries: int = _TRIES,
    pause: float = _PAUSE,
) -> Result:
    """The step in a transaction that gives way to whoever has a lock it wants. It gives up before
    PostgreSQL looks for deadlocks (a second), so it is never the others who are broken off."""
    for attempt in range(tries):
        try:
            with driver(connection).transaction():
                connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
                return step()
        except DBAPIError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
        if attempt % 30 == 0:
            say(f"  {what}: the table is in use; trying again every {pause:.0f} s")
        time.sleep(pause)
    raise TransientError(
        f"{what}: the table was in use for {tries} tries. What was done so far is kept: pause the"
        " DAGs or wait for long transactions to end, then run it again"
    )


def in_lots(
    connection: Connection, statement: str, *, table: str, what: str, say: Say, lot: int = LOT
) -> int:
    """The statement for all rows of the table, `id > :above AND id <= :upto` at a time, each lot in
    a transaction of its own. Returns how many rows it wrote."""
    query = text(f"SELECT coalesce(min(id) - 1, 0), coalesce(max(id), 0) FROM {table}")
    first, last = connection.execute(query).one()
    written, told_at = 0, time.monotonic()
    for above in range(first, last, lot):
        bound = {"above": above, "upto": above + lot}

        def step(bound: dict[str, int] = bound) -> int:
            return connection.execute(text(statement), bound).rowcount

        written += patiently(connection, step, what=what, say=say)
        if time.monotonic() - told_at > _TELL_EVERY:
            say(f"  {what}: up to {min(above + lot, last):,} of {last:,}")
            told_at = time.monotonic()
    return written


@contextmanager
def rolled_back(connection: Connection) -> Iterator[None]:
    """For looking at what statements would make."""
    with driver(connection).transaction(force_rollback=True):
        yield


def run(connection: Connection, statement: str) -> None:
    """A statement without parameters: its colons mean themselves."""
    connection.execute(text(_COLON.sub(r"\\:", statement)))


@contextmanager
def told(say: Say, what: str) -> Iterator[None]:
    """Says what begins, and how long it took where that was noticeable."""
    say(f"  {what}")
    started = time.monotonic()
    yield
    seconds = time.monotonic() - started
    if seconds >= 1.0:
        say(f"  {what}: done after {seconds:.0f} s")


def build_index(
    connection: Connection, *, schema: str, name: str, definition: str, say: Say
) -> None:
    """`definition`: CREATE [UNIQUE] INDEX name ON …, qualified. One of the same name, which is
    another one or was not finished, gives way once the new one is there."""
    new = f"mended_{name}"[:63]
    run(connection, f"DROP INDEX CONCURRENTLY IF EXISTS {schema}.{new}")
    head, _, rest = definition.partition(f" {name} ON ")
    try:
        with told(say, f"index {name} is built"):
            run(connection, f"{head} CONCURRENTLY {new} ON {rest}")
    except DBAPIError as error:
        if isinstance(error.orig, UniqueViolation):
            raise broken(f"unique index {name}", definition) from error
        raise
    briefly(
        connection,
        f"DROP INDEX IF EXISTS {schema}.{name}",
        f"ALTER INDEX {schema}.{new} RENAME TO {name}",
        what=f"index {name}",
        say=say,
    )


def add_rule(connection: Connection, *, table: str, name: str, definition: str, say: Say) -> None:
    """A check or a foreign key, instead of one of the same name: it binds new rows at once and is
    then proven for those that are there, which blocks nobody."""
    briefly(
        connection,
        f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}",
        f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition} NOT VALID",
        what=f"constraint {name}",
        say=say,
    )
    prove_rule(connection, table=table, name=name, definition=definition, say=say)


def prove_rule(connection: Connection, *, table: str, name: str, definition: str, say: Say) -> None:
    try:
        with told(say, f"constraint {name} is proven"):
            run(connection, f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.IntegrityError):
            raise broken(f"constraint {name} of {table}", definition) from error
        raise


def add_key(
    connection: Connection, *, schema: str, table: str, name: str, definition: str, say: Say
) -> None:
    """A primary key or unique constraint: its index is built beside writers, then adopted."""
    kind, _, rest = definition.partition("(")
    columns, _, timing = rest.partition(")")
    index = f"CREATE UNIQUE INDEX {name} ON {schema}.{table} ({columns})"
    briefly(
        connection,
        f"ALTER TABLE {schema}.{table} DROP CONSTRAINT IF EXISTS {name}",
        what=f"constraint {name}",
        say=say,
    )
    build_index(connection, schema=schema, name=name, definition=index, say=say)
    briefly(
        connection,
        f"ALTER TABLE {schema}.{table} ADD CONSTRAINT {name} {kind.strip()} USING INDEX {name}"
        f"{timing}",
        what=f"constraint {name}",
        say=say,
    )


def require_values(connection: Connection, *, table: str, column: str, say: Say) -> None:
    """NOT NULL: a check is proven first, so that the table is not read under a lock."""
    check = f"mended_{column}_not_null"[:63]
    add_rule(
        connection, table=table, name=check, definition=f"CHECK ({column} IS NOT NULL)", say=say
    )
    briefly(
        connection,
        f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL",
        f"ALTER TABLE {table} DROP CONSTRAINT {check}",
        what=f"{table}.{column}",
        say=say,
    )


def broken(what: str, definition: str) -> ConfigurationError:
    return ConfigurationError(
        f"{what} cannot be had: rows of the store break `{definition}`. Mend these rows, then run"
        " the command again"
    )
