"""A human says whose a record of HR is: the same person, another one, or two that are one."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner, Result

from accountsync.__main__ import app
from accountsync.clock import utc_now
from accountsync.domain.reasons import Kind
from accountsync.errors import ConfigurationError, SafetyStopError
from accountsync.jobs.commands import person_commands
from tests.integration.persons.hr_world import HrWorld
from tests.integration.world import HrRow

NEW, NUMBER = 700_001, "99000001"


def _has_account(world: HrWorld, number: str, target: str, state: str = "active") -> None:
    world.execute(
        "INSERT INTO accountsync.account (person_id, system, state, identifier, remote_id,"
        " attributes, provenance) SELECT id, :target, :state, :number, :target || :number, '{}',"
        " 'created' FROM accountsync.person WHERE employee_number = :number",
        number=number, target=target, state=state,
    )  # fmt: skip


def _has_name(world: HrWorld, number: str, value: str, namespace: str = "username") -> None:
    world.execute(
        "INSERT INTO accountsync.name_registry (namespace, folded, folded_base, value, number,"
        " person_id) SELECT :space, :value, :value, :value, 1, id FROM accountsync.person"
        " WHERE employee_number = :number",
        number=number, value=value, space=namespace,
    )  # fmt: skip


def _accounts(world: HrWorld) -> dict[str, set[str]]:
    """Employee number → targets."""
    found: dict[str, set[str]] = {}
    for row in world.rows(
        "SELECT p.employee_number AS number, a.system FROM accountsync.account a"
        " JOIN accountsync.person p ON p.id = a.person_id"
    ):
        found.setdefault(row["number"], set()).add(row["system"])
    return found


def _link(world: HrWorld, number: str, **said: Any) -> person_commands.Effect:
    return person_commands.link(
        engine=world.engine,
        settings=world.settings,
        number=number,
        actor="mia",
        comment="asked HR",
        now=utc_now(),
        **said,
    )


def _merge(world: HrWorld, older: str, newer: str, **said: Any) -> person_commands.Effect:
    return person_commands.merge(
        engine=world.engine,
        settings=world.settings,
        older=older,
        newer=newer,
        actor="mia",
        comment="rehired",
        now=utc_now(),
        **said,
    )


def _audited(world: HrWorld) -> list[str]:
    rows = world.rows("SELECT action FROM accountsync.audit_event ORDER BY id")
    return [row["action"] for row in rows]


@pytest.fixture
def case(world: HrWorld) -> tuple[HrWorld, HrRow]:
    """A leaver with an account, whose number HR gives to a record of another name."""
    world.sync()
    row = world.hr.persons()[0]
    old = world.change(row, employeeStatus="2", disableDate="2026-01-31", fullName="张三")
    world.sync()
    _has_account(world, row["employeeNumber"], "idaas", "disabled")
    world.hr.vanish(row["personId"])
    world.change(
        old | {"personId": NEW, "employeeStatus": "1", "disableDate": None, "fullName": "李四"}
    )
    world.sync("full")
    return world, old


def test_a_case_says_who_has_the_number_and_what_agrees(case: tuple[HrWorld, HrRow]) -> None:
    """I15: by number, nothing else of the person."""
    world, old = case
    (waiting,) = person_commands.list_cases(
        engine=world.engine, settings=world.settings, now=utc_now()
    )
    assert (waiting.employee_number, waiting.record_key) == (old["employeeNumber"], str(NEW))
    assert (waiting.has_left, waiting.same_name, waiting.same_address) == (True, False, None)
    assert waiting.accounts == {"idaas": "disabled"}
    assert [reason.kind for reason in waiting.reasons] == [Kind.IS_A_LEAVERS]


def test_the_same_person_keeps_id_and_accounts_under_the_new_record(
    case: tuple[HrWorld, HrRow],
) -> None:
    """I9: no second account."""
    world, old = case
    number = old["employeeNumber"]
    before = world.everything()
    _link(world, number, same=True, dry_run=True)
    assert world.everything() == before
    person = world.person(old)["id"]
    assert _link(world, number, same=True).accounts == {"idaas": "disabled"}
    world.sync()
    (now,) = world.rows(
        "SELECT id, full_name, status, source_key, employee_number FROM accountsync.person"
        " WHERE source_key = :key", key=str(NEW),
    )  # fmt: skip
    assert tuple(now.values()) == (person, "李四", "1", str(NEW), number)
    assert world.open_rejects() == {}
    assert world.differences() == {}
    assert _audited(world) == ["person_linked"]


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_another_person_gets_the_number_and_no_account_of_who_had_it(
    case: tuple[HrWorld, HrRow], mode: Any
) -> None:
    """I9, I11, I17: the old one has left for good and keeps the account; an ended record that HR
    shows again is told, and gives nobody anything."""
    world, old = case
    number, person = old["employeeNumber"], world.person(old)["id"]
    effect = _link(world, number, same=False)
    assert effect.number == f"{number}~{person}"
    world.sync(mode)
    new = world.person({"personId": NEW})
    assert (new["employee_number"], new["full_name"], new["id"] != person) == (
        number, "李四", True,
    )  # fmt: skip
    assert _accounts(world) == {effect.number: {"idaas"}}
    assert world.open_rejects() == {}
    world.hr.put_persons(old)
    for _ in range(2):
        world.sync("full")
        kinds = {key: row["reasons"][0]["kind"] for key, row in world.open_rejects().items()}
        assert kinds == {str(old["personId"]): Kind.HAS_AN_ACTIVE_RECORD}
    assert world.person({"personId": NEW})["status"] == "1"
    assert _audited(world) == ["number_reassigned"]


def test_a_requested_person_gives_the_number_to_hrs_and_has_left(world: HrWorld) -> None:
    """I10: somebody had made a request under a number that HR gave to somebody else."""
    world.sync()
    world.execute(
        "INSERT INTO accountsync.person (source, source_key, origin, employee_number, full_name,"
        " attributes, content_hash) VALUES ('request', :n, 'request', :n, '王五', '{}', '')",
        n=NUMBER,
    )
    _has_account(world, NUMBER, "email")
    row = world.change({"personId": NEW}, employeeNumber=NUMBER)
    world.sync()
    with pytest.raises(ConfigurationError, match="no record of HR waits"):
        _link(world, NUMBER, same=True, key="another")
    effect = _link(world, NUMBER, same=False)
    world.sync()
    assert world.person(row)["employee_number"] == NUMBER
    assert _accounts(world) == {effect.number: {"email"}}
    left = "SELECT leave_date < current_date FROM accountsync.person WHERE employee_number = :n"
    assert world.scalar(left, n=effect.number)


def test_nobody_at_work_loses_a_number(world: HrWorld) -> None:
    """I4: two records at work with one number are HR's to correct."""
    world.sync()
    row = world.hr.persons()[0]
    world.change(row, employeeStatus="1", disableDate=None)
    world.sync()
    world.change(row | {"personId": NEW}, fullName="李四", employeeStatus="1", disableDate=None)
    world.sync("full")
    with pytest.raises(SafetyStopError, match="still at work"):
        _link(world, row["employeeNumber"], same=False)


@pytest.fixture
def rehired(world: HrWorld) -> tuple[HrWorld, str]:
    """Somebody left, and is back under a new number as a second person."""
    world.sync()
    row = world.hr.persons()[0]
    world.change(row, employeeStatus="2", disableDate="2026-01-31")
    world.change(row | {"personId": NEW, "employeeNumber": NUMBER}, employeeStatus="1",
                 disableDate=None)  # fmt: skip
    world.sync()
    return world, row["employeeNumber"]


def test_two_persons_become_the_older_one_with_the_accounts_of_both(
    rehired: tuple[HrWorld, str],
) -> None:
    """I8, I9: the names of the older one stay in use, and none goes to anybody else."""
    world, older = rehired
    _has_account(world, older, "idaas", "disabled")
    _has_account(world, older, "welink", "deleted")
    _has_account(world, NUMBER, "welink")
    _has_name(world, older, "zhangsan")
    _has_name(world, NUMBER, "zhangsan2")
    _has_name(world, NUMBER, "zs@example.com", "email")
    before = world.everything()
    _merge(world, older, NUMBER, dry_run=True)
    assert world.everything() == before
    person = world.scalar("SELECT id FROM accountsync.person WHERE employee_number = :n", n=older)
    assert _merge(world, older, NUMBER).moved == ["welink"]
    (now,) = world.rows(
        "SELECT id, source_key, status FROM accountsync.person WHERE employee_number = :n", n=NUMBER
    )
    assert tuple(now.values()) == (person, str(NEW), "1")
    assert _accounts(world) == {NUMBER: {"idaas", "welink"}}
    names = world.rows(
        "SELECT value, current FROM accountsync.name_registry WHERE person_id = :p ORDER BY 1",
        p=person,
    )
    assert [tuple(row.values()) for row in names] == [
        ("zhangsan", True), ("zhangsan2", False), ("zs@example.com", True),
    ]  # fmt: skip
    assert _audited(world) == ["persons_merged"]
    for _ in range(2):
        result = world.sync("full")
    assert (result.updated, result.rejected) == (0, 0)
    assert _accounts(world) == {NUMBER: {"idaas", "welink"}}


def test_two_accounts_in_one_target_are_not_merged_unless_one_is_to_be_disabled(
    rehired: tuple[HrWorld, str],
) -> None:
    """I9, I17."""
    world, older = rehired
    for number in (older, NUMBER):
        _has_account(world, number, "idaas")
    before = world.everything()
    with pytest.raises(SafetyStopError, match="both have an account in idaas"):
        _merge(world, older, NUMBER)
    assert world.everything() == before
    assert _merge(world, older, NUMBER, disable_newer=True).accounts == {"idaas": "active"}
    (aside,) = world.rows(
        "SELECT p.leave_date < current_date AS has_left, a.state FROM accountsync.account a"
        " JOIN accountsync.person p ON p.id = a.person_id WHERE employee_number LIKE '%~%'"
    )
    assert dict(aside) == {"has_left": True, "state": "active"}


def test_what_cannot_be_merged_is_refused(rehired: tuple[HrWorld, str]) -> None:
    world, older = rehired
    with pytest.raises(SafetyStopError, match="still at work"):
        _merge(world, NUMBER, older)
    with pytest.raises(ConfigurationError, match="one person already"):
        _merge(world, older, older)
    with pytest.raises(ConfigurationError, match="nobody has the employee number"):
        _merge(world, older, "nobody")


def _command(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_the_commands_list_show_and_do(
    case: tuple[HrWorld, HrRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, old = case
    url = world.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("ACCOUNTSYNC_DATABASE_URL", url)
    number = old["employeeNumber"]
    listed = _command("person", "cases").output
    assert f"{number}  hieds  record {NEW}" in listed
    assert "has left: another name, e-mail address not known of both" in listed
    assert "张三" not in listed
    assert "李四" not in listed
    said = ("--comment", "asked HR", "--actor", "mia")
    assert _command("person", "link", number, *said).exit_code != 0
    shown = _command("person", "link", number, "--same", *said)
    assert "nothing was changed; add --yes" in shown.output
    assert _audited(world) == []
    explained = _command("explain", number).output
    assert "HR has another record with this number, which waits since" in explained
    assert "person cases" in explained
    done = _command("person", "link", number, "--same", *said, "--yes")
    assert f"{number} is the person of the new record" in done.output
    assert _audited(world) == ["person_linked"]
