"""The logins of the demo's databases, also over a demo that an earlier version made."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from accountsync.store import rights, schema
from accountsync.store.engine import make_engine
from demo import postgres, roles


@pytest.fixture
def server(tmp_path: Path) -> Iterator[postgres.Server]:
    """As it was before there were owners: everything belongs to the superuser."""
    server = postgres.start(tmp_path / "postgres")
    before = make_engine(server.url("accountsync"))
    schema.upgrade(before, "0007")
    before.dispose()
    with psycopg.connect(server.dsn("airflow")) as connection:
        connection.execute("CREATE TYPE kind AS ENUM ('a')")
        connection.execute("CREATE TABLE run (id serial PRIMARY KEY, kind kind)")
    yield server
    postgres.remove(tmp_path / "postgres")


def test_each_database_has_an_owner_and_the_store_a_login_that_owns_nothing(
    server: postgres.Server, tmp_path: Path
) -> None:
    addresses = roles.prepare(server, tmp_path / "secrets")
    assert roles.prepare(server, tmp_path / "secrets") == addresses
    owner, run_time = make_engine(addresses.owner), make_engine(addresses.store)
    schema.upgrade(owner)
    with owner.begin() as connection:
        rights.require_ownership(connection)
        rights.give(connection, run_time=roles.RUN_TIME, reports=None)
    with run_time.connect() as connection:
        schema.require_our_tables(connection)
        assert not rights.may_switch_off(connection)
        assert rights.differences(connection) == []
    owner.dispose()
    run_time.dispose()
    with psycopg.connect(addresses.airflow) as connection:
        connection.execute("ALTER TYPE kind ADD VALUE 'b'")
        connection.execute("ALTER TABLE run ADD COLUMN note text")
        connection.execute("INSERT INTO run DEFAULT VALUES")
