"""A database that a test gets is as new, whoever had it before."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy.engine import URL

from tests.databases import Databases, connected

AUDIT = "INSERT INTO accountsync.audit_event (actor, action, details) VALUES ('a', 'b', '{}')"
COUNT = "SELECT count(*) FROM accountsync.audit_event"
OID = "SELECT oid FROM pg_database WHERE datname = current_database()"


@pytest.fixture(scope="module")
def databases(server_url: URL) -> Iterator[Databases]:
    databases = Databases(server_url)
    yield databases
    databases.drop()


def _after(databases: Databases, *statements: str) -> tuple[bool, psycopg.Connection]:
    """Whether the same one is given again after that, and a connection to what is given."""
    with databases.one() as url, connected(url) as first:
        before = first.execute(OID.encode()).fetchone()
        for statement in statements:
            first.execute(statement.encode())
    with databases.one() as again:
        assert again.database != url.database
        second = connected(again)
        return second.execute(OID.encode()).fetchone() == before, second


def test_rows_and_numbers_are_gone_also_where_none_may_be_deleted(databases: Databases) -> None:
    same, connection = _after(databases, AUDIT, AUDIT)
    with connection:
        assert connection.execute(COUNT.encode()).fetchone() == (0,)
        made = connection.execute(f"{AUDIT} RETURNING id".encode()).fetchone()
    assert (same, made) == (True, (1,))


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE accountsync.left_behind (i int)",
        "ALTER TABLE accountsync.person DROP COLUMN phone",
        "ALTER TABLE accountsync.person ALTER phone SET DEFAULT ''",
        "ALTER TABLE accountsync.audit_event DISABLE TRIGGER ALL",
        "DROP INDEX accountsync.ix_account_task_due",
        "CREATE FUNCTION left_behind() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 64', current_database());"
        " END $$",
        "UPDATE accountsync.alembic_version SET version_num = '9999'",
    ],
)
def test_one_whose_schema_was_changed_is_not_given_again(databases: Databases, change: str) -> None:
    same, connection = _after(databases, change)
    connection.close()
    assert not same
