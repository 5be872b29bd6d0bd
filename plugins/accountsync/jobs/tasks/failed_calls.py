"""What follows from a call that failed, and what the log says of it."""

from __future__ import annotations

import logging
import random
import traceback
from dataclasses import replace
from pathlib import Path

from accountsync.clock import Clock
from accountsync.domain.accounts.account import Operation
from accountsync.domain.task_states import TaskState
from accountsync.domain.tasks import outcomes, unfinished
from accountsync.domain.tasks.error_kinds import ErrorKind
from accountsync.domain.tasks.outcomes import ClaimedTask, Outcome, Result, Rules
from accountsync.errors import (
    AccountSyncError,
    ConfigurationError,
    TargetDownError,
    UnknownOutcomeError,
)
from accountsync.jobs.tasks.target_health import TargetHealth
from accountsync.targets.connector import Connector

log = logging.getLogger(__name__)


def jitter() -> float:
    return random.random()  # noqa: S311 (spreads load, guards nothing)


class FailedCalls:
    """Makes results of errors. What an error says about the target is told to its health."""

    def __init__(
        self,
        target: str,
        connector: Connector,
        rules: Rules,
        health: TargetHealth,
        clock: Clock,
    ) -> None:
        self._target = target
        self._connector = connector
        self._rules = rules
        self._health = health
        self._clock = clock

    def failed(self, task: ClaimedTask, error: AccountSyncError, *, is_begun: bool) -> Result:
        """The result of a failed call. One that stopped halfway was sent, so a probe decides where
        the target can find accounts. A new account is there, whatever went wrong later."""
        self._health.judge(error)
        if isinstance(error, ConfigurationError | TargetDownError):
            is_doubtful = self._connector.can_find and is_begun
            error = (UnknownOutcomeError if is_doubtful else TargetDownError)(str(error))
        elif is_begun and task.operation == Operation.CREATE:
            begun = self.as_result(task, UnknownOutcomeError(f"made, not complete: {error}"))
            return replace(begun, code=getattr(error, "code", None))
        return self.as_result(task, error)

    def unexpected(self, task: ClaimedTask, error: Exception, *, was_sent: bool) -> Result:
        """An error outside the tree is its task's failure. Its text may tell about the person, so
        only its class and place are kept (I15)."""
        named = _named(error)
        log.error(
            "event=unexpected_error target=%s task=%s employee_number=%s error=%r",
            self._target, task.id, task.employee_number, named,
        )  # fmt: skip
        self._health.took(answered=False)
        if was_sent and self._connector.can_find:
            result = self.as_result(task, UnknownOutcomeError(named))
            return replace(result, error_kind=ErrorKind.UNEXPECTED, code=type(error).__name__)
        return unfinished.unexpected(task, name=type(error).__name__, message=named)

    def as_result(self, task: ClaimedTask, error: AccountSyncError) -> Result:
        return outcomes.failed(task, error, rules=self._rules, now=self._clock(), jitter=jitter())

    def log(self, result: Result) -> None:
        """Logs an attempt that failed: who, where, which attempt, why, what comes next."""
        if result.error_kind is None or (
            result.outcome is Outcome.NOT_SENT and result.state != TaskState.NEEDS_HUMAN
        ):
            return
        task = result.task
        log.warning(
            "event=attempt_failed target=%s task=%s operation=%s employee_number=%s attempt=%s"
            " probe=%s next=%s error=%s code=%s message=%r",
            self._target, task.id, task.operation, task.employee_number, task.attempts,
            task.probe, result.state, result.error_kind, result.code, result.message,
        )  # fmt: skip


def _named(error: Exception) -> str:
    """The class of an error, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}, which no connector should raise"
