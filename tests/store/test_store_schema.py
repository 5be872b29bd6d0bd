"""The schema: migrations equal the models, in every rule; there and back leaves nothing."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from accountsync.errors import ConfigurationError
from accountsync.store import schema
from accountsync.store.tables import SCHEMA, Table
from tests.store.stores import catalog, whole_catalog

REPOSITORY = Path(__file__).parents[2]

_LEFT = (
    "SELECT 'relation ' || relname FROM pg_class"
    " WHERE relnamespace = to_regnamespace('accountsync')"
    " UNION ALL SELECT 'function ' || proname FROM pg_proc"
    " WHERE pronamespace = to_regnamespace('accountsync')"
    " UNION ALL SELECT 'type ' || typname FROM pg_type"
    " WHERE typnamespace = to_regnamespace('accountsync') AND typcategory <> 'A'"
)


def test_migrations_make_what_the_models_say(engine: Engine) -> None:
    with engine.connect() as connection:
        assert schema.differences(connection) == []


def test_migrations_make_every_rule_of_the_models(engine: Engine, empty: Engine) -> None:
    with empty.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        Table.metadata.create_all(connection)
        wanted = catalog(connection)
    with engine.connect() as connection:
        found = catalog(connection)
    for kind, rules in wanted.items():
        assert found[kind] == rules


def test_a_staged_feed_is_no_difference(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE accountsync.staged_7 (i int)"))
        assert schema.differences(connection) == []


def test_a_missing_column_is_a_difference(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE accountsync.person DROP COLUMN phone"))
        assert schema.differences(connection) != []


def test_down_to_nothing_leaves_nothing_and_up_again_makes_all(engine: Engine) -> None:
    with engine.connect() as connection:
        before = whole_catalog(connection)
    schema.downgrade(engine, "base")
    with engine.connect() as connection:
        left = set(connection.scalars(text(_LEFT)))
        assert {name for name in left if "alembic" not in name} == set()
        assert schema.current(connection) is None
    schema.upgrade(engine)
    with engine.connect() as connection:
        assert whole_catalog(connection) == before
        assert schema.differences(connection) == []


def test_upgrading_twice_is_upgrading_once(engine: Engine) -> None:
    with engine.connect() as connection:
        before = whole_catalog(connection)
    schema.upgrade(engine)
    with engine.connect() as connection:
        assert whole_catalog(connection) == before
        assert schema.current(connection) == schema.head()


def test_a_job_refuses_a_store_of_another_version_and_says_what_to_run(empty: Engine) -> None:
    with (
        empty.connect() as connection,
        pytest.raises(ConfigurationError, match="at version none.*db upgrade"),
    ):
        schema.require_head(connection)
    schema.upgrade(empty, "0001")
    with (
        empty.connect() as connection,
        pytest.raises(ConfigurationError, match="at version 0001.*db upgrade"),
    ):
        schema.require_head(connection)
    schema.upgrade(empty)
    with empty.begin() as connection:
        schema.require_head(connection)
        connection.execute(text("UPDATE accountsync.alembic_version SET version_num = '9999'"))
        with pytest.raises(ConfigurationError, match="at version 9999.*newer code"):
            schema.require_head(connection)


def test_older_code_neither_upgrades_nor_downgrades_a_newer_store(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE accountsync.alembic_version SET version_num = '9999'"))
    for change in (schema.upgrade, lambda engine: schema.downgrade(engine, "0001")):
        with pytest.raises(ConfigurationError, match="at version 9999.*newer code"):
            change(engine)
    with engine.begin() as connection:
        known = f"UPDATE accountsync.alembic_version SET version_num = '{schema.head()}'"
        connection.execute(text(known))
    with pytest.raises(ConfigurationError, match="7777"):
        schema.upgrade(engine, "7777")


BROKEN = {
    "column account_task.unanswered smallint NOT NULL DEFAULT": "ALTER TABLE"
    " accountsync.account_task DROP COLUMN unanswered",
    "column person.phone text": "ALTER TABLE accountsync.person ALTER phone TYPE varchar(9)",
    "column person.full_name text NOT NULL": "ALTER TABLE accountsync.person ALTER full_name"
    " DROP NOT NULL",
    "column account_task.priority smallint NOT NULL GENERATED": "ALTER TABLE"
    " accountsync.account_task ALTER priority DROP EXPRESSION",
    "constraint uq_account_person_id_system of account": "ALTER TABLE accountsync.account"
    " DROP CONSTRAINT uq_account_person_id_system",
    "index uq_account_task_open of account_task": "DROP INDEX accountsync.uq_account_task_open",
    "trigger refuse_name_registry of name_registry": "ALTER TABLE accountsync.name_registry"
    " DISABLE TRIGGER refuse_name_registry",
}


@pytest.mark.parametrize("part", BROKEN)
def test_a_job_refuses_a_store_that_was_changed_by_hand_and_says_what_is_missing(
    engine: Engine, part: str
) -> None:
    """I8, I9: what the database holds is not left to hope."""
    with engine.begin() as connection:
        connection.execute(text(BROKEN[part]))
        with pytest.raises(ConfigurationError, match=f"no {part}.*db check"):
            schema.require_head(connection)
        assert schema.compare(connection).differences != []


def test_what_others_add_to_a_store_disturbs_nobody(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE accountsync.staged_7 (i int)"))
        connection.execute(text("CREATE INDEX dba ON accountsync.person (phone)"))
        schema.require_head(connection)
        compared = schema.compare(connection)
        assert (compared.differences, compared.added_indexes) == ([], ["dba of person"])


def test_a_column_of_others_is_told(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE accountsync.person ADD COLUMN note text"))
        schema.require_head(connection)
        assert schema.compare(connection).differences == ["column person.note is not ours"]


def test_to_ask_whether_a_store_is_right_is_one_statement_of_some_milliseconds(
    engine: Engine,
) -> None:
    """Every job asks. The bound is far above what it takes, for machines that are busy."""
    with engine.connect() as connection:
        schema.require_head(connection)
        begin = time.perf_counter()
        for _ in range(10):
            schema.require_head(connection)
        assert (time.perf_counter() - begin) / 10 < 0.2


def test_times_come_back_in_utc_whatever_the_server_says(engine: Engine) -> None:
    with engine.begin() as connection:
        found = connection.scalar(text("SELECT timestamptz '2026-01-01 00:00:00+08'"))
        assert found.isoformat() == "2025-12-31T16:00:00+00:00"


def test_what_a_command_prints_is_not_mixed_with_logs(database_url: str, tmp_path: Path) -> None:
    """So that it can be piped; logs go to stderr."""
    url = make_url(database_url).set(drivername="postgresql")
    done = subprocess.run(
        [REPOSITORY / "bin" / "accountsync", "db", "upgrade"],
        env={
            "PATH": os.environ["PATH"],
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW_CONN_ACCOUNTSYNC_DB": url.render_as_string(hide_password=False),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"store is at {schema.head()}\nnothing to do\n"
    assert "alembic" in done.stderr


def _command(database_url: str, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    url = make_url(database_url).set(drivername="postgresql")
    return subprocess.run(
        [REPOSITORY / "bin" / "accountsync", *words],
        env={
            "PATH": os.environ["PATH"],
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_ACCOUNTSYNC_DB": url.render_as_string(hide_password=False),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_tells_differences_and_how_they_are_mended(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE accountsync.person DROP COLUMN phone"))
        connection.execute(text("ALTER TABLE accountsync.plan DROP CONSTRAINT ck_plan_state"))
        connection.execute(text("CREATE INDEX dba ON accountsync.person (email)"))
    done = _command(database_url, tmp_path, "db", "check")
    assert (done.returncode, done.stdout.splitlines()) == (
        1,
        [
            "differs: column person.phone is missing",
            "differs: constraint ck_plan_state of plan is missing",
            "look: index dba of person was added; it may stay",
            "how they are mended: docs/deployment.md, Upgrade",
        ],
    )
