"""The engine of the store, and the store's clock."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import ExceptionContext, make_url

from accountsync.clock import Clock


def make_engine(url: str) -> Engine:
    """An engine whose sessions have times in UTC. `url`: any PostgreSQL URL, with options of libpq
    as its query; the driver is psycopg 3, whichever it names."""
    address = make_url(url).set(drivername="postgresql+psycopg")
    engine = create_engine(
        address,
        pool_pre_ping=True,
        pool_size=4,
        hide_parameters=True,
        connect_args={
            "application_name": "accountsync",
            "connect_timeout": address.query.get("connect_timeout", 10),
            "options": f"{address.query.get('options', '')} -c timezone=UTC".strip(),
            "prepare_threshold": None,  # docs/adr/0017-planned-each-time.md
        },
    )
    event.listen(engine, "handle_error", _leave_out_values)
    return engine


def _leave_out_values(context: ExceptionContext) -> None:
    """Errors end in logs, and PostgreSQL quotes persons in them (I15): always rows under DETAIL and
    CONTEXT, and in data errors (class 22) values in the message itself."""
    error, wrapper = context.original_exception, context.sqlalchemy_exception
    if not isinstance(error, psycopg.Error) or wrapper is None or error.sqlstate is None:
        return
    _strip(error)
    wrapper.args = (f"({type(error).__name__}) {error.args[0]}",)


def _strip(error: psycopg.Error) -> None:
    if error.sqlstate is not None:
        is_data_error = error.sqlstate.startswith("22")
        message = "" if is_data_error else f" {error.diag.message_primary}"
        error.args = (f"SQLSTATE {error.sqlstate}{message}",)


def database_time(connection: Connection) -> datetime:
    """The database's time. All workers compare leases and due times with this one clock."""
    now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now


def database_clock(engine: Engine) -> Clock:
    """A clock that begins with the database's time and that nobody sets: when this machine's clock
    jumps, neither leases nor due times move."""
    with engine.connect() as connection:
        begin = database_time(connection)
    started = time.monotonic()
    return lambda: begin + timedelta(seconds=time.monotonic() - started)


@contextmanager
def copying(connection: Connection, statement: bytes) -> Iterator[psycopg.Copy]:
    """COPY, which goes past SQLAlchemy. Its errors leave out values, as all others do (I15)."""
    try:
        with driver(connection).cursor() as cursor, cursor.copy(statement) as copy:
            yield copy
    except psycopg.Error as error:
        _strip(error)
        raise


def bigints(values: Iterable[int]) -> str:
    """Ids for `CAST(:x AS bigint[])`, as text: the driver writes lists out item by item."""
    return f"{{{','.join(map(str, values))}}}"


def driver(connection: Connection) -> psycopg.Connection[tuple[object, ...]]:
    """The psycopg connection below SQLAlchemy's, which COPY needs."""
    raw = connection.connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise TypeError("the store needs psycopg 3")
    return raw
