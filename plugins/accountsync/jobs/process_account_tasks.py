"""Carry out the due tasks of one target, many at once, each exactly once.

A claim and its attempt are committed before the call, the result after it; no transaction is open
during a call (I9). One processor a target: an advisory lock sees to it, leases to lost connections.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Engine

from accountsync.domain import task as outcomes
from accountsync.domain.mapping import compile_tree
from accountsync.domain.retry import RetryRule
from accountsync.domain.task import ClaimedTask, Outcome, Result, Rules
from accountsync.errors import (
    AccountExistsError,
    AccountSyncError,
    ConfigurationError,
    RecordError,
    TargetDownError,
    UnknownOutcomeError,
)
from accountsync.settings import Settings
from accountsync.store import accounts, locks, schema, tasks
from accountsync.store.tasks import Claim
from accountsync.targets.connector import Connector

log = logging.getLogger(__name__)

_CLAIM_AT_MOST = 100
_RECORD_AT_MOST = 200
_PROGRESS_EVERY_S = 10.0

Clock = Callable[[], datetime]
OpenConnector = Callable[[], AbstractAsyncContextManager[Connector]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSummary:
    """`outcomes`: how the attempts ended. `released`: dependants that became ready. `busy`: another
    processor holds this target, nothing was done."""

    system: str
    outcomes: Mapping[str, int]
    released: int
    busy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`concurrency` calls at once; no new claims after `seconds` or `max_tasks`."""

    concurrency: int
    call_timeout: timedelta
    seconds: float
    max_tasks: int | None = None

    @property
    def lease(self) -> timedelta:
        """Longer than a call and its repeat after a 401; renewed while the worker lives."""
        return 3 * self.call_timeout + timedelta(seconds=30)


def find_due_targets(*, engine: Engine, now: datetime) -> dict[str, int]:
    """System → tasks to work on now; dependants that were overlooked are released first."""
    with engine.begin() as connection:
        schema.require_head(connection)
        tasks.release_satisfied(connection, now=now)
        return tasks.due_systems(connection, now=now)


def process_account_tasks(
    *,
    engine: Engine,
    system: str,
    open_connector: OpenConnector,
    rules: Rules,
    limits: Limits,
    worker: str,
    clock: Clock,
) -> ProcessSummary:
    """Raises TargetDownError or ConfigurationError after recording everything that was done."""
    with locks.held_or_not(engine, f"target/{system}") as mine:
        if not mine:
            log.info("event=busy system=%s", system)
            return ProcessSummary(system=system, outcomes={}, released=0, busy=True)
        queue = _Queue(engine=engine, system=system, worker=worker, limits=limits, clock=clock)
        queue.expire_leases()
        stopped_by = asyncio.run(_drain(queue, open_connector, rules))
    summary = queue.summary()
    log.info(
        "event=processed system=%s outcomes=%s released=%s",
        system, dict(summary.outcomes), summary.released,
    )  # fmt: skip
    if stopped_by:
        raise stopped_by
    return summary


async def _drain(
    queue: _Queue, open_connector: OpenConnector, rules: Rules
) -> AccountSyncError | None:
    async with open_connector() as connector:
        processor = _Processor(queue, connector, rules)
        await processor.run()
    return processor.stopped_by


def rules_of(settings: Settings) -> Rules:
    retry = settings.retry
    return Rules(
        retry=RetryRule(max_attempts=retry.max_attempts, base=retry.base, cap=retry.cap),
        probe_gap=retry.probe_gap,
    )


class _Queue:
    """The store as one processor sees it. Its calls block; the processor runs them in a thread.

    A second try of an Airflow task is another worker than the first, which may still be alive.
    """

    def __init__(
        self, *, engine: Engine, system: str, worker: str, limits: Limits, clock: Clock
    ) -> None:
        self._engine = engine
        self.system = system
        self._worker = f"{worker}/{uuid4().hex[:8]}"
        self.limits = limits
        self.clock = clock
        self._until = time.monotonic() + limits.seconds
        self._claimed = 0
        self._outcomes: Counter[str] = Counter()
        self._released = 0

    def expire_leases(self) -> None:
        with self._engine.begin() as connection:
            tasks.expire_leases(connection, system=self.system, now=self.clock())

    def claim(self) -> list[Claim]:
        """Empty: nothing is due now, or this run has done its share."""
        limit = self._share()
        if limit <= 0:
            return []
        with self._engine.begin() as connection:
            claims = tasks.claim(
                connection,
                system=self.system,
                limit=limit,
                worker=self._worker,
                lease=self.limits.lease,
                now=self.clock(),
            )
        self._claimed += len(claims)
        return claims

    def _share(self) -> int:
        if time.monotonic() >= self._until:
            return 0
        at_once = min(max(2 * self.limits.concurrency, 10), _CLAIM_AT_MOST)
        if self.limits.max_tasks is None:
            return at_once
        return min(at_once, self.limits.max_tasks - self._claimed)

    def record(self, results: Sequence[Result]) -> None:
        with self._engine.begin() as connection:
            results = _without_taken(connection, self.system, results)
            self._released += tasks.record(
                connection,
                system=self.system,
                worker=self._worker,
                results=results,
                now=self.clock(),
            )
        self._outcomes.update(result.outcome.value for result in results)

    def renew(self, ids: Sequence[int]) -> None:
        with self._engine.begin() as connection:
            until = self.clock() + self.limits.lease
            tasks.renew_leases(connection, tasks=ids, worker=self._worker, until=until)

    def summary(self) -> ProcessSummary:
        return ProcessSummary(
            system=self.system, outcomes=dict(self._outcomes), released=self._released
        )

    @property
    def progress(self) -> str:
        return " ".join(f"{outcome}={count}" for outcome, count in sorted(self._outcomes.items()))


def _without_taken(
    connection: Connection, system: str, results: Sequence[Result]
) -> Sequence[Result]:
    """A key that went from one person to another finds the first one's account: that is nobody
    else's to take over (I8, I10)."""
    found = {result.task.person_id: result.account for result in results if result.account}
    taken = accounts.taken(connection, system=system, found=found)
    return [
        replace(
            result,
            outcome=Outcome.FAILED,
            state="needs_human",
            account=None,
            error_kind=AccountExistsError.__name__,
            message="the account found is another person's already",
        )
        if result.task.person_id in taken
        else result
        for result in results
    ]


class _Processor:
    """Claims ahead, calls concurrently, records in lots: three kinds of coroutines, two queues."""

    def __init__(self, queue: _Queue, connector: Connector, rules: Rules) -> None:
        self._queue = queue
        self._connector = connector
        self._rules = rules
        self._todo: asyncio.Queue[Claim | None] = asyncio.Queue()
        self._done: asyncio.Queue[Result | None] = asyncio.Queue()
        self._held: set[int] = set()
        self._recorded = asyncio.Event()
        self.stopped_by: AccountSyncError | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(self._keep_leases())
            recorder = group.create_task(self._record())
            callers = [
                group.create_task(self._call()) for _ in range(self._queue.limits.concurrency)
            ]
            await self._claim()
            for _ in callers:
                self._todo.put_nowait(None)
            await asyncio.gather(*callers)
            self._done.put_nowait(None)
            await recorder
            keeper.cancel()

    async def _claim(self) -> None:
        """Until nothing is due and nothing is under way that could make more due."""
        enough = self._queue.limits.concurrency
        while not self.stopped_by:
            self._recorded.clear()
            idle = not self._held
            claims = await asyncio.to_thread(self._queue.claim)
            for claim in claims:
                self._held.add(claim.row["id"])
                self._todo.put_nowait(claim)
            if not claims and idle:
                return
            while self._todo.qsize() >= enough or (not claims and self._held):
                await self._recorded.wait()
                self._recorded.clear()
                if not claims:
                    break

    async def _call(self) -> None:
        while (claim := await self._todo.get()) is not None:
            result = await self._carry_out(claim)
            self._say(result)
            self._done.put_nowait(result)

    async def _carry_out(self, claim: Claim) -> Result:
        """Every error of the tree becomes a result; what stops the target: the rest is unsent."""
        task = claim.as_task(claim.row["desired"])
        try:
            if self.stopped_by:
                raise TargetDownError("not sent: the target was given up in this run")
            task = claim.as_task(_with_late_bound(claim))
            return await self._attempt(task)
        except ConfigurationError as error:
            self.stopped_by = self.stopped_by or error
            return self._failed(task, TargetDownError(str(error)))
        except AccountSyncError as error:
            if isinstance(error, TargetDownError):
                self.stopped_by = self.stopped_by or error
            return self._failed(task, error)

    async def _attempt(self, task: ClaimedTask) -> Result:
        if task.probe:
            if not self._connector.can_find:
                return outcomes.unfindable(task)
            found = await self._connector.find(task.attributes)
            return outcomes.probed(task, found, rules=self._rules, now=self._queue.clock())
        try:
            account = await self._connector.create(task.attributes)
        except AccountExistsError as error:
            return await self._look_up(task, error)
        return outcomes.succeeded(task, account)

    async def _look_up(self, task: ClaimedTask, exists: AccountExistsError) -> Result:
        """If the look-up itself fails, the account is known to be there: probe again later."""
        if not self._connector.can_find:
            return outcomes.existing(task, None, exists)
        try:
            found = await self._connector.find(task.attributes)
        except RecordError:
            found = None
        except AccountSyncError as error:
            raise UnknownOutcomeError(f"exists, but the look-up failed: {error}") from error
        return outcomes.existing(task, found, exists)

    def _failed(self, task: ClaimedTask, error: AccountSyncError) -> Result:
        return outcomes.failed(
            task,
            error,
            rules=self._rules,
            now=self._queue.clock(),
            jitter=random.random(),  # noqa: S311 (spreads load, guards nothing)
        )

    def _say(self, result: Result) -> None:
        """What did not just work, for the operator: who, where, which attempt, why, what next."""
        if result.error_kind is None or result.outcome is Outcome.NOT_SENT:
            return
        task = result.task
        log.warning(
            "event=attempt_failed system=%s task=%s employee_number=%s attempt=%s probe=%s next=%s"
            " error=%s code=%s message=%r",
            self._queue.system, task.id, task.employee_number, task.attempts, task.probe,
            result.state, result.error_kind, result.code, result.message,
        )  # fmt: skip

    async def _record(self) -> None:
        said = time.monotonic()
        ended = False
        while not ended:
            lot = [await self._done.get()]
            while len(lot) < _RECORD_AT_MOST and not self._done.empty():
                lot.append(self._done.get_nowait())
            results = [result for result in lot if result is not None]
            ended = None in lot
            if results:
                await asyncio.to_thread(self._queue.record, results)
            self._held.difference_update(result.task.id for result in results)
            self._recorded.set()
            if time.monotonic() - said >= _PROGRESS_EVERY_S:
                said = time.monotonic()
                log.info("event=processing system=%s %s", self._queue.system, self._queue.progress)

    async def _keep_leases(self) -> None:
        every = self._queue.limits.lease.total_seconds() / 3
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(every)
                await asyncio.to_thread(self._queue.renew, sorted(self._held))


def _with_late_bound(claim: Claim) -> dict[str, Any]:
    """What depends on another account's facts is read now that the account is there."""
    late = claim.row["late_bound"]
    if not late:
        return dict(claim.row["desired"])
    value = compile_tree(late, roots={"accounts"})
    return {**claim.row["desired"], **value({"accounts": claim.row["accounts"] or {}})}
