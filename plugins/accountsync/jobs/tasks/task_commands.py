"""Carries out task commands: retry, cancel, hold, release, done. All of them are audited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Engine, RowMapping

from accountsync.domain.accounts.account import Operation, RemoteAccount
from accountsync.domain.reasons import Kind, Reason
from accountsync.domain.tasks import outcomes
from accountsync.domain.tasks.outcomes import ClaimedTask
from accountsync.errors import ConfigurationError
from accountsync.jobs.tasks.task_queue import planned_again
from accountsync.settings import Settings
from accountsync.store import audit, locks
from accountsync.store.audit import AuditAction
from accountsync.store.engine import database_time
from accountsync.store.tasks import claimed_tasks, dependants, recording, task_commands
from accountsync.store.tasks.task_commands import TASK_COMMANDS, TaskFilter

_KEPT_IDS = 1000
_AUDITED = {
    "retry": AuditAction.TASK_RETRIED,
    "cancel": AuditAction.TASK_CANCELLED,
    "hold": AuditAction.TASK_HELD,
    "release": AuditAction.TASK_RELEASED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEffect:
    """`counts` is (target, operation, state before) → tasks. `follow` counts those that are changed
    only because they depend on others, `released` those that became ready. `gone` counts tasks that
    are left alone, because their target is not configured any more and nobody would carry them
    out."""

    command: str
    counts: Mapping[tuple[str, str, str], int]
    follow: int
    released: int = 0
    gone: int = 0

    @property
    def tasks(self) -> int:
        return sum(self.counts.values())


def require_known(*, engine: Engine, settings: Settings, chosen: TaskFilter) -> None:
    """Raises ConfigurationError where the filter names something that does not exist. Without it, a
    misspelt name would look as if nothing were stuck."""
    with engine.connect() as connection:
        unknown = task_commands.unknown(connection, chosen, targets=list(settings.targets))
    if unknown:
        raise ConfigurationError("; ".join(unknown))


def preview(
    *, engine: Engine, settings: Settings, command: str, chosen: TaskFilter
) -> CommandEffect:
    with engine.connect() as connection:
        now = database_time(connection)
        rows, gone = _chosen(connection, settings, command, chosen, now)
        return _summed(command, rows, gone)


def _chosen(
    connection: Connection, settings: Settings, command: str, chosen: TaskFilter, now: datetime
) -> tuple[list[RowMapping], int]:
    """The tasks that the command changes, and how many it leaves because their targets are not
    configured any more."""
    rows = task_commands.choose(connection, TASK_COMMANDS[command], chosen, now=now)
    if not TASK_COMMANDS[command].revives:
        return rows, 0
    configured = [row for row in rows if row["system"] in settings.targets]
    return configured, len(rows) - len(configured)


def carry_out(
    *,
    engine: Engine,
    settings: Settings,
    command: str,
    chosen: TaskFilter,
    actor: str,
    comment: str,
) -> CommandEffect:
    """Carries out the command for the chosen tasks, and records it. Raises ConfigurationError for a
    filter that chooses everything."""
    if chosen.is_empty:
        raise ConfigurationError("say which tasks: without a filter nothing is changed")
    with engine.begin() as connection:
        now = database_time(connection)
        rows, gone = _chosen(connection, settings, command, chosen, now)
        persons = task_commands.carry_out(
            connection,
            TASK_COMMANDS[command],
            {row["id"]: row["state"] for row in rows},
            candidates=settings.order.table(),
            cause=Reason.of(Kind.COMMANDED, command=command, actor=actor, comment=comment),
            now=now,
        )
        released = dependants.release_satisfied(connection, now=now, persons=persons)
        effect = _summed(command, rows, gone)
        _audit(connection, effect, chosen, [row["id"] for row in rows], actor, comment)
    return replace(effect, released=released)


def _summed(command: str, rows: Sequence[RowMapping], gone: int) -> CommandEffect:
    counts = Counter((row["system"], row["operation"], row["state"]) for row in rows)
    follow = sum(row["follows"] for row in rows)
    return CommandEffect(command=command, counts=counts, follow=follow, gone=gone)


def _audit(
    connection: Connection,
    effect: CommandEffect,
    chosen: TaskFilter,
    ids: Sequence[int],
    actor: str,
    comment: str,
) -> None:
    details = {
        "filter": {name: value for name, value in asdict(chosen).items() if value is not None},
        "tasks": effect.tasks,
        "ids": list(ids[:_KEPT_IDS]),
        "comment": comment,
    }
    audit.record(connection, actor=actor, action=_AUDITED[effect.command], details=details)


def done(*, engine: Engine, settings: Settings, task: int, actor: str, comment: str) -> None:
    """Records that a human has done what a task asked for. The store then knows its account.

    Raises ConfigurationError where the task does not wait for a human, or its target is gone.
    """
    require_known(engine=engine, settings=settings, chosen=TaskFilter(task=task))
    worker = f"{actor} by hand"
    with engine.begin() as connection:
        locks.take_persons(connection)
        now = database_time(connection)
        if not task_commands.take(connection, task=task, worker=worker, now=now):
            raise ConfigurationError(f"task {task} does not wait for a human")
        claim = claimed_tasks.read(connection, task=task)
        target, claimed = claim.row["system"], claim.as_task(claim.row["desired"])
        if target not in settings.targets:
            raise ConfigurationError(f"task {task}: {target} is not configured any more")
        result = outcomes.succeeded(
            claimed, _made_by_hand(claimed, settings.targets[target].identifier)
        )
        results = planned_again(connection, target, [result])
        recording.record(connection, target=target, worker=worker, results=results, now=now)
        details = {"task": task, "comment": comment}
        audit.record(connection, actor=actor, action=AuditAction.TASK_DONE, details=details)


def _made_by_hand(task: ClaimedTask, identifier: str) -> RemoteAccount | None:
    if task.operation == Operation.DELETE:
        return None
    known = task.account.identifier if task.account else None
    named = str(task.attributes.get(identifier) or known)
    return RemoteAccount(identifier=named, remote_id=None, ours=True)
