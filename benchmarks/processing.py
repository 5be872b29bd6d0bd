"""Carrying tasks out: speed and CPU a task, by latency and concurrency; drains, claims, delays.

`ideal`: concurrency over latency. `bare`: an aiohttp loop that posts the same bodies and forgets
the answers. `one by one`: four workers, one request after another, as the predecessor worked.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))

import psycopg

from benchmarks import report, stage
from benchmarks.report import Row
from benchmarks.stage import Measured
from simulators import credentials
from simulators.client import HrClient, TargetClient

MODULE = "benchmarks.processing"
ONBOARDING = "/api/idaas/idm-openapi/enterprise/E1/user/onboarding"
TOKEN = "/api/iam/auth/enterprise-token"
GRID = {
    "tiny": [(5, 4)],
    "small": [(0, 16), (50, 1), (50, 16), (50, 64)],
    "full": [(ms, at_once) for ms in (0, 5, 50, 200) for at_once in (1, 16, 64, 256)],
}
SECONDS = {"tiny": 1, "small": 3, "full": 5}
AT_MOST = 6000
JOINERS = {"tiny": 50, "small": 500, "full": 10_000}
BACKLOG = {"tiny": 2_000, "small": 100_000, "full": 1_000_000}
FLAT = {"tiny": 200, "small": 5_000, "full": 100_000}
CHANGES = {"tiny": 3, "small": 10, "full": 40}
MIDPOINT = 21.7


def main(scale: str) -> None:
    rows = _grid(scale) + _flat(FLAT[scale]) + _drain(JOINERS[scale])
    rows += _claims(BACKLOG[scale]) + _delay(CHANGES[scale])
    report.write("processing", rows)


@contextmanager
def _stage(*names: str, hr_persons: int = 0) -> Iterator[tuple[str, dict[str, str]]]:
    """A migrated store and simulators, each in a process of its own."""
    with stage.database() as server, ExitStack() as stack:
        dsn = server.dsn("accountsync")
        _migrate(dsn)
        options = {"hr": ("--persons", str(hr_persons))}
        yield (
            dsn,
            {
                name: stack.enter_context(stage.simulator(name, *options.get(name, ())))
                for name in names
            },
        )


def _migrate(dsn: str) -> None:
    from accountsync.store import engine, schema

    store = engine.create(dsn)
    with store.begin() as connection:
        schema.upgrade(connection)
    store.dispose()


def _grid(scale: str) -> list[Row]:
    rows: list[Row] = []
    with _stage("idaas") as (dsn, urls):
        for ms, at_once in GRID[scale]:
            rows += _cell(dsn, urls["idaas"], ms, at_once, SECONDS[scale])
    return rows


def _cell(dsn: str, url: str, ms: int, at_once: int, seconds: int) -> list[Row]:
    ideal = at_once / (ms / 1000) if ms else None
    tasks = int(min(AT_MOST, seconds * (ideal or 1500)))
    where = f"{ms} ms, {at_once} at once"
    bare = _case("bare", dsn, url, ms, tasks, at_once)
    ours = _case("ours", dsn, url, ms, tasks, at_once)
    return [
        _speed(f"{where}: bare aiohttp", tasks, bare, ideal),
        _speed(f"{where}: AccountSync", tasks, ours, ideal or tasks / bare.seconds, ours.rss_mb),
        Row(
            case=f"{where}: CPU a task",
            value=1000 * ours.extra["cpu"] / tasks,
            unit="ms",
            reference="bare aiohttp",
            ratio=ours.extra["cpu"] / bare.extra["cpu"],
        ),
        *([_one_by_one(dsn, url, ms, ideal)] if ms and at_once == 64 else []),
    ]


def _one_by_one(dsn: str, url: str, ms: int, ideal: float | None) -> Row:
    measured = _case("one_by_one", dsn, url, ms, 200, 4)
    return _speed(f"{ms} ms, four workers, one by one", 200, measured, ideal)


def _speed(
    case: str, tasks: int, measured: Measured, ideal: float | None, rss: float | None = None
) -> Row:
    speed = tasks / measured.seconds
    return Row(
        case=case,
        value=speed,
        unit="tasks/s",
        reference="ideal" if ideal else None,
        ratio=speed / ideal if ideal else None,
        peak_rss_mb=rss,
    )


def _case(name: str, dsn: str, url: str, ms: int, tasks: int, at_once: int) -> Measured:
    target = TargetClient(url)
    target.heal()
    target.reset()
    if ms:
        target.fault("latency", path="/user/onboarding$", seconds=ms / 1000)
    _fill(dsn, tasks)
    stage.settle(dsn)
    measured = stage.case(MODULE, name, dsn, urls={"idaas": url}, tasks=tasks, at_once=at_once)
    made = len(target.accounts())
    if made != tasks:
        raise RuntimeError(f"{name}: {made} accounts for {tasks} tasks")
    print(f"  {name} {ms} ms {at_once}: {measured.seconds:.1f} s", file=sys.stderr, flush=True)
    return measured


_FILL = """
DELETE FROM accountsync.task_attempt;
DELETE FROM accountsync.account_task;
DELETE FROM accountsync.account;
DELETE FROM accountsync.plan;
DELETE FROM accountsync.person;
INSERT INTO accountsync.plan (state, persons, counts) VALUES ('released', 0, '{}');
INSERT INTO accountsync.person (source, source_key, employee_number, full_name, attributes,
  content_hash) SELECT 'hieds', g, g, 'n', '{}', '\\x00' FROM generate_series(1, %(tasks)s) g;
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


def _fill(dsn: str, tasks: int, systems: str = _IDAAS) -> None:
    filled = _FILL.replace("%(tasks)s", str(tasks)).replace("%(systems)s", systems)
    with psycopg.connect(dsn) as connection:
        connection.execute(filled.encode())


def _flat(tasks: int) -> list[Row]:
    """One run after another until nothing is due: how much memory the last task costs."""
    with _stage("idaas") as (dsn, urls):
        _fill(dsn, tasks)
        stage.settle(dsn)
        measured = stage.case(MODULE, "drain", dsn, urls=urls, at_once=64)
    return [
        Row(
            case=f"{tasks:,} tasks drained",
            value=tasks / measured.seconds,
            unit="tasks/s",
            peak_rss_mb=measured.rss_mb,
        )
    ]


def _drain(persons: int) -> list[Row]:
    with _stage("idaas", "welink", "exchange") as (dsn, urls):
        _fill(dsn, persons, _CHAIN)
        stage.settle(dsn)
        measured = stage.case(MODULE, "drain", dsn, urls=urls, at_once=64)
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


def _claims(backlog: int) -> list[Row]:
    with _stage() as (dsn, _):
        _fill(dsn, backlog)
        stage.settle(dsn)
        measured = stage.case(MODULE, "claims", dsn, tasks=min(20_000, backlog))
    speed = measured.extra["tasks"] / measured.seconds
    return [Row(case=f"claim and complete, backlog {backlog:,}", value=speed, unit="tasks/s")]


def _delay(changes: int) -> list[Row]:
    """One person hired at a time, through to every target, without Airflow's own delays."""
    with _stage("hr", "idaas", "welink", "exchange", hr_persons=100) as (dsn, urls):
        measured = stage.case(MODULE, "delay", dsn, urls=urls, changes=changes)
    p95 = sorted(measured.extra["delays"])[int(0.95 * changes) - 1]
    return [Row(case="HR change to active accounts, p95", value=p95, unit="s")]


def _settings(dsn: str, urls: dict[str, str], at_once: int) -> Any:
    from accountsync import settings, wiring

    logging.disable(logging.WARNING)
    os.environ["ACCOUNTSYNC_DATABASE_URL"] = dsn
    for name, url in urls.items():
        os.environ[f"AIRFLOW_CONN_{'HR_API' if name == 'hr' else name.upper()}"] = _conn(name, url)
    document = settings.read(Path(__file__).parents[1] / "config" / "accountsync.yaml")
    for target in document["systems"].values():
        target["rate"] = {"concurrency": at_once}
    parsed = settings.parse(document, origin="benchmark")
    for name in urls:
        wiring.endpoint("hr_api" if name == "hr" else name)  # Airflow's imports are not measured
    return parsed


def _conn(name: str, url: str) -> str:
    parts = urlsplit(url)
    extra = {"project": "P1", "enterprise": "E1", "tenant_id": "T1", "enterprise_id": "E1"}
    return json.dumps(
        {
            "conn_type": "http", "schema": "http", "host": parts.hostname, "port": parts.port,
            "login": "accountsync", "password": f"{name}-secret", "extra": extra,
        }
    )  # fmt: skip


def _ours(*, dsn: str, urls: dict[str, str], tasks: int, at_once: int) -> dict[str, Any]:
    from accountsync import wiring

    parsed = _settings(dsn, urls, at_once)
    begin, cpu = time.perf_counter(), time.process_time()
    summary = wiring.process_account_tasks(parsed, "idaas", worker="bench")
    took = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
    if dict(summary.outcomes) != {"succeeded": tasks}:
        raise RuntimeError(f"outcomes: {summary.outcomes}")
    return took


def _drained(*, dsn: str, urls: dict[str, str], at_once: int) -> dict[str, Any]:
    """Every target in a thread, as Airflow's mapped tasks would be; until nothing is due."""
    from accountsync import wiring

    parsed = _settings(dsn, urls, at_once)
    begin = time.perf_counter()
    with ThreadPoolExecutor(len(urls)) as threads:
        while due := wiring.find_due_targets(parsed):
            run = lambda name: wiring.process_account_tasks(parsed, name, worker="bench")  # noqa: E731
            list(threads.map(run, due))
    return {"seconds": time.perf_counter() - begin}


def _bare(*, dsn: str, urls: dict[str, str], tasks: int, at_once: int) -> dict[str, Any]:
    begin, cpu = time.perf_counter(), time.process_time()
    asyncio.run(_post_all(urls["idaas"], tasks, at_once))
    return {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}


async def _post_all(url: str, tasks: int, at_once: int) -> None:
    import aiohttp

    numbers = iter(range(1, tasks + 1))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:
        headers = {"Authorization": _token(url), "Content-Type": "application/json"}

        async def post() -> None:
            for number in numbers:
                async with session.post(
                    url + ONBOARDING, data=_body(number), headers=headers
                ) as answer:
                    await answer.read()

        await asyncio.gather(*(post() for _ in range(at_once)))


def _one_by_one_case(*, dsn: str, urls: dict[str, str], tasks: int, at_once: int) -> None:
    url = urls["idaas"]
    where, headers = urlsplit(url), {"Authorization": _token(url)}

    def work(share: range) -> None:
        for number in share:
            connection = HTTPConnection(where.hostname or "", where.port)
            connection.request("POST", ONBOARDING, _body(number), headers)
            connection.getresponse().read()
            connection.close()

    with ThreadPoolExecutor(at_once) as threads:
        list(threads.map(work, [range(n + 1, tasks + 1, at_once) for n in range(at_once)]))


def _body(number: int) -> bytes:
    info = {
        "employeeNumber": str(number), "name": "n", "englishName": "n", "userName": f"u{number}",
        "userType": "employee", "email": f"{number}@example.com", "mobileCountryCode": "+86",
        "mobile": "1", "userExtends": {"workArea": "x", "ou": "y"},
    }  # fmt: skip
    return json.dumps({"userInfo": info}).encode()


def _token(url: str) -> str:
    attributes = {"account": credentials.IDAAS_ACCOUNT, "secret": credentials.IDAAS_SECRET}
    body = {"data": {"type": "token", "attributes": attributes}}
    return str(TargetClient(url).call("POST", TOKEN, body)["access_token"])


def _claims_case(*, dsn: str, tasks: int) -> dict[str, Any]:
    """Lots of 200, committed as a run does; every result a success."""
    from datetime import timedelta

    from accountsync.domain import task as outcomes
    from accountsync.domain.account import RemoteAccount
    from accountsync.store import engine
    from accountsync.store import tasks as queue

    store, done = engine.create(dsn), 0
    begin = time.perf_counter()
    while done < tasks:
        with store.begin() as connection:
            now = queue.database_time(connection)
            claims = queue.claim(
                connection, system="idaas", limit=200, worker="w", lease=timedelta(minutes=1),
                now=now,
            )  # fmt: skip
        results = [
            outcomes.succeeded(
                claim.as_task(claim.row["desired"]),
                RemoteAccount(
                    identifier=claim.row["employee_number"],
                    remote_id=claim.row["employee_number"],
                    ours=True,
                ),
            )
            for claim in claims
        ]
        with store.begin() as connection:
            queue.record(connection, system="idaas", worker="w", results=results, now=now)
        done += len(claims)
    return {"seconds": time.perf_counter() - begin, "tasks": done}


def _delay_case(*, dsn: str, urls: dict[str, str], changes: int) -> dict[str, Any]:
    from accountsync import wiring
    from accountsync.cli.mapping import read_csv
    from accountsync.store import mappings

    parsed = _settings(dsn, urls, at_once=16)
    data = Path(__file__).parents[1] / "simulators" / "data"
    with wiring.open_store(parsed).begin() as connection:
        for kind, file in (("departments", "departments"), ("person-types", "person_types")):
            table = mappings.TABLES[kind]
            mappings.write(connection, table, read_csv(data / f"{file}.csv", table))
    _chain(parsed)
    delays = []
    for _ in range(changes):
        HrClient(urls["hr"]).events(join=1)
        begin = time.perf_counter()
        _chain(parsed)
        delays.append(time.perf_counter() - begin)
    return {"delays": delays}


def _chain(parsed: Any) -> None:
    from accountsync import wiring

    wiring.sync_hr_persons(parsed, "hieds")
    wiring.create_account_tasks(parsed)
    while due := wiring.find_due_targets(parsed):
        for system in due:
            wiring.process_account_tasks(parsed, system, worker="bench")


if __name__ == "__main__":
    stage.run_case(
        {
            "ours": _ours,
            "bare": _bare,
            "one_by_one": _one_by_one_case,
            "drain": _drained,
            "claims": _claims_case,
            "delay": _delay_case,
        }
    )
