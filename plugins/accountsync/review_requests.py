"""Humans are asked about what a guard held: by a run of `review_held_changes`, and by mail.

Imported at every parse of a DAG file, so it imports little.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import TriggerRule, get_current_context, task

from accountsync.failure_mail import mail_to_operators, url_of_run
from accountsync.settings import process_settings

log = logging.getLogger(__name__)

REVIEWS = "review_held_changes"
_SUBJECT = "[AccountSync] {{ shown.subject }}: please decide / 请审批"


def ask_reviewers(context: Mapping[str, Any]) -> None:
    """A mail with what `look` has shown. Without it the question is under Required Actions all the
    same: a mail server that is down must not keep it from being asked."""
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
    """Of an operator that asks: who gets a mail, and who may answer (none: whoever may answer
    Required Actions), by the id that Airflow's auth manager gives them."""
    users = [{"id": user, "name": user} for user in process_settings().reviews.users]
    return {"notifiers": [ask_reviewers], "assigned_users": users or None}


def ask_for_decisions(*, after: Any) -> None:
    """A run of `review_held_changes` for each plan or feed that is held and that nobody is asked
    about yet, whatever became of the tasks before. Nothing waits for it."""
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
    """Whether somebody is asked already, in one of these runs: not in this one, which ends."""
    context = get_current_context()
    others = [run for run in reviews if run != context["run_id"]]
    states = ["queued", "running"]
    return bool(
        others and context["ti"].get_dr_count(dag_id=REVIEWS, run_ids=others, states=states)
    )
