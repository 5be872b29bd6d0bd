"""What benchmarks/processing.py measures, each in a process of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))

from benchmarks import stage
from simulators.client import HrClient

ONBOARDING = "/api/idaas/idm-openapi/enterprise/E1/user/onboarding"


def _settings(dsn: str, urls: dict[str, str], at_once: int) -> Any:
    from accountsync import connections, settings

    logging.disable(logging.WARNING)
    os.environ["ACCOUNTSYNC_DATABASE_URL"] = dsn
    for name, url in urls.items():
        os.environ[f"AIRFLOW_CONN_{'HR_API' if name == 'hr' else name.upper()}"] = _conn(name, url)
    document = settings.read(Path(__file__).parents[1] / "config" / "accountsync.yaml")
    for target in document["targets"].values():
        target["rate"] = {"concurrency": at_once}
    parsed = settings.parse(document, origin="benchmark")
    for name in urls:
        # Airflow's imports are not measured.
        connections.endpoint("hr_api" if name == "hr" else name)
    return parsed


def _as_adopted(parsed: Any) -> None:
    """The targets are empty, and somebody has looked: a create is one call."""
    from accountsync import connections
    from accountsync.store import audit
    from accountsync.store.audit import AuditAction

    with connections.open_store(parsed).begin() as connection:
        for target in parsed.targets:
            audit.record(
                connection, actor="bench", action=AuditAction.ACCOUNTS_ADOPTED,
                details={"target": target},
            )  # fmt: skip


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
    """After a first call of each caller: what is lazy is there then."""
    from accountsync import wiring

    parsed = _settings(dsn, urls, at_once)
    _as_adopted(parsed)
    warm = wiring.process_target(parsed, "idaas", worker="bench", max_tasks=at_once)
    begin, cpu = time.perf_counter(), time.process_time()
    summary = wiring.process_target(parsed, "idaas", worker="bench")
    took = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
    if (dict(warm.outcomes), dict(summary.outcomes)) != (
        {"succeeded": at_once},
        {"succeeded": tasks},
    ):
        raise RuntimeError(f"outcomes: {warm.outcomes}, {summary.outcomes}")
    return took


def _drained(*, dsn: str, urls: dict[str, str], at_once: int) -> dict[str, Any]:
    """Every target in a process, as Airflow's mapped tasks are; until nothing is due. The memory is
    that of the largest."""
    from accountsync import wiring

    parsed = _settings(dsn, urls, at_once)
    processes = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(len(urls), processes) as pool:
        list(pool.map(str, urls))  # forks them, before the store is open
        _as_adopted(parsed)
        begin, peak = time.perf_counter(), 0.0
        while due := wiring.find_due_targets(parsed):
            peak = max(peak, *pool.map(_carried_out, due, [parsed] * len(due)))
        return {"seconds": time.perf_counter() - begin, "rss_mb": peak}


def _carried_out(target: str, parsed: Any) -> float:
    from accountsync import wiring

    wiring.process_target(parsed, target, worker="bench")
    return stage.peak_rss_mb()


def _bare(*, dsn: str, urls: dict[str, str], tasks: int, at_once: int) -> dict[str, Any]:
    begin, cpu = time.perf_counter(), time.process_time()
    asyncio.run(_post_all(urls["idaas"], tasks, at_once))
    return {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}


async def _post_all(url: str, tasks: int, at_once: int) -> None:
    import aiohttp

    numbers = iter(range(1, tasks + 1))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:
        headers = {"Authorization": "t", "Content-Type": "application/json"}

        async def post() -> None:
            for number in numbers:
                async with session.post(
                    url + ONBOARDING, data=_body(number), headers=headers
                ) as answer:
                    await answer.read()

        await asyncio.gather(*(post() for _ in range(at_once)))


def _one_by_one_case(*, dsn: str, urls: dict[str, str], tasks: int, at_once: int) -> None:
    url = urls["idaas"]
    where, headers = urlsplit(url), {"Authorization": "t"}

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


def _claims_case(*, dsn: str, tasks: int) -> dict[str, Any]:
    """Lots of 200, committed as a run does; every result a success."""
    from datetime import timedelta

    from accountsync.domain.accounts.account import RemoteAccount
    from accountsync.domain.tasks import outcomes
    from accountsync.store.engine import database_time, make_engine
    from accountsync.store.tasks.claimed_tasks import claim
    from accountsync.store.tasks.recording import record

    store, done = make_engine(dsn), 0
    begin = time.perf_counter()
    while done < tasks:
        with store.begin() as connection:
            now = database_time(connection)
            claims = claim(
                connection, target="idaas", limit=200, worker="w", lease=timedelta(minutes=1),
                now=now,
            )  # fmt: skip
        results = [
            outcomes.succeeded(
                claimed.as_task(claimed.row["desired"]),
                RemoteAccount(
                    identifier=claimed.row["employee_number"],
                    remote_id=claimed.row["employee_number"],
                    ours=True,
                ),
            )
            for claimed in claims
        ]
        with store.begin() as connection:
            record(connection, target="idaas", worker="w", results=results, now=now)
        done += len(claims)
    return {"seconds": time.perf_counter() - begin, "tasks": done}


def _delay_case(*, dsn: str, urls: dict[str, str], changes: int) -> dict[str, Any]:
    from accountsync.cli.mapping import read_csv
    from accountsync.connections import open_store
    from accountsync.store.persons import mappings

    parsed = _settings(dsn, urls, at_once=16)
    _as_adopted(parsed)
    data = Path(__file__).parents[1] / "simulators" / "data"
    with open_store(parsed).begin() as connection:
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

    wiring.sync_source(parsed, "hieds")
    wiring.make_plan(parsed)
    while due := wiring.find_due_targets(parsed):
        for target in due:
            wiring.process_target(parsed, target, worker="bench")


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
