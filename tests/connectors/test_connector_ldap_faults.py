"""What may go wrong between us and a directory, against real servers (I9, I13, I15)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accountsync.domain.accounts.account import RemoteAccount
from accountsync.domain.tasks import departure
from accountsync.errors import (
    AccountExistsError,
    AccountSyncError,
    ConfigurationError,
    RejectedByTargetError,
    TargetDownError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.targets.connector import Connector
from accountsync.testing import known
from accountsync.wire import ldap_messages
from accountsync.wire.directory import Directory
from accountsync.wire.ldap_messages import Request
from tests.connectors import certificates
from tests.connectors.faulty_line import Fault, FaultyLine, faulty_line
from tests.connectors.ldap_subjects import NAME, PHONE, PINYIN, LdapSubject

NUMBER = "20001"
DONE: dict[Fault, bool] = {
    "cut before": False,
    "cut after": True,
    "hold before": False,
    "hold after": True,
}


def _over(line: FaultyLine, ldap: LdapSubject, fault: Fault, act: Any, **options: Any) -> Any:
    """`act`, its own first request hit by `fault`: the bind and a look before it are not."""

    async def run(connector: Connector) -> Any:
        await connector.find(ldap.person("99999"))
        line.break_at(fault, **options)
        return await act(connector)

    return ldap.call(run, endpoint=ldap.server.endpoint(port=line.port), timeout="1s")


@pytest.fixture
def line(ldap: LdapSubject) -> Any:
    with faulty_line(ldap.server.host, ldap.server.encrypted) as line:
        yield line


def _create(ldap: LdapSubject) -> RemoteAccount:
    made: RemoteAccount = ldap.call(lambda c: c.create(ldap.person(NUMBER)))
    return made


def _find(ldap: LdapSubject, **options: Any) -> RemoteAccount | None:
    found: RemoteAccount | None = ldap.call(lambda c: c.find(ldap.person(NUMBER)), **options)
    return found


@pytest.mark.parametrize("fault", DONE)
def test_after_an_unknown_outcome_a_look_decides(
    ldap: LdapSubject, line: FaultyLine, fault: Fault
) -> None:
    """I9: the second request of a create is the entry, after a look for the key."""
    with pytest.raises(UnknownOutcomeError):
        _over(line, ldap, fault, lambda c: c.create(ldap.person(NUMBER)), request=2)
    assert line.hit.is_set()
    found = _find(ldap)
    assert (found is not None) == DONE[fault] == (len(ldap.accounts()) == 1)
    assert found is None or found.ours


@pytest.mark.parametrize("fault", ["cut before", "cut after"])
def test_a_leaver_whose_answer_was_lost_may_be_disabled_or_not(
    ldap: LdapSubject, line: FaultyLine, fault: Fault
) -> None:
    """I9: the change comes after the look for the entry, and for what makes a lock count."""
    account = known(_create(ldap), ldap.person(NUMBER))
    number = 3 if ldap.name == "openldap" else 2
    with pytest.raises(UnknownOutcomeError):
        _over(line, ldap, fault, lambda c: c.disable(account, account.attributes), request=number)
    found = _find(ldap)
    assert found is not None
    assert found.enabled is not DONE[fault]
    assert ldap.call(lambda c: c.disable(account, account.attributes)).enabled is False


@pytest.mark.parametrize("fault", DONE)
def test_a_look_that_fails_never_says_absent(
    ldap: LdapSubject, line: FaultyLine, fault: Fault
) -> None:
    """I9, ssosync#194: an error is not an absence."""
    with pytest.raises(TransientError):
        _over(line, ldap, fault, lambda c: c.find(ldap.person(NUMBER)))


def test_made_but_not_seen_afterwards_is_an_unknown_outcome(
    ldap: LdapSubject, line: FaultyLine
) -> None:
    """The third request of a create, after a look and the entry, asks for what is there then."""
    with pytest.raises(UnknownOutcomeError, match="not seen afterwards"):
        _over(line, ldap, "cut before", lambda c: c.create(ldap.person(NUMBER)), request=3)
    found = _find(ldap)
    assert found is not None
    assert found.ours


@pytest.mark.parametrize("fault", ["cut before", "cut after"])
def test_memberships_that_an_attempt_left_out_are_completed_by_the_next(
    ldap: LdapSubject, line: FaultyLine, fault: Fault
) -> None:
    """The fourth request of a create is for the group; by then the account is there."""
    person = ldap.person(NUMBER) | {"groups": [ldap.group("staff")]}
    with pytest.raises(TransientError, match="memberships are not complete"):
        _over(line, ldap, fault, lambda c: c.create(person), request=4)
    with pytest.raises(AccountExistsError):
        ldap.call(lambda c: c.create(person))
    assert len(ldap.members("staff")) == 1
    found = ldap.call(lambda c: c.find(person))
    assert found.ours
    assert {name: found.attributes[name] for name in person} == person


def test_an_entry_that_is_not_shown_yet_is_an_unknown_outcome_and_stops_nobody_else(
    ldap: LdapSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I9: a replica that lags behind says noSuchObject, as for a base that is mistyped."""
    change = Directory.change

    async def then_not_there(directory: Directory, request: Request) -> None:
        await change(directory, request)
        for dn in [entry.dn for entry in await ldap.entries_of(directory)]:
            await change(directory, ldap_messages.delete(dn))

    monkeypatch.setattr(Directory, "change", then_not_there)
    with pytest.raises(UnknownOutcomeError, match="not seen afterwards"):
        _create(ldap)


def test_a_create_that_stops_halfway_is_known_to_have_begun(
    ldap: LdapSubject, line: FaultyLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I9: down is the target for the look that follows; the account is there."""
    change = Directory.change

    async def then_gone(directory: Directory, request: Request) -> None:
        await change(directory, request)
        line.close()
        await asyncio.sleep(0.1)

    async def create(connector: Connector) -> bool:
        monkeypatch.setattr(Directory, "change", then_gone)
        with (
            departure.watched(is_watched=True) as watched,
            pytest.raises((TargetDownError, UnknownOutcomeError)),
        ):
            await connector.create(ldap.person(NUMBER))
        return watched.is_begun

    assert ldap.call(create, endpoint=ldap.server.endpoint(port=line.port), timeout="2s")
    monkeypatch.undo()
    assert len(ldap.accounts()) == 1


def test_a_lost_connection_is_made_again_for_what_comes_next(
    ldap: LdapSubject, line: FaultyLine
) -> None:
    async def act(connector: Connector) -> RemoteAccount:
        await connector.find(ldap.person(NUMBER))
        line.break_at("cut before")
        with pytest.raises(TransientError):
            await connector.find(ldap.person(NUMBER))
        return await connector.create(ldap.person(NUMBER))

    assert ldap.call(act, endpoint=ldap.server.endpoint(port=line.port)).ours
    assert line.connections == 2


def test_a_silent_connection_is_left_and_another_one_serves(
    ldap: LdapSubject, line: FaultyLine
) -> None:
    async def act(connector: Connector) -> RemoteAccount | None:
        await connector.find(ldap.person(NUMBER))
        line.break_at("hold after")
        with pytest.raises(TransientError, match="no answer in time"):
            await connector.find(ldap.person(NUMBER))
        return await connector.find(ldap.person(NUMBER))

    assert ldap.call(act, endpoint=ldap.server.endpoint(port=line.port), timeout="1s") is None
    assert line.connections == 2


def test_a_password_that_is_refused_is_a_matter_of_configuration(ldap: LdapSubject) -> None:
    """And of no hint at it: neither password nor login are told."""
    endpoint = ldap.server.endpoint(password="wrong-secret")
    with pytest.raises(ConfigurationError, match="bind: 49") as caught:
        _find(ldap, endpoint=endpoint)
    assert "secret" not in str(caught.value)
    assert ldap.server.login not in str(caught.value)


@pytest.mark.parametrize("missing", ["login", "password"])
def test_without_a_password_nobody_is_taken_for_us(ldap: LdapSubject, missing: str) -> None:
    """RFC 4513 §5.1.2: a bind with a name and no password succeeds, as anonymous."""
    with pytest.raises(ConfigurationError, match="password"):
        _find(ldap, endpoint=ldap.server.endpoint(**{missing: ""}))


@pytest.mark.parametrize("tls", ["ldaps", "start_tls"])
def test_a_certificate_of_another_authority_is_refused(
    ldap: LdapSubject, tls: str, tmp_path: Path
) -> None:
    other = certificates.made_for("elsewhere", tmp_path).ca
    with pytest.raises(ConfigurationError, match="certificate is refused"):
        _find(ldap, endpoint=ldap.server.endpoint(tls=tls, verify=str(other)))


@pytest.mark.parametrize("tls", ["ldaps", "start_tls"])
def test_a_certificate_for_another_name_is_refused(ldap: LdapSubject, tls: str) -> None:
    endpoint = ldap.server.endpoint(tls=tls, server_name="other.example.com")
    with pytest.raises(ConfigurationError, match="certificate is refused"):
        _find(ldap, endpoint=endpoint)


def test_start_tls_serves_like_ldaps(ldap: LdapSubject) -> None:
    made = ldap.call(
        lambda c: c.create(ldap.person(NUMBER)), endpoint=ldap.server.endpoint(tls="start_tls")
    )
    assert _find(ldap) == made


def test_what_an_attacker_adds_before_tls_is_not_believed(openldap: LdapSubject) -> None:
    """CVE-2011-0411 and its kin: the answer to StartTLS is read to its end and no further."""
    endpoint = openldap.server.endpoint(tls="start_tls", port=openldap.server.encrypted)
    with pytest.raises((TargetDownError, ConfigurationError)):
        _find(openldap, endpoint=endpoint)


def test_active_directory_is_never_spoken_to_in_clear(active_directory: LdapSubject) -> None:
    """unicodePwd: on an encrypted channel only."""
    endpoint = active_directory.server.endpoint(tls="none", port=389)
    with pytest.raises(ConfigurationError, match="encrypted"):
        _find(active_directory, endpoint=endpoint)


@pytest.mark.parametrize("tls", ["none", "TLS"])
def test_a_password_never_leaves_this_machine_in_clear(openldap: LdapSubject, tls: str) -> None:
    endpoint = openldap.server.endpoint(tls=tls, base_url="https://directory.example.com")
    with pytest.raises(ConfigurationError, match="`tls` in the Connection's extra"):
        _find(openldap, endpoint=endpoint)


def test_behind_a_domains_name_nobody_is_surely_absent(active_directory: LdapSubject) -> None:
    """Another controller may have what this one has not yet got (I9)."""
    ad = active_directory
    endpoint = ad.server.endpoint(server_name="127.0.0.1")
    with pytest.raises(TransientError, match="no sure answer"):
        _find(ad, endpoint=endpoint)
    _create(ad)
    assert _find(ad, endpoint=endpoint) is not None


def test_the_base_has_to_be_there(ldap: LdapSubject) -> None:
    """A typing error in `base` must not look like an empty directory (go-ldap-admin#365)."""
    base = f"ou=nowhere,{ldap.dialect.base}"
    for act in (lambda c: c.find(ldap.person(NUMBER)), lambda c: c.check()):
        with pytest.raises(ConfigurationError, match="base"):
            ldap.call(act, base=base)
    with pytest.raises(ConfigurationError, match="base"):
        ldap.listed(base=base)


def test_where_we_may_not_write_the_task_is_refused_and_the_others_go_on(
    openldap: LdapSubject,
) -> None:
    """Result 50 for one container says nothing about the others."""
    person = openldap.person(NUMBER) | {"ou": "/readonly"}
    with pytest.raises(RejectedByTargetError) as caught:
        openldap.call(lambda c: c.create(person))
    assert caught.value.code == "50"


def test_a_schema_that_cannot_disable_is_told_at_once(openldap: LdapSubject) -> None:
    with pytest.raises(ConfigurationError, match="disabling"):
        openldap.call(lambda c: c.check(), disabling={"attribute": "loginShell"})


def test_neither_log_nor_error_tells_anything_about_anybody(
    ldap: LdapSubject, line: FaultyLine, caplog: pytest.LogCaptureFixture
) -> None:
    """I15: no name, no address, no phone number, no password, no distinguished name."""
    caplog.set_level(logging.DEBUG)
    account = known(_create(ldap), ldap.person(NUMBER))
    too_long = ldap.person("20002") | {"displayName": NAME * 200, "mail": f"{PINYIN}\x00"}
    other = ldap.person(NUMBER) | {ldap.key: "someone"}
    nobody = ldap.person("20009")
    acts: list[Callable[[Connector], Any]] = [
        lambda c: c.create(ldap.person(NUMBER)),
        lambda c: c.create(other),
        lambda c: c.create(too_long),
        lambda c: c.update(account, too_long),
        lambda c: c.create(ldap.person("20003") | {"ou": "/nowhere"}),
    ]
    told = [_told(lambda act=act: ldap.call(act)) for act in acts]
    for fault in ("cut before", "hold before"):
        told.append(
            _told(lambda f=fault: _over(line, ldap, f, lambda c: c.create(nobody), request=2))
        )
        told.append(
            _told(lambda f=fault: _over(line, ldap, f, lambda c: c.find(account.attributes)))
        )
    everything = "".join(told) + "".join(record.getMessage() for record in caplog.records)
    assert "UnknownOutcomeError" in everything
    assert "AccountExistsError" in everything
    for secret in (NAME, PHONE, PINYIN, f"o{NUMBER}", "-secret", "example.com", "研发"):
        assert secret not in everything


def _told(act: Callable[[], Any]) -> str:
    try:
        act()
    except AccountSyncError as error:
        chain: list[BaseException] = [error]
        while chain[-1].__cause__ or chain[-1].__context__:
            chain.append(chain[-1].__cause__ or chain[-1].__context__ or error)
        return "".join(f"{type(one).__name__}: {one!r}" for one in chain)
    return ""
