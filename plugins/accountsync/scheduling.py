"""What the DAG files share. Imported at every parse, so it imports little of the library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow.sdk import (
    Asset,
    AssetOrTimeSchedule,
    CronDataIntervalTimetable,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    get_current_context,
)
from airflow.sdk.exceptions import AirflowRuntimeError

from accountsync.errors import (
    AccountSyncError,
    ConfigurationError,
    RecordError,
    SafetyStopError,
    TargetDownError,
)
from accountsync.settings import Settings, config_path, load

HR_PERSONS = Asset("accountsync_hr_persons")
ACCOUNT_TASKS = Asset("accountsync_account_tasks")

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=ConfigurationError,
            action=RetryAction.FAIL,
            reason="somebody has to change the configuration or a Connection",
        ),
        RetryRule(
            exception=SafetyStopError, action=RetryAction.FAIL, reason="a human has to look first"
        ),
        RetryRule(
            exception=RecordError, action=RetryAction.FAIL, reason="trying again changes nothing"
        ),
        RetryRule(
            exception=TargetDownError,
            action=RetryAction.FAIL,
            reason="its queue is kept; the next scheduled run tries again",
        ),
    ],
    default=RetryAction.DEFAULT,
)
"""Our error tree in Airflow's words; what it does not name (and TransientError) is retried."""

_MAIL = Path(__file__).parent / "web" / "templates" / "failure_mail.html"
_SUBJECT = (
    "[AccountSync] {{ dag.dag_id }} failed / 运行失败"
    "{% if failures %}: {{ failures[0].kind or 'killed / 被终止' }}{% endif %}"
)
_FAILURE = "failure"
"""The XCom in which a failed task says of what."""

Callback = Callable[[Mapping[str, Any]], None]


@cache
def settings() -> Settings:
    """Once a process. A broken configuration is the DAG's import error, and says what is wrong."""
    return load(config_path())


def every(cron: str, *assets: Asset) -> Any:
    """By the clock, and when one of the assets changed. Runs by the clock have data intervals."""
    timetable = CronDataIntervalTimetable(cron, timezone=settings().timezone)
    if not assets:
        return timetable
    return AssetOrTimeSchedule(timetable=timetable, assets=list(assets))


def dag_defaults(*, queue: str) -> dict[str, Any]:
    """Arguments of every DAG: one run at a time, our retries, our queue, one mail a failed run."""
    return {
        "catchup": False,
        "max_active_runs": 1,
        "tags": ["accountsync"],
        "on_failure_callback": failure_mail(),
        "default_args": {
            "owner": "accountsync",
            "queue": queue,
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "retry_policy": RETRY_POLICY,
            "execution_timeout": timedelta(minutes=30),
            "on_failure_callback": keep_failure,
        },
    }


def failure_mail() -> list[Callback]:
    """For the DAG, not its tasks: called once a failed run, also when a worker was killed."""
    return [_send_failure_mail] if settings().alerts.to else []


def _send_failure_mail(context: Mapping[str, Any]) -> None:
    """In the DAG processor. All that the template uses is given: what is undefined loses it."""
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    alerts = settings().alerts
    mail = SmtpNotifier(
        smtp_conn_id=alerts.smtp_conn_id,
        from_email=alerts.sender,
        to=alerts.to,
        subject=_SUBJECT,
        html_content=_MAIL.read_text(encoding="utf-8"),
    )
    mail(dict(context) | {"failures": _failures(context)} | _run_facts(context))


def _run_facts(context: Mapping[str, Any]) -> dict[str, Any]:
    """`started` in the schedules' zone, and where the run is seen."""
    from airflow.sdk.configuration import conf

    dag_id, run_id, run = context["dag"].dag_id, context["run_id"], context.get("dag_run")
    started = run.start_date.astimezone(settings().zone) if run and run.start_date else None
    path = f"dags/{dag_id}/runs/{quote(run_id, safe='')}"
    base = conf.get("api", "base_url", fallback="http://localhost:8080")
    return {"started": started, "run_url": f"{base.rstrip('/')}/{path}"}


def _failures(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One a failed task; none where Airflow itself ended the run."""
    ti = context.get("ti")
    if ti is None:
        return []
    try:
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])[ti.run_id]
    except AirflowRuntimeError:  # a mail without the cause is better than none
        states = {}
    last = _key(ti.task_id, ti.map_index)
    failed = sorted({last} | {key for key, state in states.items() if state == "failed"})
    known = {"attempt": ti.try_number, "log_url": ti.log_url}
    return [_failure(ti, key) | (known if key == last else {}) for key in failed]


def _key(task_id: str, map_index: int | None) -> str:
    """As Airflow names a task instance among the states of a run."""
    return task_id if map_index is None or map_index < 0 else f"{task_id}_{map_index}"


def _failure(ti: Any, key: str) -> dict[str, Any]:
    task_id, _, number = key.rpartition("_")
    mapped = number.isdigit() and task_id in ti.task.dag.task_ids
    task_id, map_index = (task_id, int(number)) if mapped else (key, -1)
    nothing = {"label": number if mapped else "", "attempt": None, "kind": None, "message": None}
    try:
        kept = ti.xcom_pull(task_ids=task_id, map_indexes=map_index, key=_FAILURE)
    except AirflowRuntimeError:
        kept = None
    attempts = ti.task.dag.get_task(task_id).retries + 1
    return nothing | {"task": task_id, "attempts": attempts, "log_url": None} | (kept or {})


def keep_failure(context: Mapping[str, Any]) -> None:
    """What a task failed of, kept for the mail, which another process sends.

    The messages of our errors name ids only (I15); of any other error only the kind is told.
    """
    error, ti = context.get("exception"), context["ti"]
    if not isinstance(error, BaseException):  # killed: nobody knows
        return
    ours = isinstance(error, AccountSyncError)
    kind = type(error).__name__ if ours else f"{type(error).__module__}.{type(error).__name__}"
    kept = {"kind": kind, "message": str(error) if ours else None, "attempt": ti.try_number}
    ti.xcom_push(key=_FAILURE, value=kept | {"label": ti.rendered_map_index or ""})


def airflow_run_id() -> str:
    return str(get_current_context()["dag_run"].run_id)


def data_interval() -> tuple[datetime, datetime] | None:
    """The interval of a backfill run. Every other run reads from the watermark (I5)."""
    run = get_current_context()["dag_run"]
    start, end = run.data_interval_start, run.data_interval_end
    if run.run_type != "backfill" or start is None or end is None:
        return None
    return start, end
