"""Stores that earlier checkouts made are brought to the models, with what they hold."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from accountsync.errors import ConfigurationError
from accountsync.store import schema
from tests.store.stores import EARLIER, restore, rows, whole_catalog

REPOSITORY = Path(__file__).parents[2]
VERSIONS = REPOSITORY / "plugins" / "accountsync" / "store" / "migrations" / "versions"
FROZEN = {
    "0001_foundation.py": "8fa80a7f965faf220d57421e473dd5724da0868d323190052cf65ac5272b5f5b",
    "0002_repair.py": "71b56eefaaa91ff23da365e32111f8205f6d42e79744a500203af519b695c394",
    "0003_reasons.py": "7d2c294447ae690c9184ff3a0f9359f563ba06e9b7599a2aca15d0da70a778e4",
    "0004_facts.py": "15941938aff692b5dc73855d27766924969265b5cba47e7daff4d03c30d9f8a8",
    "0005_access_ends.py": "09d6d2d910f5f609da2e90a958c429209d93314159f135f634c2febcbdc17674",
    "0006_risks.py": "d19ab277a7816440950e7bcac87019667cd79b6460ede4c6e0d4d40d40a8e6bd",
    "0007_reviews.py": "070c7725a07571f4cb5b754ee2fac8af14b27ca705629904e6482723e480601e",
    "0008_least_privilege.py": "fbb8949d4a0339767ca6356d70174c3eeb26b75b767c5a1533590570903300fb",
}

# What a store from before may not keep: (table, column) → why.
_NOT_KEPT = {
    ("account_task", "priority"): "5 for every task, is computed now",
    ("name_registry", "current"): "a person had two in use in one namespace",
    ("name_registry", "made_from"): "was not known, is worked out",
    ("staged_", "position"): "counts the rows of one read",
}
# Sentences that became kinds and facts; test_store_reasons.py compares what they say.
_SAID_OTHERWISE = {
    ("account_task", "held_because"), ("account_task", "cause"), ("sync_run", "stopped_by"),
    ("sync_run", "differences"), ("sync_run", "error"), ("rejected_record", "reasons"),
    ("correlation_case", "reasons"), ("plan", "lines"), ("staged_", "problems"),
}  # fmt: skip


@pytest.mark.parametrize("name", FROZEN)
def test_a_migration_that_was_released_is_never_changed(name: str) -> None:
    found = hashlib.sha256((VERSIONS / name).read_bytes()).hexdigest()
    assert found == FROZEN[name], (
        f"{name} is frozen: stores have run it, and never will again. Take the change back and add"
        " a new file with the next number to store/migrations/versions/"
    )


@pytest.mark.parametrize("number", EARLIER)
def test_an_earlier_store_becomes_what_the_models_say_and_keeps_its_rows(
    engine: Engine, empty: Engine, number: int
) -> None:
    restore(empty, number)
    with empty.connect() as connection:
        before, numbers = rows(connection), _numbers(connection)
    schema.upgrade(empty, "0002")
    with empty.connect() as connection:
        _assert_kept(before, rows(connection), but=_NOT_KEPT)
    schema.upgrade(empty)
    with empty.connect() as connection, engine.connect() as fresh:
        assert schema.differences(connection) == []
        assert schema.compare(connection).differences == []
        assert whole_catalog(connection) == whole_catalog(fresh)
        schema.require_our_tables(connection)
        assert all(before.values())
        _assert_kept(before, rows(connection), but=_NOT_KEPT.keys() | _SAID_OTHERWISE)
        assert numbers.items() <= _numbers(connection).items()


def _numbers(connection: Any) -> dict[str, int]:
    """Where identities go on."""
    query = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'accountsync'"
    return {name: last for name, last in connection.execute(text(query)) if last is not None}


def _assert_kept(
    before: dict[str, list[dict[str, Any]]],
    after: dict[str, list[dict[str, Any]]],
    *,
    but: Collection[tuple[str, str]],
) -> None:
    for table, old in before.items():
        if not old:
            continue
        kind = "staged_" if table.startswith("staged_") else table
        kept = [name for name in old[0] if (kind, name) not in but]
        assert _only(kept, after[table]) == _only(kept, old), table


def _only(names: list[str], found: list[dict[str, Any]]) -> list[str]:
    return sorted(str([row[name] for name in names]) for row in found)


def test_what_came_later_holds_what_was_meant_without_it(empty: Engine) -> None:
    """Leavers come first again; names whose making is certain follow renames; one name is in use
    (I8)."""
    restore(empty, 3)
    schema.upgrade(empty)
    with empty.connect() as connection:
        priorities = connection.execute(
            text(
                "SELECT DISTINCT operation, priority, account_state FROM accountsync.account_task"
                " WHERE system = 'directory' AND finished_at IS NOT NULL ORDER BY priority"
            )
        ).all()
        made_from = connection.execute(
            text(
                "SELECT value, made_from, current FROM accountsync.name_registry"
                " WHERE namespace IN ('email', 'alias') AND person_id IN ("
                "  SELECT id FROM accountsync.person WHERE source = 'files')"
                ' ORDER BY value COLLATE "C"'
            )
        ).all()
    assert [(operation, priority) for operation, priority, _ in priorities if priority != 4] == [
        ("disable", 1), ("enable", 2), ("create", 3), ("delete", 5),
    ]  # fmt: skip
    assert [tuple(row) for row in made_from] == [
        ("Person.One2@example.com", "Person.One@example.com", True),
        ("Person.One@example.com", "Person.One@example.com", True),
        ("old", "old", False),
        ("twice1", "twice1", False),
        ("twice2", "twice2", True),
    ]


def test_a_store_that_is_right_is_left_alone(empty: Engine) -> None:
    schema.upgrade(empty, "0001")
    shape = "SELECT max(xmin::text::bigint) FROM {}"
    tables = ("pg_class", "pg_attribute", "pg_constraint", "pg_index", "pg_description", "pg_proc")
    said: list[str] = []
    with empty.connect() as connection:
        before = [connection.scalar(text(shape.format(table))) for table in tables]
    schema.upgrade(empty, "0002", say=said.append)
    with empty.connect() as connection:
        assert [connection.scalar(text(shape.format(table))) for table in tables] == before
    assert said == ["store is at 0002"]


def test_a_repaired_store_goes_back_a_version_and_stays_right(empty: Engine) -> None:
    restore(empty, 9)
    schema.upgrade(empty, "0002")
    with empty.connect() as connection:
        before, repaired = rows(connection), whole_catalog(connection)
    schema.downgrade(empty, "0001")
    with empty.connect() as connection:
        assert schema.current(connection) == "0001"
        assert whole_catalog(connection) == repaired
        assert rows(connection) == before
    schema.upgrade(empty)
    with empty.connect() as connection:
        schema.require_our_tables(connection)


def test_facts_that_were_written_as_a_text_become_facts(empty: Engine) -> None:
    """Whoever still works with earlier code while it runs is refused, instead of leaving more."""
    restore(empty, 21)
    schema.upgrade(empty, "0003")
    written = (
        "UPDATE accountsync.account_task SET cause = NULL, cause_kind = 'not_mapped',"
        ' cause_facts = to_jsonb(CAST(\'{"what": "department", "code": "D1"}\' AS text))'
        " WHERE id = (SELECT max(id) FROM accountsync.account_task)"
    )
    with empty.begin() as connection:
        connection.execute(text(written))
    schema.upgrade(empty)
    with empty.begin() as connection:
        facts = connection.scalar(
            text("SELECT cause_facts FROM accountsync.account_task ORDER BY id DESC LIMIT 1")
        )
        assert facts == {"what": "department", "code": "D1"}
        with pytest.raises(IntegrityError, match="ck_account_task_cause_facts"):
            connection.execute(text(written))


class _Interrupted(Exception):
    pass


def test_an_upgrade_may_end_at_any_step_and_goes_on_from_there(
    engine: Engine, empty: Engine
) -> None:
    restore(empty, 5)
    with empty.connect() as connection:
        before = rows(connection)
    attempts = 0
    while not _upgraded(empty, steps=attempts % 3 + 2):
        attempts += 1
        assert attempts < 60
    assert attempts > 8
    with empty.connect() as connection, engine.connect() as fresh:
        assert whole_catalog(connection) == whole_catalog(fresh)
        _assert_kept(before, rows(connection), but=_NOT_KEPT.keys() | _SAID_OTHERWISE)


def _upgraded(store: Engine, *, steps: int) -> bool:
    """Whether it came to its end before it had told so many steps."""
    told = iter(range(steps))

    def tell(line: str) -> None:
        if line.startswith("  ") and next(told, None) is None:
            raise _Interrupted

    try:
        schema.upgrade(store, say=tell)
    except _Interrupted:
        return False
    return True


def test_an_upgrade_that_is_killed_while_it_copies_harms_nobody(
    engine: Engine, empty: Engine
) -> None:
    """SIGKILL in the middle of a table that is written anew: who works goes on, and the next start
    throws the half copy away."""
    restore(empty, 6)
    _many_tasks(empty, 30_000)
    child = subprocess.Popen([sys.executable, "-c", _UPGRADE], env=_environment(empty))
    _until(empty, "SELECT to_regclass('accountsync_rebuild.gone') IS NOT NULL")
    child.send_signal(signal.SIGKILL)
    child.wait()
    with empty.begin() as connection:
        assert schema.current(connection) == "0001"
        assert connection.scalar(text("SELECT to_regnamespace('accountsync_rebuild')")) is not None
        connection.execute(text("UPDATE accountsync.account_task SET cause = 'x' WHERE id % 7 = 0"))
    with empty.connect() as connection:
        before = rows(connection)
    schema.upgrade(empty)
    with empty.connect() as connection, engine.connect() as fresh:
        assert whole_catalog(connection) == whole_catalog(fresh)
        _assert_kept(before, rows(connection), but=_NOT_KEPT.keys() | _SAID_OTHERWISE)


_UPGRADE = """
import os
from accountsync.store import schema
from accountsync.store.engine import make_engine
schema.upgrade(make_engine(os.environ["STORE"]))
"""


def _environment(store: Engine) -> dict[str, str]:
    url = store.url.render_as_string(hide_password=False)
    return os.environ | {"STORE": url, "PYTHONPATH": str(REPOSITORY / "plugins")}


def _many_tasks(store: Engine, count: int) -> None:
    with store.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO accountsync.account_task (plan_id, person_id, system, operation,"
                " desired, state, finished_at)"
                " SELECT (SELECT min(id) FROM accountsync.plan), (SELECT min(id) FROM"
                "  accountsync.person), 'annex', 'update', '{}', 'succeeded', now()"
                " FROM generate_series(1, :count)"
            ),
            {"count": count},
        )


def _until(store: Engine, condition: str, *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with store.connect() as connection:
            if connection.scalar(text(condition)):
                return
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)


def test_two_upgrades_at_once_wait_for_each_other(engine: Engine, empty: Engine) -> None:
    """And neither waits inside of PostgreSQL, where the other's indexes would wait for it."""
    restore(empty, 8)
    said: list[str] = []
    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(schema.upgrade, empty, say=said.append) for _ in range(2)]:
            done.result(timeout=120)
    assert said.count("store is at 0002") == 1
    assert "another upgrade or repair is at work; waiting until it has ended" in said
    with empty.connect() as connection, engine.connect() as fresh:
        assert whole_catalog(connection) == whole_catalog(fresh)


def test_an_upgrade_waits_for_a_long_transaction_and_blocks_nobody_behind_it(
    empty: Engine,
) -> None:
    """Whoever comes while a step waits for the table is served within the step's short patience."""
    restore(empty, 20)
    said: list[str] = []
    with ThreadPoolExecutor(1) as threads, empty.connect() as busy:
        busy.execute(text("LOCK TABLE accountsync.sync_run IN ACCESS SHARE MODE"))
        running = threads.submit(schema.upgrade, empty, say=said.append)
        until = time.monotonic() + 60
        while not any("the table is in use" in line for line in said):
            assert time.monotonic() < until
            time.sleep(0.02)
        waited = [_waited(empty, "SELECT count(*) FROM accountsync.sync_run") for _ in range(20)]
        busy.rollback()
        running.result(timeout=60)
    assert max(waited) < 2.0
    assert said[-1] == f"store is at {schema.head()}"


def _waited(store: Engine, statement: str) -> float:
    begin = time.monotonic()
    with store.connect() as connection:
        connection.execute(text(statement))
    return time.monotonic() - begin


def test_rows_that_break_a_rule_are_told_and_nothing_is_lost(empty: Engine) -> None:
    restore(empty, 5)
    with empty.begin() as connection:
        connection.execute(text("UPDATE accountsync.person SET presumed_left_at = now()"))
        before = rows(connection)
    with pytest.raises(ConfigurationError, match="ck_person_presumed_left of accountsync.person"):
        schema.upgrade(empty)
    with empty.begin() as connection:
        assert schema.current(connection) == "0001"
        assert len(rows(connection)["person"]) == len(before["person"])
        connection.execute(text("UPDATE accountsync.person SET presumed_left_at = NULL"))
    schema.upgrade(empty)


DAMAGE = {
    "a default": "ALTER TABLE accountsync.person ALTER COLUMN origin DROP DEFAULT",
    "another default": "ALTER TABLE accountsync.person ALTER COLUMN origin SET DEFAULT 'request'",
    "a value that has to be there": "ALTER TABLE accountsync.person ALTER origin DROP NOT NULL;"
    " INSERT INTO accountsync.person (source, source_key, employee_number, full_name, attributes,"
    " content_hash, origin) VALUES ('x', 'x', 'x', 'x', '{}', '', NULL)",
    "a value that may be missing": "ALTER TABLE accountsync.department_mapping"
    " ALTER department_name SET NOT NULL",
    "a check": "ALTER TABLE accountsync.plan DROP CONSTRAINT ck_plan_state",
    "another check": "ALTER TABLE accountsync.plan DROP CONSTRAINT ck_plan_state;"
    " ALTER TABLE accountsync.plan ADD CONSTRAINT ck_plan_state CHECK (state <> '')",
    "a check that was not proven": "ALTER TABLE accountsync.plan DROP CONSTRAINT ck_plan_reviewed;"
    " ALTER TABLE accountsync.plan ADD CONSTRAINT ck_plan_reviewed CHECK ((state IN ('approved',"
    " 'rejected')) = (reviewed_at IS NOT NULL)) NOT VALID",
    "a unique rule": "ALTER TABLE accountsync.person DROP CONSTRAINT uq_person_employee_number",
    "a unique rule at once": "ALTER TABLE accountsync.person"
    " DROP CONSTRAINT uq_person_employee_number; ALTER TABLE accountsync.person"
    " ADD CONSTRAINT uq_person_employee_number UNIQUE (employee_number)",
    "a primary key": "ALTER TABLE accountsync.watermark DROP CONSTRAINT pk_watermark",
    "a foreign key": "ALTER TABLE accountsync.account DROP CONSTRAINT fk_account_person_id",
    "an index": "DROP INDEX accountsync.ix_person_to_plan",
    "another index": "DROP INDEX accountsync.ix_person_to_plan;"
    " CREATE INDEX ix_person_to_plan ON accountsync.person (source)",
    "a type": "ALTER TABLE accountsync.task_attempt ALTER COLUMN number TYPE int",
    "a type of another key": "ALTER TABLE accountsync.breaker ALTER COLUMN cause TYPE varchar(80)",
    "a computed column": "ALTER TABLE accountsync.account_task ALTER priority DROP EXPRESSION",
    "an identity": "ALTER TABLE accountsync.audit_event ALTER COLUMN id DROP IDENTITY",
    "a table": "DROP TABLE accountsync.correlation_case",
    "a comment": "COMMENT ON COLUMN accountsync.plan.counts IS 'counts'",
    "a trigger": "DROP TRIGGER refuse_audit_event ON accountsync.audit_event",
    "a trigger that is on": "ALTER TABLE accountsync.audit_event DISABLE TRIGGER USER",
    "a function": "CREATE OR REPLACE FUNCTION accountsync.refuse() RETURNS trigger LANGUAGE plpgsql"
    " AS $$ BEGIN RETURN NULL; END $$",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_whatever_a_store_lacks_it_is_mended(engine: Engine, empty: Engine, damage: str) -> None:
    restore(empty, 21)
    with empty.begin() as connection:
        connection.exec_driver_sql(damage)
        before = rows(connection)
        assert schema.compare(connection).differences != []
    schema.upgrade(empty)
    with empty.connect() as connection, engine.connect() as fresh:
        assert whole_catalog(connection) == whole_catalog(fresh)
        assert schema.compare(connection).differences == []
        assert {table: len(found) for table, found in rows(connection).items()} == {
            table: len(found) for table, found in before.items()
        } | {table: 0 for table in ("correlation_case", "review") if table not in before}


def test_what_a_lost_column_held_is_not_made_up(empty: Engine) -> None:
    restore(empty, 21)
    with empty.begin() as connection:
        connection.execute(text("ALTER TABLE accountsync.person DROP COLUMN full_name"))
    with pytest.raises(ConfigurationError, match="full_name.*cannot be known"):
        schema.upgrade(empty)


def test_what_others_added_to_a_table_outlives_its_being_written_anew(empty: Engine) -> None:
    restore(empty, 6)
    with empty.begin() as connection:
        connection.exec_driver_sql(
            "ALTER TABLE accountsync.account_task ADD COLUMN \"user\" text DEFAULT 'dba';"
            " CREATE INDEX dba_system ON accountsync.account_task (system);"
            " GRANT SELECT ON accountsync.account_task TO PUBLIC"
        )
    schema.upgrade(empty)
    with empty.connect() as connection:
        assert set(connection.scalars(text('SELECT "user" FROM accountsync.account_task'))) == {
            "dba"
        }
        assert schema.compare(connection).added == [
            'column account_task."user"',
            "index dba_system of account_task",
        ]
        assert connection.scalar(
            text("SELECT has_table_privilege('pg_monitor', 'accountsync.account_task', 'SELECT')")
        )
        schema.require_our_tables(connection)


def test_a_view_that_stands_in_the_way_is_told(empty: Engine) -> None:
    restore(empty, 6)
    with empty.begin() as connection:
        connection.execute(text("CREATE VIEW due AS SELECT * FROM accountsync.account_task"))
    with pytest.raises(ConfigurationError, match="a view or another object"):
        schema.upgrade(empty)
    with empty.begin() as connection:
        connection.execute(text("DROP VIEW due"))
    schema.upgrade(empty)
