"""A backfill reads its own data interval, whenever and however often (I5)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from accountsync.clock import utc_now
from accountsync.errors import ConfigurationError
from accountsync.jobs.persons.run_request import Window, window_of
from tests.integration.persons.hr_world import HrWorld
from tests.integration.world import SHANGHAI, HrRow

HOUR = timedelta(hours=1)


def _moment(row: HrRow) -> datetime:
    return datetime.fromisoformat(row["lastUpdateDate"]).replace(tzinfo=SHANGHAI)


def last_hours(first: int, last: int) -> Window:
    """From so many hours ago to so many hours ago."""
    now = utc_now()
    return Window(start=now - first * HOUR, end=now - last * HOUR)


def test_a_window_uses_the_rows_changed_in_it_and_no_other(world: HrWorld) -> None:
    rows = sorted(world.hr.persons(), key=_moment)
    start, end = _moment(rows[10]), _moment(rows[20])
    counts = world.sync(window=Window(start=start, end=end))
    assert (counts.fetched, counts.inserted) == (10, 10)
    found = world.rows("SELECT source_key FROM accountsync.person")
    assert {row["source_key"] for row in found} == {str(row["personId"]) for row in rows[10:20]}
    run = world.last_run
    assert (run["mode"], run["read_from"], run["read_to"]) == ("window", start, end)


def test_a_window_never_moves_the_watermark(world: HrWorld) -> None:
    world.sync(window=last_hours(24 * 2000, -1))
    assert world.watermark is None
    world.sync()
    before = world.rows("SELECT xmin::text, * FROM accountsync.watermark")
    world.change(world.hr.persons()[0])
    world.sync(window=last_hours(1, -1))
    assert world.differences() == {}
    assert world.rows("SELECT xmin::text, * FROM accountsync.watermark") == before


def test_a_window_takes_no_snapshot_and_misses_nobody(world: HrWorld) -> None:
    """I4: who is not in it may well be there."""
    world.sync()
    world.hr.vanish(world.hr.persons()[0]["personId"])
    world.sync(window=last_hours(24 * 2000, -1))
    assert world.absent() == {}
    assert world.scalar("SELECT count(*) FROM accountsync.snapshot") == 1


def test_a_window_never_overwrites_newer_data(world: HrWorld) -> None:
    """An old replica of HR still tells what we know to be over."""
    row = world.hr.persons()[0]
    world.change(row, ago=HOUR, fullName="新")
    world.sync()
    world.change(row, ago=3 * HOUR, fullName="旧")
    counts = world.sync(window=last_hours(4, 2))
    assert (counts.fetched, counts.updated, counts.unchanged) == (1, 0, 1)
    assert world.person(row)["full_name"] == "新"


def test_a_window_takes_no_number_from_somebody_newer(world: HrWorld) -> None:
    """The old row would give up or take numbers: nothing of it is used."""
    giver, taker = world.hr.persons()[:2]
    world.change(giver, ago=HOUR)
    world.change(taker, ago=HOUR)
    world.sync()
    world.change(giver, ago=3 * HOUR, employeeNumber="99000001")
    world.change(taker, ago=3 * HOUR, employeeNumber=giver["employeeNumber"])
    counts = world.sync(window=last_hours(4, 2))
    assert (counts.updated, counts.unchanged) == (0, 2)
    assert world.person(giver)["employee_number"] == giver["employeeNumber"]
    assert world.person(taker)["employee_number"] == taker["employeeNumber"]


def test_a_window_may_be_repeated_any_number_of_times(world: HrWorld) -> None:
    window = last_hours(24 * 2000, -1)
    world.sync(window=window)
    before = world.everything()
    assert world.sync(window=window).unchanged == 40
    assert world.everything() == before
    assert world.differences() == {}


def test_a_bad_row_in_a_window_is_kept_like_any_other(world: HrWorld) -> None:
    """I3."""
    world.sync()
    bad = world.change(world.hr.persons()[0], employeeNumber=None)
    world.sync(window=last_hours(1, -1))
    assert world.open_rejects().keys() == {str(bad["personId"])}


def test_windows_and_a_scheduled_run_at_once_end_where_hr_is(world: HrWorld) -> None:
    """Airflow runs backfills in parallel, whatever `max_active_runs` says."""
    for number, row in enumerate(world.hr.persons()):
        world.change(row, ago=number * HOUR / 10)
    world.hr.fault("latency", path="hr_person_info", seconds=0.05)
    runs: list[dict[str, Any]] = [{"window": last_hours(n + 1, n)} for n in range(4)]
    runs.append({"mode": "full"})
    with ThreadPoolExecutor(len(runs)) as threads:
        done = list(threads.map(lambda options: world.sync(**options), runs))
    assert sum(counts.inserted for counts in done) == 40
    assert world.differences() == {}
    assert world.staged_tables() == []


@pytest.mark.parametrize(("start", "end"), [(0, None), (None, 0), (0, 0), (1, 0)])
def test_a_window_needs_both_ends_in_order(start: int | None, end: int | None) -> None:
    now = utc_now()
    bounds = [None if hours is None else now + hours * HOUR for hours in (start, end)]
    with pytest.raises(ConfigurationError, match="a window needs"):
        window_of(*bounds)
    assert window_of(None, None) is None
