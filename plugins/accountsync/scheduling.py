"""What the DAG files share: schedules, defaults, retries, the check of a form.

Every parse of a DAG file imports this module, so it imports little of the library.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import (
    Asset,
    AssetOrTimeSchedule,
    BaseSensorOperator,
    CronDataIntervalTimetable,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    TriggerRule,
    get_current_context,
)

from accountsync.errors import (
    ConfigurationError,
    InvalidRunRequestError,
    RecordError,
    SafetyStopError,
    TargetDownError,
)
from accountsync.failure_mail import has_receivers, is_over, report_failures, watch
from accountsync.settings import process_settings

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
"""Our error tree as Airflow's rules. Any error that is not named here is retried; TransientError is
one of them."""

READ_TIMEOUT = timedelta(hours=6)
"""The time limit of reading one HR source. The first read has to be complete, even if HR is
slow."""


def every(cron: str, *assets: Asset) -> Any:
    """A schedule by the clock, and by changes of the assets. Runs by the clock have data
    intervals."""
    timetable = CronDataIntervalTimetable(cron, timezone=process_settings().timezone)
    if not assets:
        return timetable
    return AssetOrTimeSchedule(timetable=timetable, assets=list(assets))


def documentation(file: str) -> str:
    """The Markdown that lies beside a DAG file."""
    return Path(file).with_suffix(".md").read_text(encoding="utf-8")


def dag_defaults(*, queue: str) -> dict[str, Any]:
    """Arguments of every DAG: one run at a time, our retries, our queue.

    There is no callback of the DAG and none of its tasks that Airflow knows of: for either it would
    take the run's `conf` into the DAG processor. `end` sends the mail.
    """
    return {
        "catchup": False,
        "max_active_runs": 1,
        "tags": ["accountsync"],
        "default_args": {
            "owner": "accountsync",
            "queue": queue,
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "retry_policy": RETRY_POLICY,
            "execution_timeout": timedelta(minutes=30),
            "pre_execute": watch,
        },
    }


def end(dag: Any) -> None:
    """Gives a DAG its last tasks. The run fails when any task failed, even if the tasks downstream
    went on without it: a run has the state of its last tasks. And one mail tells of a failed run,
    also when a worker was killed.

    A run in which nothing fails needs no worker for them.
    """
    from airflow.providers.standard.operators.empty import EmptyOperator

    tasks = list(dag.tasks)
    with dag:
        tasks >> EmptyOperator(task_id="every_task_succeeded", trigger_rule=TriggerRule.NONE_FAILED)
        if has_receivers():
            tasks >> FailureReport(task_id="report_failures")


class FailureReport(BaseSensorOperator):
    """Begins with the first failure of a run, and waits for its other tasks, to tell of all in one
    mail. Between two looks it takes no worker's slot."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            trigger_rule=TriggerRule.ONE_FAILED,
            mode="reschedule",
            poke_interval=10,
            timeout=timedelta(hours=12).total_seconds(),
            **options,
        )

    def poke(self, context: Any) -> bool:
        if not is_over(context):
            return False
        report_failures(context)
        return True


def airflow_run_id() -> str:
    return str(get_current_context()["dag_run"].run_id)


def check_form() -> None:
    """Raises InvalidRunRequestError for a parameter that the DAG's form does not have. Airflow
    accepts any name, so a misspelt `dry_run` would start a run that changes something."""
    context = get_current_context()
    form = context["dag"].params
    if unknown := sorted(set(context["params"]) - set(form)):
        raise InvalidRunRequestError(
            f"conf: there is no {', '.join(map(repr, unknown))}; known: {', '.join(form)}"
        )


def data_interval() -> tuple[datetime, datetime] | None:
    """The interval of a backfill run; None for every other run, which reads from the watermark
    (I5)."""
    run = get_current_context()["dag_run"]
    start, end = run.data_interval_start, run.data_interval_end
    if run.run_type != "backfill" or start is None or end is None:
        return None
    return start, end
