"""The engine of the store."""

from __future__ import annotations

import psycopg
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import make_url


def create(url: str) -> Engine:
    """`url`: any PostgreSQL URL; the driver is psycopg 3 whatever it says. Times come back in UTC."""
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        pool_size=4,
        connect_args={
            "application_name": "accountsync",
            "connect_timeout": 10,
            "options": "-c timezone=UTC",
        },
    )


def driver(connection: Connection) -> psycopg.Connection[tuple[object, ...]]:
    """The psycopg connection below: COPY goes there."""
    raw = connection.connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise TypeError("the store needs psycopg 3")
    return raw
