"""However a run ends, what was done is known or looked up, and what was not is done later (I9)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import ProgrammingError

from accountsync.clock import utc_now
from accountsync.domain.tasks.outcomes import Result
from accountsync.errors import AccountSyncError, TransientError
from accountsync.jobs.tasks import processor, task_queue
from accountsync.jobs.tasks.task_queue import Limits, TaskQueue
from accountsync.store import schema
from accountsync.store.engine import database_clock, make_engine
from accountsync.store.locks import Lock
from demo import postgres
from simulators.run import Sims
from tests.integration.tasks.targets_world import TargetsWorld
from tests.integration.world import until

ONBOARDING = "/user/onboarding"


def _sent(world: TargetsWorld) -> int:
    """Creations that reached the target; what an earlier test left in flight is none."""
    return world.requests("idaas")[0]


def _ends(world: TargetsWorld) -> None:
    """Nothing is left hanging, and the next runs finish the work without a duplicate."""
    assert world.scalar("SELECT count(*) FROM accountsync.task_attempt WHERE outcome IS NULL") == 0
    assert world.states("idaas", "create")["running"] == 0
    world.sims.idaas.heal()
    world.drain()
    assert world.states("idaas", "create") == {"succeeded": len(world.entitled())}
    assert set(world.there("idaas")) == world.entitled()
    assert set(world.there("idaas").values()) == {1}
    assert world.unexplained() == []


@pytest.mark.parametrize("seconds", [0.8, 12.0], ids=["answers come", "no answer comes"])
def test_sigterm_waits_a_little_for_answers_and_gives_back_what_was_not_sent(
    planned: TargetsWorld, seconds: float
) -> None:
    planned.sims.idaas.fault("latency", path=ONBOARDING, seconds=seconds)
    with planned.worker("process", target="idaas") as process:
        until(lambda: _sent(planned) >= 16)
        process.terminate()
        assert process.wait(timeout=20) == 1
    states = planned.states("idaas", "create")
    answered = "succeeded" if seconds < 3 else "unknown"
    assert states == {answered: 16, "ready": len(planned.entitled()) - 16}
    burnt = planned.scalar(
        "SELECT sum(attempts) FROM accountsync.account_task WHERE system = 'idaas'"
    )
    assert burnt == 16
    _ends(planned)


def _terminated_after(world: TargetsWorld, sent: int) -> None:
    """Whoever has sent something obeys signals by then."""
    until(lambda: _sent(world) >= sent)
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("by", ["a signal", "its time"])
def test_what_waits_for_the_targets_rate_when_a_run_ends_was_not_sent(
    planned: TargetsWorld, by: str
) -> None:
    """I9, I13: nothing has left, so there is nothing to look up, and no attempt is burnt."""
    slow = {"idaas": {"rate": {"per_second": 2, "concurrency": 16}}}
    world = replace(planned, changes=slow)
    if by == "a signal":
        with ThreadPoolExecutor(1) as threads:
            threads.submit(_terminated_after, world, 2)
            with pytest.raises(TransientError, match="signal"):
                world.process("idaas")
    else:
        world.process("idaas", seconds=3.0)  # for six of them, where the machine is quick
    states = world.states("idaas", "create")
    assert set(states) == {"succeeded", "ready"}
    assert states["succeeded"] == _sent(world) < 16
    burnt = "SELECT sum(attempts) FROM accountsync.account_task WHERE system = 'idaas'"
    assert world.scalar(burnt) == states["succeeded"]


class _TimeoutError(BaseException):
    """As Airflow raises it: out of a signal handler, wherever the main thread is."""


def _raise(*_: object) -> None:
    raise _TimeoutError


@pytest.fixture
def soon() -> Iterator[Callable[[float], None]]:
    before = signal.signal(signal.SIGUSR1, _raise)
    timers: list[threading.Timer] = []

    def start(seconds: float) -> None:
        timers.append(threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGUSR1)))
        timers[-1].start()

    yield start
    for timer in timers:
        timer.cancel()
        timer.join()
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("after", [0.5, 0.7, 1.1])
def test_a_timeout_of_airflow_leaves_nothing_hanging(
    planned: TargetsWorld, soon: Callable[[float], None], after: float
) -> None:
    """Also where it comes while Python ignores what is raised (it collects garbage): the run then
    goes on to its own end."""
    planned.sims.idaas.fault("latency", path=ONBOARDING, seconds=0.4)
    soon(after)
    try:
        _process_and_wait(planned)
    except (_TimeoutError, ProgrammingError) as error:
        if not _was_interrupted(error):
            raise
    _ends(planned)


def _was_interrupted(error: BaseException | None) -> bool:
    """SQLAlchemy answers with an error of its own where it looked whether a session lives."""
    while error and not isinstance(error, _TimeoutError):
        error = error.__context__
    return error is not None


def _process_and_wait(world: TargetsWorld) -> None:
    while "idaas" in world.due():
        world.process("idaas", max_tasks=20)
    time.sleep(5)


def _killed_sessions(world: TargetsWorld) -> None:
    """What a restart does to everybody who is connected."""
    world.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def test_a_store_that_drops_everybody_loses_nothing(planned: TargetsWorld) -> None:
    """Results are written as soon as it is back; the lock went with its session: it ends."""
    planned.sims.idaas.fault("latency", path=ONBOARDING, seconds=0.5)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(planned.process, "idaas")
        until(lambda: _sent(planned) >= 16)
        _killed_sessions(planned)
        with pytest.raises(TransientError, match="the store"):
            running.result()
    assert planned.states("idaas", "create")["succeeded"] >= 16
    _ends(planned)


@pytest.fixture
def own_server(tmp_path: Path, planned: TargetsWorld) -> Iterator[tuple[TargetsWorld, Path]]:
    """The planned world again, in a PostgreSQL that may be stopped."""
    folder = tmp_path / "postgres"
    server = postgres.start(folder, databases=("accountsync",))
    engine = make_engine(server.url("accountsync"))
    schema.upgrade(engine)
    world = replace(planned, engine=engine)
    world.import_mappings()
    world.sync()
    world.plan()
    try:
        yield world, folder
    finally:
        engine.dispose()
        postgres.stop(folder)
        postgres.remove(folder)


def test_postgresql_restarted_in_the_middle(own_server: tuple[TargetsWorld, Path]) -> None:
    world, folder = own_server
    port = make_url(str(world.engine.url)).port
    world.sims.idaas.fault("latency", path=ONBOARDING, seconds=0.3, jitter=0.2)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(world.process, "idaas")
        until(lambda: len(world.sims.idaas.accounts()) >= 4)
        postgres.stop(folder)
        postgres.start(folder, port=port, databases=("accountsync",))
        with pytest.raises(AccountSyncError, match="the store"):
            running.result()
    _ends(world)


def _jumping(engine: Engine, jumps: list[timedelta]) -> Callable[[], object]:
    clock = database_clock(engine)
    calls = iter(range(10_000))
    return lambda: clock() + jumps[next(calls) % len(jumps)]


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_jumps_makes_no_duplicate(planned: TargetsWorld, hours: int) -> None:
    """Whatever the times say, a task is one worker's, and the target's lock is one processor's."""
    jumps = [timedelta(), timedelta(hours=hours), timedelta(minutes=-7)]
    for _ in range(4):
        planned.process("idaas", clock=_jumping(planned.engine, jumps))  # type: ignore[arg-type]
    planned.execute("UPDATE accountsync.account_task SET next_attempt_at = now()")
    planned.let_leases_run_out()
    _ends(planned)


def test_the_clock_of_a_run_is_the_databases_and_only_goes_forward(
    engine: Engine,
) -> None:
    clock = database_clock(engine)
    first = clock()
    assert abs(first - utc_now()) < timedelta(minutes=1)
    told = [clock() for _ in range(50)]
    assert told == sorted(told)
    assert told[0] >= first


def test_two_processors_without_their_lock_still_share_no_task(
    planned: TargetsWorld,
) -> None:
    """After a restart of the store the lock may be another's while the first still works."""
    planned.sims.idaas.fault("latency", path=ONBOARDING, seconds=0.2)

    def process(_: int) -> Counter[str]:
        other = Sims()
        other.ports = planned.sims.ports
        world = replace(planned, sims=other)
        try:
            return Counter(world.process("idaas").outcomes)
        except TransientError:
            return Counter()

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(process, 0)
        until(lambda: _sent(planned) >= 8)
        _killed_sessions(planned)
        list(threads.map(process, (1, 2)))
        first.result()
    _ends(planned)


class _SlowLock(Lock):
    """One that is asked while the run ends."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, got=True)
        self.asked, self.answers = threading.Event(), threading.Event()

    def is_kept(self) -> bool:
        self.asked.set()
        return self.answers.wait(30)


def test_nothing_is_claimed_once_a_run_has_given_back_what_it_held(planned: TargetsWorld) -> None:
    """I9: what a thread claims after that would be nobody's until its lease runs out, and then in
    doubt."""
    limits = Limits(concurrency=4, call_timeout=timedelta(seconds=5), seconds=60)
    clock = database_clock(planned.engine)
    with planned.engine.connect() as connection, ThreadPoolExecutor(2) as threads:
        lock = _SlowLock(connection)
        queue = TaskQueue(
            engine=planned.engine, target="idaas", worker="w", limits=limits, clock=clock, lock=lock
        )
        claiming = threads.submit(queue.claim)
        lock.asked.wait(30)
        ending = threads.submit(queue.close)
        lock.answers.set()
        assert {claim.row["id"] for claim in ending.result()} == {
            claim.row["id"] for claim in claiming.result()
        }
        assert queue.claim() == []
    assert planned.states("idaas", "create")["running"] == len(claiming.result()) > 0


def test_a_store_slower_than_the_target_holds_the_calls_back(
    planned: TargetsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done and not yet recorded is all that a crash can make doubtful: it has a bound."""
    monkeypatch.setattr(task_queue, "_CLAIM_AT_LEAST", 2)
    monkeypatch.setattr(processor, "_RECORD_AT_MOST", 2)
    record, unrecorded = TaskQueue.record, []

    def slowly(queue: TaskQueue, results: Sequence[Result]) -> None:
        time.sleep(0.03)
        unrecorded.append(planned.states("idaas", "create")["running"])
        record(queue, results)

    monkeypatch.setattr(TaskQueue, "record", slowly)
    one = {"idaas": {"rate": {"concurrency": 1}}}
    replace(planned, changes=one).process("idaas")
    assert max(unrecorded) <= 4 * 1 + 2 + 2, "four a caller, one lot being recorded, one claimed"
    assert planned.states("idaas", "create") == {"succeeded": len(planned.entitled())}
