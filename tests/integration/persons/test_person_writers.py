"""Who writes persons does so one after the other: a merge of HR, and the planner."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Connection

from accountsync.store import locks
from accountsync.store.persons import persons
from accountsync.store.persons.persons import Evaluation
from tests.integration.persons.hr_world import HrWorld

_WAITS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


def _plan(connection: Connection, person_id: int) -> None:
    planned = Evaluation(person_id=person_id, revision=1, next_at=None)
    persons.mark_planned(connection, [planned])


def test_a_merge_and_the_planner_do_not_wait_for_each_other(world: HrWorld) -> None:
    """Each would hold what the other needs, and the database would end one of them: the merge goes
    from the first person to the last, and here the planner comes from the last to the first."""
    world.sync()
    ids = [row["id"] for row in world.rows("SELECT id FROM accountsync.person ORDER BY id")]
    for row in world.hr.persons():
        world.change(row, englishName="changed")
    with ThreadPoolExecutor(1) as pool:
        with locks.held(world.engine, "plan"), world.engine.begin() as planner:
            _plan(planner, ids[-1])
            merging = pool.submit(world.sync)
            while not world.scalar(_WAITS):
                assert not merging.done()
                time.sleep(0.01)
            _plan(planner, ids[0])
        assert merging.result(timeout=60).updated == len(ids)
    planned = "SELECT count(*) FROM accountsync.person WHERE planned_revision = 1 AND revision = 2"
    assert world.scalar(planned) == 2
