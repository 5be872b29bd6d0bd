"""Logins of the demo's databases. The server's superuser makes them, and works for nobody else.

`airflow` owns Airflow's database. `accountsync_owner` owns the store and upgrades it; `accountsync`
is the store's run-time login and owns nothing: `bin/accountsync db upgrade` gives it its rights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from . import postgres
from .postgres import Server
from .secret import secret

OWNERS = {"airflow": "airflow", "accountsync": "accountsync_owner"}
"""Database → its owner."""
RUN_TIME = "accountsync"

# What an earlier demo made belongs to the superuser. Nothing is found in a new database.
_OTHERS = """
SELECT format('ALTER SCHEMA %%I OWNER TO %%I', nspname, %(owner)s::text) FROM pg_namespace
WHERE nspname = 'accountsync' AND nspowner <> to_regrole(%(owner)s::text)
UNION ALL
SELECT format('ALTER TABLE %%s OWNER TO %%I', oid::regclass, %(owner)s::text) FROM pg_class c
WHERE relnamespace::regnamespace::text IN ('accountsync', 'public') AND relkind IN ('r', 'S', 'v')
  AND relowner <> to_regrole(%(owner)s::text)
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype IN ('a', 'i'))
UNION ALL
SELECT format('ALTER FUNCTION %%s OWNER TO %%I', oid::regprocedure, %(owner)s::text) FROM pg_proc
WHERE pronamespace::regnamespace::text = 'accountsync' AND proowner <> to_regrole(%(owner)s::text)
UNION ALL
SELECT format('ALTER TYPE %%s OWNER TO %%I', oid::regtype, %(owner)s::text) FROM pg_type
WHERE typnamespace::regnamespace::text = 'public' AND typtype = 'e'
  AND typowner <> to_regrole(%(owner)s::text)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """For psycopg and libpq."""

    airflow: str
    store: str
    owner: str


def prepare(server: Server, secrets: Path) -> Addresses:
    """Makes the logins and the databases, or gives those that are there what they should be."""
    secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    passwords = {
        role: secret(secrets / f"database-{role}") for role in (*OWNERS.values(), RUN_TIME)
    }
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        for role, password in passwords.items():
            _ensure_role(connection, role, password)
    for database, owner in OWNERS.items():
        postgres.ensure_database(server, database)
        _hand_over(server, database, owner)
    return Addresses(
        airflow=_address(server, "airflow", "airflow", passwords),
        store=_address(server, "accountsync", RUN_TIME, passwords),
        owner=_address(server, "accountsync", "accountsync_owner", passwords),
    )


def _ensure_role(connection: psycopg.Connection, role: str, password: str) -> None:
    found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    verb = "CREATE" if found is None else "ALTER"
    statement = f"{verb} ROLE {{}} LOGIN PASSWORD {{}}"
    connection.execute(sql.SQL(statement).format(sql.Identifier(role), sql.Literal(password)))


def _hand_over(server: Server, database: str, owner: str) -> None:
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        names = (sql.Identifier(database), sql.Identifier(owner))
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(*names))
        for (statement,) in connection.execute(_OTHERS, {"owner": owner}).fetchall():
            connection.execute(statement)


def _address(server: Server, database: str, role: str, passwords: Mapping[str, str]) -> str:
    parts = urlsplit(server.dsn(database))
    place = f"{role}:{passwords[role]}@{server.host}:{server.port}"
    return urlunsplit(parts._replace(netloc=place))
