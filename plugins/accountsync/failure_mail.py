"""The mail about a failed run, and how a failed task logs and keeps its error.

Every parse of a DAG file imports this module, so it imports little.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow.sdk.exceptions import AirflowRuntimeError

from accountsync import event_logs
from accountsync.domain.shown import visible
from accountsync.errors import AccountSyncError
from accountsync.settings import process_settings

log = logging.getLogger(__name__)

_TEMPLATES = Path(__file__).parent / "web" / "templates"
_SUBJECT = (
    "[AccountSync] {{ dag.dag_id }} failed / 运行失败"
    "{% if failures %}: {{ failures[0].kind or 'killed / 被终止' }}{% endif %}"
)
_FAILURE = "failure"
"""The XCom in which a failed task keeps why it failed."""

_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})

TaskContext = Mapping[str, Any]
"""What Airflow gives a callback: the task instance, the DAG, the run, the exception and more."""

Callback = Callable[[TaskContext], None]


def has_receivers() -> bool:
    """Whether the configuration names anybody who is told of failures."""
    return bool(process_settings().alerts.to)


def report_failures(context: TaskContext) -> None:
    """Sends the one mail about a run of which tasks failed.

    It is called by a task, not by Airflow's callback of the DAG: that one takes the run's `conf`
    with it into the DAG processor, which ends for good of a number beyond 64 bits (docs/upstream).
    It gives the template every variable that it uses, because the mail would be lost for an
    undefined one.

    In `airflow dags test`, and wherever else all tasks run in one process, somebody is watching: a
    line of the log stands for the mail.
    """
    if _is_watched():
        log.error(
            "event=run_failed dag=%s run=%s mail=none: a run by hand of `airflow dags test`;"
            " what failed stands above",
            context["dag"].dag_id, context["run_id"],
        )  # fmt: skip
        return
    run_url = url_of_run(context)
    facts = {"run_url": run_url, "started": _started(context), "once": _reads_once(context)}
    send = mail_to_operators(subject=_SUBJECT, template="failure_mail.html")
    send(dict(context) | facts | {"failures": _failures(context, run_url)})


def _is_watched() -> bool:
    from airflow.sdk.execution_time import task_runner

    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return comms is None or type(comms).__name__ == "InProcessSupervisorComms"


def mail_to_operators(*, subject: str, template: str) -> Callback:
    """A callback that sends a mail to those whom the configuration names. It is called with the
    variables of the subject and the template."""
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    alerts = process_settings().alerts
    mail: Callback = SmtpNotifier(
        smtp_conn_id=alerts.smtp_conn_id,
        from_email=alerts.sender,
        to=alerts.to,
        subject=subject,
        html_content=(_TEMPLATES / template).read_text(encoding="utf-8"),
    )
    return mail


def url_of_run(context: TaskContext) -> str:
    """The address at which the web UI shows the run."""
    from airflow.sdk.configuration import conf

    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    return f"{base}/dags/{context['dag'].dag_id}/runs/{quote(context['run_id'], safe='')}"


def _reads_once(context: TaskContext) -> bool:
    """Whether no later run reads what this one was to: a backfill's interval, or what somebody
    asked for."""
    run = context.get("dag_run")
    if run is None or context["dag"].dag_id != "sync_hr_persons":
        return False
    return run.run_type == "backfill" or (run.conf or {}).get("mode") in ("window", "person")


def _started(context: TaskContext) -> datetime | None:
    """When the run began, in the time zone of the schedules."""
    run = context.get("dag_run")
    return run.start_date.astimezone(process_settings().zone) if run and run.start_date else None


def is_over(context: TaskContext) -> bool:
    """Whether every task of the run has ended, but for the one that asks."""
    ti = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])[ti.run_id]
    return all(state in _ENDED for key, state in states.items() if key != ti.task_id)


def _failures(context: TaskContext, run_url: str) -> list[dict[str, Any]]:
    """One entry for each failed task."""
    ti = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])[ti.run_id]
    dag = ti.task.dag
    failed = sorted(_instance(key, dag) for key, state in states.items() if state == "failed")
    return [_failure(ti, instance, run_url) for instance in failed]


def _instance(key: str, dag: Any) -> tuple[str, int]:
    """Task and map index (-1: not mapped) of what Airflow calls `task` or `task_3`."""
    task_id, _, number = key.rpartition("_")
    mapped = number.isdigit() and task_id in dag.task_ids
    return (task_id, int(number)) if mapped else (key, -1)


def _failure(ti: Any, instance: tuple[str, int], run_url: str) -> dict[str, Any]:
    """What the mail shows of one failed task. Its error is missing where the task was killed, which
    is tried again until no attempt is left."""
    task_id, map_index = instance
    mapped = map_index >= 0
    try:
        failure = ti.xcom_pull(task_ids=task_id, map_indexes=map_index, key=_FAILURE) or {}
    except AirflowRuntimeError:
        failure = {}
    attempts = ti.task.dag.get_task(task_id).retries + 1
    return {
        "task": task_id,
        "attempts": attempts,
        "log_url": f"{run_url}/tasks/{task_id}" + (f"/mapped/{map_index}" if mapped else ""),
        "label": str(map_index) if mapped else "",
        "attempt": attempts,
        "kind": None,
        "message": None,
    } | failure


def watch(context: TaskContext) -> None:
    """Has this task log why it fails, and keep it for the mail. It is called in the task's own
    process, before the task begins.

    The callbacks are set here rather than in the DAG file: what the DAG file declares is also
    called in the DAG processor, with the run's `conf`, for tasks that were killed.
    """
    event_logs.show_values()
    task = context["ti"].task
    task.on_failure_callback = [keep_failure]
    task.on_retry_callback = [log_failure]


def log_failure(context: TaskContext) -> dict[str, Any] | None:
    """Logs why a task failed, as the last line of the log, since Airflow's own entry ends with the
    stack. Returns the error for the mail, or None for a task that was killed.

    The messages of our errors name ids only (I15); of any other error only the kind is logged.
    """
    error = context.get("exception")
    if not isinstance(error, BaseException):  # the task was killed
        return None
    ours = isinstance(error, AccountSyncError)
    kind = type(error).__name__ if ours else f"{type(error).__module__}.{type(error).__name__}"
    message = "; ".join([str(error), *getattr(error, "__notes__", [])]) if ours else None
    message = visible(message) if message else None
    log.info("::endgroup::")  # callbacks log into a folded group, where nobody looks
    log.error("Failed: %s%s", kind, f": {message}" if message else "")
    return {"kind": kind, "message": message}


def keep_failure(context: TaskContext) -> None:
    """Logs why a task failed, and keeps it for the mail, which another task sends."""
    failure, ti = log_failure(context), context["ti"]
    if failure:
        label = visible(ti.rendered_map_index or "")
        ti.xcom_push(key=_FAILURE, value=failure | {"attempt": ti.try_number, "label": label})
