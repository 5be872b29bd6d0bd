"""Names that exist already: HR's word, and what adopted accounts show (I8)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from accountsync.domain.accounts.account import RemoteAccount
from accountsync.jobs.commands import adopt_accounts, explanation
from accountsync.jobs.commands.adopt_accounts import Adoption
from accountsync.settings.target import Correlation
from tests.integration.plans.planned_people import People

EMAIL = "{{ person.full_name | pinyin }}@{{ person.type.email_domain }}"
FOLLOWS = {"email": {"value": EMAIL, "existing": "person.email", "on_rename": "follow"}}
KEEPS = {"email": {"value": EMAIL, "existing": "person.email"}}


def _adopts(people: People, target: str, *accounts: RemoteAccount) -> Adoption:
    declared = people.settings.targets[target].model_copy(
        update={"correlate_by": [Correlation(attribute="employeeNumber", sure=True)]}
    )
    return adopt_accounts.adopt_accounts(
        engine=people.engine,
        target=target,
        declared=declared,
        read=lambda: list(accounts),
        actor="tester",
        now=datetime.now(UTC),
    )


def _account(number: str, login: str, **attributes: Any) -> RemoteAccount:
    return RemoteAccount(
        identifier=login,
        remote_id=f"id-{number}",
        ours=True,
        enabled=True,
        attributes={"employeeNumber": number, "userName": login} | attributes,
    )


def _open_tasks(people: People, target: str) -> list[str]:
    rows = people.rows(
        "SELECT operation FROM accountsync.account_task WHERE system = :s AND finished_at IS NULL",
        s=target,
    )
    return [row["operation"] for row in rows]


def _not_followed(people: People, number: str) -> dict[str, str]:
    now = datetime.now(UTC)
    explained = explanation.explain(
        engine=people.engine, settings=people.settings, number=number, now=now
    )
    return dict(explained.names_not_followed)


@pytest.mark.parametrize("on_rename", ["keep", "follow"])
def test_names_of_an_adopted_account_are_the_persons_whatever_was_reserved(
    people: People, on_rename: str
) -> None:
    """I8: a create was planned as kmuller, then kmueller is adopted: nobody's login is renamed, and
    the reserved name is nobody else's."""
    username = {"value": "{{ person.full_name | pinyin }}", "on_rename": on_rename}
    people.with_names({"username": username})
    people.add("E1", "张伟")
    people.plan()
    before = people.names("E1")
    shown = {"name": "张伟", "email": "zw@example.com"}
    assert _adopts(people, "idaas", _account("E1", "zweiw", **shown)).adopted == 1
    people.plan()
    assert (people.names("E1")["username"], people.names("E1")["email"]) == (
        "zweiw", "zw@example.com",
    )  # fmt: skip
    assert _open_tasks(people, "idaas") == []
    people.add("E2", "张伟")
    people.plan()
    assert before["username"] == "zhangwei"
    assert people.names("E2")["username"] == "zhangwei2"
    people.execute("UPDATE accountsync.person SET planned_revision = 0")
    people.plan()
    assert "rename" not in _open_tasks(people, "idaas")
    assert people.names("E1")["username"] == "zweiw"


def test_a_former_name_that_an_adopted_account_bears_is_in_use_again(people: People) -> None:
    """I8: with `follow` the mapping gives the newer one, and still no login is renamed."""
    people.with_names({"username": {"value": "{{ person.english_name }}", "on_rename": "follow"}})
    people.add("E1", "张伟")
    people.change("E1", english_name="old")
    people.plan()
    people.change("E1", english_name="new")
    people.plan()
    assert people.names("E1")["username"] == "new"
    _adopts(people, "idaas", _account("E1", "OLD"))
    people.plan()
    assert people.names("E1")["username"] == "OLD"
    assert "rename" not in _open_tasks(people, "idaas")


def test_a_name_that_another_account_bears_or_an_operator_chose_stays_in_use(
    people: People,
) -> None:
    """I8: a name is not reserved only where an account has it."""
    people.add("E1", "张伟")
    people.add("E2", "李娜")
    people.plan()
    people.execute(
        "INSERT INTO accountsync.account (person_id, system, state, identifier, attributes,"
        " provenance) SELECT person_id, 'email', 'active', value, '{}', 'created'"
        " FROM accountsync.name_registry WHERE namespace = 'email' AND value LIKE 'zhangwei@%'"
    )
    people.command("name", "override", "E2", "--name", "email=nana@example.com")
    people.plan()
    accounts = [
        _account(number, login, email=f"{login}@example.com")
        for number, login in (("E1", "zw"), ("E2", "ln"))
    ]
    _adopts(people, "idaas", *accounts)
    assert people.names("E1")["email"] == "zhangwei@example.com"
    assert people.names("E1")["username"] == "zw"
    assert people.names("E2")["email"] == "nana@example.com"


def test_names_that_known_accounts_show_by_now_are_nobody_elses(people: People) -> None:
    """I8: seen once is enough; the name in use stays."""
    people.add("E1", "张伟")
    _adopts(people, "idaas", _account("E1", "zw"))
    people.plan()
    assert _adopts(people, "idaas", _account("E1", "lina")).known == 1
    assert people.names("E1")["username"] == "zw"
    people.with_names({"username": "{{ person.full_name | pinyin }}"})
    people.add("E2", "李娜")
    people.plan()
    assert people.names("E2")["username"] == "lina2"


def test_hrs_word_wins_where_names_follow_and_nothing_is_invented(people: People) -> None:
    """I8: capitals, a marriage with HR's own new address, and back."""
    people.with_names(FOLLOWS)
    people.add("E1", "张伟", email="Zhang.Wei@Example.com")
    people.plan()
    assert people.names("E1")["email"] == "Zhang.Wei@Example.com"
    people.change("E1", full_name="李伟", email="Li.Wei@Example.com")
    people.plan()
    assert people.names("E1")["email"] == "Li.Wei@Example.com"
    people.change("E1", full_name="王伟")
    people.plan()
    assert people.names("E1")["email"] == "Li.Wei@Example.com"
    people.change("E1", email="zhang.wei@example.com")
    people.plan()
    assert people.names("E1")["email"] == "zhang.wei@example.com"
    values = people.rows("SELECT value FROM accountsync.name_registry WHERE namespace = 'email'")
    assert sorted(row["value"] for row in values) == ["Li.Wei@Example.com", "zhang.wei@example.com"]


def test_a_name_that_hr_spells_otherwise_is_the_same_in_hrs_spelling(people: People) -> None:
    people.with_names(FOLLOWS)
    people.add("E1", "张伟")
    people.plan()
    people.change("E1", email="ZhangWei@Example.com")
    people.plan()
    assert people.names("E1")["email"] == "ZhangWei@Example.com"
    assert len(people.rows("SELECT FROM accountsync.name_registry WHERE namespace='email'")) == 1


def test_hr_corrects_its_own_word_and_moves_no_name_that_we_gave(people: People) -> None:
    people.with_names(KEEPS)
    people.add("E1", "张伟", email="zhangwie@example.com")
    people.add("E2", "李娜")
    people.plan()
    people.change("E1", email="zhang.wei@example.com")
    people.change("E2", email="li.na@example.com")
    people.plan()
    assert people.names("E1")["email"] == "zhang.wei@example.com"
    assert people.names("E2")["email"] == "lina@example.com"
    assert _not_followed(people, "E2")["email"] == "names in use are kept (`on_rename: keep`)"


def test_what_hr_says_of_a_name_that_another_person_has_is_told(people: People) -> None:
    people.with_names(FOLLOWS)
    people.add("E1", "张伟", email="boss@example.com")
    people.add("E2", "李娜", email="Boss@example.com")
    people.plan()
    assert people.names("E2")["email"] == "lina@example.com"
    assert _not_followed(people, "E1") == {}
    assert _not_followed(people, "E2") == {
        "email": "it is or was that of E1, and nobody else gets it"
    }


@pytest.mark.parametrize(
    "said",
    [
        "postmaster@example.com", "admin@EXAMPLE.com", "no-at", "a b@example.com", "a@b@c",
        "adm\u200bin@example.com", "x\r\ny@example.com", f"{'l' * 65}@example.com",
        ".a@example.com", "a.@example.com",
    ],
)  # fmt: skip
def test_what_can_be_no_name_is_not_taken_from_hr(people: People, said: str) -> None:
    """I8, I18: the person waits, with words, and another one's is not made up."""
    people.with_names(FOLLOWS)
    people.add("E1", "张伟", email=said)
    people.plan()
    assert "email" not in people.names("E1")
    causes = people.rows("SELECT cause FROM accountsync.account_task WHERE state = 'needs_data'")
    assert causes
    assert all("the email that HR says the person has can be none" in r["cause"] for r in causes)
    people.change("E1", email="zw@example.com")
    people.plan()
    assert people.names("E1")["email"] == "zw@example.com"
    people.change("E1", email=said, full_name="李娜")
    people.plan()
    assert people.names("E1")["email"] == "zw@example.com"


@pytest.mark.parametrize("said", ["a\u200bb", "x\r\ny", "", "l" * 65])
def test_what_can_be_no_name_is_not_made_either(people: People, said: str) -> None:
    people.with_names({"email": "{{ person.english_name }}@example.com"})
    people.add("E1", "张伟")
    people.change("E1", english_name=said)
    people.plan()
    assert "email" not in people.names("E1")
    assert people.rows("SELECT FROM accountsync.account_task WHERE state = 'needs_data'")
