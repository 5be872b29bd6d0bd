"""What takes access away is asked again until it is seen done, or until a human says so (I17).

Such a task never fails for good. Where the target refuses it, or does not answer, it needs a human,
about whom nobody has to wait: it is asked again by itself, at first soon and then every hour.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from accountsync.domain.accounts.account import TAKES_AWAY
from accountsync.domain.task_states import TaskState
from accountsync.domain.tasks.outcomes import REMOVED_EVERY, Result, Rules

_SOONEST = timedelta(minutes=1)


def asked_again(result: Result, *, rules: Rules, now: datetime, jitter: float) -> Result:
    """The result, with the time at which a removal that did not succeed is asked again. What only a
    human can do is looked at every hour."""
    has_ended = result.state in (TaskState.FAILED, TaskState.NEEDS_HUMAN)
    if result.task.operation not in TAKES_AWAY or not has_ended:
        return result
    wait = rules.retry.delay(max(result.task.attempts, 1), jitter=jitter)
    wait = max(_SOONEST, min(wait, REMOVED_EVERY)) if result.burnt else REMOVED_EVERY
    return replace(result, state=TaskState.NEEDS_HUMAN, next_attempt_at=now + wait)


def asked_hourly(result: Result, *, now: datetime) -> Result:
    """The result, of which something was found out while it was recorded: a removal that needs a
    human by that has its time, too."""
    is_removal = result.task.operation in TAKES_AWAY
    if not is_removal or result.state != TaskState.NEEDS_HUMAN or result.next_attempt_at:
        return result
    return replace(result, next_attempt_at=now + REMOVED_EVERY)
