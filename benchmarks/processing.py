"""Carrying tasks out: speed and CPU a task, by latency and concurrency; drains, claims, delays.

`ideal`: concurrency over latency. `bare`: an aiohttp loop that posts the same bodies and forgets
the answers. `one by one`: four workers, one request after another, as the predecessor worked.
What is measured runs in processes of its own (benchmarks/processing_cases.py), as do the targets.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))

import psycopg

from benchmarks import report, stage
from benchmarks.report import Row
from benchmarks.stage import Measured

CASES = "benchmarks.processing_cases"
GRID = {
    "tiny": [(50, 4)],
    "small": [(0, 16), (50, 1), (50, 16), (50, 64)],
    "full": [(ms, at_once) for ms in (0, 5, 50, 200) for at_once in (1, 16, 64, 256)],
}
SHOWN_MS = (0, 50)
"""Latencies in the chart, which has room for so many."""
SECONDS = {"tiny": 1, "small": 4, "full": 5}
AT_MOST = {"tiny": 1000, "small": 5000, "full": 10_000}
AT_NO_LATENCY = 1500
"""Tasks a second: no more than a guess at how many tasks keep a case busy for `SECONDS`."""
JOINERS = {"tiny": 50, "small": 500, "full": 10_000}
BACKLOGS = {"tiny": (500, 2_000), "small": (5_000, 100_000), "full": (20_000, 1_000_000)}
FLAT = {"tiny": (100, 200), "small": (500, 5_000), "full": (10_000, 100_000)}
CHANGES = {"tiny": 3, "small": 10, "full": 40}
IDEAL, BARE, OURS, ONE_BY_ONE = "ideal", "bare aiohttp", "AccountSync", "four workers, one by one"
MIDPOINT = 21.7


def main(scale: str) -> None:
    rows, bars = _grid(scale)
    rows += _flat(*FLAT[scale]) + _drain(JOINERS[scale])
    rows += _claims(*BACKLOGS[scale]) + _delay(CHANGES[scale])
    report.write("processing", rows)
    title = "Carrying out account tasks, by the target's latency and calls at once"
    report.chart("processing", title=title, unit="tasks a second (logarithmic)", bars=bars)


@contextmanager
def _store() -> Iterator[str]:
    from accountsync.store import schema
    from accountsync.store.engine import make_engine

    with stage.database() as server:
        dsn = server.dsn("accountsync")
        store = make_engine(dsn)
        schema.upgrade(store)
        store.dispose()
        yield dsn


def _say(what: str, measured: Measured) -> None:
    print(f"  {what}: {measured.seconds:.1f} s", file=sys.stderr, flush=True)


def _grid(scale: str) -> tuple[list[Row], dict[str, dict[str, float]]]:
    """Rows; and cell → who → tasks a second."""
    rows: list[Row] = []
    bars: dict[str, dict[str, float]] = {}
    with _store() as dsn:
        for ms, at_once in GRID[scale]:
            busy = SECONDS[scale] * (1000 * at_once / ms if ms else AT_NO_LATENCY)
            cell = _cell(dsn, ms, at_once, int(min(busy, AT_MOST[scale])))
            rows += cell
            if ms not in SHOWN_MS:
                continue
            speeds = {row.case.partition(": ")[2]: row.value for row in cell if row.unit != "ms"}
            bars[f"{ms} ms × {at_once}"] = speeds | ({IDEAL: 1000 * at_once / ms} if ms else {})
    return rows, bars


def _cell(dsn: str, ms: int, at_once: int, tasks: int) -> list[Row]:
    where, ideal = f"{ms} ms, {at_once} at once", 1000 * at_once / ms if ms else None
    with stage.quick_target(latency_ms=ms) as url:
        bare = _case("bare", dsn, url, tasks, at_once)
        ours = _case("ours", dsn, url, tasks, at_once)
        slow = _case("one_by_one", dsn, url, 200, 4) if ms and at_once == 64 else None
    return [
        _speed(f"{where}: {BARE}", tasks, bare, (IDEAL, ideal)),
        _speed(
            f"{where}: {OURS}", tasks, ours, (IDEAL, ideal) if ms else (BARE, tasks / bare.seconds)
        ),
        Row(
            case=f"{where}: CPU a task",
            value=1000 * ours.extra["cpu"] / tasks,
            unit="ms",
            reference=BARE,
            ratio=ours.extra["cpu"] / bare.extra["cpu"],
        ),
        *([_speed(f"{where}: {ONE_BY_ONE}", 200, slow, (IDEAL, ideal))] if slow else []),
    ]


def _speed(case: str, tasks: int, measured: Measured, against: tuple[str, float | None]) -> Row:
    speed, (reference, most) = tasks / measured.seconds, against
    return Row(
        case=case,
        value=speed,
        unit="tasks/s",
        reference=reference if most else None,
        ratio=speed / most if most else None,
        peak_rss_mb=measured.rss_mb,
    )


def _case(name: str, dsn: str, url: str, tasks: int, at_once: int) -> Measured:
    before, warming = _created(url), 0
    if name == "ours":
        warming = at_once
        _fill(dsn, tasks + warming)
        stage.settle(dsn)
    measured = stage.case(CASES, name, dsn, urls={"idaas": url}, tasks=tasks, at_once=at_once)
    if (made := _created(url) - before) != tasks + warming:
        raise RuntimeError(f"{name}: {made} accounts for {tasks} tasks, {warming} before them")
    _say(f"{name}, {at_once} at once", measured)
    return measured


def _created(url: str) -> int:
    with urlopen(f"{url}/_sim/state") as answer:  # noqa: S310 (loopback)
        return int(json.load(answer)["created"])


_FILL = """
DELETE FROM accountsync.task_attempt;
DELETE FROM accountsync.account_task;
DELETE FROM accountsync.account;
DELETE FROM accountsync.plan;
DELETE FROM accountsync.person;
INSERT INTO accountsync.plan (state, persons, counts) VALUES ('released', 0, '{}');
INSERT INTO accountsync.person (source, source_key, employee_number, full_name, attributes,
  content_hash, planned_revision)
  SELECT 'hieds', g, g, 'n', '{}', '\\x00', 1 FROM generate_series(1, %(tasks)s) g;
INSERT INTO accountsync.account_task (plan_id, person_id, system, operation, desired, state,
  waits_for) SELECT (SELECT max(id) FROM accountsync.plan), p.id, s.system, 'create',
  jsonb_build_object('employeeNumber', p.employee_number, 'name', 'n', 'englishName', 'n',
    'userName', 'u' || p.employee_number, 'userType', 'employee',
    'email', p.employee_number || '@example.com', 'mobile', '1', 'workArea', 'x', 'ou', 'y',
    'corpUserId', p.employee_number, 'userNameCn', 'n', 'mobileNumber', '1',
    'corpDeptCodes', jsonb_build_array('1'), 'userEmail', p.employee_number || '@example.com',
    'personType', '1', 'employeeId', p.employee_number,
    'SAMAccountName', 'u' || p.employee_number, 'Alias', 'u' || p.employee_number,
    'EmailAddress', 'u' || p.employee_number || '@example.com'),
  CASE WHEN cardinality(s.needs) > 0 THEN 'waiting' ELSE 'ready' END, s.needs
  FROM accountsync.person p, (VALUES %(systems)s) s (system, needs);
ANALYZE accountsync.person, accountsync.account_task;
"""
_IDAAS = "('idaas', '{}'::text[])"
_CHAIN = _IDAAS + ", ('welink', '{idaas}'), ('email', '{idaas}')"


def _fill(dsn: str, tasks: int, targets: str = _IDAAS) -> None:
    filled = _FILL.replace("%(tasks)s", str(tasks)).replace("%(systems)s", targets)
    with psycopg.connect(dsn) as connection:
        connection.execute(filled.encode())


def _flat(few: int, many: int) -> list[Row]:
    """One run after another until nothing is due: what the last task costs in memory."""
    little, much = (_drained(tasks, _IDAAS, "idaas") for tasks in (few, many))
    speed = many / much.seconds
    return [
        Row(case=f"{many:,} tasks drained", value=speed, unit="tasks/s", peak_rss_mb=much.rss_mb),
        Row(
            case=f"{many:,} tasks drained: memory",
            value=much.rss_mb,
            unit="MB",
            reference=f"{few:,} tasks",
            ratio=much.rss_mb / little.rss_mb,
        ),
    ]


def _drain(persons: int) -> list[Row]:
    measured = _drained(persons, _CHAIN, "idaas", "welink", "exchange")
    speed = persons / measured.seconds
    return [
        Row(
            case=f"{persons:,} joiners, 3 dependent targets",
            value=speed,
            unit="persons/s",
            reference="midPoint, 8 targets (published)",
            ratio=speed / MIDPOINT,
            peak_rss_mb=measured.rss_mb,
        )
    ]


def _drained(persons: int, targets: str, *names: str) -> Measured:
    with _store() as dsn, stage.quick_target(latency_ms=0) as url:
        _fill(dsn, persons, targets)
        stage.settle(dsn)
        measured = stage.case(CASES, "drain", dsn, urls=dict.fromkeys(names, url), at_once=64)
        if (made := _created(url)) != persons * len(names):
            raise RuntimeError(f"{made} accounts for {persons} persons in {len(names)} targets")
    _say(f"{persons:,} persons drained", measured)
    return measured


def _claims(few: int, many: int) -> list[Row]:
    """As many claims out of a short queue and a long one: they should cost the same."""
    short, long = (_claimed(backlog, min(20_000, few)) for backlog in (few, many))
    return [
        Row(case=f"claim and complete, backlog {few:,}", value=short, unit="tasks/s"),
        Row(
            case=f"claim and complete, backlog {many:,}",
            value=long,
            unit="tasks/s",
            reference=f"backlog {few:,}",
            ratio=long / short,
        ),
    ]


def _claimed(backlog: int, tasks: int) -> float:
    with _store() as dsn:
        _fill(dsn, backlog)
        stage.settle(dsn)
        measured = stage.case(CASES, "claims", dsn, tasks=tasks)
    _say(f"claims, backlog {backlog:,}", measured)
    return float(measured.extra["tasks"] / measured.seconds)


def _delay(changes: int) -> list[Row]:
    """One person hired at a time, through to every target, without Airflow's own delays."""
    names: dict[str, tuple[str, ...]] = {"hr": ("--persons", "100")}
    names |= dict.fromkeys(("idaas", "welink", "exchange"), ())
    with _store() as dsn, ExitStack() as stack:
        urls = {
            name: stack.enter_context(stage.simulator(name, *options))
            for name, options in names.items()
        }
        measured = stage.case(CASES, "delay", dsn, urls=urls, changes=changes)
    _say(f"{changes} persons hired", measured)
    p95 = sorted(measured.extra["delays"])[int(0.95 * changes) - 1]
    return [Row(case="HR change to active accounts, p95", value=p95, unit="s")]
