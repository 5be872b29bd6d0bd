"""Planning: persons × 3 targets from nothing, unchanged, 1 % changed, one rule changed.

`sql`: the same tasks derived by one statement, without mapping, names or guard: what the database
can do. Persons are made in the store; applied plans are recorded as a processor would.
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

from benchmarks import report, stage
from benchmarks.report import Row
from benchmarks.stage import Measured

MODULE = "benchmarks.planning"
SIZES = {"tiny": [1_000], "small": [5_000, 20_000], "full": [100_000, 1_000_000]}
TARGETS = 3

_PERSONS = """
INSERT INTO accountsync.person (source, source_key, employee_number, full_name, status,
  person_type, department_code, attributes, content_hash)
SELECT 'hieds', n, n, substr('王李张刘陈杨赵黄周吴', 1 + g % 10, 1)
  || substr('伟芳娜敏静丽强磊军洋勇艳杰涛明超', 1 + g / 10 % 16, 1)
  || substr('秀英华文玉建平红春梅志国海云龙波', 1 + g / 160 % 16, 1),
  '1', '10', 'D1', jsonb_build_object('phone', n), '\\x00'
FROM generate_series(1, {persons}) g, LATERAL (SELECT lpad(g::text, 8, '0') AS n) t
"""
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


def main(scale: str) -> None:
    rows: list[Row] = []
    for persons in SIZES[scale]:
        rows += _measure(persons)
    report.write("planning", rows)


def _measure(persons: int) -> list[Row]:
    with stage.database() as server:
        dsn = server.dsn("accountsync")
        _prepare(dsn, persons)
        bare = _case("sql", dsn)
        ours = _case("plan", dsn)
        _execute(dsn, _APPLY)
        rows = [
            _row(f"{persons:,} x {TARGETS} derived by SQL alone", bare, bare),
            _row(f"{persons:,} x {TARGETS} from nothing", ours, bare),
            _row(f"{persons:,} nothing changed", _case("plan", dsn), bare),
        ]
        _execute(dsn, _MOVE)
        rows.append(_row(f"{persons:,} 1 % changed", _case("plan", dsn), bare))
        changed = _case("plan", dsn, scope="person.status in valid_statuses and true")
        rows.append(_row(f"{persons:,} one rule changed, same outcome", changed, bare))
    return rows


def _prepare(dsn: str, persons: int) -> None:
    from accountsync.store import engine, schema

    store = engine.create(dsn)
    with store.begin() as connection:
        schema.upgrade(connection)
    store.dispose()
    _execute(dsn, _PERSONS.format(persons=persons))
    _execute(dsn, _MAPPINGS)
    _execute(
        dsn,
        "CREATE TABLE bare_task (person_id bigint, system text, operation text, desired jsonb);"
        " ANALYZE accountsync.person",
    )


def _execute(dsn: str, statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements.split(";"):
            connection.execute(statement.encode())


def _case(name: str, dsn: str, **arguments: Any) -> Measured:
    stage.settle(dsn)
    measured = stage.case(MODULE, name, dsn, **arguments)
    print(f"  {name} {measured.extra}: {measured.seconds:.1f} s", file=sys.stderr, flush=True)
    return measured


def _row(case: str, measured: Measured, reference: Measured) -> Row:
    return Row(
        case=case,
        value=measured.seconds,
        unit="s",
        reference="SQL alone",
        ratio=measured.seconds / reference.seconds,
        peak_rss_mb=measured.rss_mb,
    )


def _plan(*, dsn: str, scope: str | None = None) -> dict[str, Any]:
    from accountsync import settings
    from accountsync.jobs.create_account_tasks import create_account_tasks
    from accountsync.store import engine

    logging.disable(logging.WARNING)
    path = stage.ROOT / "config" / "accountsync.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if scope:
        document["systems"]["welink"]["scope"] = scope
    parsed, store = settings.parse(document, origin="benchmark"), engine.create(dsn)
    begin = time.perf_counter()
    summary = create_account_tasks(engine=store, settings=parsed, now=datetime.now(UTC))
    tasks = sum(sum(states.values()) for states in summary.counts.values())
    return {"seconds": time.perf_counter() - begin, "tasks": tasks, "persons": summary.persons}


def _sql(*, dsn: str) -> dict[str, Any]:
    begin = time.perf_counter()
    _execute(dsn, _DERIVE)
    return {"seconds": time.perf_counter() - begin}


if __name__ == "__main__":
    stage.run_case({"plan": _plan, "sql": _sql})
