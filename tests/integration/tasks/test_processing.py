"""At most one account per person and target, whatever dies, drops or lies (I9, I10, I13)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from accountsync.store import locks
from tests.integration.tasks.targets_world import CHAOS, TargetsWorld
from tests.integration.world import stamp, until

TARGETS = ("idaas", "welink", "email")
ONBOARDING = "/user/onboarding"


@contextmanager
def _killed(world: TargetsWorld) -> Iterator[None]:
    """A processor of idaas in a process of its own, killed at the end of the block. Its lock goes
    when the database notices: until then the target is busy to everybody else."""
    with world.worker("process", target="idaas") as process:
        yield
        assert process.poll() is None, "it ended before it was killed"
        process.kill()
        process.wait()
    until(lambda: not locks.is_taken(world.engine, "target/idaas"))


def _in_flight(world: TargetsWorld) -> int:
    return int(world.sims.idaas.state()["in_flight"])


def _before_a_claim_is_committed(world: TargetsWorld) -> None:
    with world.locked("task_attempt"), _killed(world):
        until(world.somebody_waits)


def _while_requests_are_on_their_way(world: TargetsWorld) -> None:
    """They arrive when their sender has long been dead."""
    world.sims.idaas.fault("latency", path=ONBOARDING, seconds=1.5)
    with _killed(world):
        until(lambda: _in_flight(world) >= 8)
    world.sims.idaas.heal()


def _while_answers_are_on_their_way(world: TargetsWorld) -> None:
    """The accounts are made, and nobody hears of it."""
    world.sims.idaas.fault("slow_body", path=ONBOARDING, seconds=5)
    with _killed(world):
        until(lambda: len(world.sims.idaas.accounts()) >= 8)
    world.sims.idaas.heal()


def _before_the_results_are_recorded(world: TargetsWorld) -> None:
    with world.locked("account"), _killed(world):
        until(world.somebody_waits)


def _in_the_thick_of_it(world: TargetsWorld) -> None:
    """Some are recorded, some on their way, some not begun."""
    world.sims.idaas.fault("latency", path=ONBOARDING, seconds=0.05, jitter=0.05)
    world.sims.idaas.fault("latency", path=ONBOARDING, seconds=1.5, skip=20)
    with _killed(world):
        until(lambda: len(world.sims.idaas.accounts()) >= 20)
    world.sims.idaas.heal()


MOMENTS = [
    _before_a_claim_is_committed,
    _while_requests_are_on_their_way,
    _while_answers_are_on_their_way,
    _before_the_results_are_recorded,
    _in_the_thick_of_it,
]


@pytest.mark.parametrize("die", MOMENTS)
def test_a_worker_that_was_killed_leaves_one_account_each(
    planned: TargetsWorld, die: Callable[[TargetsWorld], None]
) -> None:
    """I9."""
    die(planned)
    begun = planned.scalar("SELECT count(*) FROM accountsync.task_attempt WHERE outcome IS NULL")
    assert (begun == 0) == (die is _before_a_claim_is_committed), planned.story()
    planned.let_leases_run_out()
    planned.drain()
    for target in TARGETS:
        assert set(planned.there(target).values()) == {1}, planned.story()
    assert set(planned.there("idaas")) == set(planned.there("welink")) == planned.entitled()
    assert planned.unexplained() == [], planned.story()
    assert set(planned.tasks("idaas").values()) == {"succeeded"}, planned.story()
    creations, _ = planned.requests("idaas")
    assert creations <= planned.scalar(
        "SELECT count(*) FROM accountsync.task_attempt a JOIN accountsync.account_task t"
        " ON t.id = task_id WHERE kind = 'call' AND system = 'idaas'"
    )


def test_what_a_killed_worker_had_claimed_is_left_alone_until_its_lease_runs_out(
    planned: TargetsWorld,
) -> None:
    """I9: it may still be under way; the others go on."""
    _while_requests_are_on_their_way(planned)
    running = planned.scalar(
        "SELECT count(*) FROM accountsync.account_task WHERE state = 'running'"
    )
    assert running >= 8
    planned.drain()
    states = Counter(planned.tasks("idaas").values())
    assert states == {"running": running, "succeeded": len(planned.entitled()) - running}


@pytest.mark.parametrize("body", ["", "null", "[]", "{}", '"created"'])
def test_a_success_that_cannot_be_read_is_looked_up(planned: TargetsWorld, body: str) -> None:
    """I9: HTTP 200 from a gateway, without a word of the target's own: nobody knows."""
    planned.sims.idaas.fault("status", code=200, body=body, path=ONBOARDING, times=1)
    summary = planned.process("idaas")
    assert summary.outcomes["unknown"] == 1
    assert set(planned.tasks("idaas").values()) == {"succeeded"}
    assert set(planned.there("idaas")) == planned.entitled()


def test_an_account_that_is_another_persons_already_is_not_taken_over(
    planned: TargetsWorld,
) -> None:
    """I8, I10: an employee number went to a new colleague, and the targets still know it as the
    first one's."""
    planned.drain()
    first = next(p for p in planned.sims.hr.persons() if p["employeeStatus"] == "1")
    number, now = first["employeeNumber"], stamp(datetime.now(UTC))
    planned.sims.hr.put_persons(
        first | {"employeeNumber": "99000001", "lastUpdateDate": now},
        {"personId": 700_001, "employeeNumber": number, "lastUpdateDate": now},
    )
    planned.sync()
    planned.plan()
    planned.drain()
    rows = planned.rows(
        "SELECT system, state, cause FROM accountsync.account_task t JOIN accountsync.person p"
        " ON p.id = t.person_id WHERE source_key = '700001' ORDER BY system"
    )
    states = {row["system"]: (row["state"], row["cause"]) for row in rows}
    state, cause = states["idaas"]
    assert state == "needs_human"
    assert cause.startswith("the account found is another person's already: do not enable it")
    assert states["welink"][0] == states["email"][0] == "waiting"
    owners = planned.rows(
        "SELECT source_key FROM accountsync.account a JOIN accountsync.person p"
        " ON p.id = a.person_id WHERE identifier = :number",
        number=number,
    )
    assert [row["source_key"] for row in owners] == [str(first["personId"])]


def test_a_task_planned_before_the_key_was_changed_stops_nobody(planned: TargetsWorld) -> None:
    """Its attributes lack what the configuration now finds accounts by."""
    keyed = {"key": "mobile", "identifier": "nickName", "attributes": {"nickName": "x"}}
    world = replace(planned, changes={"idaas": keyed})
    world.process("idaas", max_tasks=3)
    failed = world.rows(
        "SELECT cause FROM accountsync.account_task WHERE state = 'failed' AND system = 'idaas'"
    )
    said = "the task was planned without the attribute 'nickName'"
    assert [row["cause"] for row in failed] == [said] * 3


def test_two_processors_at_once_share_no_task(planned: TargetsWorld) -> None:
    """One target, one processor: the other finds it busy."""
    planned.sims.idaas.fault("latency", path=ONBOARDING, seconds=0.1)
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(lambda _: planned.process("idaas"), range(2))
    assert {one.busy, other.busy} == {False, True}
    assert planned.requests("idaas") == (len(planned.entitled()), 0)


def test_every_run_is_a_worker_of_its_own(planned: TargetsWorld) -> None:
    """A second try of an Airflow task bears the first one's name, and the first may live."""
    for _ in range(2):
        planned.process("idaas", worker="run-1", max_tasks=2)
    workers = planned.rows("SELECT DISTINCT worker FROM accountsync.task_attempt")
    assert len(workers) == 2
    assert all(row["worker"].startswith("run-1/") for row in workers)


def test_neither_log_nor_attempt_tells_anything_about_anybody(
    planned: TargetsWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """I15: but the employee number."""
    caplog.set_level(logging.DEBUG)
    for rule in CHAOS:
        planned.sims.idaas.faults(rule | {"probability": 0.2, "times": 5})
    planned.sims.idaas.fault("ok_with_error", path=ONBOARDING, times=3)
    planned.drain()
    messages = planned.rows("SELECT message, code FROM accountsync.task_attempt")
    causes = planned.rows("SELECT cause FROM accountsync.account_task")
    told = caplog.text + repr(messages) + repr(causes)
    assert "event=attempt_failed" in told
    assert "employee_number=" in told
    for person in planned.sims.hr.persons():
        for field in ("fullName", "telephoneNumber1", "englishName", "fullAddress"):
            assert not person[field] or person[field] not in told
    names = planned.rows("SELECT value FROM accountsync.name_registry WHERE namespace <> 'x'")
    assert names
    assert [row["value"] for row in names if row["value"] in told] == []
