"""What a guard held waits for a human in Airflow: a plan of mass disables, a poisoned feed."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.live.reviewing import (
    active,
    answer,
    assert_mailed,
    audited,
    has_account,
    held,
    mark,
    open_reviews,
    review_after,
    without_department,
)
from tests.live.running import CREATE, Live

pytestmark = pytest.mark.slow


def test_mass_leavers_are_rejected_and_then_approved_through_airflow(live: Live) -> None:
    """I6, I7, I15."""
    live.in_step()
    before, decisions = active(live), len(audited(live, "plan_%"))
    people = {p["employeeNumber"]: p for p in live.hr.persons()}
    valid = [number for number, p in people.items() if p["employeeStatus"] == "1"]
    leavers = valid[: max(22, len(valid) * 3 // 10)]
    joined: list[str] = []

    def feed() -> None:
        joined.extend(live.hr.events(join=1)["join"])
        mark(live, leavers, employeeStatus="2")

    run, asked = review_after(live, feed)
    assert asked["subject"].endswith(f"{3 * len(leavers)} account tasks are held")
    why = f"leaver: status no longer valid 离职：状态不再有效: {len(leavers)}"
    assert f"| idaas | disable 禁用 | {len(leavers)} | {why} |" in asked["body"]
    assert f"{len(leavers)} of {before} active accounts, more than 20 %" in asked["body"]
    named = re.findall(
        rf"\| ([\d, ]+) and {len(leavers) - 10} more / 另有 \d+ 人 \|", asked["body"]
    )
    assert len(named) == 3  # targets
    assert all(len(set(leavers).intersection(people.split(", "))) == 10 for people in named)
    assert not [number for number in leavers if people[number]["fullName"] in asked["body"]]
    assert_mailed(live, run, asked)

    live.wait("the joiner's account", lambda: active(live) == before + 1)
    assert has_account(live, joined[0])
    assert live.stack.api.run(run.dag_id, run.run_id).is_open
    answer(live, run, "Reject", "HR's export was broken")
    assert held(live) == 0

    run, asked = review_after(live, lambda: mark(live, leavers, disableDate="2026-01-31"))
    assert f"| left 已离职: {len(leavers)} |" in asked["body"]
    assert live.ended(live.trigger(CREATE)).state == "success"  # no schedule waits for a human
    assert open_reviews(live) == [run.run_id]  # nor is anybody asked twice
    assert active(live) == before + 1
    answer(live, run, "Approve", "the office closes")
    live.settle()
    assert active(live) == before + 1 - len(leavers)
    decided = [mail["subject"] for mail in live.mails(run) if "by admin" in mail["subject"]]
    assert len(decided) == 1
    assert audited(live, "plan_%")[decisions:] == [
        ("admin", "plan_rejected", "HR's export was broken"),
        ("admin", "plan_approved", "the office closes"),
    ]

    run, asked = review_after(live, lambda: mark(live, leavers))  # all a mistake
    assert f"- leave_date: {len(leavers)} of " in asked["body"]
    fed = run
    run, asked = review_after(live, lambda: answer(live, fed, "Approve", "they stay"))
    assert "| idaas | enable 启用 |" in asked["body"]  # so many at once are held, too
    answer(live, run, "Approve", "they stay")
    live.settle()  # whom we disabled we enable (I11)
    assert active(live) == before + 1


def test_a_held_feed_is_merged_after_an_approval_through_airflow(live: Live) -> None:
    """I7: exactly what was read then; nobody loses anything by it."""
    live.in_step()
    before, persons = active(live), live.hr.persons()
    numbers = [p["employeeNumber"] for p in persons if p["employeeStatus"] == "1"][:22]
    original = [p for p in persons if p["employeeNumber"] in numbers]

    run, asked = review_after(live, lambda: mark(live, numbers, personDept=[]))
    assert asked["subject"].endswith(" of hieds is held")
    lost = r"- department_code: 22 of \d+ persons lose it, allowed are 10 %"
    assert re.search(lost, asked["body"])
    assert asked["assigned_users"] == [{"id": "admin", "name": "admin"}]
    assert without_department(live) == 0
    answer(live, run, "Approve", "they are between departments")
    assert without_department(live) == 22
    live.settle()
    assert live.woken(CREATE, run.run_id)
    assert active(live) == before
    assert audited(live, "feed_%")[-1:] == [
        ("admin", "feed_approved", "they are between departments")
    ]

    now = datetime.now(ZoneInfo("Asia/Shanghai"))
    live.hr.put_persons(*(p | {"lastUpdateDate": f"{now:%Y-%m-%d %H:%M:%S}"} for p in original))
    live.in_step()
    assert (without_department(live), active(live)) == (0, before)
