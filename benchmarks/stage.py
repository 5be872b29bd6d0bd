"""Where benchmarks run: an embedded PostgreSQL, and every case in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg

from demo import ports, postgres

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One case: `seconds` of wall time, `rss_mb` at most, `wal_mb` written, `extra` of its own."""

    seconds: float
    rss_mb: float
    wal_mb: float
    extra: dict[str, Any]


@contextmanager
def database() -> Iterator[postgres.Server]:
    """fsync on, default settings; removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="accountsync-bench-") as folder:
        state = Path(folder) / "postgres"
        server = postgres.start(state)
        try:
            yield server
        finally:
            postgres.stop(state)
            postgres.remove(state)


@contextmanager
def simulator(name: str, *options: str) -> Iterator[str]:
    """A simulator in a process of its own; yields its URL."""
    port = str(ports.free(1)[0])
    with _serving(port, "simulators", name, "--port", port, *options) as url:
        yield url


@contextmanager
def quick_target(*, latency_ms: int) -> Iterator[str]:
    """As `simulator`, for what a simulator would be too slow for."""
    port = str(ports.free(1)[0])
    with _serving(port, "benchmarks.quick_target", port, str(latency_ms)) as url:
        yield url


@contextmanager
def _serving(port: str, module: str, *words: str) -> Iterator[str]:
    command = [sys.executable, "-m", module, *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _await(f"{url}/_sim/state", process)
        yield url
    finally:
        process.terminate()
        process.wait()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(6000):
        if process.poll() is not None:
            raise RuntimeError(f"the simulator ended with {process.returncode}")
        try:
            urlopen(url, timeout=1).close()  # noqa: S310 (loopback)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{url} does not answer")


def case(module: str, name: str, dsn: str, **arguments: Any) -> Measured:
    """Run `module`'s case in a fresh process, so that its memory is its own."""
    before = _wal(dsn)
    command = [sys.executable, "-m", module, name, json.dumps(arguments | {"dsn": dsn})]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} {name} failed:\n{done.stderr[-4000:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    return Measured(
        seconds=said.pop("seconds"),
        rss_mb=said.pop("rss_mb"),
        wal_mb=(_wal(dsn) - before) / 2**20,
        extra=said,
    )


def run_case(cases: dict[str, Callable[..., dict[str, Any] | None]]) -> None:
    """In the child: run the named case, print what it took."""
    arguments = json.loads(sys.argv[2])
    begin = time.perf_counter()
    extra = cases[sys.argv[1]](**arguments) or {}
    seconds = extra.pop("seconds", time.perf_counter() - begin)
    print(json.dumps({"seconds": seconds, "rss_mb": peak_rss_mb()} | extra))


def peak_rss_mb() -> float:
    """Of this program: what getrusage tells counts the parent's memory before the exec, too."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def _wal(dsn: str) -> int:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
    return int(row[0]) if row else 0


def settle(dsn: str) -> None:
    """So that no case pays for another's: rows just written are marked as visible by whoever reads
    them first (autovacuum, where there is time), and dirty pages go to the disk."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")
