"""Reviews as the live tests bring them about, see them and answer them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.live.running import SYNC, DagRun, Live

REVIEW = "review_held_changes"


def without_department(live: Live) -> int:
    query = "SELECT count(*) AS n FROM accountsync.person WHERE department_code IS NULL"
    return int(live.rows(query)[0]["n"])


def mark(live: Live, numbers: list[str], **fields: Any) -> None:
    """HR edits these people; what is not named is as of anybody who works."""
    people = {p["employeeNumber"]: p for p in live.hr.persons()}
    now = datetime.now(ZoneInfo("Asia/Shanghai"))
    changed = {"employeeStatus": "1", "disableDate": None, **fields}
    changed["lastUpdateDate"] = f"{now:%Y-%m-%d %H:%M:%S}"
    live.hr.put_persons(*(people[number] | changed for number in numbers))


def review_after(live: Live, feed: Callable[[], None]) -> tuple[DagRun, Any]:
    """The one run that asks, and its question."""
    known = {run.run_id for run in live.stack.api.runs(REVIEW)}
    feed()
    live.ended(live.trigger(SYNC))

    def asked() -> tuple[DagRun, Any] | None:
        runs = [run for run in live.stack.api.runs(REVIEW) if run.run_id not in known]
        assert len(runs) <= 1
        open_ones = questions(live, runs[0]) if runs else []
        return (runs[0], open_ones[0]) if open_ones else None

    found: tuple[DagRun, Any] = live.wait("a review in Airflow", asked)
    return found


def open_reviews(live: Live) -> list[str]:
    return [run.run_id for run in live.stack.api.runs(REVIEW) if run.is_open]


def questions(live: Live, run: DagRun) -> list[Any]:
    """Under Required Actions. An answer that comes before the scheduler has heard of the parking
    looks like a crash to Airflow 3.3.2, which then asks again; humans are slower."""
    path = f"dags/{run.dag_id}/dagRuns/{run.run_id}/hitlDetails"
    heard = (
        "Received executor event with state success for task instance"
        f" TaskInstanceKey(dag_id='{REVIEW}', task_id='decide', run_id='{run.run_id}',"
    )
    parked = heard in (live.folder / "logs" / "scheduler.log").read_text(encoding="utf-8")
    return live.rest("GET", path)["hitl_details"] if parked else []


def answer(live: Live, run: DagRun, option: str, comment: str) -> None:
    assert reply(live, run, option, comment).state == "success"


def reply(live: Live, run: DagRun, option: str, comment: str) -> DagRun:
    """The run after its answer: it fails where what it asked about is not held any more."""
    path = f"dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/decide/-1/hitlDetails"
    body = {"chosen_options": [option], "params_input": {"comment": comment}}
    live.rest("PATCH", path, body)
    return live.ended(run)


def assert_mailed(live: Live, run: DagRun, asked: Any) -> None:
    """One mail, to the receivers of alerts, with the question and the way to the answer."""

    def mailed() -> list[Any]:
        return [mail for mail in live.mails(run) if "please decide" in mail["subject"]]

    (mail,) = live.wait("the reviewers' mail", mailed)
    assert asked["subject"] in mail["subject"]
    assert "20 %" in mail["html"]
    assert "<td>idaas</td>" in mail["html"]
    assert "批准（Approve）" in mail["html"]
    assert f"/dags/{run.dag_id}/runs/{run.run_id}" in mail["html"]


def audited(live: Live, actions: str) -> list[tuple[str, str, str]]:
    events = live.rows(
        "SELECT actor, action, details ->> 'comment' AS comment FROM accountsync.audit_event"
        " WHERE action LIKE %s ORDER BY id",
        actions,
    )
    return [(event["actor"], event["action"], event["comment"]) for event in events]


def active(live: Live) -> int:
    query = (
        "SELECT count(*) AS n FROM accountsync.account WHERE system = 'idaas' AND state = 'active'"
    )
    return int(live.rows(query)[0]["n"])


def held(live: Live) -> int:
    query = "SELECT count(*) AS n FROM accountsync.account_task WHERE state = 'held'"
    return int(live.rows(query)[0]["n"])


def has_account(live: Live, number: str) -> bool:
    query = (
        "SELECT 1 FROM accountsync.account a JOIN accountsync.person p ON p.id = a.person_id"
        " WHERE p.employee_number = %s AND a.system = 'idaas'"
    )
    return bool(live.rows(query, number))
