"""Advisory locks: one merge per HR source, one planner, one processor per target, one writer of
persons.

A lock belongs to its database session and ends with it, so a dead worker never leaves one behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

_WAIT = text("SELECT pg_advisory_lock(hashtextextended(:name, 0))")
_TRY = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
_ALIVE = text("SELECT 1")
_RELEASE = text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))")
_IN_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


@contextmanager
def held(engine: Engine, name: str) -> Iterator[None]:
    """Waits for its turn. A session that ended meanwhile has let go, which is no error: what was
    done is done."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(_WAIT, {"name": f"accountsync/{name}"})
        try:
            yield
        finally:
            try:
                connection.execute(_RELEASE, {"name": f"accountsync/{name}"})
            except DBAPIError:
                connection.invalidate()


class Lock:
    """Whether it was free and is ours; and whether it still is."""

    def __init__(self, connection: Connection, *, got: bool) -> None:
        self._connection = connection
        self._got = got

    def __bool__(self) -> bool:
        return self._got

    def is_kept(self) -> bool:
        """A session that ended, as by a restart of the database, has lost it."""
        if self._got:
            try:
                self._connection.execute(_ALIVE)
            except DBAPIError:
                self._got = False
        return self._got


@contextmanager
def held_or_not(engine: Engine, name: str) -> Iterator[Lock]:
    """Does not wait: says whether the lock was free, and then holds it."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        got = bool(connection.scalar(_TRY, {"name": f"accountsync/{name}"}))
        lock = Lock(connection, got=got)
        try:
            yield lock
        finally:
            if lock.is_kept():
                connection.execute(_RELEASE, {"name": f"accountsync/{name}"})


def is_taken(engine: Engine, name: str) -> bool:
    """Whether whoever wants it now has to wait."""
    with held_or_not(engine, name) as lock:
        return not lock


def take_persons(connection: Connection) -> None:
    """For whoever writes more than one person, before it writes anything: merges, requests and
    operators one after the other, and never beside the planner, who holds `plan` for all of its
    transaction. So no two wait for each other's rows. Waits; ends with the transaction."""
    for name in ("hr/merge", "plan"):
        connection.execute(_IN_TURN, {"name": f"accountsync/{name}"})
