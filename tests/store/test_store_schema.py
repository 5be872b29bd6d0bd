"""The schema: migrations equal the models, in every rule; there and back leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from accountsync.errors import ConfigurationError
from accountsync.store import schema
from accountsync.store.tables import SCHEMA, Table
from tests.databases import RUN_TIME, at_run_time
from tests.store.people import add_persons
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
        schema.require_our_tables(connection)
    schema.upgrade(empty, "0001")
    with (
        empty.connect() as connection,
        pytest.raises(ConfigurationError, match="at version 0001.*db upgrade"),
    ):
        schema.require_our_tables(connection)
    schema.upgrade(empty)
    with empty.begin() as connection:
        schema.require_our_tables(connection)
        connection.execute(text("UPDATE accountsync.alembic_version SET version_num = '9999'"))
        with pytest.raises(ConfigurationError, match="at version 9999.*newer code"):
            schema.require_our_tables(connection)


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
            schema.require_our_tables(connection)
        assert schema.compare(connection).differences != []


def test_what_others_add_to_a_store_disturbs_nobody(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE UNLOGGED TABLE accountsync.staged_7 (i int)"))
        connection.execute(text("CREATE INDEX dba ON accountsync.person (phone)"))
        schema.require_our_tables(connection)
        compared = schema.compare(connection)
        assert (compared.differences, compared.added) == ([], ["index dba of person"])


ADDED = {
    "table dba": "CREATE TABLE accountsync.dba (i int)",
    "column person.note": "ALTER TABLE accountsync.person ADD COLUMN note text",
    "column person.at": "ALTER TABLE accountsync.person ADD at timestamptz NOT NULL DEFAULT now()",
    "trigger dba of person": "CREATE TRIGGER dba AFTER UPDATE ON accountsync.person"
    " FOR EACH ROW EXECUTE FUNCTION accountsync.refuse()",
    "view dba of person": "CREATE VIEW public.dba AS SELECT id, email FROM accountsync.person",
}
IN_THE_WAY = {
    "column person.note": "ALTER TABLE accountsync.person ADD COLUMN note text NOT NULL",
    "constraint dba of person": "ALTER TABLE accountsync.person"
    " ADD CONSTRAINT dba CHECK (phone <> '')",
    "index dba of person": "CREATE UNIQUE INDEX dba ON accountsync.person (phone)",
    "constraint twice of person": "ALTER TABLE accountsync.person"
    " ADD CONSTRAINT twice EXCLUDE USING btree (phone WITH =)",
    "trigger dba of person": "CREATE TRIGGER dba BEFORE UPDATE ON accountsync.person"
    " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "rule dba of audit_event": "CREATE RULE dba AS ON INSERT TO accountsync.audit_event"
    " DO INSTEAD NOTHING",
}
SET_UP = {
    "row security of person is on": "ALTER TABLE accountsync.person ENABLE ROW LEVEL SECURITY",
    "table task_attempt is not logged": "ALTER TABLE accountsync.task_attempt SET UNLOGGED",
    "table dba inherits from account_task": "CREATE TABLE public.dba ()"
    " INHERITS (accountsync.account_task)",
}


@pytest.mark.parametrize("part", ADDED)
def test_what_others_added_is_told_and_no_difference(engine: Engine, part: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(ADDED[part])
        schema.require_our_tables(connection)
        compared = schema.compare(connection)
        assert (compared.differences, compared.added) == ([], [part])


@pytest.mark.parametrize("part", IN_THE_WAY)
def test_what_may_refuse_our_rows_is_a_difference(engine: Engine, part: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(IN_THE_WAY[part])
        compared = schema.compare(connection)
        refuses = f"{part} is not ours, and may refuse our rows"
        assert (compared.differences, compared.added) == ([refuses], [])


@pytest.mark.parametrize("said", SET_UP)
def test_what_changes_which_rows_a_table_holds_is_a_difference(engine: Engine, said: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(SET_UP[said])
        (difference,) = schema.compare(connection).differences
        assert difference.startswith(said)


def test_a_job_refuses_tables_that_hide_rows(engine: Engine) -> None:
    """With row security nobody would be found, and everybody taken for gone."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE accountsync.person ENABLE ROW LEVEL SECURITY"))
        with pytest.raises(ConfigurationError, match="no table person, .* without row security"):
            schema.require_our_tables(connection)


NO_VERSION = {
    "says no version": "DELETE FROM accountsync.alembic_version",
    "says that it is at 0001 and 0003": "UPDATE accountsync.alembic_version"
    " SET version_num = '0003'; INSERT INTO accountsync.alembic_version VALUES ('0001')",
}


def test_a_store_that_lost_the_table_of_its_version_is_told(empty: Engine) -> None:
    schema.upgrade(empty)
    with empty.begin() as connection:
        connection.execute(text("DROP TABLE accountsync.alembic_version"))
    with pytest.raises(ConfigurationError, match="says no version: accountsync.alembic_version"):
        schema.upgrade(empty)


@pytest.mark.parametrize("said", NO_VERSION)
def test_a_store_whose_version_was_changed_by_hand_is_left_alone(engine: Engine, said: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(NO_VERSION[said])
        before = whole_catalog(connection)
        with pytest.raises(ConfigurationError, match=f"{said}: accountsync.alembic_version"):
            schema.require_our_tables(connection)
    for change in (schema.upgrade, lambda engine: schema.downgrade(engine, "0001"), schema.repair):
        with pytest.raises(ConfigurationError, match=f"{said}: accountsync.alembic_version"):
            change(engine)
    with engine.connect() as connection:
        assert whole_catalog(connection) == before


def test_to_ask_whether_a_store_is_right_is_one_statement_of_some_milliseconds(
    engine: Engine,
) -> None:
    """Every job asks. The bound is far above what it takes, for machines that are busy."""
    with engine.connect() as connection:
        schema.require_our_tables(connection)
        begin = time.perf_counter()
        for _ in range(10):
            schema.require_our_tables(connection)
        assert (time.perf_counter() - begin) / 10 < 0.2


def test_times_come_back_in_utc_whatever_the_server_says(engine: Engine) -> None:
    with engine.begin() as connection:
        found = connection.scalar(text("SELECT timestamptz '2026-01-01 00:00:00+08'"))
        assert found.isoformat() == "2025-12-31T16:00:00+00:00"


def test_what_a_command_prints_is_not_mixed_with_logs(database_url: str, tmp_path: Path) -> None:
    """So that it can be piped; logs go to stderr."""
    done = _command(database_url, tmp_path, "db", "upgrade")
    may = f"{RUN_TIME} may work with the store"
    assert done.stdout == f"store is at {schema.head()}\n{may}\nnothing to do\n"
    assert done.stderr == ""


def _start(database_url: str, home: Path, *words: str) -> subprocess.Popen[str]:
    """Both Connections of the example configuration are there."""
    url = make_url(database_url).set(drivername="postgresql")
    return subprocess.Popen(
        [REPOSITORY / "bin" / "accountsync", *words],
        env={
            "PATH": os.environ["PATH"],
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_ACCOUNTSYNC_DB": at_run_time(url),
            "AIRFLOW_CONN_ACCOUNTSYNC_DB_OWNER": url.render_as_string(hide_password=False),
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # as in a terminal, also where whoever runs the tests ignores Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        text=True,
    )


def _command(database_url: str, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    running = _start(database_url, home, *words)
    said, complained = running.communicate(timeout=120)
    return subprocess.CompletedProcess(words, running.returncode, said, complained)


def test_the_command_tells_differences_and_mends_them(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    with engine.begin() as connection:
        before = whole_catalog(connection)
        connection.execute(text("ALTER TABLE accountsync.person ALTER full_name DROP NOT NULL"))
        connection.execute(text("ALTER TABLE accountsync.plan DROP CONSTRAINT ck_plan_state"))
        connection.execute(text("CREATE INDEX dba ON accountsync.person (email)"))
    refused = _command(database_url, tmp_path, "task", "list")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "ck_plan_state of plan" in refused.stderr
    assert "bin/accountsync db repair" in refused.stderr
    done = _command(database_url, tmp_path, "db", "check")
    assert (done.returncode, done.stdout.splitlines()) == (
        1,
        [
            "differs: column person.full_name is not `text NOT NULL` but `text`",
            "differs: constraint ck_plan_state of plan is missing",
            "look: index dba of person was added; it may stay",
            "to mend them: bin/accountsync db repair",
        ],
    )
    repaired = _command(database_url, tmp_path, "db", "repair")
    assert (repaired.returncode, repaired.stdout.splitlines()[-2:]) == (
        0,
        ["look: index dba of person was added; it may stay", "store and models are equal"],
    )
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX accountsync.dba"))
        assert whole_catalog(connection) == before


LOST = {
    "column account_task.priority is stored": "ALTER TABLE accountsync.account_task"
    " ALTER priority DROP EXPRESSION",
    "column plan.id is stored": "ALTER TABLE accountsync.plan ALTER id DROP IDENTITY",
    "column person.phone is stored": "ALTER TABLE accountsync.person ALTER phone TYPE varchar(9)",
    "column person.phone is missing": "ALTER TABLE accountsync.person DROP COLUMN phone",
    "table correlation_case is missing": "DROP TABLE accountsync.correlation_case",
}


@pytest.mark.parametrize("part", LOST)
def test_what_was_lost_with_its_values_is_not_made_again_empty(engine: Engine, part: str) -> None:
    """An empty phone number would be sent to the targets as what HR says. No table is written anew
    either."""
    with engine.begin() as connection:
        connection.execute(text(LOST[part]))
        connection.execute(text("ALTER TABLE accountsync.plan DROP CONSTRAINT ck_plan_state"))
        before = whole_catalog(connection)
    with pytest.raises(ConfigurationError, match=f"{part}.*restore the backup"):
        schema.repair(engine)
    with engine.connect() as connection:
        assert whole_catalog(connection) == before


def test_a_repair_makes_up_no_value(engine: Engine) -> None:
    """The default of a column is what a new row means, not one that somebody emptied."""
    with engine.begin() as connection:
        add_persons(connection, 1)
        connection.execute(text("ALTER TABLE accountsync.person ALTER origin DROP NOT NULL"))
        connection.execute(text("UPDATE accountsync.person SET origin = NULL"))
    with pytest.raises(ConfigurationError, match="origin.*Mend these rows"):
        schema.repair(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT origin FROM accountsync.person")) is None


def test_a_rule_under_another_name_gets_its_name_back(engine: Engine) -> None:
    with engine.begin() as connection:
        before = whole_catalog(connection)
        for old, new in (("pk_person", "person_pkey"), ("ck_person_presumed_left", "mine")):
            connection.execute(
                text(f"ALTER TABLE accountsync.person RENAME CONSTRAINT {old} TO {new}")
            )
    schema.repair(engine)
    with engine.connect() as connection:
        assert whole_catalog(connection) == before


def test_a_store_that_says_less_than_it_is_is_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE accountsync.alembic_version SET version_num = '0001'"))
        before = whole_catalog(connection)
    with pytest.raises(ConfigurationError, match="at 0001, and has columns of 0003"):
        schema.upgrade(engine)
    with engine.connect() as connection:
        assert whole_catalog(connection) == before


def test_an_interrupted_upgrade_says_how_it_goes_on(empty: Engine, tmp_path: Path) -> None:
    """Ctrl-C is how people stop what takes long, so it is no traceback."""
    schema.upgrade(empty, "0002")
    with empty.connect() as busy:
        busy.execute(text("LOCK TABLE accountsync.account_task IN ACCESS SHARE MODE"))
        running = _start(empty.url.render_as_string(hide_password=False), tmp_path, "db", "upgrade")
        assert running.stdout is not None
        while "the table is in use" not in running.stdout.readline():
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (
        130,
        "interrupted: what was done is kept, and the rest follows when it is run again:"
        " bin/accountsync db upgrade\n",
    )
    schema.upgrade(empty)
    with empty.connect() as connection:
        schema.require_our_tables(connection)
