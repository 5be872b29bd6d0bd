"""The states of an account task, and what they have in common."""

from __future__ import annotations

from enum import StrEnum


class TaskState(StrEnum):
    """Where an account task stands between the plan that derived it and its end."""

    PLANNED = "planned"
    """It is derived, and the guard has not judged it yet."""
    HELD = "held"
    """The guard wants a human to look first, or an operator keeps it back."""
    NEEDS_DATA = "needs_data"
    """A mapping of ours is missing; it continues by itself once that is there."""
    WAITING = "waiting"
    """It waits for the targets in `waits_for` (I12)."""
    READY = "ready"
    """It can be claimed once it is due."""
    RUNNING = "running"
    """A processor has claimed it, under a lease."""
    UNKNOWN = "unknown"
    """The call may have happened: a probe decides (I9)."""
    NEEDS_HUMAN = "needs_human"
    """Only a human can decide, or do it."""
    SUCCEEDED = "succeeded"
    """The target confirmed it."""
    FAILED = "failed"
    """It failed for good, or what it depends on did."""
    SUPERSEDED = "superseded"
    """Its reason has gone, or another task takes its place."""
    CANCELLED = "cancelled"
    """A human has given it up."""


OPEN_STATES = (
    TaskState.PLANNED,
    TaskState.HELD,
    TaskState.NEEDS_DATA,
    TaskState.WAITING,
    TaskState.READY,
    TaskState.RUNNING,
    TaskState.UNKNOWN,
    TaskState.NEEDS_HUMAN,
)
"""A task in one of these is not over; a person has at most one of them in each target."""

FINAL_STATES = (
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.SUPERSEDED,
    TaskState.CANCELLED,
)

IN_DOUBT = (TaskState.RUNNING, TaskState.UNKNOWN, TaskState.NEEDS_HUMAN)
"""The account may be there: planning does not send the task again, and gives it up only for one
that takes access away, which looks for the account itself (I6, I9, I17)."""

WITHOUT_A_CALL = (TaskState.UNKNOWN, TaskState.NEEDS_HUMAN)
"""In doubt, and no call is under way."""

NOT_STARTED = tuple(state for state in OPEN_STATES if state not in IN_DOUBT)
"""Nothing was sent, or the call failed for certain: planning may change the task or give it up
(I6)."""

FOR_A_HUMAN = (TaskState.HELD, TaskState.NEEDS_DATA, TaskState.NEEDS_HUMAN)
"""Nothing happens until a human approves, imports a mapping or decides."""
