"""Reads the state of one target's queue, for metrics and for operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from accountsync.domain.task_states import OPEN_STATES
from accountsync.store.tasks import breakers, due_tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """`depth` is open state → tasks, zeros included. `oldest_due_s` is how many seconds the oldest
    due task has waited, 0.0 where nothing is due."""

    target: str
    depth: Mapping[str, int]
    oldest_due_s: float
    breaker: str


def read_queue_state(engine: Engine, target: str) -> QueueState:
    with engine.connect() as connection:
        counted = due_tasks.depth(connection, target=target)
        return QueueState(
            target=target,
            depth={state: counted.get(state, 0) for state in OPEN_STATES},
            oldest_due_s=due_tasks.oldest_due_s(connection, target=target),
            breaker=breakers.read(connection, target).state,
        )
