"""Disabled means that a login fails, or the disable is refused with the cure (I17): Samba, and
slapd with and without a password policy; judged by logins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from accountsync.domain.accounts.account import Account
from accountsync.errors import ConfigurationError, RejectedByTargetError
from accountsync.testing import known
from tests.connectors.ldap_subjects import DIALECTS, LdapSubject
from tests.connectors.openldap import NO_LOCKOUT, POLICY, SILENT, SUFFIX, UNPROVEN, running

NUMBER = "20001"
DECLARED: dict[str, Any] = {"disabling": {"policy": POLICY}}
NOTHING: dict[str, Any] = {"disabling": {}}
Opened = Callable[[str], LdapSubject]


@pytest.fixture(scope="module")
def _started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    subjects: dict[str, LdapSubject] = {}
    with ExitStack() as stack:

        def started(overlays: str) -> LdapSubject:
            if overlays not in subjects:
                folder: Path = tmp_path_factory.mktemp("slapd")
                server = stack.enter_context(running(folder / "run", overlays=overlays))
                subjects[overlays] = LdapSubject(DIALECTS[0], server)
            subjects[overlays].reset()
            return subjects[overlays]

        yield started


@pytest.fixture
def silent(_started: Opened) -> LdapSubject:
    return _started(SILENT)


@pytest.fixture
def unproven(_started: Opened) -> LdapSubject:
    return _started(UNPROVEN)


@pytest.fixture
def without_overlay(_started: Opened) -> LdapSubject:
    """Its module is loaded, so that the schema has the attribute."""
    return _started("")


def _working(ldap: LdapSubject, number: str = NUMBER) -> tuple[Account, str]:
    """A person who can log in, and the entry's name."""
    person = ldap.person(number)
    account = known(ldap.call(lambda c: c.create(person)), person)
    (dn,) = (entry.dn for entry in ldap.entries() if entry.text(ldap.key) == number)
    ldap.give_password(dn)
    assert ldap.logs_in(dn)
    return account, dn


def _do(ldap: LdapSubject, operation: str, account: Account, **declared: Any) -> Any:
    return ldap.call(lambda c: getattr(c, operation)(account, account.attributes), **declared)


def test_a_leaver_cannot_log_in_and_a_rehire_can(ldap: LdapSubject) -> None:
    account, dn = _working(ldap)
    for _ in range(2):
        assert _do(ldap, "disable", account).enabled is False
        assert not ldap.logs_in(dn)
        assert _do(ldap, "enable", account).enabled is True
        assert ldap.logs_in(dn)


def test_a_prehire_cannot_log_in_before_the_account_is_enabled(ldap: LdapSubject) -> None:
    person = ldap.person(NUMBER)
    made = ldap.call(lambda c: c.create(person, enabled=False))
    assert made.enabled is False
    (entry,) = ldap.entries()
    assert not ldap.logs_in(entry.dn)
    if ldap.name == "active_directory":
        ldap.give_password(entry.dn)
        assert not ldap.logs_in(entry.dn)
    assert _do(ldap, "enable", known(made, person)).was_enabled is False
    ldap.give_password(entry.dn)
    assert ldap.logs_in(entry.dn)


def test_a_password_that_is_reset_takes_the_lock_of_openldap_away_and_a_look_shows_it(
    openldap: LdapSubject,
) -> None:
    """I18: the overlay does so; docs/targets-ldap.md tells it."""
    account, dn = _working(openldap)
    _do(openldap, "disable", account)
    openldap.give_password(dn)
    assert openldap.logs_in(dn)
    assert _do(openldap, "look", account).enabled is True
    _do(openldap, "disable", account)
    assert not openldap.logs_in(dn)


@pytest.mark.parametrize("overlays", ["unproven", "silent", "without_overlay"])
def test_a_lock_that_nothing_proves_is_refused_with_the_cure(
    overlays: str, request: pytest.FixtureRequest
) -> None:
    """By the first disable and by the connection test; and no look-up says that it is disabled."""
    ldap: LdapSubject = request.getfixturevalue(overlays)
    account, dn = _working(ldap)
    with pytest.raises(ConfigurationError, match=r"disabling\.policy"):
        ldap.call(lambda c: c.check(), **NOTHING)
    with pytest.raises(ConfigurationError, match=r"disabling\.policy"):
        _do(ldap, "disable", account, **NOTHING)
    assert ldap.logs_in(dn) is (overlays != "silent")
    assert ldap.call(lambda c: c.find(account.attributes), **NOTHING).enabled is None
    assert _do(ldap, "look", account, **NOTHING).enabled is None
    assert [listed.enabled for listed in ldap.listed(**NOTHING)] == [None]
    with pytest.raises(ConfigurationError, match=r"disabling\.policy"):
        ldap.call(lambda c: c.check(), **NOTHING)


@pytest.mark.parametrize("overlays", ["unproven", "silent"])
def test_a_declared_policy_makes_the_lock_count(
    overlays: str, request: pytest.FixtureRequest
) -> None:
    """Whatever the server's default is, while the account is disabled it is under this one."""
    ldap: LdapSubject = request.getfixturevalue(overlays)
    account, dn = _working(ldap)
    assert ldap.call(lambda c: c.check(), **DECLARED)
    for _ in range(2):
        shown = _do(ldap, "disable", account, **DECLARED)
        assert (shown.enabled, ldap.logs_in(dn)) == (False, False)
    assert [listed.enabled for listed in ldap.listed(**DECLARED)] == [False]
    assert _do(ldap, "enable", account, **DECLARED).enabled is True
    assert ldap.logs_in(dn)
    entry = ldap.wire(
        lambda d: d.read(dn, attributes=["pwdPolicySubentry", "pwdAccountLockedTime"])
    )
    assert entry.attributes == {}


def test_a_policy_is_of_no_use_where_the_overlay_is_not_at_work(
    without_overlay: LdapSubject,
) -> None:
    account, dn = _working(without_overlay)
    with pytest.raises(ConfigurationError, match="load the overlay ppolicy"):
        _do(without_overlay, "disable", account, **DECLARED)
    assert without_overlay.logs_in(dn)
    assert _do(without_overlay, "look", account, **DECLARED).enabled is None


@pytest.mark.parametrize("policy", [NO_LOCKOUT, f"cn=nowhere,{SUFFIX}"])
def test_a_policy_that_locks_nobody_is_refused_before_anything_is_sent(
    unproven: LdapSubject, policy: str
) -> None:
    account, dn = _working(unproven)
    before = unproven.entries()
    declared = {"disabling": {"policy": policy}}
    with pytest.raises(ConfigurationError, match="pwdLockout: TRUE"):
        _do(unproven, "disable", account, **declared)
    with pytest.raises(ConfigurationError, match="pwdLockout: TRUE"):
        unproven.call(lambda c: c.check(), **declared)
    assert unproven.entries() == before
    assert unproven.logs_in(dn)


def test_an_entry_under_a_policy_of_its_own_that_locks_nobody_fails_alone(
    openldap: LdapSubject,
) -> None:
    """I13: it says nothing about the others."""
    account, dn = _working(openldap)
    other, other_dn = _working(openldap, "20002")
    openldap.modify(dn, "pwdPolicySubentry", NO_LOCKOUT)
    with pytest.raises(RejectedByTargetError, match="its own password policy"):
        _do(openldap, "disable", account)
    assert openldap.logs_in(dn)
    assert _do(openldap, "disable", other).enabled is False
    assert not openldap.logs_in(other_dn)


def test_a_server_that_says_that_it_locks_needs_no_declared_policy(
    openldap: LdapSubject,
) -> None:
    """ppolicy_use_lockout. The connection test needs one account that is locked."""
    account, dn = _working(openldap)
    with pytest.raises(ConfigurationError, match=r"disabling\.policy"):
        openldap.call(lambda c: c.check(), **NOTHING)
    assert _do(openldap, "disable", account, **NOTHING).enabled is False
    assert not openldap.logs_in(dn)
    assert openldap.call(lambda c: c.check(), **NOTHING)


def test_what_is_tried_to_prove_a_lock_burns_nobodys_logins(openldap: LdapSubject) -> None:
    """The overlay answers before it looks at a password."""
    account, dn = _working(openldap)
    for _ in range(3):
        _do(openldap, "disable", account, **NOTHING)
    entry = openldap.wire(lambda d: d.read(dn, attributes=["pwdFailureTime"]))
    assert "pwdfailuretime" not in entry.attributes
