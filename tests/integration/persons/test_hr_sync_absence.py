"""Absence is not leaving, unless a rule or a human says so (I4)."""

from __future__ import annotations

from typing import Any

import pytest

from accountsync.clock import utc_now
from accountsync.errors import ConfigurationError
from accountsync.jobs.persons import absences
from tests.integration.persons.hr_world import HrWorld
from tests.integration.world import HrRow, settings_with

LEAVE = {"policy": "leave", "after_snapshots": 3}
ASK = {"policy": "ask", "after_snapshots": 3}


def _vanished(world: HrWorld) -> HrRow:
    world.sync()
    row = world.hr.persons()[7]
    world.hr.vanish(row["personId"])
    return row


def _asked(world: HrWorld, **absence: Any) -> dict[str, int]:
    """Number → complete snapshots without, of those about whom a human is asked."""
    sources = settings_with({"hieds": {"absence": absence or ASK}}).hr
    found = absences.list_absent(engine=world.engine, sources=sources)
    return {one.absent.employee_number: one.absent.snapshots for one in found if one.is_asked}


def _presume(world: HrWorld, *numbers: str) -> None:
    absences.presume_left(
        engine=world.engine, numbers=numbers, actor="oper", comment="left in May", now=utc_now()
    )


def test_a_human_is_asked_after_so_many_complete_reads_and_nothing_happens_by_itself(
    world: HrWorld,
) -> None:
    row = _vanished(world)
    before = dict(world.person(row))
    asked, told = [], []
    for _ in range(4):
        told.append(world.sync("full").differences)
        asked.append(_asked(world))
    number = row["employeeNumber"]
    assert asked == [{}, {}, {number: 3}, {number: 4}]
    assert told == [{}, {}, *[{"missing": {"persons": 1, "examples": [number]}}] * 2]
    after = dict(world.person(row))
    assert before.pop("absent_since_snapshot") is None
    assert after.pop("absent_since_snapshot") is not None
    assert after == before


def test_nobody_is_asked_about_who_had_left_before(world: HrWorld) -> None:
    """Many HR systems drop leavers in the end: those of whom nobody knows would drown in them. Who
    left before the present employment began is at work."""
    rows = world.hr.persons()[:4]
    dates = {"originalHireDate": "2020-01-01", "disableDate": "2026-01-31"}
    world.change(rows[0], **dates)
    world.change(rows[1], employeeStatus="2")
    world.change(rows[2], **dates | {"originalHireDate": "2026-02-01"})
    world.sync()
    for row in rows:
        world.hr.vanish(row["personId"])
    absence = {"policy": "ask", "after_snapshots": 1}
    told = world.sync("full", absence=absence, left_statuses=["2"]).differences["missing"]
    assert told == {"persons": 2, "examples": [row["employeeNumber"] for row in rows[2:]]}
    sources = settings_with({"hieds": {"absence": absence, "left_statuses": ["2"]}}).hr
    found = absences.list_absent(engine=world.engine, sources=sources)
    asked = [one.absent.employee_number for one in found if one.is_asked]
    assert (len(found), asked) == (4, told["examples"])


def test_the_policy_keep_asks_nobody(world: HrWorld) -> None:
    _vanished(world)
    assert world.sync("full", absence={"policy": "keep", "after_snapshots": 1}).differences == {}
    assert _asked(world, policy="keep", after_snapshots=1) == {}
    assert len(_asked(world, policy="ask", after_snapshots=1)) == 1


def test_the_policy_leave_takes_for_a_leaver_whom_so_many_complete_reads_lack(
    world: HrWorld,
) -> None:
    row = _vanished(world)
    presumed = []
    for _ in range(4):
        world.sync("full", absence=LEAVE)
        person = world.person(row)
        presumed.append(person["presumed_left_at"] is not None)
    assert presumed == [False, False, True, True]
    assert (person["revision"], person["status"]) == (2, row["employeeStatus"])
    (change,) = world.rows("SELECT person_id, changes FROM accountsync.person_change")
    assert change["person_id"] == person["id"]
    assert change["changes"].keys() == {"presumed_left_at"}
    assert change["changes"]["presumed_left_at"][0] is None
    assert world.scalar("SELECT count(presumed_left_at) FROM accountsync.person") == 1


def test_reads_of_changes_windows_and_persons_lack_nobody(world: HrWorld) -> None:
    row = _vanished(world)
    world.sync("full", absence=LEAVE)
    for _ in range(4):
        world.sync("incremental", absence=LEAVE)
        world.sync(numbers=[row["employeeNumber"]], absence=LEAVE)
    assert world.person(row)["presumed_left_at"] is None


@pytest.mark.parametrize("options", [{"mode": "full"}, {"mode": "incremental"}, {"numbers": [1]}])
def test_who_is_seen_again_in_any_read_has_not_left(
    world: HrWorld, options: dict[str, Any]
) -> None:
    row = _vanished(world)
    for _ in range(3):
        world.sync("full", absence=LEAVE)
    world.change(row, emailAddress="back@example.com")
    if "numbers" in options:
        options = {"numbers": [row["employeeNumber"]]}
    world.sync(absence=LEAVE, **options)
    person = world.person(row)
    assert (person["presumed_left_at"], person["absent_since_snapshot"]) == (None, None)
    assert person["revision"] == 4
    changes = world.rows("SELECT changes FROM accountsync.person_change ORDER BY id")
    undone = [one["changes"]["presumed_left_at"] for one in changes[1:] if len(one["changes"]) == 1
              and "presumed_left_at" in one["changes"]]  # fmt: skip
    assert len(undone) == 1
    assert undone[0][1] is None
    assert world.differences() == {}


def test_somebody_whose_row_is_bad_is_not_missing(world: HrWorld) -> None:
    """I3, I4."""
    world.sync()
    row = world.change(world.hr.persons()[7], originalHireDate="2025-13-45")
    for _ in range(3):
        world.sync("full", absence=LEAVE)
    assert world.person(row)["absent_since_snapshot"] is None


def test_a_human_takes_somebody_missing_for_a_leaver(world: HrWorld) -> None:
    row = _vanished(world)
    world.sync("full")
    _presume(world, row["employeeNumber"])
    person = world.person(row)
    assert person["presumed_left_at"] is not None
    assert person["revision"] == 2
    assert _asked(world, policy="ask", after_snapshots=1) == {}
    (event,) = world.rows("SELECT actor, action, details FROM accountsync.audit_event")
    assert tuple(event.values()) == (
        "oper",
        "absence_taken_for_leaving",
        {"numbers": [row["employeeNumber"]], "comment": "left in May"},
    )
    world.hr.put_persons(row)
    world.sync("full")
    assert world.person(row)["presumed_left_at"] is None


def test_who_is_in_hr_is_nobody_to_be_presumed_left(world: HrWorld) -> None:
    row = _vanished(world)
    world.sync("full")
    present = world.hr.persons()[0]["employeeNumber"]
    with pytest.raises(ConfigurationError, match=f"not missing from HR.*{present}"):
        _presume(world, row["employeeNumber"], present)
    assert world.person(row)["presumed_left_at"] is None
    assert world.rows("SELECT * FROM accountsync.audit_event") == []
