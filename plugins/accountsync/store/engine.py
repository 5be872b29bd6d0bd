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
    """`url`: any PostgreSQL URL, with options of libpq as its query; the driver is psycopg 3
    whatever it says. Times are in UTC."""
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
    """Errors end in logs, and what PostgreSQL quotes in them are persons (I15): the rows under
    DETAIL and CONTEXT always, and in data errors (class 22) the message itself."""
    error, wrapper = context.original_exception, context.sqlalchemy_exception
    if not isinstance(error, psycopg.Error) or wrapper is None or error.sqlstate is None:
        return
    _strip(error)
    wrapper.args = (f"({type(error).__name__}) {error.args[0]}",)


def _strip(error: psycopg.Error) -> None:
    if error.sqlstate is not None:
        said = "" if error.sqlstate.startswith("22") else f" {error.diag.message_primary}"
        error.args = (f"SQLSTATE {error.sqlstate}{said}",)


def database_time(connection: Connection) -> datetime:
    """One clock for all workers: leases and due times compare with it."""
    now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now


def database_clock(engine: Engine) -> Clock:
    """The database's time, kept by a clock that nobody sets: jumps of this machine's own move
    neither leases nor due times."""
    with engine.connect() as connection:
        begin = database_time(connection)
    started = time.monotonic()
    return lambda: begin + timedelta(seconds=time.monotonic() - started)


@contextmanager
def copying(connection: Connection, statement: bytes) -> Iterator[psycopg.Copy]:
    """COPY, which goes past SQLAlchemy: its errors leave out values as all others do (I15)."""
    try:
        with driver(connection).cursor() as cursor, cursor.copy(statement) as copy:
            yield copy
    except psycopg.Error as error:
        _strip(error)
        raise


def bigints(values: Iterable[int]) -> str:
    """For `CAST(:x AS bigint[])`: the driver writes long lists out item by item."""
    return f"{{{','.join(map(str, values))}}}"


def driver(connection: Connection) -> psycopg.Connection[tuple[object, ...]]:
    """The psycopg connection below: COPY goes there."""
    raw = connection.connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise TypeError("the store needs psycopg 3")
    return raw
