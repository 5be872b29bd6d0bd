"""A DAG for the test: one task for each queue says which Celery worker carries it out."""

from __future__ import annotations

from typing import Any

import psutil
from airflow.sdk import DAG, task


@task
def worker() -> str:
    """Titles of the processes above this one; Celery's hold the name of the node."""
    return " | ".join(" ".join(parent.cmdline()) for parent in psutil.Process().parents()[:3])


def on_queue(queue: str) -> Any:
    return worker.override(task_id=queue, queue=queue)()


with DAG("queue_probe", schedule=None, catchup=False, is_paused_upon_creation=False):
    for name in ("hr_sync", "account_tasks", "account_processing", "default"):
        on_queue(name)
