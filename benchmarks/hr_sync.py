"""Reading HR: first load, unchanged re-read, 1 % change, incremental; against three references.

`bare`: fetch, COPY, one merge (benchmarks/bare.py): what the machine can do. `dlt`: a peer, its
REST source merged into the same PostgreSQL. `orm`: one ORM merge a row, as the predecessor worked.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))

import psycopg

from benchmarks import bare, report, stage
from benchmarks.report import Row
from benchmarks.stage import Measured
from simulators.client import HrClient

MODULE = "benchmarks.hr_sync"
PAGE_SIZE = 1000
AHEAD = 4
SIZES = {"small": [10_000, 100_000], "full": [10_000, 100_000, 1_000_000]}
DLT_AT_MOST = 100_000
ORM_ROWS = 5_000


def main(scale: str) -> None:
    rows: list[Row] = []
    for persons in SIZES[scale]:
        rows += _measure(persons)
    report.write("hr_sync", rows)


def _measure(persons: int) -> list[Row]:
    options = ("--persons", str(persons), "--warm")
    with stage.database() as server, stage.simulator("hr", *options) as url:
        dsn = server.dsn("accountsync")
        _prepare(dsn)
        rows = _first_loads(dsn, url, persons)
        rows += _rereads(dsn, url, persons)
        HrClient(url).events(move=persons // 100)
        rows += _changes(dsn, url, persons)
    return rows


def _prepare(dsn: str) -> None:
    from accountsync.store import engine, schema

    store = engine.create(dsn)
    with store.begin() as connection:
        schema.upgrade(connection)
    store.dispose()
    with psycopg.connect(dsn) as connection:
        connection.execute(bare.SETUP.encode())


def _first_loads(dsn: str, url: str, persons: int) -> list[Row]:
    reference = _case("bare", dsn, url)
    ours = _case("ours", dsn, url, mode="full")
    rows = [
        _row(f"{persons:,} first load, bare pipeline", persons, reference, reference),
        _row(f"{persons:,} first load, AccountSync", persons, ours, reference),
    ]
    if persons <= DLT_AT_MOST:
        peer = _case("dlt", dsn, url)
        rows.append(_row(f"{persons:,} first load, dlt", persons, peer, reference))
    slow = _case("orm", dsn, url, limit=min(ORM_ROWS, persons))
    rows.append(_row(f"{persons:,} first load, ORM row by row", ORM_ROWS, slow, reference, persons))
    return rows


def _rereads(dsn: str, url: str, persons: int) -> list[Row]:
    reference = _case("bare", dsn, url)
    ours = _case("ours", dsn, url, mode="full")
    wal = Row(
        case=f"{persons:,} unchanged, WAL written by AccountSync", value=ours.wal_mb, unit="MB"
    )
    return [
        _row(f"{persons:,} unchanged, bare pipeline", persons, reference, reference),
        _row(f"{persons:,} unchanged, AccountSync", persons, ours, reference),
        wal,
    ]


def _changes(dsn: str, url: str, persons: int) -> list[Row]:
    """One in a hundred changed: read incrementally first, then with everything else."""
    ours = _case("ours", dsn, url, mode="incremental")
    reference = _case("bare", dsn, url)
    return [
        Row(
            case=f"{persons:,}, 1 % changed, incremental",
            value=ours.seconds,
            unit="s",
            reference="bare full read",
            ratio=ours.seconds / reference.seconds,
            peak_rss_mb=ours.rss_mb,
        )
    ]


def _case(name: str, dsn: str, url: str, **arguments: Any) -> Measured:
    stage.checkpoint(dsn)
    measured = stage.case(MODULE, name, dsn, url=url, **arguments)
    print(f"  {name} {arguments or ''}: {measured.seconds:.1f} s", file=sys.stderr, flush=True)
    return measured


def _row(
    case: str, done: int, measured: Measured, reference: Measured, of: int | None = None
) -> Row:
    """`ratio`: time for the same number of persons, ours over the reference's."""
    speed = done / measured.seconds
    return Row(
        case=case,
        value=speed,
        unit="persons/s",
        reference="bare pipeline",
        ratio=((of or done) / reference.seconds) / speed,
        peak_rss_mb=measured.rss_mb,
    )


def _ours(*, dsn: str, url: str, mode: str) -> dict[str, Any]:
    from accountsync import settings, wiring
    from accountsync.jobs.sync_order import SyncOrder

    logging.disable(logging.WARNING)
    parts = urlsplit(url)
    extra = {"project": "P1", "enterprise": "E1", "tenant_id": "T1"}
    os.environ["ACCOUNTSYNC_DATABASE_URL"] = dsn
    os.environ["AIRFLOW_CONN_HR_API"] = json.dumps(
        {
            "conn_type": "http", "schema": "http", "host": parts.hostname, "port": parts.port,
            "login": "accountsync", "password": "hr-secret", "extra": extra,
        }
    )  # fmt: skip
    source = {
        "name": "hieds", "preset": "hieds", "conn_id": "hr_api", "page_size": PAGE_SIZE,
        "rate": {"concurrency": AHEAD},
    }  # fmt: skip
    parsed = settings.parse({"hr": [source], "systems": {}}, origin="benchmark")
    wiring.endpoint("hr_api")  # Airflow's own imports are not what is measured
    begin = time.perf_counter()
    order = SyncOrder(mode=mode)  # type: ignore[arg-type]
    counts = wiring.sync_hr_persons(parsed, "hieds", order=order)
    return {"seconds": time.perf_counter() - begin, "fetched": counts.fetched}


def _bare(*, dsn: str, url: str) -> dict[str, Any]:
    begin = time.perf_counter()
    asyncio.run(bare.read(url, dsn, page_size=PAGE_SIZE, ahead=AHEAD))
    return {"seconds": time.perf_counter() - begin}


def _dlt(*, dsn: str, url: str) -> dict[str, Any]:
    from benchmarks import peer_dlt

    return {"seconds": peer_dlt.load(url, dsn, page_size=PAGE_SIZE)}


def _orm(*, dsn: str, url: str, limit: int) -> dict[str, Any]:
    from benchmarks import row_by_row

    return {"seconds": row_by_row.load(url, dsn, limit=limit)}


if __name__ == "__main__":
    stage.run_case({"ours": _ours, "bare": _bare, "dlt": _dlt, "orm": _orm})
