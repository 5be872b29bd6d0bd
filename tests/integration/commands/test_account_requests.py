"""Batch account requests, from the document to accounts that exist (PREDECESSOR fault 11)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from accountsync.__main__ import app
from accountsync.clock import utc_now
from accountsync.domain.persons.account_request import Fulfilment
from accountsync.errors import InvalidRequestError
from accountsync.jobs.commands import account_requests
from accountsync.jobs.commands.account_requests import RequestStatus, Submitted
from accountsync.jobs.tasks import task_commands
from accountsync.store.tasks.task_commands import TaskFilter
from simulators.run import Sims
from tests.integration.tasks.targets_world import TargetsWorld
from tests.integration.world import REPOSITORY, stamp

NUMBERS = ("S0001", "S0002", "S0003")
PERSONS = ("source", "origin", "employee_number", "full_name", "person_type", "department_code")


class RequestWorld(TargetsWorld):
    def submit(self, document: Any, **options: Any) -> Submitted:
        return account_requests.submit(
            engine=self.engine,
            document=document,
            targets=self.settings.targets,
            actor="tester",
            now=utc_now(),
            **options,
        )

    def status(self, request_id: int = 1) -> RequestStatus:
        return account_requests.status(engine=self.engine, request_id=request_id)

    def cancel(self, request_id: int = 1) -> int:
        return account_requests.cancel(
            engine=self.engine, request_id=request_id, actor="tester", comment="x", now=utc_now()
        )

    def systems_of(self, number: str) -> dict[str, Fulfilment]:
        (item,) = [i for i in self.status().items if i.employee_number == number]
        return {one.target: one.state for one in item.targets}

    def count(self, table: str) -> int:
        return int(self.scalar(f"SELECT count(*) FROM accountsync.{table}"))


@pytest.fixture
def world(engine: Engine, _all_sims: Sims) -> RequestWorld:
    """Nobody is known yet; the targets are empty and well."""
    for client in (_all_sims.hr, _all_sims.idaas, _all_sims.welink, _all_sims.exchange):
        client.heal()
        client.reset()
    world = RequestWorld(engine=engine, sims=_all_sims)
    world.import_mappings()
    return world


@pytest.fixture
def department(world: RequestWorld) -> str:
    code = world.scalar("SELECT min(hr_department_code) FROM accountsync.department_mapping")
    return str(code)


@pytest.fixture
def document(department: str) -> dict[str, Any]:
    return {
        "originSystem": "supplier_portal",
        "businessKey": "2026-0007",
        "accountType": "supplier",
        "employeeType": "11",
        "systemList": ["idaas", "welink"],
        "userList": [
            {
                "employeeNumber": number,
                "employeeName": name,
                "departmentCode": department,
                "phoneNumber": f"1380000000{n}",
                "partnerCompany": "某某科技",
                "country": "CN",
            }
            for n, (number, name) in enumerate(zip(NUMBERS, ("张三", "李四", "王五"), strict=True))
        ],
    }


def _with(document: dict[str, Any], *, user: int | None = None, **changes: Any) -> dict[str, Any]:
    if user is None:
        return document | changes
    users = [dict(one) for one in document["userList"]]
    users[user] |= changes
    return document | {"userList": users}


def test_a_request_becomes_accounts_in_exactly_the_systems_it_names(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    assert world.submit(document) == Submitted(request_id=1, is_new=True, persons=3, made=3)
    assert world.status().state is Fulfilment.TO_PLAN
    world.plan()
    assert world.status().state is Fulfilment.IN_PROGRESS
    assert world.systems_of("S0001") == {
        "idaas": Fulfilment.IN_PROGRESS,
        "welink": Fulfilment.IN_PROGRESS,
    }
    world.process("idaas")
    assert world.systems_of("S0001") == {
        "idaas": Fulfilment.ACTIVE,
        "welink": Fulfilment.IN_PROGRESS,
    }
    assert world.status().state is Fulfilment.IN_PROGRESS
    world.drain()
    status = world.status()
    assert (status.state, status.progress, status.errors) == (
        Fulfilment.ACTIVE,
        {Fulfilment.ACTIVE: 3},
        {},
    )
    assert set(world.there("idaas")) == set(world.there("welink")) == set(NUMBERS)
    assert not world.there("email")


def test_persons_of_a_request_carry_what_it_says(
    world: RequestWorld, document: dict[str, Any], department: str
) -> None:
    world.submit(document)
    row = world.rows("SELECT * FROM accountsync.person ORDER BY id")[0]
    expected = ("request", "request", "S0001", "张三", "11", department)
    assert tuple(row[column] for column in PERSONS) == expected
    assert row["attributes"]["partnerCompany"] == "某某科技"
    assert row["requested_systems"] == ["idaas", "welink"]


def test_the_same_request_again_is_the_same_request(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    world.submit(document)
    turned = document | {
        "userList": document["userList"][::-1],
        "systemList": document["systemList"][::-1],
    }
    assert world.submit(turned) == Submitted(request_id=1, is_new=False, persons=3)
    assert (world.count("account_request"), world.count("person")) == (1, 3)
    assert world.count("audit_event") == 1


def test_another_content_under_the_same_key_is_refused(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    world.submit(document)
    with pytest.raises(InvalidRequestError, match=r"businessKey: request 1 has this key and an"):
        world.submit(_with(document, user=0, phoneNumber="1"))
    assert world.submit(document | {"originSystem": "other"}).request_id > 1


def test_two_identical_submits_at_once_are_one_request(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    together = Barrier(4)

    def submit(_: int) -> Submitted:
        together.wait(timeout=30)
        return world.submit(document)

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(submit, range(4)))
    assert {one.request_id for one in done} == {1}
    assert sum(one.is_new for one in done) == 1
    assert (world.count("account_request_item"), world.count("person")) == (3, 3)


def test_requests_for_the_same_person_at_once_share_the_person(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    """The employee number is unique, whoever comes first."""
    together = Barrier(4)

    def submit(n: int) -> Submitted:
        together.wait(timeout=30)
        return world.submit(document | {"businessKey": f"k{n}", "systemList": ["idaas"]})

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(submit, range(4)))
    assert sum(one.made for one in done) == 3
    assert (world.count("account_request_item"), world.count("person")) == (12, 3)


def test_everything_wrong_is_told_at_once_and_nothing_taken(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    wrong = _with(document, user=0, employeeName=" ", departmentCode=["D1"])
    wrong = _with(wrong, user=1, employeeNumber="S 2", phonNumber="1")
    with pytest.raises(InvalidRequestError) as told:
        world.submit(wrong | {"accountType": "x\x00y", "systemList": []})
    said = str(told.value)
    assert [line.split(": ")[0].strip() for line in said.splitlines()[1:]] == [
        "accountType",
        "systemList",
        "userList.0.employeeName",
        "userList.0.departmentCode",
        "userList.1.employeeNumber",
        "userList.1.phonNumber",
    ]
    assert "李四" not in said
    assert world.count("person") == 0


def test_unknown_systems_and_repeated_persons_are_told_together(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    wrong = _with(document, user=1, employeeNumber="S0001")
    with pytest.raises(InvalidRequestError) as told:
        world.submit(wrong | {"systemList": ["idaas", "sap"]})
    assert str(told.value).splitlines()[1:] == [
        "  systemList.1: there is no such target; known: idaas, welink, email",
        "  userList.0.employeeNumber: S0001 stands in the list 2 times",
        "  userList.1.employeeNumber: S0001 stands in the list 2 times",
    ]


@pytest.mark.parametrize("nonsense", [None, [], "x", {}, {"userList": 3}])
def test_what_is_no_request_is_refused(world: RequestWorld, nonsense: Any) -> None:
    with pytest.raises(InvalidRequestError):
        world.submit(nonsense)


def test_a_dry_run_goes_the_whole_way_and_leaves_nothing(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    assert world.submit(document, dry_run=True).made == 3
    assert world.count("person") == world.count("account_request") == 0
    assert world.count("audit_event") == 0


def test_a_number_requested_for_somebody_else_is_not_given_that_ones_accounts(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    """I10."""
    world.submit(document)
    other = _with(document, user=1, employeeName="赵六") | {"businessKey": "2"}
    with pytest.raises(InvalidRequestError, match="userList.1.employeeNumber: S0002 was requested"):
        world.submit(other)


def test_a_later_request_renews_what_the_first_one_said(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    world.submit(document)
    later = _with(document, user=0, phoneNumber="2") | {"businessKey": "2"}
    done = world.submit(later | {"systemList": ["idaas", "email"]})
    assert (done.made, done.renewed) == (0, 1)
    row = world.rows("SELECT phone, requested_systems FROM accountsync.person ORDER BY id")[0]
    assert tuple(row.values()) == ("2", ["email", "idaas", "welink"])


def test_whom_hr_owns_keeps_hrs_facts_and_gets_the_systems_too(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    world.sync()
    row = next(p for p in world.sims.hr.persons() if p["employeeStatus"] == "1")
    asked = _with(document, user=0, employeeNumber=row["employeeNumber"])
    done = world.submit(asked)
    assert (done.made, done.renewed, done.of_hr) == (2, 0, 1)
    query = "SELECT * FROM accountsync.person WHERE employee_number = :number"
    (person,) = world.rows(query, number=row["employeeNumber"])
    assert (person["source"], person["full_name"]) == ("hieds", row["fullName"])
    assert person["requested_systems"] == ["idaas", "welink"]
    assert world.status().items[0].note == account_requests.ANOTHER_NAME
    assert world.sync("full").updated == 0


def test_a_request_brings_no_leaver_back(world: RequestWorld, document: dict[str, Any]) -> None:
    world.sync()
    row = next(p for p in world.sims.hr.persons() if p["employeeStatus"] != "1")
    user = _with(document, user=0, employeeNumber=row["employeeNumber"])["userList"][:1]
    world.submit(document | {"userList": user})
    world.plan()
    assert world.status().state is Fulfilment.REFUSED


def test_a_person_taken_over_by_hr_keeps_request_and_accounts(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    world.submit(document)
    world.plan()
    world.drain()
    row = next(p for p in world.sims.hr.persons() if p["employeeStatus"] == "1")
    hired = row | {"employeeNumber": "S0001", "personId": 700_001, "fullName": "张三"}
    world.sims.hr.put_persons(hired | {"lastUpdateDate": stamp(utc_now())})
    world.sync()
    world.plan()
    world.drain()
    assert world.status().state is Fulfilment.ACTIVE
    assert world.there("idaas")["S0001"] == world.there("welink")["S0001"] == 1
    again = world.submit(document | {"businessKey": "2"})
    assert (again.made, again.of_hr) == (0, 1)


def test_partial_failure_says_who_where_and_why(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    world.submit(document)
    world.plan()
    world.process("idaas")
    world.sims.welink.fault("ok_with_error", path="/user/create", times=1)
    world.drain()
    status = world.status()
    assert (status.state, status.progress) == (
        Fulfilment.PARTLY,
        {Fulfilment.ACTIVE: 2, Fulfilment.PARTLY: 1},
    )
    assert sum(status.errors.values()) == 1
    assert next(iter(status.errors)).startswith("welink: ")


def test_a_command_chooses_what_a_request_asks_for_and_nothing_else(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    """Everybody failed; the operator tries the persons of one request again (I12: in order)."""
    world.sync()
    request = world.submit(document).request_id
    world.plan()
    world.sims.idaas.fault("ok_with_error", path="/user/onboarding")
    world.drain()
    world.sims.idaas.heal()
    everybody = world.states("idaas", "create")["failed"]
    assert everybody > len(NUMBERS)
    chosen = TaskFilter(request=request, state="failed")
    counted = task_commands.preview(
        engine=world.engine, settings=world.settings, command="retry", chosen=chosen
    )
    assert counted.counts == {("idaas", "create", "failed"): 3, ("welink", "create", "failed"): 3}
    task_commands.carry_out(
        engine=world.engine, settings=world.settings, command="retry", chosen=chosen, actor="mia",
        comment="IDaaS is well again",
    )  # fmt: skip
    world.plan()
    world.drain()
    assert set(world.there("welink")) == set(NUMBERS)
    assert world.states("idaas", "create") == {"failed": everybody - 3, "succeeded": 3}
    other = TaskFilter(request=request + 1)
    whose = {"engine": world.engine, "settings": world.settings, "chosen": other}
    assert task_commands.preview(command="cancel", **whose).tasks == 0


def test_a_missing_mapping_blocks_and_continues_by_itself(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    world.submit(_with(document, user=0, departmentCode="D-unknown"))
    world.plan()
    world.drain()
    status = world.status()
    assert (status.state, status.progress) == (
        Fulfilment.BLOCKED,
        {Fulfilment.BLOCKED: 1, Fulfilment.ACTIVE: 2},
    )
    assert "'D-unknown' has no active mapping" in str(status.errors)


def test_a_cancelled_request_makes_nothing_more_and_keeps_its_persons(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    world.submit(document)
    world.plan()
    assert world.cancel() == 6
    assert world.plan().counts == {}
    world.drain()
    assert world.status().state is Fulfilment.CANCELLED
    assert not world.there("idaas")
    assert world.count("person") == 3
    with pytest.raises(InvalidRequestError, match="was cancelled before"):
        world.cancel()


def test_what_another_request_asks_for_too_survives_the_cancelling(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    world.submit(document)
    other = {"businessKey": "2", "systemList": ["idaas"], "userList": document["userList"][:1]}
    second = world.submit(document | other)
    world.plan()
    assert world.cancel() == 5
    world.plan()
    world.drain()
    assert list(world.there("idaas")) == ["S0001"]
    assert world.status(second.request_id).state is Fulfilment.ACTIVE


def test_a_call_under_way_is_not_cancelled(world: RequestWorld, document: dict[str, Any]) -> None:
    """I6, I9: what may have happened is not forgotten."""
    world.submit(document)
    world.plan()
    world.execute(
        "UPDATE accountsync.account_task SET state = 'unknown' WHERE system = 'idaas'"
        " AND person_id = (SELECT min(id) FROM accountsync.person)"
    )
    assert world.cancel() == 5


def test_accounts_asked_for_end_with_their_last_day(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    """I17: disabled as a leaver's, each on the own day; a later request says another one."""
    asked = _with(document, endDate="2026-03-31")
    world.submit(_with(asked, user=0, endDate="2026-06-30"))
    last_day = datetime(2026, 3, 31, 12, tzinfo=UTC)
    world.plan(now=last_day)
    world.drain()
    assert world.known("idaas") == {"active": 3}
    world.plan(now=last_day + timedelta(days=1))
    reasons = world.rows(
        "SELECT p.employee_number AS number, t.reason FROM accountsync.account_task t"
        " JOIN accountsync.person p ON p.id = t.person_id"
        " WHERE t.operation = 'disable' AND t.system = 'idaas' ORDER BY 1"
    )
    assert [(row["number"], row["reason"]) for row in reasons] == [
        (NUMBERS[1], "left"), (NUMBERS[2], "left"),
    ]  # fmt: skip
    world.submit(_with(document, businessKey="more", endDate="2027-01-31"))
    ends = world.rows("SELECT DISTINCT leave_date::text AS ends FROM accountsync.person")
    assert [row["ends"] for row in ends] == ["2027-01-31"]


@pytest.mark.parametrize("wrong", ["2026-02-30", "31.12.2026", 46000, "soon"])
def test_an_end_date_that_is_none_is_refused(
    world: RequestWorld, document: dict[str, Any], wrong: object
) -> None:
    with pytest.raises(InvalidRequestError, match=r"userList\.1\.endDate: is no date"):
        world.submit(_with(document, user=1, endDate=wrong))


def test_hrs_last_day_counts_for_whom_hr_knows(
    world: RequestWorld, document: dict[str, Any]
) -> None:
    world.sync()
    number = world.sims.hr.persons()[0]["employeeNumber"]
    world.submit(_with(document, user=0, employeeNumber=number, endDate="2026-03-31"))
    assert "HR's last day counts" in str(world.status().items[0].note)
    query = "SELECT leave_date FROM accountsync.person WHERE employee_number = :n"
    assert str(world.scalar(query, n=number)) != "2026-03-31"


def test_an_unknown_request_is_said_to_be_unknown(world: RequestWorld) -> None:
    for ask in (world.status, world.cancel):
        with pytest.raises(InvalidRequestError, match="there is no request 7"):
            ask(7)


def test_the_commands_submit_follow_and_cancel(
    world: RequestWorld, document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = world.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("ACCOUNTSYNC_DATABASE_URL", url)
    monkeypatch.setenv("ACCOUNTSYNC_CONFIG", str(REPOSITORY / "config" / "accountsync.yaml"))
    file = tmp_path / "request.csv"
    columns = list(document["userList"][0])
    lines = [columns, *([user[c] for c in columns] for user in document["userList"])]
    file.write_text("\n".join(",".join(line) for line in lines), encoding="utf-8-sig")

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["request", *words])
        assert done.exception is None, done.output
        return done.output

    header = ["--origin-system", "portal", "--business-key", "7", "--account-type", "supplier",
              "--employee-type", "11", "--target", "idaas", "--target", "welink"]  # fmt: skip
    assert run("list") == "there is no request\n"
    dry = "dry run, nothing was kept: 3 persons, 3 of them new, 0 changed, 0 known from HR\n"
    assert run("submit", str(file), *header, "--dry-run") == dry
    assert run("submit", str(file), *header).startswith("request ")
    assert "was submitted before" in run("submit", str(file), *header)
    listed = run("list")
    assert "portal/7" in listed
    assert "to_plan  0 of 3 persons active" in listed
    number = listed.split()[0]
    status = run("status", number)
    assert "  S0002  to_plan\n    idaas: to_plan\n    welink: to_plan\n" in status
    assert "李四" not in status + run("status", number, "--json")
    assert run("cancel", number, "--comment", "not needed") == (
        f"request {number} cancelled, with 0 open tasks\n"
    )
    assert "  cancelled  " in run("list")
