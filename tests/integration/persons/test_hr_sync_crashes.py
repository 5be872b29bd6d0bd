"""Runs that die, and runs that meet (I1, I5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from accountsync.errors import IncompleteReadError
from accountsync.store import locks
from tests.integration.persons.hr_world import HrWorld
from tests.integration.world import until


@contextmanager
def _killed(world: HrWorld) -> Iterator[None]:
    """A full run in a process of its own, which is killed at the end of the block."""
    with world.worker("sync", mode="full") as process:
        yield
        process.kill()
        process.wait()


def _died_while_reading(world: HrWorld) -> None:
    until(lambda: not world.hr.state()["in_flight"])  # of a run that another test has killed
    world.hr.fault("latency", path="hr_person_info", skip=3, seconds=20)
    with _killed(world):
        until(lambda: world.hr.state()["in_flight"] >= 3)
    world.hr.heal()


def _died_while_merging(world: HrWorld) -> None:
    """Everything was staged, and the merge had begun."""
    with world.locked("person_change"), _killed(world):
        until(world.somebody_waits)


@pytest.mark.parametrize("die", [_died_while_reading, _died_while_merging])
def test_a_run_that_was_killed_leaves_no_trace_but_its_row(
    world: HrWorld, die: Callable[[HrWorld], None]
) -> None:
    """I1: nothing is merged, the watermark stands still, the next run sweeps up and goes on."""
    world.sync()
    world.hr.events(join=3, move=5, leave=2)
    before = world.everything()
    die(world)
    dead = world.last_run
    assert dead["state"] == "running"
    assert world.staged_tables() == [f"staged_{dead['id']}"]
    assert world.everything() == before
    world.sync()
    assert world.differences() == {}
    assert world.staged_tables() == []
    row = world.rows("SELECT * FROM accountsync.sync_run WHERE id = :id", id=dead["id"])[0]
    assert (row["state"], row["error"]) == ("failed", "the worker died or lost its lock")
    assert row["finished_at"] is not None


def test_a_killed_run_holds_nobody_up(world: HrWorld) -> None:
    """A lock ends with its database session (JumpServer#3844)."""
    _died_while_reading(world)
    with locks.held_or_not(world.engine, "hr/hieds") as free:
        assert free


def test_two_runs_at_once_on_one_source_take_turns(world: HrWorld) -> None:
    """I5: the second reads after the first has merged."""
    world.hr.fault("latency", path="hr_person_info", seconds=0.1)
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda _: world.sync("full"), range(2)))
    assert sorted(counts.inserted for counts in done) == [0, 40]
    first, second = world.rows("SELECT * FROM accountsync.sync_run ORDER BY id")
    assert first["finished_at"] <= second["started_at"]
    assert (first["state"], second["state"]) == ("succeeded", "succeeded")


def test_a_run_does_not_sweep_up_another_sources_tables(world: HrWorld) -> None:
    world.execute("INSERT INTO accountsync.sync_run (source, mode) VALUES ('other', 'full')")
    other = world.last_run["id"]
    world.execute(f"CREATE TABLE accountsync.staged_{other} (i int)")
    world.sync()
    assert world.staged_tables() == [f"staged_{other}"]
    state = "SELECT state FROM accountsync.sync_run WHERE id = :id"
    assert world.scalar(state, id=other) == "running"


def test_rows_that_are_gone_before_they_are_merged_are_missed(world: HrWorld) -> None:
    """I1, I2: a crash of the database between reading and merging."""
    world.sync()
    before = world.everything()
    waits = (
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
        " WHERE NOT granted AND locktype = 'advisory' AND datname = current_database()"
    )
    with ThreadPoolExecutor(1) as threads:
        with locks.held(world.engine, "plan"):
            run = threads.submit(world.sync, "full")
            until(lambda: world.scalar(waits))
            (staged,) = world.staged_tables()
            world.execute(f"TRUNCATE accountsync.{staged}")
        with pytest.raises(IncompleteReadError, match="40 rows were staged, 0 are there"):
            run.result()
    assert world.everything() == before


def test_a_lock_that_ended_with_its_session_does_not_undo_what_was_done(world: HrWorld) -> None:
    with locks.held(world.engine, "hr/hieds"):
        world.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database"
            " WHERE locktype = 'advisory' AND datname = current_database()"
        )
    with locks.held_or_not(world.engine, "hr/hieds") as free:
        assert free
