"""A known account is found wherever it lies, and is seen to be the person's before anything is done
to it; judged by what the directory holds and by who can log in (I17, I18)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from accountsync.domain.accounts.account import Account
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    ForeignAccountError,
    NeedsDataError,
    NeedsHumanError,
    TransientError,
)
from accountsync.targets.connector import Connector
from accountsync.testing import known
from accountsync.wire import ldap_messages
from accountsync.wire.directory import Directory
from accountsync.wire.ldap_messages import Request
from tests.connectors.ldap_subjects import SALES, LdapSubject
from tests.connectors.openldap import HIDDEN

NUMBER, OTHER = "20001", "E777"
CHANGES = ("update", "rename", "enable", "disable", "delete")


def _made(ldap: LdapSubject, number: str = NUMBER, **attributes: Any) -> Account:
    person = ldap.person(number) | attributes
    return known(ldap.call(lambda c: c.create(person)), person)


def _do(ldap: LdapSubject, operation: str, account: Account, wanted: Any = None) -> Any:
    attributes = account.attributes if wanted is None else wanted

    async def act(connector: Connector) -> Any:
        if operation == "delete":
            return await connector.delete(account)
        return await getattr(connector, operation)(account, attributes)

    return ldap.call(act)


def _elsewhere(ldap: LdapSubject) -> list[Any]:
    entries: list[Any] = ldap.wire(lambda d: ldap.entries_of(d, ldap.dialect.others))
    return entries


@pytest.mark.parametrize("shown", ["e777", "\uff25\uff17\uff17\uff17"])
def test_a_key_that_is_spelt_otherwise_is_the_persons(ldap: LdapSubject, shown: str) -> None:
    """I17: as an adoption sees it, so that a leaver's access ends without a human."""
    account = _made(ldap, OTHER)
    ldap.edit(OTHER, {ldap.key: shown})
    assert _do(ldap, "disable", account).enabled is False


def test_a_leaver_who_was_moved_out_of_the_base_cannot_log_in_any_more(ldap: LdapSubject) -> None:
    """I17: an administrator put the entry into another container; it stays there."""
    account = _made(ldap)
    (entry,) = ldap.entries()
    dn = ldap.move(entry.dn, ldap.dialect.others)
    ldap.give_password(dn)
    assert ldap.logs_in(dn)
    shown = ldap.call(lambda c: c.look(account, account.attributes))
    assert (shown.remote_id, shown.ours, shown.enabled) == (account.remote_id, True, True)
    disabled = _do(ldap, "disable", account)
    assert (disabled.enabled, disabled.was_enabled) == (False, True)
    assert not ldap.logs_in(dn)
    (entry,) = _elsewhere(ldap)
    assert entry.dn.casefold() == dn.casefold()


@pytest.mark.parametrize("operation", ["update", "rename", "enable", "delete"])
def test_an_entry_that_was_moved_out_of_the_base_is_otherwise_a_case_for_a_human(
    ldap: LdapSubject, operation: str
) -> None:
    """I18: nothing moves it back, gives it access or takes it away."""
    account = _made(ldap)
    (entry,) = ldap.entries()
    ldap.move(entry.dn, ldap.dialect.others)
    before = _elsewhere(ldap)
    with pytest.raises(NeedsHumanError, match=r"outside `base`, in (?i:ou=others,dc=example)"):
        _do(ldap, operation, account, dict(account.attributes) | {"displayName": "neu"})
    assert _elsewhere(ldap) == before
    assert ldap.entries() == []


@pytest.mark.parametrize("operation", CHANGES)
@pytest.mark.parametrize("by_id", [True, False], ids=["by id", "by key"])
def test_an_entry_that_was_given_to_somebody_else_is_not_touched(
    ldap: LdapSubject, operation: str, by_id: bool
) -> None:
    """I18: it was re-keyed by hand; the old owner's leaving must not lock the new one."""
    account = _made(ldap)
    (entry,) = ldap.entries()
    ldap.give_password(entry.dn)
    ldap.modify(entry.dn, ldap.key, "30001")
    before = ldap.entries()
    known_as = account if by_id else replace(account, remote_id=None)
    gone = (AccountMissingError, NeedsHumanError)
    wanted = dict(account.attributes) | {"displayName": "neu"}
    with pytest.raises(ForeignAccountError if by_id else gone):
        _do(ldap, operation, known_as, wanted)
    assert ldap.entries() == before
    assert ldap.logs_in(entry.dn)
    if by_id:
        shown = ldap.call(lambda c: c.look(account, wanted))
        assert (shown.ours, shown.enabled) == (False, True)


@pytest.mark.parametrize("operation", CHANGES)
def test_an_entry_whose_key_was_taken_away_is_nobodys_to_touch(
    ldap: LdapSubject, operation: str
) -> None:
    """I18."""
    account = _made(ldap)
    (entry,) = ldap.entries()
    ldap.modify(entry.dn, ldap.key)
    before = ldap.entries() or ldap.wire(lambda d: d.read(entry.dn, attributes=["*"]))
    with pytest.raises(ForeignAccountError, match="carries no employee"):
        _do(ldap, operation, account)
    assert (ldap.entries() or ldap.wire(lambda d: d.read(entry.dn, attributes=["*"]))) == before


@pytest.mark.parametrize("operation", ["update", "enable", "disable"])
def test_a_key_that_changes_between_the_look_and_the_change_stops_the_change(
    ldap: LdapSubject, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I18: the directory itself compares: by the key that the modification takes away and adds,
    or by the assertion control (RFC 4528)."""
    account = _made(ldap)
    (entry,) = ldap.entries()
    change = Directory.change

    async def just_before(directory: Directory, request: Request, **options: Any) -> None:
        monkeypatch.setattr(Directory, "change", change)
        step: ldap_messages.Step = ("replace", ldap.key, [b"30001"])
        await change(directory, ldap_messages.modify(entry.dn, [step]))
        await change(directory, request, **options)

    monkeypatch.setattr(Directory, "change", just_before)
    by_control = ldap.name == "openldap" and operation == "disable"
    wanted = dict(account.attributes) | {"displayName": "neu"}
    with pytest.raises(ForeignAccountError if by_control else TransientError):
        _do(ldap, operation, account, wanted)
    with pytest.raises(ForeignAccountError, match="carries another"):
        _do(ldap, operation, account, wanted)
    (after,) = ldap.entries()
    assert after.text(ldap.key) == "30001"
    assert after.text("displayName") == entry.text("displayName")
    assert after.attributes.get("useraccountcontrol") == entry.attributes.get("useraccountcontrol")
    assert "pwdaccountlockedtime" not in after.attributes


def test_a_new_number_is_carried_and_the_old_one_never_meets_its_new_owner(
    ldap: LdapSubject,
) -> None:
    """I18: HR corrects 20001 to E777, and gives 20001 to somebody else, who has no entry yet."""
    account = _made(ldap)
    corrected = ldap.person(NUMBER) | {ldap.key: OTHER}
    shown = _do(ldap, "update", account, corrected)
    assert shown.attributes[ldap.key] == OTHER
    (entry,) = ldap.entries()
    assert entry.text(ldap.key) == OTHER
    assert _do(ldap, "disable", account, corrected).enabled is False
    assert ldap.call(lambda c: c.find(ldap.person("20002") | {ldap.key: NUMBER})) is None


def test_two_numbers_that_are_swapped_hit_neither_of_the_two(ldap: LdapSubject) -> None:
    """I18: known without ids, each is found by the key that it carries, not by the one it is to
    have."""
    first, second = _made(ldap, "20001"), _made(ldap, "20002")
    swapped = dict(first.attributes) | {ldap.key: "20002"}
    _do(ldap, "disable", replace(first, remote_id=None), swapped)
    state = {entry.text(ldap.key): entry for entry in ldap.entries()}
    shown = ldap.call(lambda c: c.look(second, second.attributes))
    assert shown.enabled is True
    assert ldap.call(lambda c: c.look(first, first.attributes)).enabled is False
    assert set(state) == {"20001", "20002"}


def test_an_account_without_id_and_key_is_not_looked_for_by_what_it_is_to_have(
    ldap: LdapSubject,
) -> None:
    """I18: the key that is wanted may be another person's."""
    account = _made(ldap)
    unknown = replace(account, remote_id=None, attributes={})
    with pytest.raises(NeedsDataError, match="neither its id nor the key"):
        _do(ldap, "disable", unknown, account.attributes)
    assert all(seen.enabled for seen in ldap.accounts())


def test_a_leaver_who_is_found_nowhere_is_gone_only_if_the_directory_says_so(
    ldap: LdapSubject,
) -> None:
    """I17: Active Directory shows what was deleted. Elsewhere a human looks."""
    account = _made(ldap)
    _do(ldap, "delete", account)
    if ldap.name == "active_directory":
        with pytest.raises(AccountMissingError, match="deleted"):
            _do(ldap, "disable", account)
        assert ldap.call(lambda c: c.look(account, account.attributes)) is None
    for lost in (account, replace(account, remote_id="5d0cf4e6-6a11-103e-8bb4-7b0a2a0c8a11")):
        if ldap.name == "openldap" or lost is not account:
            with pytest.raises(NeedsHumanError, match="anywhere that our login can see"):
                _do(ldap, "disable", lost)
            with pytest.raises(NeedsHumanError, match="anywhere that our login can see"):
                ldap.call(lambda c, lost=lost: c.look(lost, lost.attributes))
    with pytest.raises(AccountMissingError):
        _do(ldap, "update", account)


def test_an_entry_that_was_made_again_by_hand_is_not_taken_for_a_leaver_who_has_gone(
    ldap: LdapSubject,
) -> None:
    """I17: the directory shows that the known one was deleted, and the new one can be used."""
    account = _made(ldap)
    _do(ldap, "delete", account)
    ldap.make(ldap.person(NUMBER))
    with pytest.raises(NeedsHumanError, match="another one carries its employee"):
        _do(ldap, "disable", account)
    shown = ldap.call(lambda c: c.look(account, account.attributes))
    assert (shown.ours, shown.remote_id != account.remote_id) == (True, True)
    corrected = replace(account, attributes=dict(account.attributes) | {ldap.key: OTHER})
    with pytest.raises(NeedsHumanError, match="another one carries its employee"):
        _do(ldap, "disable", corrected, account.attributes)


def test_a_leaver_who_was_moved_to_where_our_login_may_not_look_is_never_quietly_done(
    openldap: LdapSubject,
) -> None:
    """I17: the login still works there."""
    account = _made(openldap)
    (entry,) = openldap.entries()
    dn = openldap.move(entry.dn, HIDDEN)
    openldap.give_password(dn)
    with pytest.raises(NeedsHumanError, match="task done"):
        _do(openldap, "disable", account)
    assert openldap.logs_in(dn)


def test_an_entry_outside_the_base_is_not_made_a_second_time(ldap: LdapSubject) -> None:
    """I9: a look before a create is wider than the base."""
    _made(ldap)
    (entry,) = ldap.entries()
    ldap.move(entry.dn, ldap.dialect.others)
    person = ldap.person(NUMBER) | {ldap.target.identifier: "another"}
    for act in (lambda c: c.create(person), lambda c: c.find(person)):
        with pytest.raises(NeedsHumanError, match=r"outside `base`, in (?i:ou=others,dc=example)"):
            ldap.call(act)
    assert ldap.entries() == []
    assert len(_elsewhere(ldap)) == 1


def test_where_to_look_before_a_create_is_declared(openldap: LdapSubject) -> None:
    """Where another tree has the same numbers on purpose."""
    account = _made(openldap)
    (entry,) = openldap.entries()
    openldap.move(entry.dn, openldap.dialect.others)
    narrow = {"search_base": openldap.dialect.base}
    assert openldap.call(lambda c: c.find(account.attributes), **narrow) is None
    assert openldap.call(lambda c: c.create(account.attributes), **narrow).ours


def test_the_same_key_under_another_name_is_found_before_a_second_entry_is_made(
    ldap: LdapSubject,
) -> None:
    """I9, I10: by the key, whatever the overlay `unique` would say."""
    account = _made(ldap)
    other = ldap.person("20002") | {ldap.key: NUMBER}
    with pytest.raises(AccountExistsError):
        ldap.call(lambda c: c.create(other))
    found = ldap.call(lambda c: c.find(other))
    assert (found.ours, found.remote_id) == (True, account.remote_id)
    assert len(ldap.entries()) == 1


def test_a_logon_name_that_a_group_has_is_said_to_be_taken_in_the_whole_domain(
    active_directory: LdapSubject,
) -> None:
    """I10: users, groups and computers share sAMAccountName; the group lies outside the base."""
    dn = f"CN=printers,{active_directory.dialect.others}"
    group = {"objectClass": [b"group"], "sAMAccountName": [b"printers"]}
    active_directory.wire(lambda d: d.change(ldap_messages.add(dn, group)))
    person = active_directory.person(NUMBER) | {"sAMAccountName": "printers"}
    with pytest.raises(NeedsHumanError, match="sAMAccountName is taken by another object") as said:
        active_directory.call(lambda c: c.create(person))
    assert "printers" not in str(said.value)
    assert active_directory.call(lambda c: c.find(person)).ours is False
    active_directory.wire(lambda d: d.change(ldap_messages.delete(dn)))
    assert active_directory.entries() == []


def test_a_value_that_is_too_long_is_named(active_directory: LdapSubject) -> None:
    """I15: the attribute, and nothing of its value."""
    person = active_directory.person(NUMBER) | {"employeeID": "9" * 40}
    with pytest.raises(Exception, match=r"21/0000200B; attribute employeeID: too long") as said:
        active_directory.call(lambda c: c.create(person))
    assert "99" not in str(said.value)


@pytest.mark.parametrize("operation", ["update", "enable", "disable"])
def test_what_a_change_returns_is_what_the_directory_shows(
    ldap: LdapSubject, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I18: the server says success and does nothing."""
    account = _made(ldap)
    if operation == "enable":
        _do(ldap, "disable", account)
    change = Directory.change

    async def ignored(directory: Directory, request: Request, **options: Any) -> None:
        return

    monkeypatch.setattr(Directory, "change", ignored)
    wanted = ldap.person(NUMBER) | {"displayName": "neu", "groups": [ldap.group("staff")]}
    shown = _do(ldap, operation, account, wanted)
    monkeypatch.setattr(Directory, "change", change)
    assert shown.attributes["displayName"] == account.attributes["displayName"]
    assert shown.enabled is (operation != "enable")
    assert shown.was_enabled is (operation != "enable")
    if operation != "disable":
        assert shown.attributes["groups"] == []


def test_list_and_look_up_show_the_same(ldap: LdapSubject) -> None:
    """I18: container and memberships, too, whatever was wanted."""
    staff, vpn = ldap.group("staff"), ldap.group("vpn")
    people = [
        ldap.person("20001") | {"groups": [staff, vpn]},
        ldap.person("20002") | {"ou": SALES, "groups": [vpn]},
        ldap.person("20003") | {"groups": []},
        ldap.person("20004") | {"mobile": None},
    ]
    for person in people:
        ldap.call(lambda c, person=person: c.create(person))
    listed = {account.identifier: account for account in ldap.listed()}
    for person in people:
        account = listed[person[ldap.target.identifier]]
        looked_for = known(account, person)
        found = ldap.call(lambda c, account=looked_for: c.look(account, account.attributes))
        assert account == found
        groups = {name.casefold() for name in account.attributes["groups"]}
        assert groups == {name.casefold() for name in person["groups"]}
        place = account.attributes["ou"]
        assert place.casefold() in ("ou=研发,ou=集团", "ou=销售,ou=集团")
        assert account.attributes["mobile"] == (person["mobile"] or "")
