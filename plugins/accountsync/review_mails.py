"""The mails about reviews: a question was asked, it was decided, nobody is shown it.

Every parse of a DAG file imports this module, so it imports little. A mail that cannot be sent is
logged only: the question is under Required Actions in any case, and the decision is carried out.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from accountsync.failure_mail import TaskContext, mail_to_operators, url_of_run
from accountsync.settings import process_settings

log = logging.getLogger(__name__)

_ASKED = "[AccountSync] {{ shown.subject }}: please decide / 请审批"
_NOTICE = "[AccountSync] {{ notice.subject }}"
_CHINESE = {True: "已批准", False: "已拒绝"}
_THINGS = {"plan": ("Plan", "计划"), "feed": ("Feed", "HR 数据")}
_NOT_MARKDOWN = ["link", "image", "autolink", "reference", "entity"]
"""What could lead away from the mail, or load something from outside."""


def ask_reviewers(context: TaskContext) -> None:
    """Sends what the task is about to show."""
    task = context["task"]
    shown = {"subject": task.subject, "body": task.body}
    facts = {"shown": shown, "body": rendered(task.body), "run_url": url_of_run(context)}
    _send(context, facts, subject=_ASKED, template="review_mail.html")


def rendered(body: str) -> str:
    """Markdown as HTML without links and images: nothing in it leads anywhere, or is loaded."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable(_NOT_MARKDOWN)
    return str(markdown.render(body))


def tell_decision(context: TaskContext, *, decided: Any) -> None:
    """Says what was decided by whom. Whoever answered at the same moment, or later, learns by it
    whose answer stands."""
    (english, chinese), number = _THINGS[decided.kind], decided.number
    verb = "approved" if decided.approved else "rejected"
    lines = [
        f"{english} {number} was {verb} by {decided.actor}. This is carried out; any other answer"
        " about it does nothing.",
        f"{chinese} {number} {_CHINESE[decided.approved]}（{decided.actor}），并已执行；"
        "对它的其他答复无效。",
    ]
    if anew := decided.planned_anew:
        lines += [
            f"{anew} of its tasks do not go on: something about their persons changed since they"
            " were shown, so they are planned anew; what is held then is a new question.",
            f"其中 {anew} 个任务没有执行：展示之后相关人员有变化，将重新计划；"
            "届时再被拦截的会另行提问。",
        ]
    if held := decided.still_held:
        lines += [
            f"{held} of its tasks are still held: they end the access of people who have left, and"
            " are asked about once more, in a run of their own.",
            f"其中 {held} 个任务仍被拦截：它们终止离职人员的访问权限，将在新的运行中再询问一次。",
        ]
    subject = f"{english} {number} {verb} by {decided.actor} / {_CHINESE[decided.approved]}"
    _notice(context, subject=subject, lines=lines)


def tell_missed(context: TaskContext, *, runs: Sequence[str]) -> None:
    """Says that questions are shown to nobody, for example because their DAG is paused."""
    listed = ", ".join(runs)
    lines = [
        f"Something is held, and nobody is shown the question: {listed}. Look whether"
        " review_held_changes is paused, whether a worker is free, and whether somebody started"
        " many runs of it. Until then what is held waits.",
        f"有内容被拦截，但没有人看到审批问题：{listed}。请检查 review_held_changes 是否被暂停、"
        "是否有空闲的 worker，以及是否有人启动了大量运行。在此之前，被拦截的内容会一直等待。",
    ]
    _notice(context, subject="nobody is asked about what is held / 审批问题未显示", lines=lines)


def _notice(context: TaskContext, *, subject: str, lines: Sequence[str]) -> None:
    facts = {"notice": {"subject": subject, "lines": lines}, "run_url": url_of_run(context)}
    _send(context, facts, subject=_NOTICE, template="notice_mail.html")


def _send(context: TaskContext, facts: dict[str, Any], *, subject: str, template: str) -> None:
    if not process_settings().alerts.to:
        return
    send = mail_to_operators(subject=subject, template=template)
    try:
        send(dict(context) | facts)
    except Exception as error:  # noqa: BLE001 - whatever a mail server and its client come up with
        log.error("event=mail_not_sent run=%s error=%s", context["run_id"], type(error).__name__)
