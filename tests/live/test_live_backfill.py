"""A real `airflow backfill create` of sync_hr_persons, carried out by the scheduler (I5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from demo.verdict import problems
from tests.live.running import CREATE, SYNC, Live

pytestmark = pytest.mark.slow

Interval = tuple[datetime, datetime]

ZONE = ZoneInfo("Asia/Shanghai")  # the schedules' and HR's
STEP = timedelta(minutes=10)
FIRST = datetime(2024, 6, 3, 10, 0, tzinfo=ZONE)
INTERVALS = [(FIRST + n * STEP, FIRST + (n + 1) * STEP) for n in range(4)]
RANGE = ("--from-date", FIRST.isoformat(), "--to-date", INTERVALS[-1][0].isoformat())
"""Inclusive, and told by the intervals' starts. Without a zone Airflow takes them for UTC."""

PERSON_ID = 900_000
_AS_HR_TOLD = (  # plans go on meanwhile
    "SELECT to_jsonb(p) - 'planned_revision' - 'next_evaluation_at' AS person"
    " FROM accountsync.person p ORDER BY id"
)
COUNTS = ("fetched", "retried", "updated", "rejected")


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a backfill left: Airflow's runs, the last of our sync runs by run id, how many persons
    were inserted by all of them, persons and watermark."""

    intervals: dict[str, Interval]
    states: set[str]
    overlapping: bool
    syncs: dict[str, dict[str, Any]]
    inserted: int
    persons: list[Any]
    watermark: list[Any]


@dataclass(frozen=True, kw_only=True)
class Story:
    before: Done
    dry_run: str
    parallel: Done
    again: Done
    outdated: str
    woken: list[str]
    wrong: list[str]


@pytest.fixture(scope="module")
def story(airflow: Live) -> Iterator[Story]:
    """Late arrivals in every interval, a row that HR took back, two backfills."""
    airflow.settle()
    airflow.in_step()
    before = _state(airflow, last_sync=_last_sync(airflow))
    outdated = _rewrite_history(airflow)
    dry_run = _backfill(airflow, "--dry-run")
    parallel = _carried_out(airflow)
    airflow.settle()
    woken = [run.state for run in airflow.woken(CREATE, *parallel.intervals)]
    sequential = ("--max-active-runs", "1", "--reprocess-behavior", "completed")
    again = _carried_out(airflow, *sequential)
    airflow.settle()
    yield Story(
        before=before,
        dry_run=dry_run,
        parallel=parallel,
        again=again,
        outdated=outdated["employeeNumber"],
        woken=woken,
        wrong=problems(airflow.world()),
    )
    airflow.hr.put_persons(outdated)


def test_the_dry_run_names_the_intervals_and_creates_none(story: Story) -> None:
    named = re.findall(r"\| (\d{4}-\S+ \S+?)\s*\|", story.dry_run)
    starts = [datetime.fromisoformat(text) for text in named]
    assert starts == [start for start, _ in INTERVALS]


@pytest.mark.parametrize("which", ["parallel", "again"])
def test_every_run_succeeds_over_its_interval(story: Story, which: str) -> None:
    done: Done = getattr(story, which)
    assert done.states == {"success"}
    assert sorted(done.intervals.values()) == INTERVALS


@pytest.mark.parametrize("which", ["parallel", "again"])
def test_every_run_reads_exactly_its_interval(story: Story, which: str) -> None:
    done: Done = getattr(story, which)
    read = {run: (sync["read_from"], sync["read_to"]) for run, sync in done.syncs.items()}
    assert read == done.intervals
    assert {(sync["mode"], sync["state"]) for sync in done.syncs.values()} == {
        ("window", "succeeded")
    }


def test_runs_are_parallel_unless_asked_for_one_at_a_time(story: Story) -> None:
    """Whatever the DAG's max_active_runs says; our lock per HR source makes it safe."""
    assert story.parallel.overlapping
    assert not story.again.overlapping


@pytest.mark.parametrize("which", ["parallel", "again"])
def test_counts_add_up(story: Story, which: str) -> None:
    """I14. A late arrival an interval, the outdated row, and nobody from after the range; whoever
    Airflow takes for dead and starts once more inserts nobody twice."""
    done: Done = getattr(story, which)
    syncs = done.syncs.values()
    for sync in syncs:
        told = sync["inserted"] + sync["updated"] + sync["unchanged"] + sync["rejected"]
        assert sync["fetched"] + sync["retried"] == told
    total = {name: sum(sync[name] for sync in syncs) for name in COUNTS}
    assert total == {"fetched": len(INTERVALS) + 1, "retried": 0, "updated": 0, "rejected": 0}
    assert done.inserted == (len(INTERVALS) if which == "parallel" else 0)


def test_the_second_time_changes_nothing(story: Story) -> None:
    assert story.again.persons == story.parallel.persons


def test_the_watermark_stays(story: Story) -> None:
    assert story.before.watermark == story.parallel.watermark == story.again.watermark


def test_newer_data_is_not_overwritten_by_older(story: Story) -> None:
    def row(done: Done) -> list[Any]:
        return [p for p in done.persons if p["employee_number"] == story.outdated]

    assert row(story.before) == row(story.parallel) == row(story.again)


def test_late_arrivals_get_their_accounts(story: Story) -> None:
    """A backfill's runs wake the other DAGs like any others."""
    assert story.woken
    assert set(story.woken) == {"success"}
    assert story.wrong == []


def _rewrite_history(live: Live) -> Any:
    """A person at the start of every interval and one after the last; an outdated row.

    Returns that row as it was.
    """
    starts = [start for start, _ in INTERVALS] + [INTERVALS[-1][1]]
    rows = [_row(PERSON_ID + n, at=start) for n, start in enumerate(starts)]
    watermark = live.rows("SELECT value - interval '1 day' AS v FROM accountsync.watermark")[0]["v"]
    known = next(p for p in live.hr.persons() if _stamp(watermark) > p["lastUpdateDate"] > "2025")
    within = INTERVALS[-1][0] + timedelta(minutes=9, seconds=59)
    older = known | {"fullName": "陈旧", "lastUpdateDate": _stamp(within)}
    live.hr.put_persons(*rows[:-1], older)
    return known


def _row(person_id: int, *, at: datetime) -> dict[str, Any]:
    return {"personId": person_id, "lastUpdateDate": _stamp(at)}


def _stamp(at: datetime) -> str:
    return at.astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")


def _backfill(live: Live, *options: str) -> str:
    done = live.airflow("backfill", "create", "--dag-id", SYNC, *RANGE, *options)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _carried_out(live: Live, *options: str) -> Done:
    last_sync = _last_sync(live)
    _backfill(live, *options)
    live.wait("the end of the backfill", lambda: _is_over(live))
    return _state(live, last_sync=last_sync)


def _is_over(live: Live) -> bool:
    query = "SELECT completed_at FROM backfill WHERE dag_id = %s ORDER BY id DESC LIMIT 1"
    found = live.rows(query, SYNC, database="airflow")
    return bool(found) and found[0]["completed_at"] is not None


def _last_sync(live: Live) -> int:
    return int(live.rows("SELECT coalesce(max(id), 0) AS id FROM accountsync.sync_run")[0]["id"])


def _state(live: Live, *, last_sync: int) -> Done:
    raw = live.rest("GET", f"dags/{SYNC}/dagRuns?run_type=backfill&limit=100")["dag_runs"]
    syncs = live.rows(
        "SELECT * FROM accountsync.sync_run WHERE id > %s AND airflow_run_id LIKE 'backfill%%'"
        " ORDER BY id",
        last_sync,
    )
    return Done(
        intervals={run["dag_run_id"]: _interval(run) for run in raw},
        states={run["state"] for run in raw},
        overlapping=_overlapping(raw),
        syncs={sync["airflow_run_id"]: sync for sync in syncs},
        inserted=sum(sync["inserted"] for sync in syncs),
        persons=[row["person"] for row in live.rows(_AS_HR_TOLD)],
        watermark=live.rows("SELECT value FROM accountsync.watermark"),
    )


def _interval(run: Any) -> Interval:
    return _time(run["data_interval_start"]), _time(run["data_interval_end"])


def _overlapping(runs: list[Any]) -> bool:
    times = sorted((_time(run["start_date"]), _time(run["end_date"])) for run in runs)
    return any(later < end for (_, end), (later, _) in zip(times, times[1:], strict=False))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
