"""What the DAG files share. Imported at every parse, so it imports next to nothing of the library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from airflow.sdk import (
    Asset,
    AssetOrTimeSchedule,
    CronDataIntervalTimetable,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    get_current_context,
)

from accountsync.errors import ConfigurationError, RecordError, SafetyStopError, TargetDownError
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


@cache
def settings() -> Settings:
    """Once a process. A broken configuration is an import error of the DAG that says what is wrong."""
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
        },
    }


def failure_mail() -> list[Callable[[Mapping[str, Any]], None]]:
    """For the DAG, not its tasks: called once a failed run, also when a worker was killed."""
    alerts = settings().alerts
    if not alerts.to:
        return []
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    return [
        SmtpNotifier(
            smtp_conn_id=alerts.smtp_conn_id,
            from_email=alerts.sender,
            to=alerts.to,
            subject="[AccountSync] {{ dag.dag_id }} failed / 运行失败",
            html_content=_MAIL.read_text(encoding="utf-8"),
        )
    ]


def airflow_run_id() -> str:
    return str(get_current_context()["dag_run"].run_id)


def data_interval() -> tuple[datetime, datetime] | None:
    """The interval of a backfill run. Every other run reads from the watermark (I5)."""
    run = get_current_context()["dag_run"]
    start, end = run.data_interval_start, run.data_interval_end
    if run.run_type != "backfill" or start is None or end is None:
        return None
    return start, end
