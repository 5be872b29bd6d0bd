"""Asks humans about what a guard held, by a run of `review_held_changes` and by mail.

Every parse of a DAG file imports this module, so it imports little.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from airflow.sdk import TriggerRule, get_current_context, task

from accountsync.failure_mail import TaskContext, mail_to_operators, url_of_run
from accountsync.settings import process_settings

log = logging.getLogger(__name__)

REVIEWS = "review_held_changes"
_SUBJECT = "[AccountSync] {{ shown.subject }}: please decide / 请审批"


def ask_reviewers(context: TaskContext) -> None:
    """Sends a mail with what the task `look` has shown. The question is under Required Actions in
    any case, so a mail that cannot be sent is logged only: it must not keep the question from being
    asked."""
    from markdown_it import MarkdownIt

    if not process_settings().alerts.to:
        return
    send = mail_to_operators(subject=_SUBJECT, template="review_mail.html")
    shown = context["ti"].xcom_pull(task_ids="look")
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(shown["body"])
    facts = {"shown": shown, "body": body, "run_url": url_of_run(context)}
    try:
        send(dict(context) | facts)
    except Exception as error:  # noqa: BLE001 - whatever a mail server and its client come up with
        log.error("event=mail_not_sent run=%s error=%s", context["run_id"], type(error).__name__)


def whom_to_ask() -> dict[str, Any]:
    """The arguments of the operator that asks: who gets a mail, and who may answer, by the ids of
    Airflow's auth manager. Where nobody is named, everybody may who may answer Required Actions."""
    users = [{"id": user, "name": user} for user in process_settings().reviews.users]
    return {"notifiers": [ask_reviewers], "assigned_users": users or None}


def ask_for_decisions(*, after: Any) -> None:
    """Triggers a run of `review_held_changes` for each held plan or feed about which nobody is
    asked yet. It does so whether the tasks before succeeded or not, and nothing waits for the
    answer."""
    from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def find_held() -> list[dict[str, Any]]:
        from accountsync import wiring

        reviews = wiring.pending_reviews(process_settings())
        return [review for review in reviews if not _is_asked(review.pop("led_to_by"))]

    after >> (held := find_held())
    TriggerDagRunOperator.partial(
        task_id="ask_for_decision",
        trigger_dag_id=REVIEWS,
        logical_date=None,
        skip_when_already_exists=True,
    ).expand_kwargs(held)


def _is_asked(reviews: Sequence[str]) -> bool:
    """Whether one of these runs asks already. This run does not count, as it is about to end."""
    context = get_current_context()
    others = [run for run in reviews if run != context["run_id"]]
    states = ["queued", "running"]
    return bool(
        others and context["ti"].get_dr_count(dag_id=REVIEWS, run_ids=others, states=states)
    )
