"""Reading HR: first load, unchanged re-read, 1 % change, incremental; against three references.

`bare`: fetch, COPY, one merge (benchmarks/bare.py): what the machine can do. `dlt`: a peer, its
REST source merged into the same PostgreSQL, up to 100,000 persons. `orm`: one ORM merge a row, as
the predecessor worked, without and with the second that it waited after each page; measured with
as many rows as its line says, as it takes the same for each.

A run that ends early goes on where it was: what was measured of a number of persons is kept beside
the results until all is.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))

import psycopg

from benchmarks import bare, report, stage
from benchmarks.report import Row
from benchmarks.stage import Measured
from simulators.client import HrClient
from simulators.persons import ZONE

Case = Callable[..., Measured]

MODULE = "benchmarks.hr_sync"
PAGE_SIZE = 1000
AHEAD = 4
SIZES = {"tiny": [200], "small": [10_000, 100_000], "full": [10_000, 100_000, 1_000_000]}
DLT_SIZES = range(1_000, 100_001)
ORM_ROWS = 1_000
PACED_ROWS = 100

BARE, OURS, DLT = "bare pipeline", "AccountSync", "dlt"
ORM, PACED = "ORM row by row", "ORM row by row, a second a page"


def main(scale: str) -> None:
    kept = report.Kept("hr_sync", scale)
    parts = [kept.part(str(persons), partial(_measured, persons)) for persons in SIZES[scale]]
    report.write("hr_sync", [Row(**row) for part in parts for row in part["rows"]])
    report.chart(
        "hr_sync",
        title="Reading HR into PostgreSQL",
        unit="persons a second (logarithmic)",
        bars={name: bars for part in parts for name, bars in part["bars"].items()},
    )
    kept.forget()


def _measured(persons: int) -> dict[str, Any]:
    bench = _Bench()
    bench.measure(persons)
    return {"rows": [asdict(row) for row in bench.rows], "bars": bench.bars}


@dataclass(kw_only=True)
class _Bench:
    """`bars`: persons and what is done → who does it → persons a second."""

    rows: list[Row] = field(default_factory=list)
    bars: dict[str, dict[str, float]] = field(default_factory=dict)

    def measure(self, persons: int) -> None:
        options = ("--persons", str(persons), "--warm")
        with stage.database() as server, stage.simulator("hr", *options) as url:
            dsn = server.dsn("accountsync")
            _prepare(dsn)
            case = partial(_case, dsn=dsn, url=url)
            self._first_load(case, persons)
            self._unchanged(case, persons)
            self._changed(case, persons, HrClient(url))

    def _first_load(self, case: Case, persons: int) -> None:
        what = f"{persons:,} first load"
        reference = case("bare")
        self._add(what, persons, BARE, reference, reference)
        self._add(what, persons, OURS, case("ours", mode="full"), reference)
        if persons in DLT_SIZES:
            self._add(what, persons, DLT, case("dlt"), reference)
        for name, at_most, pause_s in ((ORM, ORM_ROWS, 0), (PACED, PACED_ROWS, 1)):
            limit = min(at_most, persons)
            slow = case("orm", limit=limit, pause_s=pause_s)
            self._add(what, persons, name, slow, reference, done=limit)
        if persons not in DLT_SIZES:
            print(f"  dlt: not measured with {persons:,} persons", file=sys.stderr, flush=True)

    def _unchanged(self, case: Case, persons: int) -> None:
        what = f"{persons:,} unchanged"
        reference = case("bare")
        self._add(what, persons, BARE, reference, reference)
        self._add(what, persons, OURS, case("ours", mode="full"), reference)
        if persons in DLT_SIZES:
            self._add(what, persons, DLT, case("dlt"), reference)

    def _changed(self, case: Case, persons: int, hr: HrClient) -> None:
        """One in a hundred changed: everything is read; and again, but changes only are read, where
        the overlap brings the first ones once more."""
        since = (datetime.now(ZONE) - timedelta(minutes=10)).strftime("%Y-%m-%d %H:%M:%S")
        hr.events(move=max(1, persons // 100))
        reference = case("bare")
        self._add(f"{persons:,} 1 % changed", persons, BARE, reference, reference)
        self._add(f"{persons:,} 1 % changed", persons, OURS, case("ours", mode="full"), reference)
        hr.events(move=max(1, persons // 100))
        self._add_time(f"{persons:,} incremental", BARE, case("bare", since=since), reference)
        self._add_time(
            f"{persons:,} incremental", OURS, case("ours", mode="incremental"), reference
        )

    def _add(
        self,
        what: str,
        persons: int,
        who: str,
        measured: Measured,
        reference: Measured,
        *,
        done: int | None = None,
    ) -> None:
        """`ratio`: time for the same number of persons, over the reference's."""
        speed = (done or persons) / measured.seconds
        self.bars.setdefault(what.replace(" ", "\n", 1), {})[who] = speed
        of_rows = f" ({done:,} rows of them)" if done else ""
        self.rows.append(
            Row(
                case=f"{what}, {who}{of_rows}",
                value=speed,
                unit="persons/s",
                reference=BARE,
                ratio=persons / reference.seconds / speed,
                peak_rss_mb=measured.rss_mb,
                wal_mb=measured.wal_mb,
            )
        )

    def _add_time(self, what: str, who: str, measured: Measured, full: Measured) -> None:
        self.rows.append(
            Row(
                case=f"{what}, {who}",
                value=measured.seconds,
                unit="s",
                reference="bare full read",
                ratio=measured.seconds / full.seconds,
                peak_rss_mb=measured.rss_mb,
                wal_mb=measured.wal_mb,
            )
        )


def _prepare(dsn: str) -> None:
    from accountsync.store import schema
    from accountsync.store.engine import make_engine

    store = make_engine(dsn)
    schema.upgrade(store)
    store.dispose()
    with psycopg.connect(dsn) as connection:
        connection.execute(bare.SETUP.encode())


def _case(name: str, *, dsn: str, url: str, **arguments: Any) -> Measured:
    stage.settle(dsn)
    measured = stage.case(MODULE, name, dsn, url=url, **arguments)
    print(f"  {name} {arguments or ''}: {measured.seconds:.1f} s", file=sys.stderr, flush=True)
    return measured


def _ours(*, dsn: str, url: str, mode: str) -> dict[str, Any]:
    from accountsync import connections, settings, wiring
    from accountsync.jobs.persons.run_request import RunRequest

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
    parsed = settings.parse({"hr": [source], "targets": {}}, origin="benchmark")
    connections.endpoint("hr_api")  # Airflow's own imports are not what is measured
    begin = time.perf_counter()
    request = RunRequest(mode=mode)  # type: ignore[arg-type]
    counts = wiring.sync_source(parsed, "hieds", request=request)
    return {"seconds": time.perf_counter() - begin, "fetched": counts.fetched}


def _bare(*, dsn: str, url: str, since: str | None = None) -> dict[str, Any]:
    begin = time.perf_counter()
    fetched = asyncio.run(bare.read(url, dsn, page_size=PAGE_SIZE, ahead=AHEAD, since=since))
    return {"seconds": time.perf_counter() - begin, "fetched": fetched}


def _dlt(*, dsn: str, url: str) -> dict[str, Any]:
    from benchmarks import peer_dlt

    return {"seconds": peer_dlt.load(url, dsn, page_size=PAGE_SIZE)}


def _orm(*, dsn: str, url: str, limit: int, pause_s: float) -> dict[str, Any]:
    from benchmarks import row_by_row

    return {"seconds": row_by_row.load(url, dsn, limit=limit, pause_s=pause_s)}


if __name__ == "__main__":
    stage.run_case({"ours": _ours, "bare": _bare, "dlt": _dlt, "orm": _orm})
