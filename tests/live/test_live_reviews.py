"""A feed marks three in ten as left: joiners go on, the disables wait for a human in Airflow."""

from __future__ import annotations

from typing import Any

import pytest

from tests.live.running import SYNC, DagRun, Live

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("live")]

REVIEW = "review_held_changes"


def test_mass_leavers_are_rejected_and_then_approved_through_airflow(live: Live) -> None:
    """I6, I7."""
    live.in_step()
    before = _active(live)
    run, leavers, joiner = _mass_leavers(live)
    assert _detail(live, run)["subject"].endswith("account tasks are held")
    assert leavers[0] in _detail(live, run)["body"]
    live.wait("the joiner's account", lambda: _has_account(live, joiner))
    assert _active(live) == before + 1
    assert live.stack.api.run(run.dag_id, run.run_id).is_open  # and no schedule waits for it
    assert live.ended(live.trigger("create_account_tasks")).state == "success"

    _answer(live, run, "Reject", "HR's export was broken")
    assert live.ended(run).state == "success"
    assert _held(live) == 0
    live.ended(live.trigger("create_account_tasks"))
    assert (_held(live), _active(live)) == (0, before + 1)

    _mark(live, leavers, "3")  # another status, the same wish: nothing about the task changed
    live.ended(live.trigger(SYNC))
    live.wait("quiet", lambda: _open_reviews(live) == [], 60)
    assert _active(live) == before + 1

    _mark(live, leavers, "1")
    live.in_step()
    run = _review_after(live, lambda: _leave(live, leavers))
    _answer(live, run, "Approve", "the office closes")
    assert live.ended(run).state == "success"
    live.settle()
    assert _active(live) == before + 1 - len(leavers)
    decided = live.rows(
        "SELECT actor, action, details FROM accountsync.audit_event"
        " WHERE action LIKE 'plan_%%' ORDER BY id"
    )
    assert [event["action"] for event in decided] == ["plan_rejected", "plan_approved"]
    assert {event["actor"] for event in decided} == {"admin"}
    assert decided[1]["details"]["comment"] == "the office closes"
    assert any("please decide" in mail["subject"] for mail in live.mail.mails())


def _mass_leavers(live: Live) -> tuple[DagRun, list[str], str]:
    valid = [p["employeeNumber"] for p in live.hr.persons() if p["employeeStatus"] == "1"]
    leavers = valid[: len(valid) * 3 // 10]
    known = {p["employeeNumber"] for p in live.hr.persons()}

    def feed() -> None:
        live.hr.events(join=1)
        _mark(live, leavers, "2")

    run = _review_after(live, feed)
    joiner = next(p for p in live.hr.persons() if p["employeeNumber"] not in known)
    return run, leavers, joiner["employeeNumber"]


def _leave(live: Live, numbers: list[str]) -> None:
    people = {p["employeeNumber"]: p for p in live.hr.persons()}
    day = "2026-01-31"
    live.hr.put_persons(
        *(people[n] | {"disableDate": day, "lastUpdateDate": _stamp(live)} for n in numbers)
    )


def _mark(live: Live, numbers: list[str], status: str) -> None:
    people = {p["employeeNumber"]: p for p in live.hr.persons()}
    changed = {"employeeStatus": status, "disableDate": None, "lastUpdateDate": _stamp(live)}
    live.hr.put_persons(*(people[n] | changed for n in numbers))


def _stamp(live: Live) -> str:
    """HR's own clock."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    return datetime.now(ZoneInfo("Asia/Shanghai")).strftime("%Y-%m-%d %H:%M:%S")


def _review_after(live: Live, feed: Any) -> DagRun:
    known = {run.run_id for run in live.stack.api.runs(REVIEW)}
    feed()
    live.ended(live.trigger(SYNC))

    def asked() -> DagRun | None:
        runs = [run for run in _open_reviews(live) if run.run_id not in known]
        return runs[0] if runs and _details(live, runs[0]) else None

    found: DagRun = live.wait("a review in Airflow", asked, 120)
    return found


def _open_reviews(live: Live) -> list[DagRun]:
    return [run for run in live.stack.api.runs(REVIEW) if run.is_open]


def _details(live: Live, run: DagRun) -> list[Any]:
    path = f"dags/{run.dag_id}/dagRuns/{run.run_id}/hitlDetails"
    return list(live.rest("GET", path)["hitl_details"])


def _detail(live: Live, run: DagRun) -> Any:
    return _details(live, run)[0]


def _answer(live: Live, run: DagRun, option: str, comment: str) -> None:
    path = f"dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/decide/-1/hitlDetails"
    body = {"chosen_options": [option], "params_input": {"comment": comment}}
    live.rest("PATCH", path, body)


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
