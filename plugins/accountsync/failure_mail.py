"""The mail about a failed run, and the callbacks by which a failed task logs and keeps its error.

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

TaskContext = Mapping[str, Any]
"""What Airflow gives a callback: the task instance, the DAG, the run, the exception and more."""

Callback = Callable[[TaskContext], None]


def failure_mail() -> list[Callback]:
    """The callbacks of a DAG, not of its tasks: they are called once for a failed run, also when a
    worker was killed. There are none where the configuration names no recipient."""
    return [_send_failure_mail] if process_settings().alerts.to else []


def _send_failure_mail(context: TaskContext) -> None:
    """Runs in the DAG processor. It gives the template every variable that it uses, because the
    mail would be lost for an undefined one.

    `airflow dags test` has no process that could be asked which tasks failed, and somebody is
    watching, so no mail is sent.
    """
    from airflow.sdk.execution_time import task_runner

    if not hasattr(task_runner, "SUPERVISOR_COMMS"):
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


def _failures(context: TaskContext, run_url: str) -> list[dict[str, Any]]:
    """One entry for each failed task; none where Airflow itself ended the run."""
    ti = context.get("ti")
    if ti is None:
        return []
    try:
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])[ti.run_id]
    except AirflowRuntimeError:  # a mail without the others is better than none
        states = {}
    last = (ti.task_id, ti.map_index)
    failed = {_instance(key, ti.task.dag) for key, state in states.items() if state == "failed"}
    attempts = {last: {"attempt": ti.try_number}}
    return [
        _failure(ti, instance, run_url) | attempts.get(instance, {})
        for instance in sorted(failed | {last})
    ]


def _instance(key: str, dag: Any) -> tuple[str, int]:
    """Task and map index (-1: not mapped) of what Airflow calls `task` or `task_3`."""
    task_id, _, number = key.rpartition("_")
    mapped = number.isdigit() and task_id in dag.task_ids
    return (task_id, int(number)) if mapped else (key, -1)


def _failure(ti: Any, instance: tuple[str, int], run_url: str) -> dict[str, Any]:
    """What the mail shows of one failed task. Its error is missing where `keep_failure` did not
    run."""
    task_id, map_index = instance
    mapped = map_index >= 0
    try:
        failure = ti.xcom_pull(task_ids=task_id, map_indexes=map_index, key=_FAILURE) or {}
    except AirflowRuntimeError:
        failure = {}
    return {
        "task": task_id,
        "attempts": ti.task.dag.get_task(task_id).retries + 1,
        "log_url": f"{run_url}/tasks/{task_id}" + (f"/mapped/{map_index}" if mapped else ""),
        "label": str(map_index) if mapped else "",
        "attempt": None,
        "kind": None,
        "message": None,
    } | failure


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
    log.info("::endgroup::")  # callbacks log into a folded group, where nobody looks
    log.error("Failed: %s%s", kind, f": {message}" if message else "")
    return {"kind": kind, "message": message}


def keep_failure(context: TaskContext) -> None:
    """Logs why a task failed, and keeps it for the mail, which another process sends."""
    failure, ti = log_failure(context), context["ti"]
    if failure:
        details = {"attempt": ti.try_number, "label": ti.rendered_map_index or ""}
        ti.xcom_push(key=_FAILURE, value=failure | details)
