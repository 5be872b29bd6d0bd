"""Names from the plan to the operator: given once, for ever, to one person (I8)."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from accountsync.errors import ConfigurationError, SafetyStopError
from accountsync.jobs.commands import name_commands
from accountsync.store import locks
from tests.integration.plans.planned_people import People

ALIAS = "{{ person.full_name | pinyin }}"
EMAIL = "{{ person.full_name | pinyin }}@{{ person.type.email_domain }}"
WAITING = (
    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


def test_namesakes_of_one_batch_get_one_number_for_alias_and_address(people: People) -> None:
    """PREDECESSOR faults 8, 9, 18: what is stored is what is sent, everywhere."""
    for n in range(1, 5):
        people.add(f"E{n}", "张伟")
    people.plan()
    assert [people.names(f"E{n}")["mail_alias"] for n in range(1, 5)] == [
        "zhangwei", "zhangwei2", "zhangwei3", "zhangwei4",
    ]  # fmt: skip
    sent = people.rows(
        "SELECT p.employee_number, t.system, t.desired FROM accountsync.account_task t"
        " JOIN accountsync.person p ON p.id = t.person_id"
    )
    for row in sent:
        names = people.names(row["employee_number"])
        for attribute, space in (("email", "email"), ("userEmail", "email"),
                                 ("EmailAddress", "email"), ("Alias", "mail_alias")):  # fmt: skip
            if attribute in row["desired"]:
                assert row["desired"][attribute] == names[space]


def test_a_user_name_that_holds_the_employee_number_is_not_numbered(people: People) -> None:
    """z10022 must be nobody but number 10022."""
    for number in ("1001", "1002", "10022"):
        people.add(number, "张伟")
    people.plan()
    assert people.names("1002")["username"] == "z1002"
    assert people.names("1002")["mail_alias"] == "zhangwei2"
    assert people.names("10022")["username"] == "z10022"


def test_polyphonic_surnames_are_read_as_surnames(people: People) -> None:
    """PREDECESSOR fault 16."""
    for n, name in enumerate(["单伟", "仇伟", "解伟", "曾伟", "查伟", "区伟"]):
        people.add(f"E{n}", name)
    people.plan()
    found = [people.names(f"E{n}")["mail_alias"] for n in range(6)]
    assert found == ["shanwei", "qiuwei", "xiewei", "zengwei", "zhawei", "ouwei"]


def test_two_planners_at_once_give_no_name_twice(people: People) -> None:
    for n in range(40):
        people.add(f"E{n}", "张伟")
    threads = [threading.Thread(target=people.plan) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {people.names(f"E{n}")["email"] for n in range(40)}
    assert len(found) == 40
    assert len(people.rows("SELECT FROM accountsync.name_registry")) == 120


def _renamed(people: People, on_rename: str) -> dict[str, str]:
    people.with_names({"email": {"value": EMAIL, "on_rename": on_rename}})
    people.add("E1", "张伟")
    people.plan()
    people.change("E1", full_name="李娜")
    people.add("E2", "李娜")
    people.add("E3", "张伟")
    people.plan()
    return people.names("E1")


def test_names_are_kept_when_the_person_is_renamed(people: People) -> None:
    assert _renamed(people, "keep")["email"] == "zhangwei@example.com"


def test_a_namespace_that_follows_gets_a_new_name_and_the_old_one_stays_owned(
    people: People,
) -> None:
    names = _renamed(people, "follow")
    assert names["email"] == "lina@example.com"
    assert names["mail_alias"] == "zhangwei"
    assert people.names("E3")["email"] == "zhangwei2@example.com"
    people.change("E1", full_name="张伟")
    people.plan()
    assert people.names("E1")["email"] == "zhangwei@example.com"


def test_a_name_once_given_no_longer_depends_on_what_it_was_made_from(people: People) -> None:
    """HR's new spelling has no reading, the person's type lost its mapping: nothing is renamed."""
    people.add("E1", "张伟")
    people.plan()
    before = people.names("E1")
    people.change("E1", full_name="张𠮷", person_type="77")
    people.plan()
    assert people.names("E1") == before


@pytest.mark.parametrize(
    ("then", "alias", "state"), [("number", "hr2", "ready"), ("needs_data", None, "needs_data")]
)
def test_reserved_words_are_nobodys(
    people: People, then: str, alias: str | None, state: str
) -> None:
    people.with_names({"mail_alias": "{{ person.english_name or 'hr' }}"},
                      reserved_names={"then": then})  # fmt: skip
    people.add("E1", "张伟")
    people.plan()
    assert people.names("E1").get("mail_alias") == alias
    tasks = people.rows("SELECT state FROM accountsync.account_task WHERE system = 'idaas'")
    assert [row["state"] for row in tasks] == [state]


def test_other_reserved_words_are_planned_for_everybody(people: People) -> None:
    alias = {"mail_alias": "{{ person.english_name or 'hr' }}"}
    people.with_names(alias, reserved_names={"then": "needs_data"})
    people.add("E1", "张伟")
    people.plan()
    people.with_names(alias, reserved_names={"then": "number"})
    people.plan()
    assert people.names("E1")["mail_alias"] == "hr2"


def test_what_hr_says_people_have_is_theirs_before_anything_is_given(people: People) -> None:
    people.with_names({"email": {"value": EMAIL, "existing": "person.email"}})
    people.add("E1", "张伟")
    people.add("E2", "张伟", email="ZhangWei@example.com")
    people.add("E3", "张伟", email="zhangwei@EXAMPLE.com")
    people.add("E4", "张伟", email="  ")
    people.plan()
    assert people.names("E1")["email"] == "zhangwei2@example.com"
    assert people.names("E2")["email"] == "ZhangWei@example.com"
    assert people.names("E3")["email"] == "zhangwei3@example.com"
    assert people.names("E4")["email"] == "zhangwei4@example.com"


def test_what_people_have_may_be_told_by_their_type(people: People) -> None:
    """I8."""
    domain = "@{{ person.type.email_domain }}"
    existing = "{{ person.attributes.login }}" + domain
    email = {"value": "{{ person.full_name | pinyin }}" + domain, "existing": existing}
    people.with_names({"email": email})
    people.add("E1", "张伟")
    people.add("E2", "张伟")
    people.execute(
        'UPDATE accountsync.person SET attributes = \'{"login": "zhangwei"}\''
        " WHERE employee_number = 'E2'"
    )
    people.plan()
    assert people.names("E1")["email"].startswith("zhangwei2@")
    assert people.names("E2")["email"].startswith("zhangwei@")


def test_somebody_whose_name_cannot_be_read_waits_for_an_operator(people: People) -> None:
    people.add("E1", "张𠮷")
    people.plan()
    cause = "the name holds a character without a known reading (U+20BB7)"
    tasks = "SELECT DISTINCT state, cause FROM accountsync.account_task WHERE system = 'idaas'"
    assert [tuple(row.values()) for row in people.rows(tasks)] == [("needs_data", cause)]
    assert "1 people are planned again" in people.command("name", "read", "𠮷", "ji").output
    people.plan()
    assert people.names("E1")["mail_alias"] == "zhangji"
    assert [row["state"] for row in people.rows(tasks)] == ["ready"]


def test_somebody_whose_name_does_not_fit_stops_nobody(people: People) -> None:
    """I3."""
    local = r"{{ person.full_name | pinyin | replace('zhao', '\x00') }}"
    email = f"{local}@{{{{ person.type.email_domain }}}}"
    seen = r"{{ 'a\x00' if person.employee_number == 'E3' else '' }}"
    people.with_names({"email": {"value": email, "existing": seen, "max_length": 30}})
    people.execute(
        "UPDATE accountsync.person_type_mapping"
        " SET email_domain = 'a-really-long-subsidiary.example.com' WHERE person_type = '11'"
    )
    people.add("E1", "张伟")
    people.add("E2", "李娜", person_type="11")
    people.add("E3", "赵一")
    people.plan()
    assert people.names("E1")["email"].startswith("zhangwei@")
    found = people.rows("SELECT cause FROM accountsync.account_task WHERE state = 'needs_data'")
    assert {row["cause"] for row in found} == {
        "the name does not fit into the length allowed here",
        "the email that HR says the person has can be none: it holds what is no character; correct"
        " it in HR, or set it with `bin/accountsync name override`",
    }


def test_an_override_is_one_persons_audited_and_applied_by_the_next_plan(people: People) -> None:
    people.add("E1", "盖伟")
    people.add("E2", "盖伟")
    assert "also read gai" in people.command("name", "preview", "E1").output
    done = people.command("name", "override", "E1", "--reading", "gai wei", "--actor", "ann")
    assert done.exit_code == 0
    assert "also read" not in people.command("name", "preview", "E1").output
    people.plan()
    assert people.names("E1")["mail_alias"] == "gaiwei"
    assert people.names("E2")["mail_alias"] == "gewei"
    people.command("name", "override", "E2", "--name", "email=Wei.Ge@example.com")
    people.plan()
    assert people.names("E2")["email"] == "Wei.Ge@example.com"
    (row,) = people.rows(
        "SELECT origin FROM accountsync.name_registry WHERE value = 'Wei.Ge@example.com'"
    )
    assert row["origin"] == "override"
    shown = people.command("name", "show", "E2").output
    assert "email: gewei@example.com  no longer used, still this person's" in shown
    audit = people.rows("SELECT actor, details FROM accountsync.audit_event ORDER BY id")
    assert audit[0]["actor"] == "ann"
    assert [row["details"]["employee_number"] for row in audit] == ["E1", "E2"]
    assert "gai" not in str(audit)


def test_what_an_operator_chooses_is_given_as_it_is_or_not_at_all(people: People) -> None:
    """I8: never silently with a number. One that was free when it was chosen says why not."""
    people.with_names(
        {"mail_alias": {"value": "{{ person.full_name | pinyin }}", "max_length": 20}}
    )
    for number in ("E1", "E2", "E3"):
        people.add(number, "张伟")
    people.plan()
    people.command("name", "reserve", "chairman", "--space", "mail_alias")
    for alias, said in (
        ("ZhangWei", "mail_alias: E1 has or had this name, and nobody else gets it"),
        ("chairman", "mail_alias: this name is kept for nobody: it is reserved"),
        ("Postmaster", "mail_alias: a reserved word is nobody's name"),
        ("a-name-of-21-letters-", "the mail_alias that an operator chose is longer than 20"),
    ):
        with pytest.raises(SafetyStopError, match=said):
            choose(people, "E2", alias)
    choose(people, "E2", "boss")
    choose(people, "E3", "Boss")
    people.plan()
    assert people.names("E2")["mail_alias"] == "boss"
    assert people.names("E3")["mail_alias"] == "zhangwei3"
    preview = name_commands.preview(engine=people.engine, settings=people.settings, number="E3")
    assert "that an operator chose is taken or reserved" in str(preview.problem)
    choose(people, "E3", "chief")
    people.plan()
    assert people.names("E3")["mail_alias"] == "chief"


def choose(people: People, number: str, alias: str) -> None:
    name_commands.override(
        engine=people.engine, settings=people.settings, number=number, actor="ann",
        chosen={"mail_alias": alias}, now=datetime.now(UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ("email=wei.ge.example.com", "email: an address is written name@domain, with one @"),
        ("email=wei@ge@example.com", "email: an address is written name@domain, with one @"),
        ("email=wei ge@example.com", "email: an address is written name@domain, with one @"),
        ("email=wei.ge@", "email: an address is written name@domain, with one @"),
        ("email=@example.com", "email: an address is written name@domain, with one @"),
        ("email=盖伟@example.com", "email: these names are made of ASCII letters"),
        ("mail_alias=盖伟", "mail_alias: these names are made of ASCII letters"),
        ("mail_alias=wei\tge", "mail_alias: a name is not blank and holds no control characters"),
        ("mail_alias=wei\u200bge", "mail_alias: a name is not blank and holds no control"),
        ("mail_alias= ", "a blank is no name; nothing after = takes it back"),
    ],
)
def test_a_typing_error_in_a_chosen_name_is_refused(people: People, chosen: str, said: str) -> None:
    """I8: given once it would be kept for ever. What the mapping makes there says how it looks."""
    people.add("E1", "盖伟")
    error = people.command("name", "override", "E1", "--name", chosen).exception
    assert isinstance(error, ConfigurationError | SafetyStopError)
    assert said in str(error)
    assert people.rows("SELECT FROM accountsync.audit_event") == []


def test_a_namespace_given_twice_is_refused(people: People) -> None:
    people.add("E1", "盖伟")
    twice = ("--name", "mail_alias=gaiwei", "--name", "mail_alias=weigai")
    error = people.command("name", "override", "E1", *twice).exception
    assert isinstance(error, ConfigurationError)
    assert str(error) == "the namespace 'mail_alias' is given twice"


def test_a_namespace_that_is_made_of_what_hr_writes_takes_any_script(people: People) -> None:
    people.with_names({"mail_alias": "{{ person.full_name }}"})
    people.add("E1", "盖伟")
    choose(people, "E1", "盖小伟 (2)")
    people.plan()
    assert people.names("E1")["mail_alias"] == "盖小伟 (2)"


def test_an_override_says_what_the_next_plan_makes_of_it(people: People) -> None:
    person = people.add("E1", "盖伟")
    set_email = ("name", "override", "E1", "--name", "email=wei.gai@example.com")
    assert "email: none is in use until the next plan, which gives wei.gai@example.com" in (
        people.command(*set_email).output
    )
    people.command("name", "override", "E1", "--name", "email=")
    people.plan()
    people.execute(
        "INSERT INTO accountsync.account (person_id, system, state, identifier, attributes,"
        " provenance) SELECT person_id, system, 'active', 'zE1', desired, 'created'"
        " FROM accountsync.account_task WHERE person_id = :person AND system = 'idaas'",
        person=person,
    )
    before = people.names("E1")
    assert people.command(*set_email).output.splitlines()[:5] == [
        "E1: recorded",
        "username: gE1 stays in use",
        "mail_alias: gewei stays in use",
        "email: gewei@example.com stays in use until the next plan, which gives"
        " wei.gai@example.com",
        "the next plan asks for in idaas: update of email",
    ]
    assert people.names("E1") == before
    people.plan()
    assert people.names("E1") == before | {"email": "wei.gai@example.com"}
    said = people.command("name", "override", "E1", "--name", "email=").output
    assert "email: wei.gai@example.com stays in use\n" in said
    assert "update of" not in said


def test_an_override_of_a_leaver_says_that_the_old_name_stays(people: People) -> None:
    people.add("E1", "盖伟")
    people.plan()
    people.change("E1", status="9")
    said = people.command("name", "override", "E1", "--name", "mail_alias=boss").output
    assert (
        "mail_alias: gewei stays in use; boss is given once there is an active account to give"
        " it to\n"
    ) in said


def test_an_override_waits_for_a_plan_under_way(people: People) -> None:
    """It would mark the person as planned, and nobody would see the override."""
    people.add("E1", "张伟")
    with ThreadPoolExecutor(1) as pool:
        with locks.held(people.engine, "plan"):
            order = pool.submit(
                name_commands.override, engine=people.engine, settings=people.settings,
                number="E1", actor="ann", chosen={"mail_alias": "boss"}, now=datetime.now(UTC),
            )  # fmt: skip
            while not people.rows(WAITING):
                assert not order.done()
                time.sleep(0.01)
        order.result(timeout=60)
    people.plan()
    assert people.names("E1")["mail_alias"] == "boss"


def test_a_surname_is_read_as_operators_say(people: People) -> None:
    people.add("E1", "盖伟")
    assert "1 people" in people.command("name", "read", "盖", "gai", "--surname").output
    people.plan()
    assert people.names("E1")["mail_alias"] == "gaiwei"
    assert people.command("name", "read").output == "surname 盖: gai\n"
    people.command("name", "read", "盖", "--surname")
    assert people.command("name", "read").output == ""


def test_a_preview_shows_what_would_be_given_and_gives_nothing(people: People) -> None:
    people.add("E1", "张伟")
    people.plan()
    people.add("E2", "张伟")
    shown = people.command("name", "preview", "E2").output
    assert shown == ("username: zE2\nmail_alias: zhangwei2\nemail: zhangwei2@example.com\n")
    newcomer = people.command(
        "name", "preview", "--full-name", "张伟", "--person-type", "12"
    ).output  # fmt: skip
    assert "email: zhangwei2@intern.example.com" in newcomer
    lost = people.command("name", "preview", "--full-name", "张\ufffd", "--person-type", "10")
    assert "cannot be given: the name holds a character without" in lost.output
    assert people.names("E2") == {}
    assert len(people.rows("SELECT FROM accountsync.person")) == 2


def test_a_reserved_name_is_given_to_nobody(people: People) -> None:
    people.add("E1", "张伟")
    people.plan()
    said = people.command("name", "reserve", "ZhangWei2", "--space", "mail_alias").output
    assert "reserved in: mail_alias" in said
    assert (
        "already" in people.command("name", "reserve", "zhangwei", "--space", "mail_alias").output
    )
    people.add("E2", "张伟")
    people.plan()
    assert people.names("E2")["mail_alias"] == "zhangwei3"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["override", "E9", "--reading", "wang wei"], "nobody has the employee number 'E9'"),
        (["override", "E1"], "nothing to override"),
        (["override", "E1", "--name", "nick=x"], "no namespace 'nick'"),
        (["override", "E1", "--name", "x"], "write NAMESPACE=VALUE"),
        (["override", "E1", "--reading", "王 wei"], "ASCII letters"),
        (["read", "盖", "gài"], "ASCII letters"),
        (["reserve", "x", "--space", "nick"], "no namespace 'nick'"),
        (["preview"], "name an employee number"),
    ],
)
def test_orders_that_make_no_sense_are_refused(
    people: People, arguments: list[Any], said: str
) -> None:
    people.add("E1", "张伟")
    error = people.command("name", *arguments).exception
    assert isinstance(error, ConfigurationError)
    assert said in str(error)
