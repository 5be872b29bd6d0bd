"""I20: who may not decide decides nothing, and keeps nobody from being asked; with real roles."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from demo.http_json import AnswerError
from tests.live.reviewing import (
    REVIEW,
    answer,
    audited,
    held,
    mark,
    open_reviews,
    questions,
    reply,
    review_after,
)
from tests.live.running import CREATE, ROLES, SYNC, DagRun, Live

pytestmark = pytest.mark.slow

FORGED = {
    "chosen_options": ["Approve"],
    "params_input": {"comment": "forged"},
    "responded_by_user": {"id": "admin", "name": "admin"},
    "responded_at": "2026-11-30T10:00:00+00:00",
}


@pytest.fixture
def leavers(live: Live) -> Iterator[list[str]]:
    """So many that the guard holds them; afterwards they all stay."""
    live.in_step()
    people = live.hr.persons()
    valid = [p["employeeNumber"] for p in people if p["employeeStatus"] == "1"]
    chosen = valid[: max(22, len(valid) * 3 // 10)]
    yield chosen
    mark(live, chosen)
    live.ended(live.trigger(SYNC))
    live.wait("nothing to be held", lambda: _approve_all(live))
    live.in_step()


def _approve_all(live: Live) -> bool:
    """So many who come back are held as well."""
    for run in live.stack.api.runs(REVIEW):
        if run.is_open and questions(live, run):
            reply(live, run, "Approve", "cleaning up")
    if open_reviews(live) or held(live):
        return False
    live.ended(live.trigger(CREATE))  # what an answer has merged is planned
    return not open_reviews(live) and held(live) == 0


def test_nobody_decides_who_is_not_named(live: Live, leavers: list[str]) -> None:
    run, _ = review_after(live, lambda: mark(live, leavers, employeeStatus="2"))
    number = int(run.run_id.split("-")[1])
    waiting, before = held(live), len(audited(live, "%"))
    tokens = {user: live.login(user) for user in ROLES}
    task = f"dags/{REVIEW}/dagRuns/{run.run_id}/taskInstances/decide"

    for token in tokens.values():
        body = {"chosen_options": ["Approve"], "params_input": {"comment": "mine"}}
        assert _status(live, "PATCH", f"{task}/-1/hitlDetails", body, token) == 403

    # What the answer and the question were read from before.
    for key, value in (("return_value", FORGED), ("answer", FORGED)):
        body = {"key": key, "map_index": -1, "value": value}
        assert _status(live, "POST", f"{task}/xcomEntries", body, tokens["vera"]) == 403
        assert _status(live, "POST", f"{task}/xcomEntries", body, tokens["uma"]) == 200
    assert _status(live, "PATCH", task, {"new_state": "success"}, tokens["vera"]) == 403
    assert _status(live, "PATCH", task, {"new_state": "success"}, tokens["uma"]) == 200
    assert live.ended(run).state == "success"
    assert live.task(run, "announce_tasks")["state"] == "skipped"
    _expect_nothing_decided(live, waiting, before)

    # The run that was silenced asks itself, before it ends, for another one.
    again = _asked_again(live, run)
    assert again.run_id.split("-")[:2] == ["plan", str(number)]

    # Runs of one's own making, with what a question had for an id, and with ours.
    for named in (f"plan-{number}", f"plan-{number}-0123456789abcdef", f"plan-{number + 1}"):
        made = _made(live, named, {"kind": "plan", "number": number}, tokens["uma"])
        assert live.ended(made).state == "failed"
        assert live.task(made, "decide")["try_number"] == 1
    mails = live.wait("the mail about it", lambda: live.mails(made))
    assert "this run was not started by AccountSync" in mails[0]["html"]

    # Cleared, the first run has nothing to ask any more.
    for who in ("uma", "otto", "ada"):
        _clear(live, run, tokens[who])
        assert live.ended(run).state == "failed"
    _expect_nothing_decided(live, waiting, before)

    # Deleted, and made again by hand under the id that only we gave.
    path = f"dags/{REVIEW}/dagRuns/{again.run_id}"
    assert _status(live, "DELETE", path, None, tokens["uma"]) in (200, 409)
    if not _exists(live, again):
        made = _made(live, again.run_id, {"kind": "plan", "number": number}, tokens["uma"])
        assert live.ended(made).state == "failed"
    _expect_nothing_decided(live, waiting, before)

    live.ended(live.trigger(CREATE))
    (open_one,) = open_reviews(live)
    last = live.stack.api.run(REVIEW, open_one)
    live.wait("the question", lambda: questions(live, last))
    answer(live, last, "Reject", "they stay")
    assert held(live) == 0
    assert audited(live, "plan_%")[-1] == ("admin", "plan_rejected", "they stay")


def test_of_two_answers_at_once_one_stands_and_everybody_is_told(
    live: Live, leavers: list[str]
) -> None:
    run, _ = review_after(live, lambda: mark(live, leavers, disableDate="2026-01-31"))
    path = f"dags/{REVIEW}/dagRuns/{run.run_id}/taskInstances/decide/-1/hitlDetails"
    before = len(audited(live, "plan_%"))

    def status_of(option: str) -> int:
        body = {"chosen_options": [option], "params_input": {"comment": option}}
        return _status(live, "PATCH", path, body, live.token)

    assert live.token
    with ThreadPoolExecutor(3) as together:
        statuses = sorted(together.map(status_of, ["Reject", "Approve", "Reject"]))
    assert statuses[0] == 200
    assert set(statuses) <= {200, 409}
    live.wait("the end", lambda: not live.stack.api.run(REVIEW, run.run_id).is_open)
    recorded = live.rest("GET", path)["chosen_options"]
    decided = audited(live, "plan_%")[before:]
    assert len(decided) == 1
    verb = "approved" if recorded == ["Approve"] else "rejected"
    assert decided[0][:2] == ("admin", f"plan_{verb}")
    assert audited(live, "review_answered")[-1][0] == "admin"
    (mail,) = live.wait("the mail", lambda: [m for m in live.mails(run) if verb in m["subject"]])
    assert f"{verb} by admin" in mail["html"]
    assert status_of("Approve") == 409


def _expect_nothing_decided(live: Live, waiting: int, before: int) -> None:
    assert held(live) == waiting
    assert len(audited(live, "%")) == before


def _asked_again(live: Live, run: DagRun) -> DagRun:
    def another() -> DagRun | None:
        runs = [one for one in live.stack.api.runs(REVIEW) if one.is_open]
        others = [one for one in runs if one.run_id != run.run_id]
        assert len(others) <= 1
        return others[0] if others and questions(live, others[0]) else None

    found: DagRun = live.wait("the question to be asked again", another)
    return found


def _made(live: Live, run_id: str, conf: dict[str, Any], token: str) -> DagRun:
    body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
    live.rest("POST", f"dags/{REVIEW}/dagRuns", body, token=token)
    return live.stack.api.run(REVIEW, run_id)


def _clear(live: Live, run: DagRun, token: str) -> None:
    body = {
        "dry_run": False,
        "dag_run_id": run.run_id,
        "task_ids": ["decide"],
        "include_downstream": True,
        "only_failed": False,
        "reset_dag_runs": True,
    }
    live.rest("POST", f"dags/{REVIEW}/clearTaskInstances", body, token=token)
    time.sleep(1)


def _exists(live: Live, run: DagRun) -> bool:
    return _status(live, "GET", f"dags/{REVIEW}/dagRuns/{run.run_id}", None, live.token) == 200


def _status(live: Live, method: str, path: str, body: Any, token: str) -> int:
    """The status of an answer. Every success counts as 200."""
    try:
        live.rest(method, path, body, token=token)
    except AnswerError as error:
        return int(re.findall(r": (\d{3}) ", str(error))[0])
    return 200
