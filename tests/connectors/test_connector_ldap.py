"""What the LDAP connector keeps, against OpenLDAP and a Samba domain controller (DESIGN §7)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from accountsync.domain.accounts.likeness import as_found
from accountsync.errors import (
    AccountExistsError,
    ForeignAccountError,
    IncompleteReadError,
    NeedsDataError,
    RejectedByTargetError,
    TransientError,
)
from accountsync.targets.connector import Connector
from accountsync.testing import known
from accountsync.wire import ldap_messages
from tests.connectors.faulty_line import faulty_line
from tests.connectors.ldap_subjects import NAME, SALES, LdapSubject

NUMBER = "20001"


def test_the_directory_itself_lets_nobody_have_our_key_twice(openldap: LdapSubject) -> None:
    """The overlay `unique` says constraintViolation; to us the account exists (I9)."""
    openldap.call(lambda c: c.create(openldap.person(NUMBER)))
    with pytest.raises(AccountExistsError):
        openldap.call(lambda c: c.create(openldap.person(NUMBER) | {"uid": "another"}))


def test_namesakes_in_one_container_get_their_identifier_behind_the_name(
    active_directory: LdapSubject,
) -> None:
    ad = active_directory
    people = [ad.person(number) | {"cn": NAME} for number in ("20001", "20002")]
    accounts = [ad.call(lambda c, who=who: c.create(who)) for who in people]
    assert {entry.text("cn") for entry in ad.entries()} == {NAME, f"{NAME} (o20002)"}
    for who, account in zip(people, accounts, strict=True):
        again = ad.call(lambda c, who=who, a=account: c.update(known(a, who), who))
        assert again.remote_id == account.remote_id
    assert {entry.text("cn") for entry in ad.entries()} == {NAME, f"{NAME} (o20002)"}


def test_a_change_is_there_and_nothing_else_has_changed(ldap: LdapSubject) -> None:
    person = ldap.person(NUMBER)
    made = ldap.call(lambda c: c.create(person))
    (before,) = ldap.entries()
    changed = person | {"displayName": "欧阳", "mobile": None}
    after = ldap.call(lambda c: c.update(known(made, person), changed))
    (entry,) = ldap.entries()
    assert replace(after, was_enabled=None) == made
    assert after.attributes["displayName"] == entry.text("displayName") == "欧阳"
    assert "mobile" not in entry.attributes
    own = {"displayname", "mobile", "whenchanged", "usnchanged"}
    assert {name: entry.attributes[name] for name in entry.attributes.keys() - own} == {
        name: before.attributes[name] for name in before.attributes.keys() - own
    }


def test_what_an_entry_lacks_is_seen_and_no_difference_once_it_is_there(ldap: LdapSubject) -> None:
    """I6, I9: one that was there already is known as it is; one update completes it."""
    wanted = ldap.person(NUMBER)
    ldap.call(lambda c: c.create(wanted | {"mail": None, "mobile": ""}))
    found = ldap.call(lambda c: c.find(wanted))
    lacking = as_found(wanted, found.attributes)
    assert lacking == wanted | {"mail": "", "mobile": ""}
    ldap.call(lambda c: c.update(known(found, lacking), wanted))
    assert as_found(wanted, ldap.call(lambda c: c.find(wanted)).attributes) == wanted


def test_a_new_department_moves_the_account(ldap: LdapSubject) -> None:
    person = ldap.person(NUMBER)
    made = ldap.call(lambda c: c.create(person))
    moved = person | {"ou": SALES}
    for _ in range(2):
        after = ldap.call(lambda c: c.update(known(made, person), moved))
        assert after.remote_id == made.remote_id
        (entry,) = ldap.entries()
        assert "销售" in entry.dn


def test_a_department_without_a_container_is_refused_and_nothing_moves(ldap: LdapSubject) -> None:
    person = ldap.person(NUMBER)
    with pytest.raises(RejectedByTargetError, match="container"):
        ldap.call(lambda c: c.create(person | {"ou": "/nowhere"}))
    with pytest.raises(NeedsDataError, match="department mapping"):
        ldap.call(lambda c: c.create(person | {"ou": "OU=Sales,nowhere"}))
    assert ldap.entries() == []


def test_disabling_flips_one_bit_and_leaves_other_peoples(active_directory: LdapSubject) -> None:
    """DONT_EXPIRE_PASSWORD, set by an administrator, is there before and after."""
    ad = active_directory
    person = ad.person(NUMBER)
    account = known(ad.call(lambda c: c.create(person)), person)
    (entry,) = ad.entries()
    assert entry.text("userAccountControl") == "512"
    ad.modify(entry.dn, "userAccountControl", str(512 | 0x10000))
    for operation, flags in (("disable", 0x10202), ("enable", 0x10200)):
        ad.call(lambda c, op=operation: getattr(c, op)(account, person))
        (entry,) = ad.entries()
        assert entry.text("userAccountControl") == str(flags)


def test_what_disables_is_declared(openldap: LdapSubject) -> None:
    """Where no overlay locks a login, an attribute that the applications read."""
    declared = {"attribute": "description", "disabled": "left", "enabled": "active"}
    person = openldap.person(NUMBER)
    made = openldap.call(lambda c: c.create(person), disabling=declared)
    assert made.enabled is True
    for operation, value in (("disable", "left"), ("enable", "active")):
        openldap.call(
            lambda c, op=operation: getattr(c, op)(known(made, person), person), disabling=declared
        )
        (entry,) = openldap.entries()
        assert entry.texts("description") == [value]
        assert "pwdaccountlockedtime" not in entry.attributes


def test_who_disables_by_hand_may_write_it_in_capitals(openldap: LdapSubject) -> None:
    """I11: an account that is off is not taken for one that we have to disable."""
    declared = {"attribute": "description", "disabled": "true"}
    person = openldap.person(NUMBER)
    account = known(openldap.call(lambda c: c.create(person), disabling=declared), person)
    (entry,) = openldap.entries()
    openldap.modify(entry.dn, "description", "TRUE")
    done = openldap.call(lambda c: c.disable(account, person), disabling=declared)
    assert (done.was_enabled, done.enabled) == (False, False)


def test_a_leaver_keeps_name_place_and_groups(ldap: LdapSubject) -> None:
    person = ldap.person(NUMBER) | {"groups": [ldap.group("staff")]}
    made = ldap.call(lambda c: c.create(person))
    (before,) = ldap.entries()
    other = person | ldap.rename | {"ou": SALES, "groups": []}
    ldap.call(lambda c: c.disable(known(made, person), other))
    (after,) = ldap.entries()
    assert after.dn == before.dn
    assert len(ldap.members("staff")) == 1


def test_an_entry_that_was_given_to_somebody_else_is_not_deleted(ldap: LdapSubject) -> None:
    """I11."""
    person = ldap.person(NUMBER)
    account = known(ldap.call(lambda c: c.create(person)), person)
    (entry,) = ldap.entries()
    ldap.modify(entry.dn, ldap.key, "30001")
    with pytest.raises(ForeignAccountError, match="another employee"):
        ldap.call(lambda c: c.delete(account))
    assert len(ldap.entries()) == 1


def test_memberships_follow_the_rules_and_other_groups_are_left_alone(ldap: LdapSubject) -> None:
    staff, vpn = ldap.group("staff"), ldap.group("vpn").upper()
    person = ldap.person(NUMBER) | {"groups": [staff]}
    account = known(ldap.call(lambda c: c.create(person)), person)
    (entry,) = ldap.entries()
    others = [*ldap.members("others"), entry.dn]
    ldap.modify(ldap.group("others"), "member", *others)
    assert (len(ldap.members("staff")), len(ldap.members("vpn"))) == (1, 0)
    moved = person | {"groups": [vpn], "ou": SALES}
    for _ in range(2):
        ldap.call(lambda c: c.update(account, moved))
        assert (ldap.members("staff"), len(ldap.members("vpn"))) == (set(), 1)
    (entry,) = ldap.entries()
    assert {dn.casefold() for dn in ldap.members("vpn")} == {entry.dn.casefold()}
    assert len(ldap.members("others")) == 1


def test_a_group_that_is_not_ours_to_manage_is_refused_before_it_is_joined(
    ldap: LdapSubject,
) -> None:
    person = ldap.person(NUMBER)
    account = known(ldap.call(lambda c: c.create(person)), person)
    with pytest.raises(NeedsDataError, match=r"groups\.managed"):
        ldap.call(lambda c: c.update(account, person | {"groups": [ldap.group("others")]}))
    assert ldap.members("others") == set()


@pytest.mark.parametrize(
    "name",
    ["张, 三", '#+"\\<>;=', " 前后 ", "*)(uid=*", "O'Brien\\2C", "a,ou=x"],
    ids=["comma", "special", "blanks", "filter", "escape", "injection"],
)
def test_a_name_with_special_characters_stays_one_name(ldap: LdapSubject, name: str) -> None:
    """RFC 4514, RFC 4515: nothing breaks out of its value."""
    rdn = ldap.target.rdn
    person = ldap.person(NUMBER) | {rdn: name, "displayName": name}
    made = ldap.call(lambda c: c.create(person))
    (entry,) = ldap.entries()
    assert entry.text("displayName") == name
    assert ldap_messages.Entry(dn=entry.dn, attributes={}).dn.count("研发") == 1
    assert ldap.call(lambda c: c.find(person)) == made
    again = ldap.call(lambda c: c.update(known(made, person), person))
    assert replace(again, was_enabled=None) == made
    assert ldap.call(lambda c: c.rename(known(made, person), ldap.person(NUMBER))).ours


@pytest.mark.parametrize("wild", ["*", "2000*", "(objectClass=*)", "\\2a"])
def test_a_key_is_never_a_pattern(ldap: LdapSubject, wild: str) -> None:
    """RFC 4515: the look-up for `*` finds nobody."""
    ldap.call(lambda c: c.create(ldap.person(NUMBER)))
    person = ldap.person(NUMBER) | {ldap.key: wild, ldap.target.identifier: "nobody"}
    assert ldap.call(lambda c: c.find(person)) is None


def test_everybody_is_listed_once_over_many_pages(ldap: LdapSubject) -> None:
    numbers = _people(ldap, 12)
    accounts = ldap.listed()
    assert sorted(account.identifier for account in accounts) == [f"o{one}" for one in numbers]
    assert all(account.ours and account.enabled for account in accounts)


def _people(ldap: LdapSubject, count: int) -> list[str]:
    numbers = [str(20_001 + n) for n in range(count)]

    async def fill(connector: Connector) -> None:
        for one in numbers:
            await connector.create(ldap.person(one))

    ldap.call(fill)
    return numbers


def test_a_list_that_breaks_off_is_incomplete(ldap: LdapSubject) -> None:
    """I2: what was read before is not everybody."""
    _people(ldap, 7)
    server = ldap.server
    with faulty_line(server.host, server.encrypted) as line:

        async def read(connector: Connector) -> None:
            line_is_armed = False
            async for _ in connector.list():
                if not line_is_armed:
                    line.break_at("cut before")
                    line_is_armed = True

        endpoint = server.endpoint(port=line.port)
        with pytest.raises(TransientError):
            ldap.call(read, endpoint=endpoint)


def test_a_limit_of_the_server_makes_a_read_incomplete(openldap: LdapSubject) -> None:
    """Result 4 comes with some of the entries: they are not all."""
    _people(openldap, 5)
    with pytest.raises(IncompleteReadError, match=" 4; .*page_size"):
        openldap.wire(
            lambda d: d.search(
                openldap.dialect.base,
                scope="subtree",
                tests={"employeeNumber": None},
                attributes=["uid"],
            )
        )


def test_a_server_that_gives_shorter_pages_is_asked_for_shorter_ones(
    openldap: LdapSubject,
) -> None:
    """adminLimitExceeded (11) at the first page; slapd's `size.pr` is 20 here."""
    numbers = _people(openldap, 25)
    listed = openldap.listed(page_size=500)
    assert sorted(account.identifier for account in listed) == [f"o{one}" for one in numbers]


def test_many_at_once_share_one_connection(ldap: LdapSubject) -> None:
    server = ldap.server
    numbers = [str(number) for number in range(20_001, 20_021)]

    async def fill(connector: Connector) -> Any:
        people = [ldap.person(one) for one in numbers]
        return await asyncio.gather(*(connector.create(person) for person in people))

    with faulty_line(server.host, server.encrypted) as line:
        made = ldap.call(fill, endpoint=server.endpoint(port=line.port), rate={"concurrency": 8})
        assert line.connections == 1
    assert len({account.remote_id for account in made}) == len(ldap.entries()) == 20


def test_a_name_that_active_directory_would_refuse_is_not_sent(
    active_directory: LdapSubject,
) -> None:
    """sAMAccountName: Samba takes 25 characters, Windows cuts or refuses them."""
    for name in ("o" * 21, "a@b", "", "ends."):
        person = active_directory.person(NUMBER) | {"sAMAccountName": name}
        with pytest.raises(RejectedByTargetError, match="sAMAccountName"):
            active_directory.call(lambda c, person=person: c.create(person))
    assert active_directory.entries() == []


def test_a_connection_test_says_what_answered(ldap: LdapSubject) -> None:
    said = ldap.call(lambda c: c.check())
    assert ldap.dialect.base in said
    assert "encrypted" in said
