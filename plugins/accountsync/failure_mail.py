"""The mail about a failed run, and what a failed task says and keeps for it.

Imported at every parse of a DAG file, so it imports little.
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

Callback = Callable[[Mapping[str, Any]], None]


def failure_mail() -> list[Callback]:
    """For the DAG, not its tasks: called once a failed run, also when a worker was killed."""
    return [_send_failure_mail] if process_settings().alerts.to else []


def _send_failure_mail(context: Mapping[str, Any]) -> None:
    """In the DAG processor. All that the template uses is given: what is undefined loses it.

    Where `airflow dags test` runs the DAG, nobody is there to be asked what failed, and somebody
    looks on: no mail.
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
    """A mail to those whom the configuration names, once it is called with what the subject and the
    template use."""
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


def url_of_run(context: Mapping[str, Any]) -> str:
    """Where the web UI shows it."""
    from airflow.sdk.configuration import conf

    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    return f"{base}/dags/{context['dag'].dag_id}/runs/{quote(context['run_id'], safe='')}"


def _reads_once(context: Mapping[str, Any]) -> bool:
    """Whether no later run reads what this one was to: a backfill's interval, or what somebody
    asked for."""
    run = context.get("dag_run")
    if run is None or context["dag"].dag_id != "sync_hr_persons":
        return False
    return run.run_type == "backfill" or (run.conf or {}).get("mode") in ("window", "person")


def _started(context: Mapping[str, Any]) -> datetime | None:
    """In the schedules' zone."""
    run = context.get("dag_run")
    return run.start_date.astimezone(process_settings().zone) if run and run.start_date else None


def _failures(context: Mapping[str, Any], run_url: str) -> list[dict[str, Any]]:
    """One a failed task; none where Airflow itself ended the run."""
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
    """What `keep_failure` kept, if it could."""
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


def log_failure(context: Mapping[str, Any]) -> dict[str, Any] | None:
    """Logs why a task failed, as the log's last line: Airflow's own ends with the frames.

    The messages of our errors name ids only (I15); of any other error only the kind is told.
    """
    error = context.get("exception")
    if not isinstance(error, BaseException):  # killed: nobody knows
        return None
    ours = isinstance(error, AccountSyncError)
    kind = type(error).__name__ if ours else f"{type(error).__module__}.{type(error).__name__}"
    message = "; ".join([str(error), *getattr(error, "__notes__", [])]) if ours else None
    log.info("::endgroup::")  # callbacks log into a folded group, where nobody looks
    log.error("Failed: %s%s", kind, f": {message}" if message else "")
    return {"kind": kind, "message": message}


def keep_failure(context: Mapping[str, Any]) -> None:
    """Logs it, and keeps it for the mail, which another process sends."""
    failure, ti = log_failure(context), context["ti"]
    if failure:
        details = {"attempt": ti.try_number, "label": ti.rendered_map_index or ""}
        ti.xcom_push(key=_FAILURE, value=failure | details)
