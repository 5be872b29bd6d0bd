"""Names for joiners with heavy collisions, against giving them one by one."""

from __future__ import annotations

import logging
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))

import psycopg

from benchmarks import report, stage
from benchmarks.report import Row
from benchmarks.stage import Measured

MODULE = "benchmarks.names"
JOINERS = {"small": 20_000, "full": 100_000}
ONE_BY_ONE = 2_000
LOT = 2_000
NAMES = {
    "username": "{{ person.full_name | pinyin_initial }}{{ person.employee_number }}",
    "mail_alias": "{{ person.full_name | pinyin }}",
    "email": "{{ person.full_name | pinyin }}@{{ person.type.email_domain }}",
}


def main(scale: str) -> None:
    joiners = JOINERS[scale]
    with stage.database() as server:
        dsn = server.dsn("accountsync")
        setup(dsn, joiners)
        ours = _case("ours", dsn)
        again = _case("ours", dsn)
        readings = _case("readings", dsn, joiners=joiners)
        setup(dsn, joiners)
        reference = _case("one_by_one", dsn, limit=ONE_BY_ONE)
    slow = reference.seconds / ONE_BY_ONE
    report.write(
        "names",
        [
            Row(case=f"first {ONE_BY_ONE:,} of {joiners:,}, one by one",
                value=ONE_BY_ONE / reference.seconds, unit="persons/s"),
            Row(case=f"{joiners:,} joiners, three names each", value=joiners / ours.seconds,
                unit="persons/s", reference="one by one", ratio=joiners / ours.seconds * slow,
                peak_rss_mb=ours.rss_mb),
            Row(case="of them with a number", value=100 * ours.extra["numbered"] / joiners,
                unit="%"),
            Row(case=f"{joiners:,} who have names", value=joiners / again.seconds,
                unit="persons/s", reference="giving them", ratio=ours.seconds / again.seconds),
            Row(case="reading names, no store", value=joiners / readings.seconds,
                unit="names/s"),
        ],
    )  # fmt: skip


def _case(name: str, dsn: str, **arguments: Any) -> Measured:
    stage.settle(dsn)
    measured = stage.case(MODULE, name, dsn, **arguments)
    print(f"  {name}: {measured.seconds:.1f} s", file=sys.stderr, flush=True)
    return measured


def full_names(count: int) -> list[str]:
    """The simulators' made-up people: about every second shares a reading with another."""
    from simulators.names import name_of

    draw = random.Random(1)
    return [name_of([draw.randrange(65536) for _ in range(5)]).full for _ in range(count)]


def setup(dsn: str, joiners: int) -> None:
    from accountsync.store import schema
    from accountsync.store.engine import make_engine

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS accountsync CASCADE")
    engine = make_engine(dsn)
    schema.upgrade(engine)
    engine.dispose()
    statement = (
        "COPY accountsync.person (source, source_key, employee_number, full_name, person_type,"
        " attributes, content_hash) FROM STDIN"
    )
    with psycopg.connect(dsn) as connection, connection.cursor().copy(statement) as copy:
        for n, name in enumerate(full_names(joiners), start=1):
            copy.write_row(("hieds", str(n), str(n), name, "10", "{}", b"\x00"))


def _lots(dsn: str) -> Iterator[Sequence[tuple[int, str, str]]]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT id, employee_number, full_name FROM accountsync.person ORDER BY id"
        ).fetchall()
    for begin in range(0, len(rows), LOT):
        yield rows[begin : begin + LOT]


def _ours(*, dsn: str) -> dict[str, Any]:
    from accountsync import settings
    from accountsync.jobs.plans import name_giving, name_rules
    from accountsync.store.engine import make_engine

    logging.disable(logging.WARNING)
    source = {"name": "hieds", "preset": "hieds", "conn_id": "hr_api"}
    names = {**NAMES, "username": {"value": NAMES["username"], "number": "own"}}
    document = {"hr": [source], "names": names, "targets": {}}
    rules = name_rules.compile_names(settings.parse(document, origin="benchmark"))
    domain = {"email_domain": "example.com"}
    lots = list(_lots(dsn))
    begin = time.perf_counter()
    with make_engine(dsn).begin() as connection:
        for lot in lots:
            contexts = {
                person: {"person": {"employee_number": number, "full_name": name, "type": domain}}
                for person, number, name in lot
            }
            name_giving.give(connection, rules, contexts)
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "numbered": _numbered(dsn)}


def _numbered(dsn: str) -> int:
    query = "SELECT count(*) FROM accountsync.name_registry WHERE namespace = %s AND number > 1"
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query, ("mail_alias",)).fetchone()
    return int(row[0]) if row else 0


def _readings(*, dsn: str, joiners: int) -> dict[str, Any]:
    from accountsync.domain.names.readings import read

    names = full_names(joiners)
    read("王伟")  # loads the dictionary
    begin = time.perf_counter()
    for name in names:
        read(name)
    return {"seconds": time.perf_counter() - begin}


def _one_by_one(*, dsn: str, limit: int) -> dict[str, Any]:
    """Ask whether a number is free, take it, commit; the next person."""
    from accountsync.domain.names.readings import read

    people = [one for lot in _lots(dsn) for one in lot][:limit]
    read("王伟")
    taken = "SELECT 1 FROM accountsync.name_registry WHERE namespace = %s AND folded = %s"
    insert = (
        "INSERT INTO accountsync.name_registry (namespace, folded, folded_base, value, number,"
        " person_id) VALUES (%s, %s, %s, %s, %s, %s)"
    )
    begin = time.perf_counter()
    with psycopg.connect(dsn) as connection:
        for person, employee_number, name in people:
            base, number = "".join(read(name).syllables), 1
            while True:
                alias = base if number == 1 else f"{base}{number}"
                wanted = {"mail_alias": alias, "email": f"{alias}@example.com"}
                if not any(connection.execute(taken, n).fetchone() for n in wanted.items()):
                    break
                number += 1
            wanted["username"] = f"{base[0]}{employee_number}"
            for space, value in wanted.items():
                connection.execute(insert, (space, value, base, value, number, person))
            connection.commit()
    return {"seconds": time.perf_counter() - begin}


if __name__ == "__main__":
    stage.run_case({"ours": _ours, "readings": _readings, "one_by_one": _one_by_one})
