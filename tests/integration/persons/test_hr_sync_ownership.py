"""One source owns a person; numbers are unique across sources; requests' persons are adopted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from accountsync.domain.reasons import Kind
from tests.integration.persons.hr_world import HrWorld
from tests.integration.world import HrRow

CONTRACTORS: dict[str, Any] = {"name": "contractors"}
EASY: dict[str, Any] = {"feed_guard": {"floor": 1000}}


def _requested(world: HrWorld, row: HrRow, **columns: Any) -> int:
    """A person whom an account request made before HR knew of them."""
    values = {
        "source": "supplier_portal",
        "source_key": "R-1",
        "employee_number": row["employeeNumber"],
        "full_name": row.get("fullName", "张三"),
    } | columns
    names = ", ".join(values)
    bound = ", ".join(f":{name}" for name in values)
    world.execute(
        f"INSERT INTO accountsync.person (origin, attributes, content_hash, {names})"
        f" VALUES ('request', '{{}}', '', {bound})",
        **values,
    )
    return int(world.scalar("SELECT max(id) FROM accountsync.person"))


def _ids(world: HrWorld) -> dict[str, int]:
    rows = world.rows("SELECT id, source_key FROM accountsync.person")
    return {row["source_key"]: row["id"] for row in rows}


def _owners(world: HrWorld) -> dict[str, int]:
    rows = world.rows("SELECT source, count(*) AS n FROM accountsync.person GROUP BY 1")
    return {row["source"]: row["n"] for row in rows}


@pytest.mark.parametrize("mode", ["full", "incremental", "person"])
def test_a_person_made_by_a_request_becomes_hrs(world: HrWorld, mode: Any) -> None:
    """PREDECESSOR fault 11: the same person, with HR's identity and fields from then on."""
    world.sync()
    row = world.change({"personId": 700_001}, employeeNumber="99000001")
    person_id = _requested(world, row, department_code="D0", phone="1")
    options = {"numbers": [row["employeeNumber"]]} if mode == "person" else {"mode": mode}
    result = world.sync(**options)
    assert (result.inserted, result.updated, result.rejected) == (0, 1, 0)
    assert result.differences["taken_over"] == [row["employeeNumber"]]
    person = world.person(row)
    assert (person["id"], person["source"], person["origin"]) == (person_id, "hieds", "hr")
    assert person["full_name"] == "张三"
    assert person["phone"] != "1"
    assert world.differences() == {}
    changes = world.rows("SELECT changes FROM accountsync.person_change WHERE person_id = :id",
                         id=person_id)  # fmt: skip
    told = {key: value for change in changes for key, value in change["changes"].items()}
    assert told["source"] == ["supplier_portal", "hieds"]
    assert told["source_key"] == ["R-1", "700001"]
    assert told["phone"][0] == "1"


def test_an_adopted_person_is_updated_like_any_other(world: HrWorld) -> None:
    row = world.hr.persons()[0]
    _requested(world, row)
    world.sync()
    world.change(row, fullName="王五")
    assert world.sync().updated == 1
    assert world.sync("full").unchanged == 40
    assert world.differences() == {}


def test_a_requests_person_whom_hr_knows_by_another_number_is_left_to_a_human(
    world: HrWorld,
) -> None:
    """Two persons of the store would have to become one."""
    world.sync()
    row = world.hr.persons()[0]
    _requested(world, row, employee_number="99000001")
    world.change(row, employeeNumber="99000001")
    assert world.sync().rejected == 1
    assert world.open_rejects()[str(row["personId"])]["reasons"] == [
        {"kind": Kind.IS_A_REQUESTED_PERSONS, "facts": {"field": "employee_number"}}
    ]


def test_two_rows_with_the_number_of_a_requests_person_adopt_nobody(world: HrWorld) -> None:
    world.sync()
    row = world.change({"personId": 700_001}, employeeNumber="99000001")
    _requested(world, row)
    world.change({"personId": 700_002}, employeeNumber=row["employeeNumber"])
    assert world.sync().rejected == 2
    assert [reject["reasons"][0]["kind"] for reject in world.open_rejects().values()] == [
        Kind.IS_A_REQUESTED_PERSONS, Kind.IS_A_REQUESTED_PERSONS,
    ]  # fmt: skip
    assert _owners(world) == {"hieds": 40, "supplier_portal": 1}


def test_a_number_of_another_sources_person_is_rejected_with_the_owners_name(
    world: HrWorld,
) -> None:
    world.sync()
    result = world.sync("full", **CONTRACTORS, **EASY)
    assert (result.fetched, result.inserted, result.rejected) == (40, 0, 40)
    assert _owners(world) == {"hieds": 40}
    reasons = world.rows("SELECT DISTINCT source, reasons FROM accountsync.rejected_record")
    assert [tuple(row.values()) for row in reasons] == [
        (
            "contractors",
            [
                {
                    "kind": Kind.IS_OF_ANOTHER_SOURCE,
                    "facts": {"field": "employee_number", "source": "hieds"},
                }
            ],
        )
    ]


def test_a_source_takes_over_whom_the_configuration_says_it_may(world: HrWorld) -> None:
    """A contractor is hired: the same person, with the accounts they have."""
    world.sync(**CONTRACTORS)
    before = _ids(world)
    result = world.sync("full", takes_over=["contractors"])
    assert (result.inserted, result.updated, result.rejected) == (0, 40, 0)
    assert _ids(world) == before
    assert _owners(world) == {"hieds": 40}
    assert world.differences() == {}
    again = world.sync("full", **CONTRACTORS, **EASY)
    assert (again.inserted, again.rejected) == (0, 40)
    assert world.sync("full", takes_over=["contractors"]).unchanged == 40


def test_who_is_taken_over_while_missing_from_the_old_source_is_there(world: HrWorld) -> None:
    """I4: the old owner's absence says nothing any more, and the history tells so."""
    world.sync(**CONTRACTORS)
    row = world.hr.persons()[0]
    world.hr.vanish(row["personId"])
    leave = {"policy": "leave", "after_snapshots": 1}
    world.sync("full", **CONTRACTORS, absence=leave)
    left = world.person(row)["presumed_left_at"]
    world.hr.put_persons(row)
    world.sync("full", takes_over=["contractors"])
    assert world.absent() == {}
    (undone,) = world.rows(
        "SELECT changes->'presumed_left_at' AS told FROM accountsync.person_change"
        " WHERE changes ? 'source' AND changes ? 'presumed_left_at'"
    )
    assert [datetime.fromisoformat(undone["told"][0]), undone["told"][1]] == [left, None]


def test_a_source_says_nothing_about_persons_of_another(world: HrWorld) -> None:
    """I4: nobody of one source is missing from a full read of another."""
    world.sync()
    for row in world.hr.persons():
        world.hr.vanish(row["personId"])
    world.change({"personId": 700_001})
    world.sync("full", **CONTRACTORS)
    assert _owners(world) == {"hieds": 40, "contractors": 1}
    assert world.absent() == {}


def test_two_sources_that_bring_one_number_at_once_do_not_fail_each_other(world: HrWorld) -> None:
    """They read at the same time; the second to merge finds the owner."""
    world.hr.fault("latency", path="hr_person_info", seconds=0.05)
    sources: list[dict[str, Any]] = [{}, CONTRACTORS]
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda one: world.sync("full", **one, **EASY), sources))
    assert sorted((one.inserted, one.rejected) for one in done) == [(0, 40), (40, 0)]
    assert len(_owners(world)) == 1


def _kinds(world: HrWorld) -> dict[str, str]:
    """Key → the kind of the first reason of an open rejected row."""
    return {key: row["reasons"][0]["kind"] for key, row in world.open_rejects().items()}


def test_hr_does_not_take_the_accounts_of_a_requested_person_of_another_name(
    world: HrWorld,
) -> None:
    """I4, I10: as the request side refuses it; the row waits, and comes in when HR corrects it."""
    world.sync()
    row = world.change({"personId": 700_001}, employeeNumber="99000001")
    person_id = _requested(world, row, full_name="王五")
    for mode in ("full", "incremental"):
        assert world.sync(mode).differences.get("taken_over") is None
        assert _kinds(world) == {"700001": Kind.REQUESTED_FOR_ANOTHER}
    query = "SELECT source, full_name FROM accountsync.person WHERE id = :id"
    assert dict(world.rows(query, id=person_id)[0]) == {
        "source": "supplier_portal", "full_name": "王五",
    }  # fmt: skip
    world.change({"personId": 700_001}, employeeNumber="99000001", fullName=" 王 五")
    assert world.sync("full").differences["taken_over"] == ["99000001"]
    assert world.open_rejects() == {}


def test_a_source_takes_over_nobody_of_another_name(world: HrWorld) -> None:
    """I10: the sibling of the request: a number that two sources gave to two humans."""
    world.sync(**CONTRACTORS)
    row, other = world.hr.persons()[:2]
    world.change(row, fullName="另一人")
    world.sync("full", takes_over=["contractors"])
    assert _kinds(world) == {str(row["personId"]): Kind.IS_ANOTHER_NAMES}
    assert _owners(world) == {"contractors": 1, "hieds": 39}
    assert world.person(other)["source"] == "hieds"


@pytest.fixture
def rehired(world: HrWorld) -> tuple[HrWorld, HrRow]:
    """Somebody left, with an address; HR's record is as it was then."""
    world.sync()
    row = world.hr.persons()[0]
    left = world.change(
        row,
        employeeStatus="2",
        disableDate="2026-01-31",
        fullName="张三",
        emailAddress="zs@example.com",
    )
    world.sync()
    return world, left


def _new_record(world: HrWorld, old: HrRow, **fields: Any) -> HrRow:
    return world.change(
        old | {"personId": 700_001, "employeeStatus": "1", "disableDate": None} | fields
    )


def test_a_new_record_with_a_leavers_number_waits_for_a_human(
    rehired: tuple[HrWorld, HrRow],
) -> None:
    """I4, I9: not rejected for ever as another person's: somebody is asked."""
    world, old = rehired
    world.hr.vanish(old["personId"])
    _new_record(world, old, fullName="李四")
    world.sync("full")
    assert _kinds(world) == {"700001": Kind.IS_A_LEAVERS}
    assert _ids(world).get("700001") is None


@pytest.mark.parametrize("by", ["emailAddress", "birthDay"])
@pytest.mark.parametrize("old_record", ["gone", "ended"])
def test_a_new_record_that_is_surely_the_leavers_is_the_same_person(
    rehired: tuple[HrWorld, HrRow], old_record: str, by: str
) -> None:
    """I4, I9: same name, and address or birth date, and the old record has left: the accounts stay
    theirs. An ended record that HR keeps changes nothing any more."""
    world, old = rehired
    person = world.person(old)
    if old_record == "gone":
        world.hr.vanish(old["personId"])
    same = {"emailAddress": "ZS@example.com", "birthDay": old["birthDay"]}
    new = _new_record(world, old, **{"emailAddress": "", "birthDay": "", by: same[by]})
    world.sync("full")
    moved = world.person(new)
    assert (moved["id"], moved["status"]) == (person["id"], "1")
    kinds = {} if old_record == "gone" else {
        str(old["personId"]): Kind.HAS_AN_ACTIVE_RECORD
    }  # fmt: skip
    for _ in range(2):
        world.sync("full")
        assert _kinds(world) == kinds
        assert world.person(new)["status"] == "1"


@pytest.mark.parametrize(
    "differs",
    [{"fullName": "李四"}, {"emailAddress": "", "birthDay": ""}, {"emailAddress": None,
     "birthDay": "1901-01-01"}],
)  # fmt: skip
def test_a_new_record_that_is_not_surely_the_leavers_waits(
    rehired: tuple[HrWorld, HrRow], differs: dict[str, Any]
) -> None:
    """I4, I9: an empty value agrees with nothing."""
    world, old = rehired
    world.execute('UPDATE accountsync.person SET attributes = attributes || \'{"birthDay": ""}\'')
    _new_record(world, old, **differs)
    world.sync("full")
    assert _kinds(world) == {"700001": Kind.IS_A_LEAVERS}


def test_of_two_new_records_of_one_number_the_active_one_counts(world: HrWorld) -> None:
    """I3, I4: the ended one is told, and keeps nobody out."""
    row = world.hr.persons()[0]
    world.change(row, employeeStatus="2", disableDate="2026-01-31")
    new = _new_record(world, row)
    for _ in range(2):
        world.sync("full")
        assert _kinds(world) == {str(row["personId"]): Kind.HAS_AN_ACTIVE_RECORD}
        assert world.person(new)["status"] == "1"


def test_who_works_by_another_sources_record_is_not_ended_by_this_one(world: HrWorld) -> None:
    """I4: the employee record has ended and the contractor's goes on, though this source takes
    over: the accounts in use stay."""
    row = world.hr.persons()[0]
    world.change(row, employeeStatus="7", disableDate=None)
    world.sync(**CONTRACTORS, valid_statuses=["1", "7"])
    world.execute(
        "INSERT INTO accountsync.account (person_id, system, state, identifier, attributes,"
        " provenance) SELECT id, 'idaas', 'active', 'x', '{}', 'created' FROM accountsync.person"
        " WHERE source_key = :key",
        key=str(row["personId"]),
    )
    world.change(row, employeeStatus="2", disableDate="2026-01-31")
    world.sync("full", takes_over=["contractors"])
    assert _kinds(world) == {str(row["personId"]): Kind.HAS_AN_ACTIVE_RECORD}
    assert (world.person(row)["source"], world.person(row)["status"]) == ("contractors", "7")


def test_two_active_records_of_one_number_are_two_rows_for_hr(world: HrWorld) -> None:
    row = world.hr.persons()[0]
    _new_record(world, row)
    world.sync("full")
    assert set(_kinds(world).values()) == {Kind.IS_ANOTHER_ROWS}
