import csv
from pathlib import Path

import orjson
import pytest
from sim_wire import PERSONS, TOKEN_BODIES, TOKEN_PATHS

from simulators.departments import DATA, HR_DEPARTMENTS

DOCUMENTED = """
    personId employeeNumber fullName englishName sex birthDay nationalityCode personType
    employeeStatus employeeAccount userId employeeDescription emailAddress telephoneNumber1
    telephoneNumber2 telephoneNumber3 fullAddress postalCode baseLocation expenseAccount
    personPinyinName originalHireDate creationDate lastUpdateDate effectiveDate disableDate
    personDept tenantId createdBy lastUpdatedBy
"""


def test_token_is_given_for_the_right_credentials_only(wire):
    good = wire.send("hr", "POST", TOKEN_PATHS["hr"], TOKEN_BODIES["hr"])
    assert good.json()["code"] == "201"
    wrong = orjson.loads(orjson.dumps(TOKEN_BODIES["hr"]).replace(b"hr-secret", b"guess"))
    bad = wire.send("hr", "POST", TOKEN_PATHS["hr"], wrong)
    assert (bad.status_code, bad.json()["code"]) == (200, "401")
    assert "access_token" not in bad.json()


@pytest.mark.parametrize("prefix", [None, "", "Bearer "])
def test_only_the_bare_token_opens_the_persons(wire, prefix):
    headers = {} if prefix is None else {"Authorization": prefix + wire.token("hr")}
    answer = wire.send("hr", "POST", PERSONS, {"tenant_id": "T1"}, headers)
    expected = 200 if prefix == "" else 401
    assert answer.status_code == answer.json()["status"] == expected


def test_pages_hold_every_person_once_in_order_and_declare_the_totals(wire):
    pages = [wire.page(number) for number in (1, 2, 3, 4)]
    ids = [row["personId"] for page in pages for row in page["data"]["result"]]
    assert len(ids) == 250
    assert ids == sorted(set(ids))
    info = {"totalPages": 3, "totalRows": 250, "curPage": 2, "pageSize": 100}
    assert pages[1]["data"]["pageInfo"] == info
    assert pages[1]["status"] == 200
    assert pages[3]["data"]["result"] == []


def test_page_size_is_twenty_unless_told(wire):
    answer = wire.post("hr", PERSONS, {"tenant_id": "T1"}).json()
    assert len(answer["data"]["result"]) == 20


def test_a_row_has_every_documented_field_and_about_one_kilobyte(wire):
    row = wire.rows()[0]
    assert set(row) >= set(DOCUMENTED.split())
    assert 700 < len(orjson.dumps(row)) < 1400
    assert row["emailAddress"] == ""
    assert isinstance(row["personId"], int)


def test_start_time_keeps_what_changed_then_or_later(wire):
    stamps = sorted(row["lastUpdateDate"] for row in wire.rows(size=250))
    chosen = stamps[100]
    page = wire.page(startTime=chosen, size=250)
    expected = [stamp for stamp in stamps if stamp >= chosen]
    assert sorted(row["lastUpdateDate"] for row in page["data"]["result"]) == expected
    assert page["data"]["pageInfo"]["totalRows"] == len(expected) == 150


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"startTime": "2025-01-01T00:00:00+08:00"}, 400),
        ({"startTime": "yesterday"}, 400),
        ({"curPage": 0}, 400),
        ({"pageSize": "20"}, 400),
        ({"pageSize": 10_000}, 400),
        ({"tenant_id": "T2"}, 403),
    ],
)
def test_a_wrong_query_is_refused_in_the_body(wire, query, status):
    answer = wire.post("hr", PERSONS, {"tenant_id": "T1", **query})
    assert (answer.status_code, answer.json()["status"]) == (200, status)


def test_a_person_can_be_put_edited_and_made_to_vanish(sims, wire):
    before = wire.rows(size=250)[0]
    sims.hr.put_persons({"personId": 7, "fullName": "单晓文"}, {**before, "fullName": "仇伟"})
    rows = {row["personId"]: row for row in wire.rows(size=300)}
    assert rows[7]["fullName"] == "单晓文"
    assert rows[7]["employeeNumber"] == "00000007"
    assert rows[before["personId"]] == {**before, "fullName": "仇伟"}
    sims.hr.vanish(7)
    assert 7 not in {row["personId"] for row in wire.rows(size=300)}
    assert sims.hr.state()["persons"] == 250


def test_an_edited_person_is_stamped_unless_the_stamp_is_given(sims, wire):
    first = wire.rows()[0]["personId"]
    sims.hr.put_persons({"personId": first, "sex": "F"})
    assert [row["personId"] for row in wire.rows(startTime="2026-01-01 00:00:00")] == [first]
    sims.hr.put_persons({"personId": first, "lastUpdateDate": "2020-01-01 00:00:00"})
    assert wire.rows(startTime="2026-01-01 00:00:00") == []


def test_reset_brings_the_first_persons_back(sims):
    before = sims.hr.persons()
    sims.hr.events(join=3, move=2)
    assert sims.hr.persons() != before
    sims.hr.reset()
    assert sims.hr.persons() == before


def test_requests_are_counted_by_route(sims, wire):
    wire.page()
    wire.page()
    counted = sims.hr.state()["requests"]
    route = "/api/meta/api/engine/idata/projects/{project}/catalog/hr_person_info"
    assert counted == {"POST /api/iam/auth/token": 1, f"POST {route}": 2}


def test_the_mapping_file_covers_exactly_the_departments_of_hr(sims):
    with (DATA / "departments.csv").open(encoding="utf-8", newline="") as file:
        mapped = [row["hr_department_code"] for row in csv.DictReader(file)]
    used = {person["personDept"][0]["department_code"] for person in sims.hr.persons()}
    assert len(mapped) == len(set(mapped)) >= 30
    assert used <= set(mapped) == set(HR_DEPARTMENTS)


def test_the_mapping_file_covers_the_person_types(sims):
    text = Path(DATA / "person_types.csv").read_text(encoding="utf-8")
    mapped = {row["person_type"] for row in csv.DictReader(text.splitlines())}
    assert mapped == {person["personType"] for person in sims.hr.persons()}
