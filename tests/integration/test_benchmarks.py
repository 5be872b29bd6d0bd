"""`make bench` at the smallest scale: its cases run, and what a run may cost is kept."""

from __future__ import annotations

from benchmarks import hr_sync, migration, processing, stage

PERSONS = 60


def test_reading_hr_is_measured_against_the_bare_pipeline_and_costs_what_it_may() -> None:
    """DESIGN §8: under 200 MB; what is unchanged writes no more than the record of the run."""
    with stage.database() as server, stage.simulator("hr", "--persons", str(PERSONS)) as url:
        dsn = server.dsn("accountsync")
        hr_sync._prepare(dsn)
        bare = hr_sync._case("bare", dsn=dsn, url=url)
        first = hr_sync._case("ours", dsn=dsn, url=url, mode="full")
        again = hr_sync._case("ours", dsn=dsn, url=url, mode="full")
    assert (bare.extra["fetched"], first.extra["fetched"]) == (PERSONS, PERSONS)
    assert first.rss_mb < 200
    assert again.wal_mb < 2


def test_carrying_out_is_measured_in_a_cell_and_out_of_a_queue() -> None:
    """Every task is carried out, against a target that counts them; claims are answered."""
    with processing._store() as dsn:
        rows = processing._cell(dsn, 5, 4, 20)
        processing._fill(dsn, 50)
        claimed = stage.case(processing.CASES, "claims", dsn, tasks=50)
    assert [row.unit for row in rows] == ["tasks/s", "tasks/s", "ms"]
    assert all(row.value > 0 and row.ratio for row in rows)
    assert claimed.extra["tasks"] == 50


def test_an_upgrade_is_measured_beside_those_who_use_the_store() -> None:
    """A store of an earlier checkout, with somebody who writes and somebody who reads."""
    persons = migration.PERSONS["tiny"] // 10
    with stage.database() as server:
        dsn = server.dsn("accountsync")
        migration.setup(dsn, persons)
        with migration._beside(dsn, persons) as beside:
            stage.case(migration.MODULE, "upgrade", dsn)
        asked = stage.case(migration.MODULE, "ask", dsn)
    assert all(beside.waits().values())
    assert 0 < asked.extra["ms"] < 1000
