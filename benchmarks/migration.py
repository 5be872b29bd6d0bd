"""Upgrading a store that an earlier checkout made, beside those who use it.

The store is one of the third version of the first migration, filled with persons, an account, a
task, an attempt and a name for each. `db upgrade` writes the table of tasks anew, adds columns,
rules and indexes; meanwhile one session writes as a processor does, and one reads. The reference is
how long the tasks alone are locked where PostgreSQL rewrites their table in one statement.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))

import psycopg

from benchmarks import report, stage
from benchmarks.report import Row

MODULE = "benchmarks.migration"
PERSONS = {"tiny": 2_000, "small": 50_000, "full": 1_000_000}
EARLIER = 3
ALONE_SECONDS = {"tiny": 1.0, "small": 10.0, "full": 60.0}

_FILL = (
    "INSERT INTO accountsync.person (source, source_key, employee_number, full_name, attributes,"
    " content_hash) SELECT 'many', n, 'm' || n, 'Person ' || n,"
    " jsonb_build_object('department', n % 500, 'title', repeat('x', 100)), '\\x00'"
    " FROM generate_series(1, {persons}) AS n",
    "INSERT INTO accountsync.account (person_id, system, state, identifier, attributes, provenance)"
    " SELECT id, 'many', 'active', employee_number, attributes, 'created' FROM accountsync.person"
    " WHERE source = 'many'",
    "INSERT INTO accountsync.account_task (plan_id, person_id, system, operation, desired, state,"
    " finished_at) SELECT (SELECT min(id) FROM accountsync.plan), id, 'many', 'create', attributes,"
    " CASE WHEN id % 10 = 0 THEN 'ready' ELSE 'succeeded' END,"
    " CASE WHEN id % 10 = 0 THEN NULL ELSE now() END FROM accountsync.person WHERE source = 'many'",
    "INSERT INTO accountsync.task_attempt (task_id, number, kind, worker, started_at)"
    " SELECT id, 1, 'call', 'worker', now() FROM accountsync.account_task WHERE system = 'many'",
    "INSERT INTO accountsync.name_registry (namespace, folded, folded_base, value, number,"
    " person_id) SELECT 'many', employee_number, employee_number, employee_number, 1, id"
    " FROM accountsync.person WHERE source = 'many'",
)
_CLAIM = """
UPDATE accountsync.account_task SET attempts = attempts + 1, claimed_by = 'worker' WHERE id = (
  SELECT id FROM accountsync.account_task WHERE system = 'many' AND state = 'ready'
  ORDER BY priority, next_attempt_at, id LIMIT 1 OFFSET %s)
RETURNING id
"""
_RECORD = (
    "INSERT INTO accountsync.task_attempt (task_id, number, kind, worker, started_at)"
    " SELECT %s, coalesce(max(number), 0) + 1, 'call', 'worker', now()"
    " FROM accountsync.task_attempt WHERE task_id = %s"
)
_TOUCH = (
    "UPDATE accountsync.person SET revision = revision + 1"
    " WHERE source = 'many' AND source_key = %s"
)
_READ = (
    "SELECT p.employee_number, a.state, t.state, t.attempts FROM accountsync.person p"
    " JOIN accountsync.account a ON a.person_id = p.id"
    " JOIN accountsync.account_task t ON t.person_id = p.id AND t.system = a.system"
    " WHERE p.source = 'many' AND p.source_key = %s"
)
_AT_ONCE = (
    "ALTER TABLE accountsync.account_task DROP COLUMN priority, ADD COLUMN priority smallint"
    " GENERATED ALWAYS AS (CASE operation WHEN 'disable' THEN 1 ELSE 4 END) STORED NOT NULL;"
    " CREATE INDEX ix_account_task_due ON accountsync.account_task (system, priority,"
    " next_attempt_at, id) WHERE state = 'ready'"
)


def main(scale: str) -> None:
    persons = PERSONS[scale]
    with stage.database() as server:
        dsn = server.dsn("accountsync")
        _progress("filling")
        setup(dsn, persons)
        stage.settle(dsn)
        _execute(server.dsn("postgres"), "CREATE DATABASE copy TEMPLATE accountsync")
        with _beside(dsn, persons) as alone:
            time.sleep(ALONE_SECONDS[scale])
        _progress("upgrading")
        with _beside(dsn, persons) as meanwhile:
            upgraded = stage.case(MODULE, "upgrade", dsn)
        asked = stage.case(MODULE, "ask", dsn)
        _progress("the table of tasks at once")
        at_once = _execute(server.dsn("copy"), _AT_ONCE)
    waits = meanwhile.waits()
    report.write(
        "migration",
        [
            Row(case=f"upgrade of {persons:,} persons", value=upgraded.seconds, unit="s",
                peak_rss_mb=upgraded.rss_mb, wal_mb=upgraded.wal_mb),
            Row(case="table of tasks rewritten by one statement", value=1000 * at_once, unit="ms"),
            *(
                Row(case=f"longest wait of a {kind} meanwhile", value=1000 * max(waits[kind]),
                    unit="ms", reference="one statement", ratio=at_once / max(waits[kind]))
                for kind in waits
            ),
            *(
                Row(case=f"99 of 100 {kind}s meanwhile within", value=1000 * _most(waits[kind]),
                    unit="ms", reference="without an upgrade",
                    ratio=_most(waits[kind]) / _most(alone.waits()[kind]))
                for kind in waits
            ),
            Row(case="asking whether the store is right", value=asked.extra["ms"], unit="ms"),
        ],
    )  # fmt: skip


def _progress(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)


def setup(dsn: str, persons: int) -> None:
    from accountsync.store.engine import make_engine
    from tests.store import stores

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS accountsync CASCADE")
    engine = make_engine(dsn)
    stores.restore(engine, EARLIER)
    engine.dispose()
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in _FILL:
            connection.execute(statement.format(persons=persons).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beside:
    """Seconds that each statement took."""

    writes: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)

    def waits(self) -> dict[str, list[float]]:
        return {"write": self.writes, "read": self.reads}


@contextmanager
def _beside(dsn: str, persons: int) -> Iterator[_Beside]:
    """Two sessions at work until the block ends; a statement that fails ends the benchmark."""
    taken, end = _Beside(), Event()
    with ThreadPoolExecutor(2) as threads:
        running: list[Future[None]] = [
            threads.submit(_at_work, dsn, persons, end, taken.writes, _write),
            threads.submit(_at_work, dsn, persons, end, taken.reads, _read),
        ]
        try:
            yield taken
        finally:
            end.set()
        for done in running:
            done.result()


Step = Callable[[psycopg.Connection[Any], int, list[float]], None]


def _at_work(dsn: str, persons: int, end: Event, taken: list[float], step: Step) -> None:
    with psycopg.connect(dsn, prepare_threshold=None) as connection:
        number = 0
        while not end.is_set():
            number = (number * 7919 + 12_347) % persons
            step(connection, number, taken)
            connection.commit()


def _write(connection: psycopg.Connection[Any], number: int, taken: list[float]) -> None:
    """As a processor claims and records, and a merge of HR changes a person."""
    row = _timed(connection, taken, _CLAIM, (number % 20,))
    if row:
        _timed(connection, taken, _RECORD, (row[0], row[0]))
    connection.commit()
    _timed(connection, taken, _TOUCH, (str(number + 1),))


def _read(connection: psycopg.Connection[Any], number: int, taken: list[float]) -> None:
    _timed(connection, taken, _READ, (str(number + 1),))


def _timed(
    connection: psycopg.Connection[Any], taken: list[float], statement: str, values: tuple[Any, ...]
) -> Any:
    begin = time.perf_counter()
    cursor = connection.execute(statement.encode(), values)
    taken.append(time.perf_counter() - begin)
    return cursor.fetchone() if cursor.description else None


def _most(waits: list[float]) -> float:
    return sorted(waits)[int(len(waits) * 0.99)]


def _execute(dsn: str, statements: str) -> float:
    """Seconds that it took."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        begin = time.perf_counter()
        connection.execute(statements.encode())
        return time.perf_counter() - begin


def _upgrade(*, dsn: str) -> None:
    from accountsync.store import schema
    from accountsync.store.engine import make_engine

    engine = make_engine(dsn)
    begin = time.perf_counter()
    schema.upgrade(
        engine, say=lambda line: _progress(f"{time.perf_counter() - begin:6.1f} s {line}")
    )
    with engine.connect() as connection:
        schema.require_our_tables(connection)


def _ask(*, dsn: str) -> dict[str, Any]:
    """The middle one of a hundred."""
    from accountsync.store import schema
    from accountsync.store.engine import make_engine

    taken = []
    with make_engine(dsn).connect() as connection:
        for _ in range(100):
            begin = time.perf_counter()
            schema.require_our_tables(connection)
            taken.append(time.perf_counter() - begin)
    return {"ms": 1000 * sorted(taken)[50]}


if __name__ == "__main__":
    stage.run_case({"upgrade": _upgrade, "ask": _ask})
