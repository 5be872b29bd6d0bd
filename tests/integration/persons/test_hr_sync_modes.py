"""Some persons at once, and every mode as a dry run."""

from __future__ import annotations

from typing import Any

import pytest

from accountsync.domain.reasons import Kind
from accountsync.errors import AccountSyncError
from tests.integration.persons.hr_world import HrWorld
from tests.integration.persons.test_hr_sync_windows import last_hours
from tests.integration.world import HrRow


def _number(row: HrRow) -> str:
    return str(row["employeeNumber"])


def test_some_persons_are_brought_in_step_and_nobody_else(world: HrWorld) -> None:
    world.sync()
    first, second, other = world.hr.persons()[:3]
    for row in (first, second, other):
        world.change(row, fullName="王五")
    result = world.sync(numbers=[_number(first), _number(second)])
    assert (result.mode, result.fetched, result.updated) == ("person", 2, 2)
    assert world.differences() == {str(other["personId"]): "is old"}


def test_a_read_of_some_persons_proves_nothing_about_others(world: HrWorld) -> None:
    """I1, I4: no snapshot, no watermark, nobody is missing, no rejected row is touched."""
    bad = world.change(world.hr.persons()[9], employeeNumber=None)
    world.sync()
    gone, somebody = world.hr.persons()[:2]
    world.hr.vanish(gone["personId"])
    world.hr.vanish(bad["personId"])
    world.change(somebody, fullName="王五")
    before = world.everything()
    result = world.sync(numbers=[_number(somebody)])
    after = world.everything()
    assert (result.updated, result.retried) == (1, 0)
    for kept in ("snapshots", "watermark", "rejects"):
        assert after[kept] == before[kept]
    assert world.absent() == {}


def test_a_read_of_some_persons_says_whom_hr_does_not_have(world: HrWorld) -> None:
    known = _number(world.hr.persons()[0])
    result = world.sync(numbers=[known, "99999999"])
    assert (result.fetched, result.inserted) == (1, 1)
    assert result.differences["not_found"] == ["99999999"]
    assert world.last_run["differences"]["not_found"] == ["99999999"]


def test_a_bad_row_of_a_person_asked_for_is_kept_like_any_other(world: HrWorld) -> None:
    """I3."""
    world.sync()
    row = world.hr.persons()[0]
    world.change(row, originalHireDate="2025-13-45")
    assert world.sync(numbers=[_number(row)]).rejected == 1
    assert world.open_rejects().keys() == {str(row["personId"])}


def test_what_hr_says_of_a_person_now_decides(world: HrWorld) -> None:
    """HR took something back: the stamp is older than ours, and the row is HR's present state."""
    world.sync()
    before = world.hr.persons()[0]
    world.change(before, fullName="王五")
    world.sync()
    world.hr.put_persons(before)
    assert world.sync(numbers=[_number(before)]).updated == 1
    assert world.differences() == {}


def test_an_api_that_finds_a_person_by_number_is_asked_for_no_more_than_that(
    world: HrWorld,
) -> None:
    """`by_number` is declared in YAML; here with a page so small that others would be left out."""
    world.sync()
    row = world.change(world.hr.persons()[0], fullName="王五")
    body = {"tenant_id": "T1", "pageSize": 1, "curPage": 1, "marker": "{{ employee_number }}"}
    path = "/api/meta/api/engine/idata/projects/P1/catalog/hr_person_info"
    by_number = {"method": "POST", "path": path, "body": body}
    route = "POST /api/meta/api/engine/idata/projects/{project}/catalog/hr_person_info"
    read = world.hr.state()["requests"][route]
    assert world.sync(numbers=[_number(row)], by_number=by_number).updated == 1
    assert world.hr.state()["requests"][route] == read + 1
    assert world.differences() == {}


@pytest.mark.parametrize("fault", [{"kind": "status", "code": 503}, {"kind": "html"}])
def test_an_error_about_a_person_is_not_their_absence(
    world: HrWorld, fault: dict[str, Any]
) -> None:
    """LANDSCAPE §3 (ssosync#278): I2, I4."""
    world.sync()
    before = world.everything()
    world.hr.faults(fault | {"path": "hr_person_info"})
    with pytest.raises(AccountSyncError):
        world.sync(numbers=["00100001"])
    assert world.everything() == before


def _a_busy_day(world: HrWorld) -> HrRow:
    world.sync()
    rows = world.hr.persons()
    world.change(rows[0], fullName="王五", emailAddress="w@example.com")
    world.change(rows[1], fullName="")
    world.hr.vanish(rows[2]["personId"])
    world.hr.events(join=2)
    return rows[0]


MODES: dict[str, dict[str, Any]] = {
    "auto": {"mode": "auto"},
    "incremental": {"mode": "incremental"},
    "full": {"mode": "full"},
    "window": {"window": last_hours(1, -1)},
    "person": {"numbers": ["00100001"]},
}


@pytest.mark.parametrize("options", MODES.values(), ids=MODES)
def test_a_dry_run_tells_what_the_same_run_then_does_and_changes_nothing(
    world: HrWorld, options: dict[str, Any]
) -> None:
    """PREDECESSOR fault 13: one code path."""
    row = _a_busy_day(world)
    assert _number(row) == "00100001"
    before = world.everything()
    dry = world.sync(dry_run=True, **options)
    assert world.everything() == before
    assert world.staged_tables() == []
    assert (world.last_run["state"], world.last_run["dry_run"]) == ("succeeded", True)
    real = world.sync(**options)
    for name in ("mode", "fetched", "inserted", "updated", "unchanged", "rejected", "differences"):
        assert getattr(dry, name) == getattr(real, name)
    assert real.updated == 1
    assert dry.differences["fields"] == {
        "email": {"changed": 1, "emptied": 0, "examples": ["00100001"]},
        "full_name": {"changed": 1, "emptied": 0, "examples": ["00100001"]},
    }


def test_a_dry_run_names_newcomers_and_reasons_by_number_only(world: HrWorld) -> None:
    """I15."""
    row = _a_busy_day(world)
    dry = world.sync("full", dry_run=True)
    assert len(dry.differences["inserted"]) == 2
    assert dry.differences["rejected"] == [
        {
            "reason": {"kind": Kind.IS_MISSING, "facts": {"field": "full_name"}},
            "rows": 1,
            "examples": ["00100002"],
        }
    ]
    assert "王五" not in str(dry)
    assert row["fullName"] not in str(dry)


def test_a_dry_run_does_not_put_off_the_full_read_that_is_due(world: HrWorld) -> None:
    world.sync(dry_run=True)
    assert world.sync().mode == "full"
    assert world.differences() == {}


def test_a_dry_run_that_fails_leaves_nothing_behind(world: HrWorld) -> None:
    world.sync()
    before = world.everything()
    world.hr.fault("page_loss", rows=1)
    with pytest.raises(Exception, match="incomplete"):
        world.sync("full", dry_run=True)
    assert world.everything() == before
    assert world.staged_tables() == []
