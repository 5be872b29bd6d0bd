"""The store as the processor of one target uses it. Its calls block, so they run in a thread."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from uuid import uuid4

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from accountsync.clock import Clock
from accountsync.domain.accounts.account import RemoteAccount
from accountsync.domain.task_states import TaskState
from accountsync.domain.tasks import unfinished
from accountsync.domain.tasks.breaker import Breaker
from accountsync.domain.tasks.error_kinds import ErrorKind
from accountsync.domain.tasks.outcomes import Outcome, Result
from accountsync.domain.tasks.removals import asked_hourly
from accountsync.errors import TransientError
from accountsync.store import locks
from accountsync.store.accounts import accounts
from accountsync.store.locks import Lock
from accountsync.store.names import seen_names
from accountsync.store.names.seen_names import Place, SeenName
from accountsync.store.tasks import breakers, claimed_tasks, leases, recording
from accountsync.store.tasks.claimed_tasks import Claim

_CLAIM_AT_LEAST, _CLAIM_AT_MOST = 10, 500
_LOCK_NOT_AVAILABLE, _DEADLOCK = "55P03", "40P01"
_PAUSES_S = (0.1, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`concurrency` calls may be under way at once, and nothing is sent after `seconds` or
    `max_tasks`. Only tasks of the persons with these `employee_numbers` are claimed; None means
    everybody."""

    concurrency: int
    call_timeout: timedelta
    seconds: float
    max_tasks: int | None = None
    employee_numbers: Sequence[str] | None = None

    @property
    def lease(self) -> timedelta:
        """It is longer than a call and its repeat after a 401, and is renewed while the worker
        lives."""
        return 3 * self.call_timeout + timedelta(seconds=30)


class TaskQueue:
    """Claims and records the tasks of one target for one run.

    Each queue has a worker name of its own, because the first try of an Airflow task may still be
    alive during the second. `lock` keeps other processors away; it is lost when the store goes
    away, even for a moment.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        target: str,
        worker: str,
        limits: Limits,
        clock: Clock,
        lock: Lock,
        key: str = "",
        names: Callable[[RemoteAccount], Iterable[tuple[str, str]]] = lambda _: (),
    ) -> None:
        self._engine = engine
        self._key = key
        self._names = names
        self.target = target
        self._worker = f"{worker}/{uuid4().hex[:8]}"
        self.limits = limits
        self.clock = clock
        self._lock = lock
        self._until = time.monotonic() + limits.seconds
        self._claimed = 0
        self._claiming = threading.Lock()
        self._counting = threading.Lock()
        self._counted: set[int] = set()
        self._last_lot: list[Claim] = []
        self._is_closed = False
        self.outcomes: Counter[str] = Counter()
        self.released = 0
        self.tried_last: int | None = None

    @property
    def seconds_left(self) -> float:
        return self._until - time.monotonic()

    def expire_leases(self) -> None:
        with self._engine.begin() as connection:
            leases.expire_leases(connection, target=self.target, now=self.clock())

    def claim(self) -> list[Claim]:
        """The next lot of due tasks. It is empty where nothing is due, or the run has done its
        share. Raises TransientError where the store went away."""
        with self._claiming, _store_errors():
            limit = 0 if self._is_closed else self._share()
            if limit <= 0:
                return []
            if not self._lock.is_kept():
                raise TransientError("the store was away for a while; the next run goes on")
            self._last_lot = self._claim(limit)
            self._claimed += len(self._last_lot)
            return self._last_lot

    def close(self) -> list[Claim]:
        """Claims nothing any more, and returns the last lot, even if its claim was under way when
        the run was ended, so that nobody received it."""
        with self._claiming:
            self._is_closed = True
            return self._last_lot

    def _claim(self, limit: int) -> list[Claim]:
        with self._engine.begin() as connection:
            return claimed_tasks.claim(
                connection,
                target=self.target,
                limit=limit,
                key=self._key,
                worker=self._worker,
                lease=self.limits.lease,
                now=self.clock(),
                numbers=self.limits.employee_numbers,
                last=self.tried_last,
            )

    def _share(self) -> int:
        if self.seconds_left <= 0:
            return 0
        at_once = min(max(2 * self.limits.concurrency, _CLAIM_AT_LEAST), _CLAIM_AT_MOST)
        if self.limits.max_tasks is None:
            return at_once
        return min(at_once, self.limits.max_tasks - self._claimed)

    def record(self, results: Sequence[Result]) -> None:
        """Records results, and tries again until the leases end. Raises TransientError if that
        fails; the next run then probes the tasks (I9). A result that the store refuses is found by
        halving the lot, so that all others are recorded.

        A run that is ended records its last lot again, while a thread may still be doing so. The
        store takes each result once, and each is counted once (I14)."""
        with self._counting:
            self._counted &= {result.task.attempt_id for result in results}
        self._record_lot(results)

    def _record_lot(self, results: Sequence[Result]) -> None:
        try:
            self._count(self._persistently(lambda: self._record(results)))
        except DBAPIError as error:
            self._record_apart(results, error)

    def _count(self, recorded: Sequence[Result]) -> None:
        with self._counting:
            for result in recorded:
                if result.task.attempt_id not in self._counted:
                    self._counted.add(result.task.attempt_id)
                    self.outcomes[result.outcome.value] += 1

    def _record_apart(self, results: Sequence[Result], error: DBAPIError) -> None:
        if len(results) > 1:
            middle = len(results) // 2
            self._record_lot(results[:middle])
            self._record_lot(results[middle:])
            return
        because = f"SQLSTATE {getattr(error.orig, 'sqlstate', None)}"
        marked = [unfinished.unrecordable(result, because=because) for result in results]
        try:
            self._count(self._persistently(lambda: self._record(marked)))
        except DBAPIError as again:
            raise TransientError("the store cannot be written to") from again

    def _record(self, results: Sequence[Result]) -> Sequence[Result]:
        with self._engine.begin() as connection:
            recording.yield_to_others(connection)
            results = planned_again(connection, self.target, results)
            if any(result.replan for result in results):
                locks.take_persons(connection)
            results = _without_taken(connection, self.target, results)
            results = [asked_hourly(result, now=self.clock()) for result in results]
            seen_names.see(connection, list(self._names_shown(results)))
            released = recording.record(
                connection,
                target=self.target,
                worker=self._worker,
                results=results,
                now=self.clock(),
            )
        self.released += released
        return results

    def _names_shown(self, results: Sequence[Result]) -> Iterator[SeenName]:
        """The names of accounts that are not as they were to be made. Those of one that was there
        are what the person uses from now on; those that a target made up are the person's, too, and
        are given to nobody else (I8, I18)."""
        for result in results:
            is_found = result.outcome is Outcome.ADOPTED
            if result.account and (is_found or result.applied is not None):
                for namespace, value in self._names(result.account):
                    yield SeenName(
                        person_id=result.task.person_id,
                        namespace=namespace,
                        value=value,
                        origin=self.target,
                        place=Place.OF_RESERVED if is_found else Place.OF_NONE,
                    )

    def _persistently(self, record: Callable[[], Sequence[Result]]) -> Sequence[Result]:
        given_up = time.monotonic() + self.limits.lease.total_seconds()
        for turn in count():
            try:
                return record()
            except DBAPIError as error:
                if not _is_passing(error):
                    raise
                if time.monotonic() > given_up and not _is_contended(error):
                    raise TransientError("the store cannot be written to") from error
                time.sleep(_PAUSES_S[min(turn, len(_PAUSES_S) - 1)])
        raise AssertionError("never: the loop has no end")

    def renew(self, ids: Sequence[int]) -> None:
        with _store_errors(), self._engine.begin() as connection:
            until = self.clock() + self.limits.lease
            leases.renew_leases(connection, tasks=ids, worker=self._worker, until=until)

    def breaker(self) -> Breaker:
        """Read before tasks are claimed: the one that was tried last goes behind all others."""
        with self._engine.connect() as connection:
            breaker = breakers.read(connection, self.target)
        self.tried_last = breaker.trial_task
        return breaker

    def keep_breaker(self, breaker: Breaker) -> None:
        with self._engine.begin() as connection:
            breakers.keep(connection, target=self.target, breaker=breaker, now=self.clock())


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if not _is_passing(error):
            raise
        raise TransientError("the store went away") from error


def _is_contended(error: DBAPIError) -> bool:
    """Whether somebody else, such as a planner, is at work on these rows."""
    return getattr(error.orig, "sqlstate", None) in (_LOCK_NOT_AVAILABLE, _DEADLOCK)


def _is_passing(error: DBAPIError) -> bool:
    """Whether a later try may work: the server went away or is starting, or the rows are in use."""
    if _is_contended(error):
        return True
    is_lost = isinstance(error, OperationalError | InterfaceError)
    state = getattr(error.orig, "sqlstate", None) or ("08000" if is_lost else "")
    return error.connection_invalidated or state[:2] in ("08", "40", "53", "57")


def planned_again(
    connection: Connection, target: str, results: Sequence[Result]
) -> Sequence[Result]:
    """The results, marked so that a person is planned again whose account has changed in facts that
    the mappings of other targets read."""
    present = {
        result.task.person_id: (result.account, result.applied or result.task.attributes)
        for result in results
        if result.account and result.account_state
    }
    again = accounts.read_elsewhere(connection, target=target, found=present)
    return [
        replace(result, replan=True) if result.task.person_id in again else result
        for result in results
    ]


def _without_taken(
    connection: Connection, target: str, results: Sequence[Result]
) -> Sequence[Result]:
    """The results, with a failure in place of an account that belongs to another person. A key that
    went from one person to another finds the first person's account, which must not be taken over
    (I8, I10)."""
    present = {result.task.person_id: result.account for result in results if result.account}
    taken = accounts.taken(connection, target=target, found=present)
    return [
        replace(
            result,
            outcome=Outcome.FAILED,
            state=TaskState.NEEDS_HUMAN,
            account=None,
            account_state=None,
            error_kind=ErrorKind.ACCOUNT_EXISTS,
            message="the account found is another person's already: do not enable it, but give it"
            " another key there, or delete it",
        )
        if result.task.person_id in taken
        else result
        for result in results
    ]
