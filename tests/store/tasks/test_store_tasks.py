"""The queue of account tasks: claimed once, leased, released, recorded (I9, I12, I13)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, RowMapping, text

from accountsync.domain.accounts.account import RemoteAccount
from accountsync.domain.reasons import Kind, Reason
from accountsync.domain.tasks.outcomes import Outcome, Result
from accountsync.jobs.tasks.task_queue import Limits, TaskQueue
from accountsync.store import causes, locks
from accountsync.store.accounts import accounts
from accountsync.store.persons import person_view
from accountsync.store.plans import planned_rules
from accountsync.store.tasks import claimed_tasks, dependants, due_tasks, leases, recording
from accountsync.store.tasks.claimed_tasks import Claim
from tests.store.people import add_account, add_persons, add_plan, add_task

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LEASE = timedelta(minutes=2)
MINUTE = timedelta(minutes=1)


def _claim(
    connection: Connection, limit: int = 100, *, worker: str = "w", now: datetime = NOW
) -> list[Claim]:
    return claimed_tasks.claim(
        connection, target="idaas", limit=limit, worker=worker, lease=LEASE, now=now
    )


def _record(connection: Connection, *results: Result, target: str = "idaas") -> int:
    return recording.record(connection, target=target, worker="w", results=results, now=NOW)


def _task(connection: Connection, task_id: int) -> RowMapping:
    query = "SELECT * FROM accountsync.account_task WHERE id = :id"
    return connection.execute(text(query), {"id": task_id}).mappings().one()


def _attempts(connection: Connection, task_id: int) -> list[RowMapping]:
    query = "SELECT * FROM accountsync.task_attempt WHERE task_id = :id ORDER BY number"
    return list(connection.execute(text(query), {"id": task_id}).mappings())


def _result(claim: Claim, outcome: Outcome, state: str, **fields: Any) -> Result:
    return Result(task=claim.as_task({"k": "v"}), outcome=outcome, state=state, **fields)


def _succeeded(claim: Claim, remote_id: str | None = None) -> Result:
    identifier = f"name-{claim.row['person_id']}"
    account = RemoteAccount(identifier=identifier, remote_id=remote_id, ours=True)
    return _result(claim, Outcome.SUCCEEDED, "succeeded", account=account, account_state="active")


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def _due(connection: Connection, now: datetime) -> list[str]:
    targets = ("welink", "idaas", "email")
    return due_tasks.due_targets(connection, targets=targets, now=now)


@pytest.fixture
def plan_id(connection: Connection) -> int:
    return add_plan(connection)


@pytest.fixture
def people(connection: Connection) -> list[int]:
    return add_persons(connection, 10)


def test_claiming_burns_an_attempt_and_records_it_before_the_call(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I9."""
    task_id = add_task(connection, plan_id=plan_id, person_id=people[0], next_attempt_at=NOW)
    (claim,) = _claim(connection)
    task = _task(connection, task_id)
    assert (task["state"], task["attempts"], task["claimed_by"]) == ("running", 1, "w")
    assert task["lease_until"] == NOW + LEASE
    (attempt,) = _attempts(connection, task_id)
    assert attempt["id"] == claim.row["attempt_id"]
    assert (attempt["number"], attempt["kind"], attempt["outcome"]) == (1, "call", None)


def test_only_what_is_due_in_this_system_is_claimed_the_oldest_first(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I13: dead tasks never starve live ones."""
    due = [
        add_task(connection, plan_id=plan_id, person_id=p, next_attempt_at=NOW - n * MINUTE)
        for n, p in enumerate(people[:4])
    ]
    later = NOW + MINUTE
    add_task(connection, plan_id=plan_id, person_id=people[4], next_attempt_at=later)
    whose = {"plan_id": plan_id, "person_id": people[5]}
    add_task(connection, **whose, state="failed", finished_at=NOW, next_attempt_at=NOW)
    add_task(connection, **whose, state="needs_human", next_attempt_at=NOW)
    add_task(connection, **whose, target="welink", next_attempt_at=NOW)
    assert sorted(c.row["id"] for c in _claim(connection, 3)) == sorted(due[1:])
    assert [c.row["id"] for c in _claim(connection)] == [due[0]]
    assert _claim(connection) == []
    assert _due(connection, NOW) == ["welink"]


def test_nobody_gets_an_account_while_a_human_has_to_say_whose_another_one_is(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I9: whatever else is due goes on; a look changes nothing."""
    doubtful, looked_for, other = people[:3]
    task_id = add_task(connection, plan_id=plan_id, person_id=doubtful, next_attempt_at=NOW)
    fine = [
        add_task(connection, plan_id=plan_id, person_id=p, state=state, next_attempt_at=NOW)
        for p, state in ((looked_for, "unknown"), (other, "ready"))
    ]
    open_case = text(
        "INSERT INTO accountsync.correlation_case (system, account_key, account, candidates,"
        " reasons, found_at) VALUES ('idaas', 'x', '{}', :persons, '[]', :now)"
    )
    connection.execute(open_case, {"persons": [doubtful, looked_for], "now": NOW})
    for numbers in (None, ["1", "2", "3"]):
        peeked = claimed_tasks.peek(connection, target="idaas", limit=9, now=NOW, numbers=numbers)
        assert [claim.row["id"] for claim in peeked] == fine
    assert due_tasks.untried(connection, since=NOW, now=NOW) == {"idaas": 1}
    assert sorted(claim.row["id"] for claim in _claim(connection)) == fine
    assert _due(connection, NOW) == []
    assert due_tasks.untried(connection, since=NOW, now=NOW) == {}
    assert due_tasks.oldest_due_s(connection, target="idaas") == 0.0
    connection.execute(
        text("UPDATE accountsync.correlation_case SET state = 'ignored', closed_at = now()")
    )
    assert _due(connection, NOW) == ["idaas"]
    assert due_tasks.oldest_due_s(connection, target="idaas") > 0.0
    assert [claim.row["id"] for claim in _claim(connection)] == [task_id]


def test_unknown_outcomes_are_claimed_first_as_probes_that_burn_nothing(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I9."""
    ready, unknown = (
        add_task(
            connection,
            plan_id=plan_id,
            person_id=p,
            state=state,
            attempts=3,
            next_attempt_at=NOW,
        )
        for p, state in zip(people, ("ready", "unknown"), strict=False)
    )
    (probe,) = _claim(connection, 1)
    assert (probe.row["id"], probe.probe, probe.row["attempts"]) == (unknown, True, 3)
    (call,) = _claim(connection, 1)
    assert (call.row["id"], call.probe, call.row["attempts"]) == (ready, False, 4)


def test_two_claimers_at_once_never_get_the_same_task(engine: Engine) -> None:
    """I9: also without the lock that keeps processors apart."""
    with engine.begin() as connection:
        plan_id = add_plan(connection)
        for n, person_id in enumerate(add_persons(connection, 120)):
            state = "unknown" if n % 4 == 0 else "ready"
            add_task(
                connection,
                plan_id=plan_id,
                person_id=person_id,
                state=state,
                next_attempt_at=NOW,
            )

    def work(worker: str) -> list[int]:
        found: list[int] = []
        while True:
            with engine.begin() as connection:
                claims = _claim(connection, 7, worker=worker)
            if not claims:
                return found
            found += [claim.row["id"] for claim in claims]

    with ThreadPoolExecutor(4) as threads:
        shares = list(threads.map(work, "abcd"))
    assert set(Counter(task_id for share in shares for task_id in share).values()) == {1}
    assert sum(map(len, shares)) == 120
    with engine.connect() as connection:
        attempts = "SELECT count(*), count(DISTINCT task_id) FROM accountsync.task_attempt"
        assert tuple(connection.execute(text(attempts)).one()) == (120, 120)


def test_a_claim_that_another_is_making_is_passed_over_without_waiting(engine: Engine) -> None:
    with engine.begin() as connection:
        plan_id = add_plan(connection)
        for person_id in add_persons(connection, 4):
            add_task(connection, plan_id=plan_id, person_id=person_id, next_attempt_at=NOW)
    with engine.begin() as one, engine.begin() as other:
        other.execute(text("SET LOCAL lock_timeout = '2s'"))
        first, second = _claim(one, 3), _claim(other, 3)
    assert (len(first), len(second)) == (3, 1)


def test_what_became_ready_after_a_run_had_looked_and_was_not_tried_is_known(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I12: the next run is woken for it; not for what failed, waits for its time or is older."""
    late = NOW + MINUTE
    at = {"fresh": NOW, "older": NOW - MINUTE, "later": late + MINUTE, "tried": NOW}
    for person, (name, moment) in zip(people, at.items(), strict=False):
        fields = {"next_attempt_at": moment, "attempts": int(name == "tried")}
        add_task(connection, plan_id=plan_id, person_id=person, **fields)
    assert due_tasks.untried(connection, since=NOW, now=late) == {"idaas": 1}


def test_a_lease_that_ran_out_becomes_an_unknown_outcome(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I9: what a dead worker had begun is probed, whether it was a call or a probe."""
    whose = {"plan_id": plan_id, "next_attempt_at": NOW}
    call = add_task(connection, person_id=people[0], **whose)
    probe = add_task(connection, person_id=people[1], state="unknown", **whose)
    _claim(connection)
    leases.expire_leases(connection, target="idaas", now=NOW + LEASE)
    assert _task(connection, call)["state"] == "running"
    late = NOW + LEASE + MINUTE
    leases.expire_leases(connection, target="welink", now=late)
    assert _task(connection, call)["state"] == "running"
    assert _due(connection, late) == ["idaas"]
    leases.expire_leases(connection, target="idaas", now=late)
    for task_id in (call, probe):
        task = _task(connection, task_id)
        assert (task["state"], task["lease_until"], task["claimed_by"]) == ("unknown", None, None)
        assert causes.read(task) == Reason.of(Kind.WORKER_DIED)
        (attempt,) = _attempts(connection, task_id)
        assert (attempt["outcome"], attempt["error_kind"]) == ("unknown", "LeaseExpired")
        assert attempt["finished_at"] == late
    assert all(claim.probe for claim in _claim(connection, now=late))


def test_a_renewed_lease_does_not_run_out(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    task_id = add_task(connection, plan_id=plan_id, person_id=people[0], next_attempt_at=NOW)
    _claim(connection)
    for worker, until in (("w", NOW + 10 * LEASE), ("somebody else", NOW)):
        leases.renew_leases(connection, tasks=[task_id], worker=worker, until=until)
    leases.expire_leases(connection, target="idaas", now=NOW + 9 * LEASE)
    assert _task(connection, task_id)["state"] == "running"


def test_a_task_is_released_when_the_last_account_it_waits_for_is_there(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I12."""
    task_id = add_task(
        connection,
        plan_id=plan_id,
        person_id=people[0],
        target="email",
        state="waiting",
        waits_for=["idaas", "welink"],
    )
    assert dependants.release_satisfied(connection, now=NOW) == 0
    add_account(connection, person_id=people[1], target="idaas")
    add_account(connection, person_id=people[0], target="idaas")
    assert dependants.release_satisfied(connection, now=NOW, persons=people) == 0
    assert _task(connection, task_id)["waits_for"] == ["welink"]
    add_account(connection, person_id=people[0], target="welink")
    assert dependants.release_satisfied(connection, now=NOW, persons=people[1:]) == 0
    assert _task(connection, task_id)["state"] == "waiting"
    assert dependants.release_satisfied(connection, now=NOW, persons=people[:1]) == 1
    assert _task(connection, task_id)["state"] == "ready"


def test_a_disabled_account_is_not_enough_to_go_on(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I12."""
    whose = {"person_id": people[0], "plan_id": plan_id}
    add_task(connection, **whose, target="email", state="waiting", waits_for=["idaas"])
    add_account(connection, person_id=people[0], target="idaas")
    connection.execute(text("UPDATE accountsync.account SET state = 'disabled'"))
    assert dependants.release_satisfied(connection, now=NOW) == 0


def test_an_overlooked_dependant_is_found_by_its_plan_and_by_the_way(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I12: written while its account was made, so that neither saw the other. At most so many are
    looked at, however many wait."""
    bound: dict[str, Any] = {"state": "waiting", "waits_for": ["idaas"], "target": "email"}
    for person in people:
        add_task(connection, plan_id=plan_id, person_id=person, **bound)
        add_account(connection, person_id=person, target="idaas")
    connection.execute(text("UPDATE accountsync.plan SET created_at = :now"), {"now": NOW})
    look = partial(dependants.release_overlooked, connection, limit=2)
    assert look(now=NOW + 60 * MINUTE, share=1.1) == 0, "neither a late plan, nor on the way"
    assert look(now=NOW + 60 * MINUTE, share=0.0) == 2
    assert look(now=NOW + MINUTE, share=1.1) == 2
    assert [look(now=NOW + MINUTE, share=0.0) for _ in range(4)][-1] == 0
    assert _waiting(connection) == 0


def _waiting(connection: Connection) -> int:
    query = "SELECT count(*) FROM accountsync.account_task WHERE state = 'waiting'"
    return int(connection.scalar(text(query)) or 0)


def test_success_makes_dependants_ready_in_the_same_transaction(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I12."""
    whose = {"person_id": people[0], "plan_id": plan_id}
    first = add_task(connection, **whose, next_attempt_at=NOW)
    second = add_task(connection, **whose, target="email", state="waiting", waits_for=["idaas"])
    assert _record(connection, *map(_succeeded, _claim(connection))) == 1
    assert _task(connection, first)["state"] == "succeeded"
    assert _task(connection, second)["state"] == "ready"
    assert _attempts(connection, first)[0]["outcome"] == "succeeded"


def test_two_targets_that_finish_at_once_release_who_waits_for_both(engine: Engine) -> None:
    """I12: neither sees the other's account before both have committed."""
    with engine.begin() as connection:
        plan_id, (person_id,) = add_plan(connection), add_persons(connection, 1)
        whose = {"plan_id": plan_id, "person_id": person_id}
        for target in ("idaas", "welink"):
            add_task(connection, **whose, target=target, next_attempt_at=NOW)
        task_id = add_task(
            connection, **whose, target="email", state="waiting", waits_for=["idaas", "welink"]
        )
        claims = {
            target: claimed_tasks.claim(
                connection, target=target, limit=1, worker="w", lease=LEASE, now=NOW
            )[0]
            for target in ("idaas", "welink")
        }

    def finish(target: str) -> None:
        with engine.begin() as connection:
            _record(connection, _succeeded(claims[target]), target=target)

    with ThreadPoolExecutor(1) as threads, engine.begin() as connection:
        _record(connection, _succeeded(claims["idaas"]), target="idaas")
        other = threads.submit(finish, "welink")
        with engine.connect() as watcher:
            waiting = (
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            while not watcher.scalar(text(waiting)) and not other.done():
                watcher.rollback()
        connection.commit()
        other.result()
    with engine.connect() as connection:
        assert _task(connection, task_id)["state"] == "ready"


def _goes_after(connection: Connection, target: str, *others: str) -> None:
    planned_rules.keep_order(connection, {target: others}, reads={})


@pytest.mark.parametrize(
    ("outcome", "state", "after"),
    [
        (Outcome.SUCCEEDED, "succeeded", "ready"),
        (Outcome.FAILED, "failed", "ready"),
        (Outcome.RETRY, "ready", "waiting"),
        (Outcome.UNKNOWN, "unknown", "waiting"),
        (Outcome.FAILED, "needs_human", "waiting"),
    ],
)
def test_what_only_comes_after_goes_on_in_the_same_transaction_however_the_first_one_ends(
    connection: Connection,
    plan_id: int,
    people: list[int],
    outcome: Outcome,
    state: str,
    after: str,
) -> None:
    """I12: it needs no account there; what does fails with it."""
    whose = {"person_id": people[0], "plan_id": plan_id}
    _goes_after(connection, "email", "idaas")
    add_task(connection, **whose, next_attempt_at=NOW)
    second = add_task(connection, **whose, target="email", state="waiting", waits_for=["idaas"])
    assert dependants.release_satisfied(connection, now=NOW) == 0
    (claim,) = _claim(connection)
    released = _record(connection, _result(claim, outcome, state, next_attempt_at=NOW))
    assert (released, _task(connection, second)["state"]) == (after == "ready", after)


def test_what_only_comes_after_waits_for_nothing_where_nothing_is_wanted(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I12: neither for an account, nor for one that is taken away."""
    _goes_after(connection, "email", "idaas")
    whose = {"person_id": people[0], "plan_id": plan_id}
    waiting = add_task(connection, **whose, target="email", state="waiting", waits_for=["idaas"])
    going = add_task(connection, **whose)
    connection.execute(text("UPDATE accountsync.account_task SET operation = 'disable'"
                            " WHERE id = :id"), {"id": going})  # fmt: skip
    assert dependants.release_satisfied(connection, now=NOW) == 1
    assert _task(connection, waiting)["state"] == "ready"


def test_a_failure_in_the_chain_lets_go_who_only_comes_after(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I12: idaas ◀ depends email ◀ after wiki."""
    whose = {"person_id": people[0], "plan_id": plan_id}
    _goes_after(connection, "wiki", "email")
    add_task(connection, **whose, next_attempt_at=NOW)
    near = add_task(connection, **whose, target="email", state="waiting", waits_for=["idaas"])
    far = add_task(connection, **whose, target="wiki", state="waiting", waits_for=["email"])
    (claim,) = _claim(connection)
    _record(connection, _result(claim, Outcome.FAILED, "failed"))
    assert _task(connection, near)["state"] == "failed"
    assert _task(connection, far)["state"] == "ready"


def test_a_delete_goes_on_past_a_failure_where_only_the_order_mattered(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I12, backwards: ADR 0012 keeps it where an account there is needed."""
    whose = {"person_id": people[0], "plan_id": plan_id}
    _goes_after(connection, "idaas", "email")
    add_task(connection, **whose, next_attempt_at=NOW)
    waiting = {
        target: add_task(connection, **whose, target=target, state="waiting", waits_for=["idaas"])
        for target in ("email", "wiki")
    }
    connection.execute(text("UPDATE accountsync.account_task SET operation = 'delete',"
                            " account_state = 'deleted'"))  # fmt: skip
    (claim,) = _claim(connection)
    _record(connection, _result(claim, Outcome.FAILED, "failed"))
    assert _task(connection, waiting["email"])["state"] == "ready"
    assert _task(connection, waiting["wiki"])["state"] == "failed"


def test_a_waiting_task_remembers_since_when_though_it_waits_for_less(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I12."""
    whose = {"person_id": people[0], "plan_id": plan_id}
    targets = {"target": "email", "state": "waiting", "waits_for": ["idaas", "welink"]}
    task_id = add_task(connection, **whose, **targets, next_attempt_at=NOW)
    for later, target in ((NOW + MINUTE, "idaas"), (NOW + 2 * MINUTE, "welink")):
        (seen,) = person_view.tasks(connection, people[0])[0]
        assert seen["waiting_since"] == NOW
        add_account(connection, person_id=people[0], target=target)
        dependants.release_satisfied(connection, now=later)
    (seen,) = person_view.tasks(connection, people[0])[0]
    assert (seen["id"], seen["state"], seen["waiting_since"]) == (task_id, "ready", None)
    assert seen["next_attempt_at"] == NOW + 2 * MINUTE


def test_failure_for_good_fails_who_waits_and_says_for_whom(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I12: through the chain; each names what it waited for."""
    whose = {"person_id": people[0], "plan_id": plan_id}
    add_task(connection, **whose, next_attempt_at=NOW)
    near = add_task(connection, **whose, target="email", state="waiting", waits_for=["idaas"])
    far = add_task(connection, **whose, target="wiki", state="waiting", waits_for=["email", "x"])
    other = add_task(connection, **whose, target="shop", state="waiting", waits_for=["x"])
    somebody = add_task(
        connection,
        plan_id=plan_id,
        person_id=people[1],
        target="email",
        state="waiting",
        waits_for=["idaas"],
    )
    (claim,) = _claim(connection)
    _record(connection, _result(claim, Outcome.FAILED, "failed", message="no"))
    for task_id, target in ((near, "idaas"), (far, "email")):
        cause = causes.read(_task(connection, task_id))
        assert cause == Reason.of(Kind.DEPENDENCY_FAILED, target=target)
    assert {_task(connection, t)["state"] for t in (near, far)} == {"failed"}
    assert {_task(connection, t)["state"] for t in (other, somebody)} == {"waiting"}


def test_what_no_text_may_hold_is_recorded_without_it(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I9, I13: an answer with a NUL, or with half a character, costs nobody else's result."""
    for person in people[:3]:
        add_task(connection, plan_id=plan_id, person_id=person, next_attempt_at=NOW)
    good, nul, half = _claim(connection)
    ids = (None, "r\x00", "s\ud83d")
    results = [
        _succeeded(c, remote_id) for c, remote_id in zip((good, nul, half), ids, strict=True)
    ]
    results[1] = replace(results[1], message="no\x00 such", code="\udc00")
    found = {result.task.person_id: result.account for result in results if result.account}
    assert accounts.taken(connection, target="idaas", found=found) == set()
    _record(connection, *results)
    rows = connection.execute(text("SELECT remote_id FROM accountsync.account ORDER BY id"))
    assert [row.remote_id for row in rows] == [None, "r\ufffd", "s\ufffd"]
    assert _task(connection, nul.row["id"])["cause"] == "no\ufffd such"
    assert _task(connection, good.row["id"])["state"] == "succeeded"


def test_a_planner_never_has_to_give_way_to_results(engine: Engine) -> None:
    """I13: they wait for each other's tasks; whoever records lets go, and records afterwards."""
    with engine.begin() as connection:
        plan_id, persons = add_plan(connection), add_persons(connection, 2)
        for person in persons:
            whose = {"plan_id": plan_id, "person_id": person}
            add_task(connection, **whose, next_attempt_at=NOW)
            add_task(connection, **whose, target="email", state="waiting", waits_for=["idaas"])
    limits = Limits(concurrency=5, call_timeout=MINUTE, seconds=60)
    lock_one = text("SELECT id FROM accountsync.account_task WHERE person_id = :person"
                    " AND state = 'waiting' FOR UPDATE")  # fmt: skip
    with locks.held_or_not(engine, "target/idaas") as lock, ThreadPoolExecutor(1) as threads:
        queue = TaskQueue(
            engine=engine, target="idaas", worker="w", limits=limits, clock=lambda: NOW, lock=lock
        )
        results = [_succeeded(claim) for claim in queue.claim()]
        with engine.begin() as planner:
            planner.execute(lock_one, {"person": persons[1]})
            recording = threads.submit(queue.record, results)
            planner.execute(text("SELECT pg_sleep(1.3)"))  # by then a victim would have been chosen
            planner.execute(lock_one, {"person": persons[0]})
        recording.result()
    assert queue.released == 2


def test_an_answer_that_the_store_does_not_take_costs_nobody_elses(engine: Engine) -> None:
    """I9, I13: its task needs a human; the others of the lot are recorded."""
    with engine.begin() as connection:
        plan_id = add_plan(connection)
        for person_id in add_persons(connection, 5):
            add_task(connection, plan_id=plan_id, person_id=person_id, next_attempt_at=NOW)
    limits = Limits(concurrency=5, call_timeout=MINUTE, seconds=60)
    with locks.held_or_not(engine, "target/idaas") as lock:
        queue = TaskQueue(
            engine=engine, target="idaas", worker="w", limits=limits, clock=lambda: NOW, lock=lock
        )
        results = [_succeeded(claim) for claim in queue.claim()]
        results[2] = replace(results[2], absences=1_000_000)  # more than its column holds
        for _ in range(2):  # a run that is ended records its last lot again (I14)
            queue.record(results)
    with engine.connect() as connection:
        tasks_now = [_task(connection, result.task.id) for result in results]
    assert Counter(task["state"] for task in tasks_now) == {"succeeded": 4, "needs_human": 1}
    assert "cannot be recorded (SQLSTATE 22003)" in tasks_now[2]["cause"]
    assert queue.outcomes == {"succeeded": 4, "failed": 1}


@pytest.mark.parametrize(
    ("outcome", "state", "attempts"),
    [(Outcome.RETRY, "ready", 1), (Outcome.UNKNOWN, "unknown", 1), (Outcome.NOT_SENT, "ready", 0)],
)
def test_what_was_not_sent_burns_no_attempt(
    connection: Connection,
    plan_id: int,
    people: list[int],
    outcome: Outcome,
    state: str,
    attempts: int,
) -> None:
    """I13."""
    task_id = add_task(connection, plan_id=plan_id, person_id=people[0], next_attempt_at=NOW)
    (claim,) = _claim(connection)
    burnt = outcome is not Outcome.NOT_SENT
    _record(connection, _result(claim, outcome, state, next_attempt_at=NOW + MINUTE, burnt=burnt))
    task = _task(connection, task_id)
    assert (task["state"], task["attempts"]) == (state, attempts)
    assert task["next_attempt_at"] == NOW + MINUTE
    assert _attempts(connection, task_id)[0]["outcome"] == outcome.value


def test_a_late_result_of_a_worker_that_was_given_up_does_not_end_the_task(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I9, I12: nor those that wait for it. Whoever has the task now decides."""
    whose = {"person_id": people[0], "plan_id": plan_id}
    task_id = add_task(connection, **whose, next_attempt_at=NOW)
    waiting = add_task(connection, **whose, target="email", state="waiting", waits_for=["idaas"])
    (late,) = _claim(connection, worker="w")
    leases.expire_leases(connection, target="idaas", now=NOW + 2 * LEASE)
    _claim(connection, worker="x", now=NOW + 2 * LEASE)
    _record(connection, _result(late, Outcome.FAILED, "failed"))
    task = _task(connection, task_id)
    assert (task["state"], task["claimed_by"]) == ("running", "x")
    assert _task(connection, waiting)["state"] == "waiting"


def test_a_result_that_is_recorded_again_does_not_touch_what_is_under_way_by_then(
    connection: Connection, plan_id: int, people: list[int]
) -> None:
    """I9: a commit without an answer is repeated; the same worker may have the task again."""
    task_id = add_task(connection, plan_id=plan_id, person_id=people[0], next_attempt_at=NOW)
    (first,) = _claim(connection)
    again = _result(first, Outcome.RETRY, "ready", next_attempt_at=NOW)
    _record(connection, again)
    (second,) = _claim(connection)
    _record(connection, again)
    task = _task(connection, task_id)
    assert (task["state"], task["attempts"]) == ("running", 2)
    _record(connection, _succeeded(second))
    assert _task(connection, task_id)["state"] == "succeeded"


def _scans(connection: Connection, statement: Any, bound: Mapping[str, Any]) -> set[str]:
    """How PostgreSQL finds rows of the queue: the index, or the kind of node that uses none."""
    explained = text(f"EXPLAIN (FORMAT JSON) {statement.text}")
    nodes = [connection.execute(explained, dict(bound)).scalar_one()[0]["Plan"]]
    found: set[str] = set()
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node.get("Relation Name") in ("account_task", "task_attempt") and "Scan" in str(node):
            found.add(node.get("Index Name", node["Node Type"]))
    return found - {"ModifyTable"}


def test_claiming_reads_its_partial_indexes_only(engine: Engine) -> None:
    """I13: whatever lies there already done, claiming costs the same."""
    done = (
        "INSERT INTO accountsync.account_task (plan_id, person_id, system, operation, desired,"
        " state, finished_at) SELECT :plan_id, p.id, 'idaas', 'create', '{}', 'succeeded', now()"
        " FROM accountsync.person p, generate_series(1, 50) g"
    )
    due = (
        "INSERT INTO accountsync.account_task (plan_id, person_id, system, operation, desired,"
        " state) SELECT :plan_id, id, 'idaas', 'create', '{}',"
        " CASE WHEN id % 5 = 0 THEN 'unknown' ELSE 'ready' END FROM accountsync.person"
    )
    with engine.begin() as connection:
        plan_id = add_plan(connection)
        add_persons(connection, 2000)
        for statement in (done, due):
            connection.execute(text(statement), {"plan_id": plan_id})
        connection.execute(text("ANALYZE accountsync.account_task"))
        bound = {
            "system": "idaas",
            "limit": 32,
            "worker": "w",
            "now": datetime.now(UTC),
            "lease_until": datetime.now(UTC),
            "numbers": [],
            "key": "employeeNumber",
        }
        for kind_of_scan in ("seqscan", "bitmapscan"):  # few rows: they would be cheaper
            connection.execute(text(f"SET LOCAL enable_{kind_of_scan} = off"))
        found = {
            kind: _scans(connection, statement, bound)
            for kind, statement in claimed_tasks._CLAIMS[False].items()
        }
    others = {
        "pk_account_task",
        "ix_account_task_person_id_system_id",
        "uq_task_attempt_task_id_number",
    }
    assert found == {
        "disable": {"ix_account_task_due"} | others,
        "again": {"ix_account_task_removal"} | others,
        "ready": {"ix_account_task_due"} | others,
        "oldest": {"ix_account_task_oldest"} | others,
        "unknown": {"ix_account_task_unknown"} | others,
    }
