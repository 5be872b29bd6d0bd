"""Carries out the due tasks of one target, many at once, each exactly once.

A claim and its attempt are committed before the call, the result after it; no transaction is open
during a call (I9). An advisory lock keeps a second processor away from the target, and leases end
the claims of a processor that lost its connection. The breaker keeps a target that is down from
being called, run after run, until it answers (I13).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Engine

from accountsync.clock import Clock
from accountsync.domain.accounts.shown_names import shown_names
from accountsync.domain.tasks import breaker
from accountsync.domain.tasks.breaker import Breaker, BreakerRule, Passage
from accountsync.domain.tasks.outcomes import Rules
from accountsync.domain.tasks.retry import RetryRule
from accountsync.errors import (
    AccountSyncError,
    ConfigurationError,
    RecordError,
    TargetDownError,
)
from accountsync.jobs.tasks.processor import Processor
from accountsync.jobs.tasks.task_queue import Limits, TaskQueue
from accountsync.settings import Settings
from accountsync.store import locks
from accountsync.store.accounts import accounts
from accountsync.store.engine import database_time
from accountsync.store.tasks import dependants, due_tasks
from accountsync.targets.connector import OpenConnector

log = logging.getLogger(__name__)

_LOOKED_AT = 10_000
"""How many waiting tasks a run looks at again, of the latest plans and of all. This takes well
under a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSummary:
    """What a run did. `outcomes`: outcome → attempts. `released` counts dependants that became
    ready. `busy` says that another processor holds this target, so that nothing was done. `breaker`
    is its state now; where it kept the target from being called, `cause` says why and `until` how
    long. `call_seconds` is the time of all calls together."""

    target: str
    outcomes: Mapping[str, int] = field(default_factory=dict)
    released: int = 0
    busy: bool = False
    breaker: str = "closed"
    cause: str | None = None
    until: datetime | None = None
    call_seconds: float = 0.0


def find_due_targets(
    *, engine: Engine, targets: Iterable[str], now: datetime | None = None, dry_run: bool = False
) -> list[str]:
    """The targets with tasks that are due. Dependants that were overlooked are released first,
    except in a dry run."""
    asked = list(targets)
    with engine.begin() as connection:
        moment = now or database_time(connection)
        if not dry_run:
            share = random.random()  # noqa: S311 (where to begin to look)
            dependants.release_overlooked(connection, now=moment, share=share, limit=_LOOKED_AT)
            dependants.release_late(connection, targets=asked, now=moment)
        return due_tasks.due_targets(connection, targets=asked, now=moment)


def find_untried(*, engine: Engine, since: datetime) -> dict[str, int]:
    """Target → the number of tasks that became ready after `since`, when a run looked for due ones,
    and that were not tried. The store is asked, because a run that failed or died cannot say what
    it released (I12)."""
    with engine.connect() as connection:
        now = database_time(connection)
        return due_tasks.untried(connection, since=since, now=now)


def rules_of(*, engine: Engine, settings: Settings, target: str) -> Rules:
    """Until somebody has adopted what the target had before us, a create looks first."""
    with engine.connect() as connection:
        looks_first = not accounts.was_adopted(connection, target=target)
    retry, rule = settings.retry, settings.breaker
    declared = settings.targets[target]
    return Rules(
        key=declared.key,
        names=partial(shown_names, declared.attributes, declared.identifier),
        looks_first=looks_first,
        retry=RetryRule(max_attempts=retry.max_attempts, base=retry.base, cap=retry.cap),
        probe_gap=retry.probe_gap,
        breaker=BreakerRule(after=rule.after, base=rule.base, cap=rule.cap),
    )


def process_account_tasks(
    *,
    engine: Engine,
    target: str,
    open_connector: OpenConnector,
    rules: Rules,
    limits: Limits,
    worker: str,
    clock: Clock,
    at_once: bool = False,
    on_end: Callable[[ProcessSummary], None] | None = None,
) -> ProcessSummary:
    """Carries out due tasks until none is left or the limits are reached. Returns what was done.

    `at_once`: somebody has asked for the run, so a target that is down is looked at without
    waiting. `on_end` is called with what was done, also where an error is raised afterwards. Raises
    TargetDownError or ConfigurationError after everything that was done is recorded, but only where
    the error is new or with `at_once`: a target that was down already ends the run without one.
    Raises TransientError where the run was ended from outside.
    """
    with locks.held_or_not(engine, f"target/{target}") as lock:
        if not lock:
            log.info("event=busy target=%s", target)
            return ProcessSummary(target=target, busy=True)
        queue = TaskQueue(
            engine=engine,
            target=target,
            worker=worker,
            limits=limits,
            clock=clock,
            lock=lock,
            key=rules.key,
            names=rules.names,
        )
        queue.expire_leases()
        run = _TargetRun(queue, open_connector, rules)
        run.run(at_once=at_once)
    if on_end:
        on_end(run.summary)
    if run.error:
        raise run.error
    return run.summary


class _TargetRun:
    """One run of one target. It asks the breaker before the calls, and tells it afterwards."""

    def __init__(self, queue: TaskQueue, open_connector: OpenConnector, rules: Rules) -> None:
        self._queue = queue
        self._open_connector = open_connector
        self._rules = rules
        self._processor: Processor | None = None
        self.error: AccountSyncError | None = None
        self.summary = ProcessSummary(target=queue.target)

    def run(self, *, at_once: bool) -> None:
        before = self._queue.breaker()
        passage = breaker.passage(before, now=self._queue.clock())
        if passage is Passage.WAIT and not at_once:
            self._leave_alone(before)
            return
        if passage is Passage.WAIT:
            passage = Passage.LOOK
        stopped_by = self._drained(before, passage)
        after = self._judged(before, stopped_by)
        if after != before:
            self._queue.keep_breaker(after)
        self.summary = self._summed_up(after)
        is_known = after.failures > 1 and not at_once
        self.error = None if is_known else stopped_by

    def _leave_alone(self, known: Breaker) -> None:
        log.info(
            "event=target_left_alone target=%s breaker=%s since=%s next_look=%s cause=%r",
            self._queue.target, known.state, known.since, known.probe_at, known.cause,
        )  # fmt: skip
        self.summary = replace(
            self.summary,
            breaker=known.state,
            cause=known.cause or known.state,
            until=known.probe_at,
        )

    def _drained(self, before: Breaker, passage: Passage) -> AccountSyncError | None:
        if passage is Passage.LOOK:
            self._queue.keep_breaker(breaker.half_opened(before))
        try:
            return asyncio.run(self._drain(passage))
        except (TargetDownError, ConfigurationError) as error:
            return error
        except BaseExceptionGroup as group:  # of the coroutines; Airflow's timeout may be in there
            raise group.exceptions[0] from group

    async def _drain(self, passage: Passage) -> AccountSyncError | None:
        async with self._open_connector() as connector:
            if passage is Passage.LOOK:
                try:
                    log.info("event=target_looked_at target=%s", self._queue.target)
                    await connector.check()
                except (ConfigurationError, TargetDownError):
                    raise
                except RecordError as error:  # about one object, such as a group: it has answered
                    log.warning(
                        "event=target_checked target=%s problem=%r", self._queue.target, str(error)
                    )
                except AccountSyncError as error:
                    raise TargetDownError(str(error)) from error
            self._processor = Processor(self._queue, connector, self._rules, passage=passage)
            await self._processor.run()
        return self._processor.stopped_by

    def _judged(self, before: Breaker, stopped_by: AccountSyncError | None) -> Breaker:
        """The breaker after the run. A target that gave enough proper answers was up in between, so
        an error after them is a new one."""
        now, processor = self._queue.clock(), self._processor
        if isinstance(stopped_by, TargetDownError | ConfigurationError):
            answers = processor.health.answers if processor else 0
            known = Breaker() if answers >= self._rules.breaker.after else before
            cause = str(stopped_by)
            return breaker.opened(
                known,
                cause=cause,
                rule=self._rules.breaker,
                now=now,
                trial_task=processor.trial_task if processor else None,
            )
        if processor and (seconds := processor.health.throttle.pause_left_s):
            return breaker.paused(until=now + timedelta(seconds=seconds), now=now)
        if before.state != "closed":
            log.info("event=target_recovered target=%s since=%s", self._queue.target, before.since)
        return Breaker()

    def _summed_up(self, after: Breaker) -> ProcessSummary:
        queue, processor = self._queue, self._processor
        log.info(
            "event=processed target=%s outcomes=%s released=%s breaker=%s cause=%r",
            queue.target, dict(queue.outcomes), queue.released, after.state, after.cause,
        )  # fmt: skip
        return ProcessSummary(
            target=queue.target,
            outcomes=dict(queue.outcomes),
            released=queue.released,
            breaker=after.state,
            cause=after.cause,
            until=after.probe_at,
            call_seconds=processor.health.seconds if processor else 0.0,
        )
