"""Memberships: what is wrong with one group is that group's failure, and what the directory shows
is what counts (I13, I17, I18)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from accountsync.domain.accounts.account import Account
from accountsync.errors import NeedsDataError, RejectedByTargetError
from accountsync.testing import known
from accountsync.wire import ldap_messages
from accountsync.wire.directory import Directory
from accountsync.wire.ldap_messages import Request
from tests.connectors.ldap_subjects import SALES, LdapSubject

NUMBER = "20001"


@pytest.fixture
def temporary(ldap: LdapSubject) -> Iterator[str]:
    """One of the managed groups, which somebody is going to delete."""
    dn = ldap.group("temporary")
    _make_group(ldap, dn)
    yield dn
    ldap.wire(lambda d: _gone(d, dn), as_admin=True)


async def _gone(directory: Directory, dn: str) -> None:
    if await directory.read(dn, attributes=["1.1"]):
        await directory.change(ldap_messages.delete(dn))


def _make_group(ldap: LdapSubject, dn: str) -> None:
    content = {"objectClass": [b"group"]}
    if ldap.name == "openldap":
        content = {"objectClass": [b"groupOfNames"], "member": [ldap.server.login.encode()]}
    ldap.wire(lambda d: d.change(ldap_messages.add(dn, content)), as_admin=True)


def _managed(ldap: LdapSubject, *more: str) -> dict[str, Any]:
    return {"groups": {"managed": [ldap.group("staff"), ldap.group("vpn"), *more]}}


def _made(ldap: LdapSubject, declared: dict[str, Any], *groups: str) -> Account:
    person = ldap.person(NUMBER) | {"groups": list(groups)}
    return known(ldap.call(lambda c: c.create(person), **declared), person)


@pytest.mark.parametrize("lost", ["deleted", "renamed"])
def test_a_group_that_is_gone_is_its_own_failure_after_all_else_was_done(
    ldap: LdapSubject, temporary: str, lost: str
) -> None:
    declared = _managed(ldap, temporary)
    account = _made(ldap, declared, temporary)
    if lost == "deleted":
        ldap.wire(lambda d: d.change(ldap_messages.delete(temporary)), as_admin=True)
    else:
        ldap.move(temporary, ldap.dialect.base)
    wanted = dict(account.attributes) | {
        "displayName": "neu",
        "ou": SALES,
        "groups": [ldap.group("staff"), temporary],
    }
    try:
        with pytest.raises(RejectedByTargetError, match=r"temporary.*is not there.*is done"):
            ldap.call(lambda c: c.update(account, wanted), **declared)
        (entry,) = ldap.entries()
        assert entry.text("displayName") == "neu"
        assert "销售" in entry.dn
        assert len(ldap.members("staff")) == 1
        shown = ldap.call(lambda c: c.look(account, wanted), **declared)
        assert shown.attributes["groups"] == [ldap.group("staff")]
        with pytest.raises(RejectedByTargetError, match="temporary"):
            ldap.call(lambda c: c.check(), **declared)
        assert len(ldap.listed(**declared)) == 1
        assert ldap.call(lambda c: c.disable(account, wanted), **declared).enabled is False
    finally:
        if lost == "renamed":
            moved = f"cn=temporary,{ldap.dialect.base}"
            ldap.wire(lambda d: d.change(ldap_messages.delete(moved)), as_admin=True)


def test_a_group_that_is_gone_concerns_nobody_who_neither_was_nor_is_to_be_in_it(
    ldap: LdapSubject,
) -> None:
    declared = _managed(ldap, ldap.group("nowhere"))
    account = _made(ldap, declared, ldap.group("staff"))
    wanted = dict(account.attributes) | {"groups": [ldap.group("vpn")]}
    shown = ldap.call(lambda c: c.update(account, wanted), **declared)
    assert shown.attributes["groups"] == [ldap.group("vpn")]
    assert (len(ldap.members("staff")), len(ldap.members("vpn"))) == (0, 1)


def test_who_was_in_a_group_that_is_gone_is_not_known_to_be_out_of_it(ldap: LdapSubject) -> None:
    """I17: it may be hidden or renamed, and the membership go on."""
    nowhere = ldap.group("nowhere")
    declared = _managed(ldap, nowhere)
    account = _made(ldap, declared)
    was_in = known(
        ldap.call(lambda c: c.find(account.attributes), **declared),
        dict(account.attributes) | {"groups": [nowhere]},
    )
    with pytest.raises(RejectedByTargetError, match="nowhere"):
        ldap.call(lambda c: c.update(was_in, account.attributes), **declared)


def test_an_account_is_made_and_in_its_other_groups_though_one_is_gone(ldap: LdapSubject) -> None:
    nowhere, staff = ldap.group("nowhere"), ldap.group("staff")
    person = ldap.person(NUMBER) | {"groups": [nowhere, staff]}
    with pytest.raises(RejectedByTargetError, match="nowhere"):
        ldap.call(lambda c: c.create(person), **_managed(ldap, nowhere))
    assert len(ldap.entries()) == len(ldap.members("staff")) == 1


def test_a_container_that_is_gone_keeps_nobody_in_a_group(ldap: LdapSubject) -> None:
    """I17: the membership is taken away, whatever else cannot be done."""
    account = _made(ldap, {}, ldap.group("vpn"))
    wanted = dict(account.attributes) | {"groups": [], "ou": "/nowhere", "displayName": "neu"}
    with pytest.raises(RejectedByTargetError, match="no such container"):
        ldap.call(lambda c: c.update(account, wanted))
    assert ldap.members("vpn") == set()
    (entry,) = ldap.entries()
    assert entry.text("displayName") == "neu"


def test_a_rule_may_leave_a_group_open(ldap: LdapSubject) -> None:
    """As the documentation has it: `"{{ … if … else none }}"`."""
    groups = [None, ldap.group("staff"), ""]
    person = ldap.person(NUMBER) | {"groups": groups}
    account = known(ldap.call(lambda c: c.create(person)), person)
    assert len(ldap.members("staff")) == 1
    assert ldap.call(lambda c: c.find(person)).attributes["groups"] == groups
    ldap.call(lambda c: c.update(account, person | {"groups": [None]}))
    assert ldap.members("staff") == set()


@pytest.mark.parametrize("groups", [{"a": 1}, [7], ["staff"], [["cn=x"]]])
def test_what_is_no_group_is_told_before_anything_is_sent(ldap: LdapSubject, groups: Any) -> None:
    with pytest.raises(NeedsDataError, match="group"):
        ldap.call(lambda c: c.create(ldap.person(NUMBER) | {"groups": groups}))
    assert ldap.entries() == []


def test_a_membership_that_was_taken_and_is_still_there_is_seen(
    ldap: LdapSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I18: the group said success and did nothing."""
    account = _made(ldap, {}, ldap.group("vpn"))
    change, group = Directory.change, ldap.group("vpn")

    async def ignoring_the_group(directory: Directory, request: Request, **options: Any) -> None:
        if group.encode() not in bytes(request[1]["object"]):
            await change(directory, request, **options)

    monkeypatch.setattr(Directory, "change", ignoring_the_group)
    wanted = dict(account.attributes) | {"groups": [], "displayName": "neu"}
    shown = ldap.call(lambda c: c.update(account, wanted))
    assert shown.attributes["groups"] == [group]
    assert shown.attributes["displayName"] == "neu"
    assert len(ldap.members("vpn")) == 1


def test_members_are_read_in_parts_where_there_are_many(active_directory: LdapSubject) -> None:
    """Active Directory shows 1,500 at once; a smaller limit is the server's to set."""
    ad, vpn = active_directory, active_directory.group("vpn")
    people = [ad.person(str(20_001 + n)) | {"groups": [vpn]} for n in range(6)]
    for person in people:
        ad.call(lambda c, person=person: c.create(person))
    asked: list[str] = []
    search = Directory.search_if_readable

    async def in_parts(directory: Directory, dn: str, **options: Any) -> Any:
        """Samba gives what a range asks for, and all where none is."""
        (name,) = options["attributes"]
        asked.append(name)
        first = int(name.partition("=")[2].partition("-")[0] or 0)
        part = f"member;range={first}-{first + 2}"
        return await search(directory, dn, **{**options, "attributes": [part]})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Directory, "search_if_readable", in_parts)
        listed = ad.listed()
    assert asked[:1] == ["member"]
    assert {name for account in listed for name in account.attributes["groups"]} == {vpn}
    assert len([account for account in listed if account.attributes["groups"]]) == len(people)
