"""Sends numbers to Airflow's metrics (StatsD or OpenTelemetry, as the installation has it).

The target is part of a metric's name, because plain StatsD drops tags. No name tells a person
(I15).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from accountsync.jobs.tasks.process_account_tasks import ProcessSummary
from accountsync.jobs.tasks.queue_state import QueueState, read_queue_state

log = logging.getLogger(__name__)

BREAKER = {"closed": 0, "paused": 1, "half_open": 2, "open": 3}


@contextmanager
def harmless() -> Iterator[None]:
    """Logs any error of a metrics backend, so that no run fails because of its numbers."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 (of the backend, whose errors nobody knows)
        log.warning("event=metrics_not_sent error=%s", type(error).__name__)


def send_run(summary: ProcessSummary) -> None:
    """Sends attempts by outcome, dependants released, and the mean duration of a call in ms."""
    with harmless():
        _send_run(summary)


def _send_run(summary: ProcessSummary) -> None:
    from airflow.sdk.observability import stats

    prefix = f"accountsync.processing.{summary.target}"
    for outcome, attempts in summary.outcomes.items():
        stats.incr(f"{prefix}.attempts.{outcome}", attempts)
    stats.incr(f"{prefix}.released", summary.released)
    if calls := sum(summary.outcomes.values()) - summary.outcomes.get("not_sent", 0):
        stats.timing(f"{prefix}.call_duration", 1000 * summary.call_seconds / calls)


def send_queue(engine: Engine, target: str) -> None:
    """Sends open tasks by state, the seconds that the oldest due task has waited, and the
    breaker."""
    with harmless():
        _send_queue(read_queue_state(engine, target))


def _send_queue(state: QueueState) -> None:
    from airflow.sdk.observability import stats

    prefix = f"accountsync.queue.{state.target}"
    for name, tasks in state.depth.items():
        stats.gauge(f"{prefix}.depth.{name}", tasks)
    stats.gauge(f"{prefix}.oldest_due_seconds", state.oldest_due_s)
    stats.gauge(f"{prefix}.breaker", BREAKER[state.breaker])
