"""What the DAG files share. Imported at every parse, so it imports little of the library."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
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
    TriggerRule,
    get_current_context,
    task,
)
from airflow.sdk.exceptions import AirflowRuntimeError

from accountsync.errors import (
    AccountSyncError,
    ConfigurationError,
    InvalidOrderError,
    RecordError,
    SafetyStopError,
    TargetDownError,
)
from accountsync.settings import Settings, config_path, load

log = logging.getLogger(__name__)

REVIEWS = "review_held_changes"

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

_TEMPLATES = Path(__file__).parent / "web" / "templates"
_SUBJECT = (
    "[AccountSync] {{ dag.dag_id }} failed / 运行失败"
    "{% if failures %}: {{ failures[0].kind or 'killed / 被终止' }}{% endif %}"
)
READ_TIMEOUT = timedelta(hours=6)
"""Of one HR source: a first read is complete or nothing, however slow HR is."""

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


def documentation(file: str) -> str:
    """Of a DAG file: the Markdown beside it."""
    return Path(file).with_suffix(".md").read_text(encoding="utf-8")


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
            "on_retry_callback": say_failure,
            "on_failure_callback": keep_failure,
        },
    }


def failure_mail() -> list[Callback]:
    """For the DAG, not its tasks: called once a failed run, also when a worker was killed."""
    return [_send_failure_mail] if settings().alerts.to else []


def _send_failure_mail(context: Mapping[str, Any]) -> None:
    """In the DAG processor. All that the template uses is given: what is undefined loses it.

    Where `airflow dags test` runs the DAG, nobody is there to be asked what failed, and somebody
    looks on: no mail.
    """
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier
    from airflow.sdk.execution_time import task_runner

    if not hasattr(task_runner, "SUPERVISOR_COMMS"):
        log.error(
            "event=run_failed dag=%s run=%s mail=none: a run by hand of `airflow dags test`;"
            " what failed stands above",
            context["dag"].dag_id, context["run_id"],
        )  # fmt: skip
        return
    alerts, run_url = settings().alerts, _run_url(context)
    mail = SmtpNotifier(
        smtp_conn_id=alerts.smtp_conn_id,
        from_email=alerts.sender,
        to=alerts.to,
        subject=_SUBJECT,
        html_content=(_TEMPLATES / "failure_mail.html").read_text(encoding="utf-8"),
    )
    facts = {"run_url": run_url, "started": _started(context), "once": _reads_once(context)}
    mail(dict(context) | facts | {"failures": _failures(context, run_url)})


def ask_reviewers(context: Mapping[str, Any]) -> None:
    """A mail with what `look` has shown. Without it the question is under Required Actions all the
    same: a mail server that is down must not keep it from being asked."""
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier
    from markdown_it import MarkdownIt

    alerts = settings().alerts
    if not alerts.to:
        return
    mail = SmtpNotifier(
        smtp_conn_id=alerts.smtp_conn_id,
        from_email=alerts.sender,
        to=alerts.to,
        subject="[AccountSync] {{ shown.subject }}: please decide / 请审批",
        html_content=(_TEMPLATES / "review_mail.html").read_text(encoding="utf-8"),
    )
    shown = context["ti"].xcom_pull(task_ids="look")
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(shown["body"])
    facts = {"shown": shown, "body": body, "run_url": _run_url(context)}
    try:
        mail(dict(context) | facts)
    except Exception as error:  # noqa: BLE001 - whatever a mail server and its client come up with
        log.error("event=mail_not_sent run=%s error=%s", context["run_id"], type(error).__name__)


def whom_to_ask() -> dict[str, Any]:
    """Of an operator that asks: who gets a mail, and who may answer (none: whoever may answer
    Required Actions), by the id that Airflow's auth manager gives them."""
    users = [{"id": user, "name": user} for user in settings().reviews.users]
    return {"notifiers": [ask_reviewers], "assigned_users": users or None}


def ask_for_decisions(*, after: Any) -> None:
    """A run of `review_held_changes` for each plan or feed that is held and that nobody is asked
    about yet, whatever became of the tasks before. Nothing waits for it."""
    from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def find_held() -> list[dict[str, Any]]:
        from accountsync import wiring

        found = wiring.pending_reviews(settings())
        return [one for one in found if not _is_asked(one.pop("led_to_by"))]

    after >> (held := find_held())
    TriggerDagRunOperator.partial(
        task_id="ask_for_decision",
        trigger_dag_id=REVIEWS,
        logical_date=None,
        skip_when_already_exists=True,
    ).expand_kwargs(held)


def _is_asked(reviews: Sequence[str]) -> bool:
    """Whether somebody is asked already, in one of these runs: not in this one, which ends."""
    context = get_current_context()
    others = [run for run in reviews if run != context["run_id"]]
    states = ["queued", "running"]
    return bool(
        others and context["ti"].get_dr_count(dag_id=REVIEWS, run_ids=others, states=states)
    )


def fail_with(tasks: Any) -> None:
    """What is downstream of these goes on without the ones that failed; the run fails all the same,
    for its state is that of its last tasks."""
    from airflow.providers.standard.operators.empty import EmptyOperator

    tasks >> EmptyOperator(task_id="all_done", trigger_rule=TriggerRule.NONE_FAILED)


def _run_url(context: Mapping[str, Any]) -> str:
    from airflow.sdk.configuration import conf

    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    return f"{base}/dags/{context['dag'].dag_id}/runs/{quote(context['run_id'], safe='')}"


def _reads_once(context: Mapping[str, Any]) -> bool:
    """Whether it was to read what no later run does: a backfill's interval, or what was ordered."""
    run = context.get("dag_run")
    if run is None or context["dag"].dag_id != "sync_hr_persons":
        return False
    return run.run_type == "backfill" or (run.conf or {}).get("mode") in ("window", "person")


def _started(context: Mapping[str, Any]) -> datetime | None:
    """In the schedules' zone."""
    run = context.get("dag_run")
    return run.start_date.astimezone(settings().zone) if run and run.start_date else None


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
    known = {last: {"attempt": ti.try_number}}
    return [_failure(ti, one, run_url) | known.get(one, {}) for one in sorted(failed | {last})]


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
        kept = ti.xcom_pull(task_ids=task_id, map_indexes=map_index, key=_FAILURE) or {}
    except AirflowRuntimeError:
        kept = {}
    return {
        "task": task_id,
        "attempts": ti.task.dag.get_task(task_id).retries + 1,
        "log_url": f"{run_url}/tasks/{task_id}" + (f"/mapped/{map_index}" if mapped else ""),
        "label": str(map_index) if mapped else "",
        "attempt": None,
        "kind": None,
        "message": None,
    } | kept


def say_failure(context: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a task failed of, as the log's last line: Airflow's own ends with the frames.

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
    """Said, and kept for the mail, which another process sends."""
    said, ti = say_failure(context), context["ti"]
    if said:
        more = {"attempt": ti.try_number, "label": ti.rendered_map_index or ""}
        ti.xcom_push(key=_FAILURE, value=said | more)


def airflow_run_id() -> str:
    return str(get_current_context()["dag_run"].run_id)


def check_form() -> None:
    """Raises InvalidOrderError for what the DAG's form does not have. Airflow lets it pass, and a
    `dry_run` that is misspelt would be a run that changes something."""
    context = get_current_context()
    form = context["dag"].params
    if unknown := sorted(set(context["params"]) - set(form)):
        raise InvalidOrderError(
            f"conf: there is no {', '.join(map(repr, unknown))}; known: {', '.join(form)}"
        )


def data_interval() -> tuple[datetime, datetime] | None:
    """The interval of a backfill run. Every other run reads from the watermark (I5)."""
    run = get_current_context()["dag_run"]
    start, end = run.data_interval_start, run.data_interval_end
    if run.run_type != "backfill" or start is None or end is None:
        return None
    return start, end
