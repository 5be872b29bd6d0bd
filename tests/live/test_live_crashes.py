"""I9: at most one account per person and target, whatever is killed in the middle."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from demo import pids
from demo.verdict import problems
from tests.live.running import PROCESS, SYNC, DagRun, Live

pytestmark = pytest.mark.slow

JOINERS = 40
SLOW = 1.2
"""Seconds a call; the targets' timeout is two."""


def test_a_killed_task_process_leaves_one_account_a_person(live: Live) -> None:
    refused = _refused(live)
    _join(live)
    run, pid = _caught_in_the_middle(live)
    os.kill(pid, signal.SIGKILL)
    live.heal()
    live.wait("the death to be noticed", lambda: _state(live, run) != "running")
    died = _claimed(live)
    assert died
    _expect_recovery(live, refused)
    assert _outcomes(live, died) >= {"unknown"}


def test_a_killed_worker_leaves_one_account_a_person(live: Live) -> None:
    """With the process of its task: nobody is left to tell Airflow; its heartbeats end."""
    refused = _refused(live)
    _join(live)
    run, pid = _caught_in_the_middle(live)
    for victim in (_parent(pid), pid):
        os.kill(victim, signal.SIGKILL)
    live.heal()
    live.wait("the silence to be noticed", lambda: _state(live, run) != "running")
    _end_leases(live)
    _expect_recovery(live, refused)


def test_a_killed_scheduler_leaves_one_account_a_person(live: Live) -> None:
    """The task that was under way lives on for a while, beside those of the next scheduler. So do
    LocalExecutor's workers, who hold the dead one's connection to the database open: what it had
    locked is free when PostgreSQL's patience ends (`PGOPTIONS`, docs/deployment.md)."""
    refused = _refused(live)
    _join(live)
    _caught_in_the_middle(live)
    group = live.supervisor.kill("scheduler")
    live.supervisor.restart("scheduler")
    live.heal()
    _expect_recovery(live, refused)
    for orphan in pids.session_members(group):  # LocalExecutor's idle workers never end
        os.kill(orphan, signal.SIGKILL)


def _join(live: Live) -> None:
    live.targets["idaas"].fault("latency", path="/onboarding", seconds=SLOW)
    live.hr.events(join=JOINERS)
    live.ended(live.trigger(SYNC))


def _caught_in_the_middle(live: Live) -> tuple[DagRun, int]:
    """A run of process_account_tasks and the process of its task for IDaaS, while it calls."""

    def caught() -> tuple[DagRun, int] | None:
        done = len(live.targets["idaas"].accounts())
        calling = live.targets["idaas"].state()["in_flight"] >= 4
        found = live.rows(
            "SELECT run_id, pid FROM task_instance WHERE dag_id = %s AND task_id = 'process'"
            " AND state = 'running' AND rendered_map_index = 'idaas'",
            PROCESS,
            database="airflow",
        )
        if not (found and calling and done > before):
            return None
        return live.stack.api.run(PROCESS, found[0]["run_id"]), int(found[0]["pid"])

    before = len(live.targets["idaas"].accounts())
    caught_run: tuple[DagRun, int] = live.wait("processing to be under way", caught)
    return caught_run


def _state(live: Live, run: DagRun) -> str:
    found = live.rows(
        "SELECT state FROM task_instance WHERE dag_id = %s AND run_id = %s"
        " AND task_id = 'process' AND rendered_map_index = 'idaas'",
        run.dag_id, run.run_id,
        database="airflow",
    )  # fmt: skip
    return str(found[0]["state"]) if found else "gone"


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])


def _claimed(live: Live) -> list[int]:
    """Tasks whose calls were under way when their process died."""
    found = live.rows("SELECT id FROM accountsync.account_task WHERE state = 'running'")
    return [row["id"] for row in found]


def _outcomes(live: Live, tasks: list[int]) -> set[Any]:
    found = live.rows(
        "SELECT DISTINCT outcome FROM accountsync.task_attempt WHERE task_id = ANY(%s)", tasks
    )
    return {row["outcome"] for row in found}


def _refused(live: Live) -> dict[str, int]:
    """Creations that a target refused because it had that account: blind repeats."""
    return {name: one.state()["duplicates_refused"] for name, one in live.targets.items()}


def _expect_recovery(live: Live, refused: dict[str, int]) -> None:
    """Nobody does anything but wait for the leases, and run what the schedule would run."""
    over = lambda: not _claimed(live) or _all_expired(live)  # noqa: E731
    live.wait("the leases to end", over)
    live.settle()
    world = live.world()
    assert problems(world) == []
    assert _refused(live) == refused


def _end_leases(live: Live) -> None:
    """The clock is moved; that the time itself passes is seen in another test."""
    live.rows("UPDATE accountsync.account_task SET lease_until = now() WHERE state = 'running'")


def _all_expired(live: Live) -> bool:
    query = (
        "SELECT count(*) AS n FROM accountsync.account_task"
        " WHERE state = 'running' AND lease_until >= now()"
    )
    return bool(live.rows(query)[0]["n"] == 0)
