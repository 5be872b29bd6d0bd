"""What a guard held waits for a human in Airflow: a plan of mass disables, a poisoned feed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.live.running import CREATE, SYNC, DagRun, Live

pytestmark = pytest.mark.slow

REVIEW = "review_held_changes"


def test_mass_leavers_are_rejected_and_then_approved_through_airflow(live: Live) -> None:
    """I6, I7, I15."""
    live.in_step()
    before = _active(live)
    people = {p["employeeNumber"]: p for p in live.hr.persons()}
    valid = [number for number, p in people.items() if p["employeeStatus"] == "1"]
    leavers = valid[: max(22, len(valid) * 3 // 10)]
    joined: list[str] = []

    def feed() -> None:
        joined.extend(live.hr.events(join=1)["join"])
        _mark(live, leavers, employeeStatus="2")

    run, asked = _review_after(live, feed)
    assert asked["subject"].endswith(f"{3 * len(leavers)} account tasks are held")
    why = f"rule no longer holds 不再符合授权规则: {len(leavers)}"
    assert f"| idaas | disable 禁用 | {len(leavers)} | {why} |" in asked["body"]
    assert f"{len(leavers)} of {before} active accounts, more than 20 %" in asked["body"]
    named = re.findall(
        rf"\| ([\d, ]+) and {len(leavers) - 10} more / 另有 \d+ 人 \|", asked["body"]
    )
    assert len(named) == 3  # targets
    assert all(len(set(leavers).intersection(people.split(", "))) == 10 for people in named)
    assert not [number for number in leavers if people[number]["fullName"] in asked["body"]]
    _assert_mailed(live, run, asked)

    live.wait("the joiner's account", lambda: _active(live) == before + 1)
    assert _has_account(live, joined[0])
    assert live.stack.api.run(run.dag_id, run.run_id).is_open
    _answer(live, run, "Reject", "HR's export was broken")
    assert _held(live) == 0

    run, asked = _review_after(live, lambda: _mark(live, leavers, disableDate="2026-01-31"))
    assert f"| left 已离职: {len(leavers)} |" in asked["body"]
    assert live.ended(live.trigger(CREATE)).state == "success"  # no schedule waits for a human
    assert _open_reviews(live) == [run.run_id]  # nor is anybody asked twice
    assert _active(live) == before + 1
    _answer(live, run, "Approve", "the office closes")
    live.settle()
    assert _active(live) == before + 1 - len(leavers)
    assert _audited(live, "plan_%") == [
        ("admin", "plan_rejected", "HR's export was broken"),
        ("admin", "plan_approved", "the office closes"),
    ]

    run, asked = _review_after(live, lambda: _mark(live, leavers))  # all a mistake
    assert f"- leave_date: {len(leavers)} of " in asked["body"]
    _answer(live, run, "Approve", "they stay")
    live.settle()  # whom we disabled we enable (I11)
    assert _active(live) == before + 1


def test_a_held_feed_is_merged_after_an_approval_through_airflow(live: Live) -> None:
    """I7: exactly what was read then; nobody loses anything by it."""
    live.in_step()
    before, persons = _active(live), live.hr.persons()
    numbers = [p["employeeNumber"] for p in persons if p["employeeStatus"] == "1"][:22]
    original = [p for p in persons if p["employeeNumber"] in numbers]

    run, asked = _review_after(live, lambda: _mark(live, numbers, personDept=[]))
    assert asked["subject"].endswith(" of hieds is held")
    lost = r"- department_code: 22 of \d+ persons lose it, allowed are 10 %"
    assert re.search(lost, asked["body"])
    assert asked["assigned_users"] == [{"id": "admin", "name": "admin"}]
    assert _without_department(live) == 0
    _answer(live, run, "Approve", "they are between departments")
    assert _without_department(live) == 22
    live.settle()
    assert live.woken(CREATE, run.run_id)
    assert _active(live) == before
    assert _audited(live, "feed_%")[-1:] == [
        ("admin", "feed_approved", "they are between departments")
    ]

    now = datetime.now(ZoneInfo("Asia/Shanghai"))
    live.hr.put_persons(*(p | {"lastUpdateDate": f"{now:%Y-%m-%d %H:%M:%S}"} for p in original))
    live.in_step()
    assert (_without_department(live), _active(live)) == (0, before)


def _without_department(live: Live) -> int:
    query = "SELECT count(*) AS n FROM accountsync.person WHERE department_code IS NULL"
    return int(live.rows(query)[0]["n"])


def _mark(live: Live, numbers: list[str], **fields: Any) -> None:
    """HR edits these people; what is not named is as of anybody who works."""
    people = {p["employeeNumber"]: p for p in live.hr.persons()}
    now = datetime.now(ZoneInfo("Asia/Shanghai"))
    changed = {"employeeStatus": "1", "disableDate": None, **fields}
    changed["lastUpdateDate"] = f"{now:%Y-%m-%d %H:%M:%S}"
    live.hr.put_persons(*(people[number] | changed for number in numbers))


def _review_after(live: Live, feed: Callable[[], None]) -> tuple[DagRun, Any]:
    """The one run that asks, and its question."""
    known = {run.run_id for run in live.stack.api.runs(REVIEW)}
    feed()
    live.ended(live.trigger(SYNC))

    def asked() -> tuple[DagRun, Any] | None:
        runs = [run for run in live.stack.api.runs(REVIEW) if run.run_id not in known]
        assert len(runs) <= 1
        questions = _questions(live, runs[0]) if runs else []
        return (runs[0], questions[0]) if questions else None

    found: tuple[DagRun, Any] = live.wait("a review in Airflow", asked)
    return found


def _open_reviews(live: Live) -> list[str]:
    return [run.run_id for run in live.stack.api.runs(REVIEW) if run.is_open]


def _questions(live: Live, run: DagRun) -> list[Any]:
    """Under Required Actions. An answer that comes before the scheduler has heard of the parking
    looks like a crash to Airflow 3.3.2, which then asks again; humans are slower."""
    path = f"dags/{run.dag_id}/dagRuns/{run.run_id}/hitlDetails"
    heard = (
        "Received executor event with state success for task instance"
        f" TaskInstanceKey(dag_id='{REVIEW}', task_id='decide', run_id='{run.run_id}',"
    )
    parked = heard in (live.folder / "logs" / "scheduler.log").read_text(encoding="utf-8")
    return live.rest("GET", path)["hitl_details"] if parked else []


def _answer(live: Live, run: DagRun, option: str, comment: str) -> None:
    path = f"dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/decide/-1/hitlDetails"
    body = {"chosen_options": [option], "params_input": {"comment": comment}}
    live.rest("PATCH", path, body)
    assert live.ended(run).state == "success"


def _assert_mailed(live: Live, run: DagRun, asked: Any) -> None:
    """One mail, to the receivers of alerts, with the question and the way to the answer."""

    def mailed() -> list[Any]:
        return [mail for mail in live.mails(run) if "please decide" in mail["subject"]]

    (mail,) = live.wait("the reviewers' mail", mailed)
    assert asked["subject"] in mail["subject"]
    assert "20 %" in mail["html"]
    assert "<td>idaas</td>" in mail["html"]
    assert "批准（Approve）" in mail["html"]
    assert f"/dags/{run.dag_id}/runs/{run.run_id}" in mail["html"]


def _audited(live: Live, actions: str) -> list[tuple[str, str, str]]:
    events = live.rows(
        "SELECT actor, action, details ->> 'comment' AS comment FROM accountsync.audit_event"
        " WHERE action LIKE %s ORDER BY id",
        actions,
    )
    return [(event["actor"], event["action"], event["comment"]) for event in events]


def _active(live: Live) -> int:
    query = (
        "SELECT count(*) AS n FROM accountsync.account WHERE system = 'idaas' AND state = 'active'"
    )
    return int(live.rows(query)[0]["n"])


def _held(live: Live) -> int:
    query = "SELECT count(*) AS n FROM accountsync.account_task WHERE state = 'held'"
    return int(live.rows(query)[0]["n"])


def _has_account(live: Live, number: str) -> bool:
    query = (
        "SELECT 1 FROM accountsync.account a JOIN accountsync.person p ON p.id = a.person_id"
        " WHERE p.employee_number = %s AND a.system = 'idaas'"
    )
    return bool(live.rows(query, number))
