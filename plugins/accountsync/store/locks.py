"""Advisory locks: one merge per HR source, one planner, one processor per target, one writer of
persons.

A lock belongs to its database session and ends with it, so a dead worker never leaves one behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

# The session is idle while its work goes on in another one, and has to outlive that.
_STAYS = "set_config('idle_session_timeout', '0', false)"
_WAIT = text(f"SELECT pg_advisory_lock(hashtextextended(:name, 0)) FROM {_STAYS}")
_TRY = text(f"SELECT pg_try_advisory_lock(hashtextextended(:name, 0)) FROM {_STAYS}")
_ALIVE = text("SELECT 1")
_RELEASE = text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))")
_IN_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


@contextmanager
def held(engine: Engine, name: str) -> Iterator[None]:
    """Waits for the lock and holds it. A session that ended meanwhile has lost it, which is no
    error here, because the work under it is finished."""
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
    """True where the lock was free and is ours; `is_kept` asks whether it still is."""

    def __init__(self, connection: Connection, *, got: bool) -> None:
        self._connection = connection
        self._got = got

    def __bool__(self) -> bool:
        return self._got

    def is_kept(self) -> bool:
        """False where the session has ended, for example when the database was restarted."""
        if self._got:
            try:
                self._connection.execute(_ALIVE)
            except DBAPIError:
                self._got = False
        return self._got


@contextmanager
def held_or_not(engine: Engine, name: str) -> Iterator[Lock]:
    """Holds the lock if it is free, and does not wait for it."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        got = bool(connection.scalar(_TRY, {"name": f"accountsync/{name}"}))
        lock = Lock(connection, got=got)
        try:
            yield lock
        finally:
            if lock.is_kept():
                connection.execute(_RELEASE, {"name": f"accountsync/{name}"})


def is_taken(engine: Engine, name: str) -> bool:
    """Whether somebody holds the lock now."""
    with held_or_not(engine, name) as lock:
        return not lock


def take_persons(connection: Connection) -> None:
    """Takes the right to write more than one person, until the transaction ends; waits for it.

    It is taken before anything is written. Merges, requests and operators then write one after the
    other, and never beside the planner, who holds `plan` for all of its transaction: so no two wait
    for each other's rows.
    """
    for name in ("hr/merge", "plan"):
        connection.execute(_IN_TURN, {"name": f"accountsync/{name}"})
