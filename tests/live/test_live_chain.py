"""One DAG's result starts the next."""

from __future__ import annotations

import pytest

from demo.verdict import problems
from tests.live.running import CREATE, PROCESS, SYNC, DagRun, Live

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("live")]


def test_one_trigger_of_the_first_dag_carries_joiners_to_every_target(live: Live) -> None:
    """Nobody triggers the other two: assets do."""
    joined = live.hr.events(join=3)["join"]
    run = live.trigger(SYNC)
    assert live.ended(run).state == "success"
    planned = live.wait("a run of create_account_tasks", lambda: _woken(live, CREATE, run))
    assert live.ended(planned).state == "success"
    processed = live.wait("a run of process_account_tasks", lambda: _woken(live, PROCESS, planned))
    assert live.ended(processed).state == "success"
    live.wait("quiet", live.is_quiet)
    assert live.moving() == 0
    world = live.world()
    assert problems(world) == []
    assert set(joined) <= {account["employeeNumber"] for account in world.accounts["idaas"]}


def test_a_run_that_changed_nothing_wakes_nobody(live: Live) -> None:
    run = live.trigger(SYNC)
    assert live.ended(run).state == "success"
    assert live.task(run, "announce")["state"] == "skipped"
    assert _woken(live, CREATE, run) is None


def _woken(live: Live, dag_id: str, by: DagRun) -> DagRun | None:
    """The run of a DAG that follows from an asset event of another run."""
    events = live.rest("GET", f"assets/events?source_run_id={by.run_id}")["asset_events"]
    made = [run for event in events for run in event["created_dagruns"] if run["dag_id"] == dag_id]
    return live.stack.api.run(dag_id, made[0]["run_id"]) if made else None
