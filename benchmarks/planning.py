"""Planning: persons × 3 targets from nothing, unchanged, 1 % changed, one rule changed.

`sql`: the same tasks derived by one statement into a bare table, without mapping, names or guard.
`stored`: the tasks and names of the plan copied, table to table, with the same indexes and rules:
what the database takes for keeping them. `orm`: one person after the other, one commit each.
Persons are made in the store; applied plans are recorded as a processor would.
"""

from __future__ import annotations

import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))

import psycopg
import yaml

from benchmarks import names, report, stage
from benchmarks.report import Row
from benchmarks.stage import Measured

MODULE = "benchmarks.planning"
SIZES = {"tiny": [1_000], "small": [10_000], "full": [10_000, 100_000, 1_000_000]}
TARGETS = 3
ORM_PERSONS = 500

SQL, STORED, ORM, OURS = "SQL alone", "rows stored", "ORM row by row", "AccountSync"

_COLUMNS = (
    "source, source_key, employee_number, full_name, status, person_type, department_code,"
    " phone, attributes, content_hash"
)
_MAPPINGS = """
INSERT INTO accountsync.person_type_mapping (person_type, email_domain, idaas_user_type,
  welink_person_type) VALUES ('10', 'example.com', 'employee', '10');
INSERT INTO accountsync.department_mapping (hr_department_code, idaas_department_code, ou_path)
  VALUES ('D1', 'I1', '/Staff')
"""
_DERIVE = """
INSERT INTO bare_task SELECT p.id, s, 'create', jsonb_build_object('number', p.employee_number)
FROM accountsync.person p, unnest(ARRAY['idaas', 'welink', 'email']) s
WHERE p.status = '1' AND NOT EXISTS (SELECT FROM bare_task t
  WHERE t.person_id = p.id AND t.system = s)
"""
_APPLY = """
INSERT INTO accountsync.account (person_id, system, state, identifier, attributes, provenance)
SELECT person_id, system, 'active', system || person_id, desired || CASE WHEN late_bound = '{}'
  THEN '{}'::jsonb ELSE jsonb_build_object('SAMAccountName', 'idaas' || person_id) END, 'created'
FROM accountsync.account_task;
UPDATE accountsync.account_task SET state = 'succeeded', waits_for = '{}', finished_at = now();
ANALYZE accountsync.account; ANALYZE accountsync.account_task; ANALYZE accountsync.person
"""
_MOVE = """
UPDATE accountsync.person SET phone = '13800000000', full_name = full_name || '一',
  revision = revision + 1 WHERE id % 100 = 0
"""


_STORED = """
CREATE TABLE stored_task (LIKE accountsync.account_task INCLUDING ALL,
  FOREIGN KEY (plan_id) REFERENCES accountsync.plan,
  FOREIGN KEY (person_id) REFERENCES accountsync.person);
CREATE TABLE stored_name (LIKE accountsync.name_registry INCLUDING ALL,
  FOREIGN KEY (person_id) REFERENCES accountsync.person)
"""
_STORE = """
INSERT INTO stored_task (plan_id, person_id, system, operation, desired, late_bound, account_state,
  reason, state, waits_for, next_attempt_at, created_at)
SELECT plan_id, person_id, system, operation, desired, late_bound, account_state,
  reason, state, waits_for, next_attempt_at, created_at FROM accountsync.account_task ORDER BY id;
INSERT INTO stored_name (namespace, folded, folded_base, value, made_from, number, person_id)
SELECT namespace, folded, folded_base, value, made_from, number, person_id
FROM accountsync.name_registry ORDER BY id
"""


def main(scale: str) -> None:
    rows: list[Row] = []
    bars: dict[str, dict[str, float]] = {}
    for persons in SIZES[scale]:
        rows += _measure(persons, bars)
    report.write("planning", rows)
    report.chart(
        "planning",
        title="From persons to account tasks in three targets",
        unit="persons a second (logarithmic)",
        bars=bars,
    )


def _measure(persons: int, bars: dict[str, dict[str, float]]) -> list[Row]:
    with stage.database() as server:
        dsn = server.dsn("accountsync")
        _prepare(dsn, persons)
        bare = _case("sql", dsn)
        ours = _case("plan", dsn)
        _execute(dsn, _STORED)
        stored = _case("stored", dsn)
        _execute(dsn, "DROP TABLE stored_task; DROP TABLE stored_name")
        _execute(dsn, _APPLY)
        what = f"{persons:,} x {TARGETS}"
        rows = [
            _row(f"{what} derived by SQL alone", bare, bare, SQL),
            _row(f"{what} the same rows stored", stored, bare, SQL),
            _row(f"{what} from nothing", ours, bare, SQL),
            _row(f"{what} from nothing", ours, stored, STORED),
            _row(f"{what} nothing changed", _case("plan", dsn), bare, SQL),
        ]
        _execute(dsn, _MOVE)
        rows.append(_row(f"{what} 1 % changed", _case("plan", dsn), bare, SQL))
        changed = _case("plan", dsn, scope="person.status in valid_statuses and true")
        rows.append(_row(f"{what} one rule changed, same outcome", changed, bare, SQL))
    orm = _row_by_row(persons)
    bars[f"{persons:,} from nothing"] = {
        SQL: persons / bare.seconds,
        STORED: persons / stored.seconds,
        OURS: persons / ours.seconds,
        ORM: orm,
    }
    times = persons / ours.seconds / orm
    return [
        *rows,
        Row(case=f"{what} one by one, ORM, first {ORM_PERSONS}", value=orm, unit="persons/s"),
        Row(case=f"{what} from nothing", value=persons / ours.seconds, unit="persons/s",
            reference=ORM, ratio=times),
    ]  # fmt: skip


def _row_by_row(persons: int) -> float:
    """Persons a second."""
    with stage.database() as server:
        dsn = server.dsn("accountsync")
        _prepare(dsn, min(persons, 10 * ORM_PERSONS))
        return ORM_PERSONS / _case("orm", dsn, limit=ORM_PERSONS).seconds


def _prepare(dsn: str, persons: int) -> None:
    from accountsync.store import schema
    from accountsync.store.engine import make_engine

    store = make_engine(dsn)
    schema.upgrade(store)
    store.dispose()
    _copy_persons(dsn, persons)
    _execute(dsn, _MAPPINGS)
    _execute(
        dsn,
        "CREATE TABLE bare_task (person_id bigint, system text, operation text, desired jsonb);"
        " ANALYZE accountsync.person",
    )


def _copy_persons(dsn: str, persons: int) -> None:
    statement = f"COPY accountsync.person ({_COLUMNS}) FROM STDIN"
    with psycopg.connect(dsn) as connection, connection.cursor().copy(statement.encode()) as copy:
        for n, name in enumerate(names.full_names(persons), start=1):
            number = f"{n:08d}"
            copy.write_row(("hieds", number, number, name, "1", "10", "D1", number, "{}", b"\x00"))


def _execute(dsn: str, statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements.split(";"):
            connection.execute(statement.encode())


def _case(name: str, dsn: str, **arguments: Any) -> Measured:
    stage.settle(dsn)
    measured = stage.case(MODULE, name, dsn, **arguments)
    print(f"  {name} {measured.extra}: {measured.seconds:.1f} s", file=sys.stderr, flush=True)
    return measured


def _row(case: str, measured: Measured, reference: Measured, name: str) -> Row:
    return Row(
        case=case,
        value=measured.seconds,
        unit="s",
        reference=name,
        ratio=measured.seconds / reference.seconds,
        peak_rss_mb=measured.rss_mb,
        wal_mb=measured.wal_mb,
    )


def _plan(*, dsn: str, scope: str | None = None) -> dict[str, Any]:
    from accountsync import settings
    from accountsync.jobs.plans.create_account_tasks import create_account_tasks
    from accountsync.store.engine import make_engine

    logging.disable(logging.WARNING)
    path = stage.ROOT / "config" / "accountsync.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if scope:
        document["targets"]["welink"]["scope"] = scope
    parsed, store = settings.parse(document, origin="benchmark"), make_engine(dsn)
    begin = time.perf_counter()
    summary = create_account_tasks(engine=store, settings=parsed, now=datetime.now(UTC))
    tasks = sum(sum(states.values()) for states in summary.counts.values())
    return {"seconds": time.perf_counter() - begin, "tasks": tasks, "persons": summary.persons}


def _sql(*, dsn: str) -> dict[str, Any]:
    """Without nested loops: they would go through what the statement itself has just written."""
    begin = time.perf_counter()
    with psycopg.connect(dsn) as connection:
        connection.execute("SET enable_nestloop = off")
        connection.execute(_DERIVE.encode())
    return {"seconds": time.perf_counter() - begin}


def _stored(*, dsn: str) -> dict[str, Any]:
    begin = time.perf_counter()
    _execute(dsn, _STORE)
    return {"seconds": time.perf_counter() - begin}


def _orm(*, dsn: str, limit: int) -> dict[str, Any]:
    from benchmarks import row_by_row

    return {"seconds": row_by_row.plan(dsn, limit=limit)}


if __name__ == "__main__":
    stage.run_case({"plan": _plan, "sql": _sql, "stored": _stored, "orm": _orm})
