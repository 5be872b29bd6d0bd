"""Creating accounts in a directory: OpenLDAP's slapd and a Samba domain controller, both real.

Against the same entries added without the connector: without the look afterwards that tells the
directory's own id, and without a thought about namesakes. The servers are those of the tests: on
this machine, and their disks are not waited for.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))

from accountsync.settings.parts import Rate
from accountsync.targets import catalog
from accountsync.wire import ldap_messages
from accountsync.wire.directory import Directory
from benchmarks import report
from benchmarks.report import Row
from tests.connectors.ldap_subjects import DIALECTS, LdapSubject

IN_FLIGHT = (1, 2, 8)
COUNTS = {"openldap": 500, "active_directory": 100}
TIMES = {"small": 1, "full": 10}
Call = Callable[[], Awaitable[Any]]


def main(scale: str) -> None:
    rows: list[Row] = []
    for dialect in DIALECTS:
        with tempfile.TemporaryDirectory() as folder, dialect.start(Path(folder)) as server:
            rows += _measured(LdapSubject(dialect, server), COUNTS[dialect.name] * TIMES[scale])
    report.write("ldap", rows)


def _measured(subject: LdapSubject, count: int) -> list[Row]:
    bare, cpu_ms = asyncio.run(_bare(subject, _people(subject, 1, count)))
    reference = f"{subject.name}, bare, 2 in flight"
    rows = [Row(case=reference, value=bare, unit="creates/s")]
    rows.append(Row(case=reference, value=cpu_ms, unit="ms of our CPU a create"))
    for n, in_flight in enumerate(IN_FLIGHT, 2):
        people = _people(subject, n, count)
        speed, cpu_ms = asyncio.run(_through_the_connector(subject, people, in_flight))
        case, ratio = f"{subject.name}, {in_flight} in flight", speed / bare
        rows.append(Row(case=case, value=speed, unit="creates/s", reference="bare", ratio=ratio))
        rows.append(Row(case=case, value=cpu_ms, unit="ms of our CPU a create"))
    return rows


def _people(subject: LdapSubject, lot: int, count: int) -> list[dict[str, Any]]:
    return [subject.person(str(lot * 100_000 + n)) for n in range(count)]


async def _through_the_connector(
    subject: LdapSubject, people: Sequence[dict[str, Any]], in_flight: int
) -> tuple[float, float]:
    async with subject.connector(rate={"concurrency": in_flight}) as connector:
        await connector.check()
        return await _timed([lambda who=who: connector.create(who) for who in people], in_flight)


async def _bare(subject: LdapSubject, people: Sequence[dict[str, Any]]) -> tuple[float, float]:
    target = subject.target
    rate = Rate(concurrency=2)
    classes = [one.encode() for one in target.object_classes]
    async with Directory(subject.server.endpoint(), rate=rate, timeout_s=30) as directory:
        dialect = catalog.dialect(target, directory)

        async def add(who: dict[str, Any]) -> None:
            values = {name: [str(who[name]).encode()] for name in target.written}
            dn = f"{target.rdn}={who[target.rdn]},{target.base}"
            birth = dialect.birth(enabled=True)
            await directory.change(
                ldap_messages.add(dn, {**values, **birth, "objectClass": classes})
            )

        return await _timed([lambda who=who: add(who) for who in people], 2)


async def _timed(calls: Sequence[Call], in_flight: int) -> tuple[float, float]:
    """Calls a second, milliseconds of CPU a call."""
    todo = iter(calls)

    async def work() -> None:
        for call in todo:
            await call()

    begun, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(in_flight)))
    seconds, used = time.perf_counter() - begun, time.process_time() - cpu
    return len(calls) / seconds, 1000 * used / len(calls)
