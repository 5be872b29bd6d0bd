"""The tools of migrations: what they change, and that nobody beside them waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import pytest
from sqlalchemy import Connection, Engine, text

from accountsync.errors import ConfigurationError, TransientError
from accountsync.store import locks
from accountsync.store.migrations import catalog, online
from accountsync.store.migrations.rebuild import rebuild

_TABLE = (
    "CREATE SCHEMA IF NOT EXISTS accountsync; CREATE TABLE accountsync.thing ("
    "id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_thing PRIMARY KEY, kind text NOT NULL,"
    " number int, note text); INSERT INTO accountsync.thing (kind, number)"
    " SELECT CASE n % 2 WHEN 0 THEN 'even' ELSE 'odd' END, n FROM generate_series(1, 1000) AS n"
)
PLACE = "accountsync.thing"


@pytest.fixture
def things(empty: Engine) -> Engine:
    with empty.begin() as connection:
        connection.execute(text(_TABLE))
    return empty


@pytest.fixture
def connection(things: Engine) -> Iterator[Connection]:
    with things.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


def _say(line: str) -> None:
    """To nobody."""


def test_a_table_in_use_is_tried_again_and_given_up_with_what_to_do(
    things: Engine, connection: Connection
) -> None:
    said: list[str] = []
    with things.begin() as busy:
        busy.execute(text(f"SELECT FROM {PLACE}"))
        with pytest.raises(TransientError, match="in use for 2 tries.*again"):
            online.briefly(
                connection,
                f"ALTER TABLE {PLACE} ADD COLUMN more text",
                what="table thing",
                say=said.append,
                tries=2,
                pause=0.01,
            )
    assert said == ["  table thing: the table is in use; trying again every 0 s"]


def test_statements_of_a_step_are_all_made_or_none(connection: Connection) -> None:
    with pytest.raises(Exception, match="does not exist"):
        online.briefly(
            connection,
            f"ALTER TABLE {PLACE} ADD COLUMN more text",
            f"ALTER TABLE {PLACE} DROP COLUMN nothing",
            what="table thing",
            say=_say,
        )
    shape = catalog.read(connection, "accountsync").tables["thing"]
    assert list(shape.columns) == ["id", "kind", "number", "note"]


def test_colons_and_per_cent_signs_of_a_statement_mean_themselves(connection: Connection) -> None:
    online.run(connection, f"COMMENT ON COLUMN {PLACE}.note IS '100 % of :all, 12:30'")
    shape = catalog.read(connection, "accountsync").tables["thing"]
    assert shape.columns["note"].comment == "100 % of :all, 12:30"


def test_an_index_takes_the_place_of_another_one_and_of_one_that_was_not_finished(
    connection: Connection,
) -> None:
    online.run(connection, f"CREATE INDEX ix_thing ON {PLACE} (note)")
    online.run(connection, f"CREATE INDEX mended_ix_thing ON {PLACE} (note)")
    definition = f"CREATE INDEX ix_thing ON {PLACE} USING btree (number)"
    online.build_index(
        connection, schema="accountsync", name="ix_thing", definition=definition, say=_say
    )
    shape = catalog.read(connection, "accountsync").tables["thing"]
    assert shape.indexes == {"ix_thing": "CREATE INDEX ix_thing ON thing USING btree (number)"}


def test_a_unique_index_over_rows_that_are_not_is_told(connection: Connection) -> None:
    definition = f"CREATE UNIQUE INDEX uq_thing ON {PLACE} USING btree (kind)"
    with pytest.raises(ConfigurationError, match="unique index uq_thing cannot be had"):
        online.build_index(
            connection, schema="accountsync", name="uq_thing", definition=definition, say=_say
        )


def test_a_rule_binds_who_writes_before_it_is_proven(connection: Connection) -> None:
    """Rows that break it are told without being quoted (I15)."""
    online.run(connection, f"INSERT INTO {PLACE} (kind, note) VALUES ('none', 'Li Lei')")
    with pytest.raises(ConfigurationError, match="ck_thing") as refused:
        online.add_rule(
            connection, table=PLACE, name="ck_thing", definition="CHECK (kind <> 'none')", say=_say
        )
    assert "Li Lei" not in str(refused.value)
    with pytest.raises(Exception, match="ck_thing"):
        online.run(connection, f"INSERT INTO {PLACE} (kind) VALUES ('none')")
    online.run(connection, f"DELETE FROM {PLACE} WHERE kind = 'none'")
    online.add_rule(
        connection, table=PLACE, name="ck_thing", definition="CHECK (kind <> 'none')", say=_say
    )
    rules = catalog.read(connection, "accountsync").tables["thing"].rules
    assert rules["ck_thing"] == "CHECK ((kind <> 'none'::text))"


def test_rows_are_filled_in_lots_and_what_was_filled_stays(connection: Connection) -> None:
    statement = f"UPDATE {PLACE} SET note = kind WHERE note IS NULL AND id > :above AND id <= :upto"
    online.run(connection, f"UPDATE {PLACE} SET note = 'done' WHERE id <= 300")
    for written in (700, 0):
        assert written == online.in_lots(
            connection, statement, table=PLACE, what="notes", say=_say, lot=64
        )


def test_a_table_is_written_anew_with_all_that_is_written_meanwhile(
    things: Engine, connection: Connection
) -> None:
    """Writers insert, update and delete while it is copied, and roll back: the rows are those that
    a table which nobody touched would have."""
    online.run(connection, f"INSERT INTO {PLACE} (kind, number) SELECT 'more', n FROM"
               " generate_series(1001, 30000) AS n")  # fmt: skip
    have = catalog.read(connection, "accountsync").tables["thing"]
    column = have.columns["number"]
    wanted = catalog.TableShape(
        columns={**have.columns, "number": catalog.Column(
            type="text", default=None, is_required=column.is_required, identity="", generated="",
            comment=None,
        )},
        rules=have.rules,
    )  # fmt: skip
    end = Event()
    with ThreadPoolExecutor(2) as threads:
        writers = [threads.submit(_write, things, end, first) for first in (0, 1)]
        time.sleep(0.2)
        rebuild(
            connection,
            schema="accountsync",
            table="thing",
            have=have,
            wanted=wanted,
            say=_say,
            lot=500,
        )
        end.set()
        kept = [writer.result() for writer in writers]
    mirror = dict(kept[0]) | dict(kept[1])
    rows = connection.execute(text(f"SELECT id, number, note FROM {PLACE} WHERE id > 30000"))
    assert {row.id: (row.number, row.note) for row in rows} == mirror
    old = connection.scalar(text(f"SELECT count(*) FROM {PLACE} WHERE id <= 30000"))
    assert old == 30_000
    assert max(mirror) < connection.scalar(
        text(f"INSERT INTO {PLACE} (kind) VALUES ('last') RETURNING id")
    )
    assert catalog.read(connection, "accountsync").tables["thing"].columns["number"].type == "text"


def _write(things: Engine, end: Event, first: int) -> dict[int, tuple[str, str | None]]:
    """What its rows are when it has ended, as texts: the column's type changes below it."""
    mirror: dict[int, tuple[str, str | None]] = {}
    round_ = first
    while not end.is_set():
        round_ += 2
        with things.begin() as connection:
            row = connection.scalar(
                text(f"INSERT INTO {PLACE} (kind, number) VALUES ('w', {round_}) RETURNING id")
            )
            mirror[row] = (str(round_), None)
            if round_ % 3 == 0:
                connection.execute(text(f"UPDATE {PLACE} SET note = 'x' WHERE id = {row}"))
                mirror[row] = (str(round_), "x")
        if round_ % 5 == 0:
            with things.begin() as connection:
                connection.execute(text(f"DELETE FROM {PLACE} WHERE id = {row}"))
                del mirror[row]
        with things.connect() as connection:
            connection.execute(text(f"UPDATE {PLACE} SET note = 'lost' WHERE id % 997 = 0"))
            connection.rollback()
    return mirror


def _written_anew(connection: Connection, say: online.Say = _say) -> None:
    """`number` becomes a text."""
    have = catalog.read(connection, "accountsync").tables["thing"]
    as_text = replace(have.columns["number"], type="text")
    wanted = replace(have, columns={**have.columns, "number": as_text})
    rebuild(connection, schema="accountsync", table="thing", have=have, wanted=wanted, say=say)


def test_a_row_that_is_deleted_and_made_again_meanwhile_is_kept(
    things: Engine, connection: Connection
) -> None:
    """Mappings are changed so: their key is no number that is given once."""

    def again(line: str) -> None:
        if line.endswith("is copied"):
            with things.begin() as other:
                other.execute(text(f"DELETE FROM {PLACE} WHERE id IN (5, 6)"))
                other.execute(
                    text(
                        f"INSERT INTO {PLACE} (id, kind, number) OVERRIDING SYSTEM VALUE"
                        " VALUES (5, 'again', 55)"
                    )
                )

    _written_anew(connection, again)
    rows = connection.execute(text(f"SELECT id, kind, number FROM {PLACE} WHERE id IN (5, 6)"))
    assert [tuple(row) for row in rows] == [(5, "again", "55")]


def test_rows_below_the_first_number_are_carried_over(connection: Connection) -> None:
    insert = f"INSERT INTO {PLACE} (id, kind) OVERRIDING SYSTEM VALUE VALUES (-5, 'x'), (0, 'x')"
    connection.execute(text(insert))
    _written_anew(connection)
    assert connection.scalar(text(f"SELECT count(*) FROM {PLACE} WHERE id <= 0")) == 2


def test_a_table_that_could_not_be_written_anew_is_as_it_was(
    things: Engine, connection: Connection
) -> None:
    """A trigger that stayed would break the writes of those who use it."""
    before = catalog.read(connection, "accountsync")
    with things.begin() as other:
        other.execute(text(f"CREATE VIEW public.mine AS SELECT number FROM {PLACE}"))
    with pytest.raises(ConfigurationError, match="a view or another object"):
        _written_anew(connection)
    assert catalog.read(connection, "accountsync") == before
    assert connection.scalar(text("SELECT to_regnamespace('accountsync_rebuild')")) is None


SET_UP = {
    "no primary key": f"ALTER TABLE {PLACE} DROP CONSTRAINT pk_thing; ALTER TABLE {PLACE}"
    " ADD CONSTRAINT other UNIQUE (id)",
    "row security": f"ALTER TABLE {PLACE} ENABLE ROW LEVEL SECURITY",
    "policies": f"CREATE POLICY mine ON {PLACE} USING (true)",
    "storage parameters": f"ALTER TABLE {PLACE} SET (fillfactor = 70)",
    "replica identity": f"ALTER TABLE {PLACE} REPLICA IDENTITY FULL",
    "publications": f"CREATE PUBLICATION mine FOR TABLE {PLACE}",
    "rights on columns": f"GRANT SELECT (kind) ON {PLACE} TO pg_monitor",
}


@pytest.mark.parametrize("part", SET_UP)
def test_what_a_copy_would_lose_is_not_copied(connection: Connection, part: str) -> None:
    connection.exec_driver_sql(SET_UP[part])
    with pytest.raises(ConfigurationError, match=part):
        _written_anew(connection)
    columns = catalog.read(connection, "accountsync").tables["thing"].columns
    assert columns["number"].type == "integer"


def test_a_lock_outlives_the_idle_time_that_a_server_allows(empty: Engine) -> None:
    with empty.begin() as connection:
        name = connection.scalar(text("SELECT current_database()"))
        connection.execute(text(f"ALTER DATABASE {name} SET idle_session_timeout = '200ms'"))
    empty.dispose()
    with locks.held_or_not(empty, "migrations") as lock:
        time.sleep(0.6)
        assert lock.is_kept()
