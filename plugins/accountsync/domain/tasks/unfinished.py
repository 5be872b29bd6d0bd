"""Results of attempts that ended without an answer that could be used."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from accountsync.domain.task_states import TaskState
from accountsync.domain.tasks.error_kinds import ErrorKind
from accountsync.domain.tasks.outcomes import ClaimedTask, Outcome, Result, needs_human


def unexpected(task: ClaimedTask, *, name: str, message: str) -> Result:
    """The task failed by an error that no connector should raise: its class is the code."""
    return Result(
        task=task,
        outcome=Outcome.FAILED,
        state=TaskState.NEEDS_HUMAN if task.probe else TaskState.FAILED,
        error_kind=ErrorKind.UNEXPECTED,
        code=name[:40],
        message=message,
    )


def unrecordable(result: Result, *, because: str) -> Result:
    """The store cannot keep the target's answer. This task alone needs a human; others go on."""
    message = f"the answer cannot be recorded ({because}); look at the target"
    return replace(
        needs_human(result.task, ErrorKind.UNKNOWN_OUTCOME, message),
        burnt=result.burnt,
        seconds=result.seconds,
    )


def not_sent(task: ClaimedTask, *, at: datetime, message: str) -> Result:
    """The task was claimed and is given back: the run ended first, or the target is not called."""
    return Result(
        task=task,
        outcome=Outcome.NOT_SENT,
        state=TaskState.UNKNOWN if task.probe else TaskState.READY,
        next_attempt_at=at,
        absences=task.absences,
        unanswered=task.unanswered,
        message=message,
        burnt=False,
    )


def interrupted(task: ClaimedTask, *, at: datetime) -> Result:
    """The call was sent, and the run ended before the answer came (I9)."""
    return Result(
        task=task,
        outcome=Outcome.RETRY if task.probe else Outcome.UNKNOWN,
        state=TaskState.UNKNOWN,
        next_attempt_at=at,
        absences=task.absences,
        unanswered=task.unanswered,
        error_kind=ErrorKind.INTERRUPTED,
        message="the run was ended before the target had answered",
    )
