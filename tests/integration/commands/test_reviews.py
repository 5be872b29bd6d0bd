"""What a human is asked about a held plan or feed, and what the answer does (I7)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from typer.testing import CliRunner

from accountsync.__main__ import app
from accountsync.clock import utc_now
from accountsync.errors import SafetyStopError
from accountsync.jobs.commands import reviews
from accountsync.jobs.commands.reviews import Decision, Kind, Pending, Review
from accountsync.review_mails import rendered
from tests.integration.persons.hr_world import HrWorld
from tests.integration.persons.test_hr_sync_windows import last_hours
from tests.integration.tasks.targets_world import TargetsWorld
from tests.integration.world import REPOSITORY, World

BLANK: dict[str, Any] = {"personDept": []}


_LEFT = "leaver: status no longer valid 离职：状态不再有效"


def _decide(world: World, kind: Kind, number: int, *, approved: bool, reviewed: str) -> int:
    return reviews.decide(
        engine=world.engine,
        settings=world.settings,
        kind=kind,
        number=number,
        decision=Decision(approved=approved, actor="ann", comment="HR says so", reviewed=reviewed),
        clock=utc_now,
    )


def _asked(world: World) -> tuple[Kind, int, Review]:
    (one,) = reviews.pending(engine=world.engine)
    review = reviews.describe(engine=world.engine, kind=one.kind, number=one.number)
    return one.kind, one.number, review


def _audited(world: World) -> tuple[Any, ...]:
    event = world.rows("SELECT * FROM accountsync.audit_event ORDER BY id DESC LIMIT 1")[0]
    return event["actor"], event["action"], event["details"]["comment"]


def _leave(world: TargetsWorld, persons: int) -> list[str]:
    """As a sync would record it. Returns their employee numbers."""
    world.execute(
        "UPDATE accountsync.person SET status = '9', revision = revision + 1 WHERE id IN"
        " (SELECT person_id FROM accountsync.account WHERE system = 'idaas'"
        "  ORDER BY person_id LIMIT :persons)",
        persons=persons,
    )
    rows = world.rows("SELECT employee_number FROM accountsync.person WHERE status = '9'")
    return [row["employee_number"] for row in rows]


def test_a_held_plan_is_shown_with_how_many_whom_and_why(planned: TargetsWorld) -> None:
    """I15: people by their numbers, not by their names."""
    planned.drain()
    leavers = _leave(planned, 14)
    plan = planned.plan()
    kind, number, review = _asked(planned)
    assert (kind, number) == ("plan", plan.plan_id)
    assert review.subject == f"Plan {number}: 42 account tasks are held"
    for target in ("idaas", "welink", "email"):
        why = f"{_LEFT}: 14 | disables (42 %): 14 of "
        assert f"| {target} | disable 禁用 | 14 | {why}" in review.body
    assert re.search(
        r"14 of (\d+) active accounts, more than 20 %"
        r" 禁用 \(42 %\)：\1 个启用账号中的 14 个，超过 20 %",
        review.body,
    )
    shown = sorted(leavers)[:10]
    assert f"| {', '.join(shown)} and 4 more / 另有 4 人 |" in review.body
    names = planned.rows("SELECT full_name FROM accountsync.person")
    assert not [row for row in names if row["full_name"] in review.body]


def test_the_list_says_what_a_dry_run_would_hold(
    planned: TargetsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned.drain()
    planned.plan()
    planned.drain()
    _leave(planned, 14)
    planned.plan(dry_run=True)
    url = planned.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("ACCOUNTSYNC_DATABASE_URL", url)
    monkeypatch.setenv("ACCOUNTSYNC_CONFIG", str(REPOSITORY / "config" / "accountsync.yaml"))
    listed = CliRunner().invoke(app, ["plan", "list"]).output.splitlines()
    assert listed[0].endswith("dry_run  14 persons, 42 tasks, 42 would be held")
    assert listed[1].endswith(", 0 held")


@pytest.mark.parametrize("approved", [True, False])
def test_the_answer_about_a_plan_is_carried_out_once_and_audited(
    planned: TargetsWorld, approved: bool
) -> None:
    planned.drain()
    _leave(planned, 10)
    planned.plan()
    kind, number, review = _asked(planned)
    assert _decide(planned, kind, number, approved=approved, reviewed=review.reviewed) == 30
    assert _audited(planned) == ("ann", f"plan_{'approved' if approved else 'rejected'}",
                                 "HR says so")  # fmt: skip
    planned.drain()
    disabled = "SELECT count(*) FROM accountsync.account WHERE state = 'disabled'"
    assert planned.scalar(disabled) == (30 if approved else 0)
    assert reviews.pending(engine=planned.engine) == []
    with pytest.raises(SafetyStopError, match="is not held: it is"):
        _decide(planned, kind, number, approved=True, reviewed=review.reviewed)


def _hold_feed(world: HrWorld) -> list[str]:
    """Of 25 people HR has lost the department, and it says nonsense of another. Returns their
    employee numbers."""
    world.sync()
    world.change(world.hr.persons()[30], originalHireDate="2025-13-45")
    lost = [world.change(row, **BLANK)["employeeNumber"] for row in world.hr.persons()[:25]]
    with pytest.raises(SafetyStopError, match="is held"):
        world.sync("full")
    return [str(number) for number in lost]


def test_a_held_feed_is_shown_with_how_many_whom_and_why(world: HrWorld) -> None:
    lost = _hold_feed(world)
    kind, number, review = _asked(world)
    assert kind == "feed"
    assert review.subject == f"Feed {number} of hieds is held"
    assert "25 to update" in review.body
    assert "department_code: 25 changed, 25 emptied" in review.body
    assert any(one in review.body for one in lost)
    assert "department_code: 25 of 39 persons lose it, allowed are 10 %" in review.body
    assert "39 人中有 25 人该字段变空，允许 10 %" in review.body
    assert (
        "1: hire_date: is not a date of the calendar hire_date：日历中没有这个日期; e.g. 00100031"
        in review.body
    )


def test_what_hr_writes_is_text_in_a_question(world: HrWorld) -> None:
    """I20: a code of HR's is no link to press, an employee number no heading and no picture."""
    evil = "[Approve](http://evil.example/approve)"
    for place, row in enumerate(world.hr.persons()[:25]):
        number = f"{place}\n\n# Approve | ![i](http://evil.example/i.png)"
        world.change(row, employeeNumber=number)
    world.sync()
    for row in world.hr.persons()[:25]:
        world.change(row, personDept=[{"department_code": evil}])
    with pytest.raises(SafetyStopError, match="is held"):
        world.sync("full")
    body = _asked(world)[2].body
    assert "`[Approve](http:\\x2f\\x2fevil.example/approve)`: " in body
    assert " # Approve \\x7c ![i](http:\\x2f\\x2fevil.example/i.png)`" in body
    html = rendered(body)
    assert "href" not in html
    assert "<img" not in html
    assert "<h1>" not in html


@pytest.mark.parametrize("approved", [True, False])
def test_the_answer_about_a_feed_is_carried_out_once_and_audited(
    world: HrWorld, approved: bool
) -> None:
    """Rejected, nothing of it is merged."""
    _hold_feed(world)
    kind, number, review = _asked(world)
    with pytest.raises(SafetyStopError, match="not what was reviewed"):
        _decide(world, kind, number, approved=approved, reviewed="something else")
    assert reviews.pending(engine=world.engine) == [Pending(kind="feed", number=number)]
    _decide(world, kind, number, approved=approved, reviewed=review.reviewed)
    without = "SELECT count(*) FROM accountsync.person WHERE department_code IS NULL"
    assert world.scalar(without) == (25 if approved else 0)
    assert _audited(world) == ("ann", f"feed_{'approved' if approved else 'rejected'}",
                               "HR says so")  # fmt: skip
    with pytest.raises(SafetyStopError):
        _decide(world, kind, number, approved=True, reviewed=review.reviewed)
    with pytest.raises(SafetyStopError, match="is held no more: .* nothing has to be decided"):
        reviews.describe(engine=world.engine, kind=kind, number=number)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"mode": "full"}, "Until then changes are read on"),
        ({"mode": "incremental"}, "Until then nothing newer of this source is merged"),
        ({"window": last_hours(1, -1)}, "Everything else of this source goes on"),
    ],
    ids=["full", "incremental", "window"],
)
def test_a_review_says_who_waits_for_it(world: HrWorld, asked: dict[str, Any], said: str) -> None:
    world.sync()
    for row in world.hr.persons()[:25]:
        world.change(row, **BLANK)
    with pytest.raises(SafetyStopError, match="is held"):
        world.sync(**asked)
    assert said in _asked(world)[2].body


def test_changes_that_are_held_with_more_and_more_are_one_question(world: HrWorld) -> None:
    """I7: no run fails of what a human is asked about already, and who answers about an old one is
    led to the newest; after a decision it is another question."""
    world.sync()
    for row in world.hr.persons()[:25]:
        world.change(row, **BLANK)
    with pytest.raises(SafetyStopError, match="is held"):
        world.sync("auto")
    (first,) = reviews.pending(engine=world.engine)
    shown = reviews.describe(engine=world.engine, kind="feed", number=first.number)
    for name in ("王五", "赵六"):
        world.change(world.hr.persons()[30], fullName=name)
        assert world.sync("auto").stopped_by
    (last,) = reviews.pending(engine=world.engine)
    assert last.in_place_of == (first.number, first.number + 1)
    with pytest.raises(SafetyStopError, match=rf"Held now is feed {last.number}: decide"):
        _decide(world, "feed", first.number, approved=True, reviewed=shown.reviewed)
    with pytest.raises(SafetyStopError, match="is held"):
        world.sync("full")  # who missed the question is asked once more with each full read
    (full,) = reviews.pending(engine=world.engine)
    assert full.in_place_of == (*last.in_place_of, last.number)
    review = reviews.describe(engine=world.engine, kind="feed", number=full.number)
    _decide(world, "feed", full.number, approved=False, reviewed=review.reviewed)
    world.change(world.hr.persons()[30], fullName="孙七")
    with pytest.raises(SafetyStopError, match="is held"):
        world.sync("auto")
    (another,) = reviews.pending(engine=world.engine)
    assert another.in_place_of == ()
