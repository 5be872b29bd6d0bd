"""One DAG's result starts the next."""

from __future__ import annotations

import pytest

from demo.verdict import problems
from tests.live.running import CREATE, PROCESS, SYNC, Live

pytestmark = pytest.mark.slow


def test_one_trigger_of_the_first_dag_carries_joiners_to_every_target(live: Live) -> None:
    """Nobody triggers the other two: assets do."""
    joined = live.hr.events(join=3)["join"]
    run = live.trigger(SYNC)
    assert live.ended(run).state == "success"
    planned = live.wait("a run of create_account_tasks", lambda: live.woken(CREATE, run.run_id))[0]
    assert live.ended(planned).state == "success"
    waiting = "a run of process_account_tasks"
    processed = live.wait(waiting, lambda: live.woken(PROCESS, planned.run_id))[0]
    assert live.ended(processed).state == "success"
    live.wait("quiet", live.is_quiet)
    assert live.moving() == 0
    world = live.world()
    assert problems(world) == []
    assert set(joined) <= {account["employeeNumber"] for account in world.accounts["idaas"]}


def test_a_run_that_changed_nothing_wakes_nobody(live: Live) -> None:
    live.in_step()
    run = live.trigger(SYNC)
    assert live.ended(run).state == "success"
    assert live.task(run, "announce")["state"] == "skipped"
    assert live.woken(CREATE, run.run_id) == []
