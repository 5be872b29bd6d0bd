"""Carries out the due tasks of one target.

Three kinds of coroutines share two queues. The *claimer* takes due tasks from the store, a few more
than can be called at once, and puts them into `_todo`. The *callers*, one for each call that may be
under way (`rate.concurrency`), take a task, ask the target, and put the result into `_done`. The
*recorder* writes results to the store, up to 200 in one transaction. A fourth coroutine renews the
leases of everything that is claimed. The store is asked in threads, so that calls go on meanwhile.

Before a call leaves, the claim and its attempt are committed (I9). So a run may end at any moment,
and what it had claimed falls into one of three groups:

- answered: the result is recorded;
- sent, no answer yet: recorded as unknown, and a later run looks the account up;
- not sent: given back to the queue, and no attempt is burnt (I13).

What tells the last two apart is `domain.tasks.departure`: the wire marks the moment at which the
first byte of a change leaves. A process that is killed cannot sort its claims; their leases run
out, and the next run treats all of them as sent.

A run ends when nothing is due and nothing is under way, when its time is over, at SIGTERM, or when
the target or the store goes away. `stop` is the one way to end it early: nothing more is sent, and
calls that have left may still end. `_give_back` is the last act of every run.

Results can wait in memory when the store is slower than the target. A crash would turn all of them
into unknown outcomes, so the claimer stops claiming when too many wait (`_claim`).
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from accountsync.domain.tasks import departure, unfinished
from accountsync.domain.tasks.breaker import Passage
from accountsync.domain.tasks.departure import Departure
from accountsync.domain.tasks.outcomes import ClaimedTask, Outcome, Result, Rules
from accountsync.domain.tasks.removals import asked_again
from accountsync.errors import (
    AccountSyncError,
    TransientError,
)
from accountsync.jobs.tasks.failed_calls import FailedCalls, jitter
from accountsync.jobs.tasks.operations import carry_out, with_late_bound
from accountsync.jobs.tasks.target_health import TargetHealth
from accountsync.jobs.tasks.task_queue import TaskQueue
from accountsync.store.tasks.claimed_tasks import Claim
from accountsync.targets.connector import Connector

log = logging.getLogger(__name__)

_RECORD_AT_MOST = 200
_PROGRESS_EVERY_S = 10.0
_GRACE_S = 3.0
"""Calls under way have so much time after SIGTERM. Airflow kills the process after five seconds."""


@dataclass(slots=True)
class _Call:
    caller: asyncio.Task[None]
    departure: Departure
    is_over: bool = False

    @property
    def may_end(self) -> bool:
        """Whether nothing of the call has left: it may wait for its turn, a token, a look."""
        return not (self.is_over or self.departure.has_left)


class Processor:
    """One run of one target. `stopped_by` says why it ended early."""

    def __init__(
        self,
        queue: TaskQueue,
        connector: Connector,
        rules: Rules,
        *,
        passage: Passage = Passage.GO,
    ) -> None:
        self._queue = queue
        self._connector = connector
        self._rules = rules
        self.health = TargetHealth(
            rules.breaker,
            concurrency=queue.limits.concurrency,
            passage=passage,
            stop=self.stop,
            seconds_left=lambda: queue.seconds_left,
        )
        self._failures = FailedCalls(queue.target, connector, rules, self.health, queue.clock)
        self._todo: asyncio.Queue[Claim | None] = asyncio.Queue()
        self._done: asyncio.Queue[Result | None] = asyncio.Queue()
        self._held: dict[int, Claim] = {}  # by attempt: a task may be claimed again at once
        self._received: list[Claim] = []
        self._calls: dict[int, _Call] = {}
        self._recording: list[Result] = []
        self._moved = asyncio.Event()
        self._callers: list[asyncio.Task[None]] = []
        self._is_ending = False
        self.trial_task: int | None = None
        self.stopped_by: AccountSyncError | None = None

    async def run(self) -> None:
        try:
            with self._obeying_signals():
                await self._run()
        finally:
            self._give_back()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(self._keep_leases())
            recorder = group.create_task(self._record())
            self._callers = [
                group.create_task(self._call()) for _ in range(self._queue.limits.concurrency)
            ]
            in_time = max(0.0, self._queue.seconds_left)
            asyncio.get_running_loop().call_later(in_time, self.stop, None)
            await self._claim()
            for _ in self._callers:
                self._todo.put_nowait(None)
            await asyncio.wait(self._callers)
            self._done.put_nowait(None)
            await recorder
            keeper.cancel()

    def stop(self, error: AccountSyncError | None) -> None:
        """Sends nothing more. Calls that have left may end."""
        self.stopped_by = self.stopped_by or error
        self._is_ending = True
        self.health.throttle.close()
        for call in self._calls.values():
            if call.may_end:
                call.caller.cancel()
        self._moved.set()

    @contextmanager
    def _obeying_signals(self) -> Iterator[None]:
        """On SIGTERM, stops the run, and cancels calls that take longer than `_GRACE_S`."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGTERM)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            signal.signal(signal.SIGTERM, before)

    def _end(self) -> None:
        self.stop(TransientError("ended by a signal; what was not sent is in the queue again"))
        asyncio.get_running_loop().call_later(_GRACE_S, self._let_go)

    def _let_go(self) -> None:
        for caller in self._callers:
            caller.cancel()

    async def _claim(self) -> None:
        """Claims tasks until none is due and no call is under way that could make more due. It
        waits while many results are not recorded, because a crash would lose them."""
        enough = self._queue.limits.concurrency
        too_many = 4 * enough + _RECORD_AT_MOST
        while not self._is_ending:
            self._moved.clear()
            idle = not self._held
            claims = await self._claimed()
            self._received = claims or self._received
            for claim in claims:
                self._held[claim.row["attempt_id"]] = claim
                self._todo.put_nowait(claim)
            if not claims and idle:
                return
            while (
                self._todo.qsize() >= enough
                or len(self._held) >= too_many
                or (not claims and self._held)
            ):
                await self._moved.wait()
                self._moved.clear()
                if not claims or self._is_ending:
                    break

    async def _claimed(self) -> list[Claim]:
        try:
            return await asyncio.to_thread(self._queue.claim)
        except TransientError as error:
            self.stop(error)
            return []

    async def _call(self) -> None:
        enough = self._queue.limits.concurrency
        while (claim := await self._todo.get()) is not None:
            if self._todo.qsize() < enough:
                self._moved.set()
            begin = time.monotonic()
            result = await self._carry_out(claim)
            if result.outcome is not Outcome.NOT_SENT:
                result = replace(result, seconds=time.monotonic() - begin)
                self.health.seconds += result.seconds
            self._failures.log(result)
            self._done.put_nowait(result)

    async def _carry_out(self, claim: Claim) -> Result:
        """Carries out one task. Whatever is raised for it becomes its result: only what is about
        the target stops the others."""
        result = await self._tried(claim)
        return asked_again(result, rules=self._rules, now=self._queue.clock(), jitter=jitter())

    async def _tried(self, claim: Claim) -> Result:
        try:
            task = claim.as_task(with_late_bound(claim))
        except AccountSyncError as error:  # nothing was sent, so this says nothing about the target
            return self._failures.as_result(claim.as_task(claim.row["desired"]), error)
        except Exception as error:  # noqa: BLE001 - a value that no rule of ours has foreseen
            return self._failures.unexpected(
                claim.as_task(claim.row["desired"]), error, was_sent=False
            )
        if not await self.health.throttle.enter() or self._queue.seconds_left <= 0:
            self.health.throttle.unanswered()
            return self._not_sent(task)
        if self.health.throttle.on_trial:
            self.trial_task = self.trial_task or task.id
        try:
            result = await self._called(task)
        except AccountSyncError as error:
            is_begun = self._calls[task.attempt_id].departure.is_begun
            return self._failures.failed(task, error, is_begun=is_begun)
        except Exception as error:  # noqa: BLE001 - of a connector, or of a library below it
            was_sent = self._calls[task.attempt_id].departure.has_left
            return self._failures.unexpected(task, error, was_sent=was_sent)
        self.health.took(answered=result.outcome is not Outcome.NOT_SENT)
        return result

    async def _called(self, task: ClaimedTask) -> Result:
        caller = asyncio.current_task()
        assert caller is not None
        with departure.watched(is_watched=self._connector.is_watched) as watched:
            call = self._calls[task.attempt_id] = _Call(caller, watched)
            try:
                return await carry_out(
                    self._connector, task, rules=self._rules, clock=self._queue.clock
                )
            finally:
                call.is_over = True

    def _not_sent(self, task: ClaimedTask) -> Result:
        why = f": {self.stopped_by}" if self.stopped_by else ""
        later = self._rules.probe_gap if self.stopped_by else None
        at = self._queue.clock()
        return unfinished.not_sent(
            task, at=at + later if later else at, message=f"not sent, the run ended{why}"
        )

    async def _record(self) -> None:
        logged_at = time.monotonic()
        ended = False
        while not ended:
            lot = [await self._done.get()]
            while len(lot) < _RECORD_AT_MOST and not self._done.empty():
                lot.append(self._done.get_nowait())
            ended = None in lot
            await self._keep([result for result in lot if result is not None])
            if time.monotonic() - logged_at >= _PROGRESS_EVERY_S:
                logged_at = time.monotonic()
                self._log_progress()

    async def _keep(self, results: list[Result]) -> None:
        """Records results. If the store stays away, leases run out and the next run probes them."""
        if results:
            self._recording = results
            try:
                await asyncio.to_thread(self._queue.record, results)
            except TransientError as error:
                self.stop(error)
            for result in results:
                self._held.pop(result.task.attempt_id, None)
                self._calls.pop(result.task.attempt_id, None)
            self._recording = []
        self._moved.set()

    def _log_progress(self) -> None:
        counted = sorted(self._queue.outcomes.items())
        log.info(
            "event=processing target=%s in_hand=%s released=%s %s",
            self._queue.target, len(self._held), self._queue.released,
            " ".join(f"{outcome}={count}" for outcome, count in counted),
        )  # fmt: skip

    def _give_back(self) -> None:
        """Records or gives back all claims. It blocks, because the event loop may be ending."""
        at = self._queue.clock()
        answered: list[Result | None] = [*self._recording]
        while not self._done.empty():
            answered.append(self._done.get_nowait())
        results = {result.task.attempt_id: result for result in answered if result is not None}
        lot = self._queue.close()
        if lot is not self._received:
            self._held |= {claim.row["attempt_id"]: claim for claim in lot}
        for attempt_id, claim in self._held.items():
            task = claim.as_task(claim.row["desired"])
            call = self._calls.get(attempt_id)
            is_doubtful = call is not None and call.departure.has_left
            result = unfinished.interrupted(task, at=at) if is_doubtful else self._not_sent(task)
            results.setdefault(attempt_id, result)
        if results:
            with suppress(TransientError):
                self._queue.record(list(results.values()))
            self._held.clear()

    async def _keep_leases(self) -> None:
        every = self._queue.limits.lease.total_seconds() / 3
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(every)
                with suppress(TransientError):  # a lease lasts for two more tries
                    ids = sorted(claim.row["id"] for claim in self._held.values())
                    await asyncio.to_thread(self._queue.renew, ids)
