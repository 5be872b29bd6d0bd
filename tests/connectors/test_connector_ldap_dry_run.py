"""A dry run of a directory shows what would be sent, and the directory stays as it is (I15)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from accountsync.domain.accounts.account import Account
from accountsync.errors import AccountMissingError, DryRunError
from accountsync.settings.parts import Rate
from accountsync.targets.catalog import dialect
from accountsync.targets.connector import Connector
from accountsync.targets.ldap import LdapConnector
from accountsync.testing import known
from accountsync.wire.directory import Directory
from accountsync.wire.ldap_messages import Control, Entry, Request
from accountsync.wire.ldap_shown import shown
from tests.connectors.ldap_subjects import NAME, PHONE, PINYIN, SALES, LdapSubject

NUMBER = "20001"
Act = Callable[[Connector], Awaitable[Any]]
Content = dict[str, dict[str, list[bytes]]]


class WatchedDirectory(Directory):
    """A directory that is really changed, and that notes each change as a dry run shows it."""

    def watched_by(self, configured: list[str]) -> None:
        self.changes: list[str] = []
        self._named = configured

    async def change(self, request: Request, *, controls: Sequence[Control] = ()) -> None:
        self.changes.append(f"directory LDAP {shown(request, configured=self._named)}")
        await super().change(request, controls=controls)


def _sent(ldap: LdapSubject, act: Act) -> list[str]:
    async def run() -> list[str]:
        point, target = ldap.server.endpoint(), ldap.target
        async with WatchedDirectory(point, rate=Rate(concurrency=1), timeout_s=20) as directory:
            directory.watched_by(target.named)
            await act(LdapConnector(target, directory, dialect(target, directory)))
            return directory.changes

    return asyncio.run(run())


def _shown(ldap: LdapSubject, act: Act) -> list[str]:
    with pytest.raises(DryRunError, match="not sent, this is a dry run") as caught:
        ldap.call(act, dry_run=True)
    assert str(caught.value).endswith("; then ".join(caught.value.requests))
    return list(caught.value.requests)


def _content(ldap: LdapSubject) -> Content:
    """Everything the directory has, with what it writes down about changes."""

    async def read(directory: Directory) -> Content:
        content: Content = {}
        for base in (ldap.dialect.base, ldap.dialect.groups):
            pages = directory.pages(
                base, tests={"objectClass": None}, attributes=["*", "+"], page_size=20
            )
            async for rows in pages:
                entries = [row for row in rows if isinstance(row, Entry)]
                content |= {
                    one.dn: {name: sorted(values) for name, values in one.attributes.items()}
                    for one in entries
                }
        return content

    content: Content = ldap.wire(read)
    return content


def _made(ldap: LdapSubject, *, enabled: bool = True) -> Account:
    person = ldap.person(NUMBER) | {"groups": [ldap.group("staff")]}
    made = ldap.call(lambda c: c.create(person, enabled=enabled))
    return known(made, person)


def _wanted(ldap: LdapSubject, **changes: Any) -> dict[str, Any]:
    return ldap.person(NUMBER) | {"groups": [ldap.group("staff")]} | changes


_CREATE: dict[str, Callable[[LdapSubject], Act]] = {
    "create": lambda ldap: lambda c: c.create(_wanted(ldap)),
    "create, before the hire date": lambda ldap: lambda c: c.create(_wanted(ldap), enabled=False),
    "create, in two groups": lambda ldap: (
        lambda c: c.create(_wanted(ldap, groups=[ldap.group("staff"), ldap.group("vpn")]))
    ),
}


@pytest.mark.parametrize("what", _CREATE)
def test_a_dry_create_shows_what_the_next_run_sends(ldap: LdapSubject, what: str) -> None:
    before = _content(ldap)
    act = _CREATE[what](ldap)
    requests = _shown(ldap, act)
    assert _content(ldap) == before
    assert requests == _sent(ldap, act)
    assert len(ldap.entries()) == 1


_CHANGES: dict[str, Callable[[LdapSubject, Account], Act]] = {
    "another value, and one that has gone": lambda ldap, account: (
        lambda c: c.update(account, _wanted(ldap, displayName="欧阳", mobile=None))
    ),
    "another container": lambda ldap, account: lambda c: c.update(account, _wanted(ldap, ou=SALES)),
    "another container, name, value and group": lambda ldap, account: (
        lambda c: c.update(
            account,
            _wanted(ldap, ou=SALES, displayName="欧阳", groups=[ldap.group("vpn")], **ldap.rename),
        )
    ),
    "another group only": lambda ldap, account: (
        lambda c: c.update(account, _wanted(ldap, groups=[ldap.group("vpn")]))
    ),
    "another name": lambda ldap, account: lambda c: c.rename(account, _wanted(ldap, **ldap.rename)),
    "disable": lambda ldap, account: lambda c: c.disable(account, _wanted(ldap)),
    "delete": lambda ldap, account: lambda c: c.delete(account),
}


@pytest.mark.parametrize("what", _CHANGES)
def test_a_dry_change_shows_what_the_next_run_sends(ldap: LdapSubject, what: str) -> None:
    account = _made(ldap)
    before = _content(ldap)
    act = _CHANGES[what](ldap, account)
    requests = _shown(ldap, act)
    assert _content(ldap) == before
    assert requests == _sent(ldap, act)
    assert _content(ldap) != before


def test_a_dry_enable_shows_the_change_and_the_state(ldap: LdapSubject) -> None:
    account = _made(ldap, enabled=False)
    before = _content(ldap)
    wanted = _wanted(ldap, displayName="欧阳")
    requests = _shown(ldap, lambda c: c.enable(account, wanted))
    assert _content(ldap) == before
    assert requests == _sent(ldap, lambda c: c.enable(account, wanted))


def test_every_attribute_is_shown_with_its_operation_and_no_value(ldap: LdapSubject) -> None:
    """I15: what a directory's configuration names can be read, and nothing else."""
    account = _made(ldap)
    moved = _wanted(ldap, displayName="欧阳", mobile=None, ou=SALES, groups=[ldap.group("vpn")])
    requests = [
        *_shown(ldap, lambda c: c.create(_wanted(ldap) | {ldap.key: "20002"})),
        *_shown(ldap, lambda c: c.update(account, moved)),
    ]
    text = "\n".join(requests)
    for attribute in (*ldap.target.written, "objectClass"):
        assert f'"{attribute}":' in text or attribute == ldap.target.rdn
    assert '{"replace":{"displayName":"***"}},{"replace":{"mobile":null}}' in text
    assert f'"newSuperior":"OU=***,OU=***,{ldap.dialect.base}"' in text
    assert (
        f'modify {{"entry":"{ldap.group("vpn")}","changes":[{{"add":{{"member":"***"}}}}]}}' in text
    )
    for secret in (NAME, PHONE, PINYIN, f"o{NUMBER}", NUMBER, "欧阳", "研发", "销售"):
        assert secret not in text


def test_a_password_is_shown_as_set(active_directory: LdapSubject) -> None:
    """I15."""
    (add,) = _shown(active_directory, lambda c: c.create(active_directory.person(NUMBER)))
    assert '"unicodePwd":"set"' in add
    assert '"userAccountControl":"***"' in add


def test_memberships_that_follow_a_move_by_themselves_are_no_changes(
    active_directory: LdapSubject,
) -> None:
    """Active Directory keeps an entry in its groups; elsewhere the connector does."""
    account = _made(active_directory)
    wanted = _wanted(active_directory, ou=SALES)
    (move,) = _shown(active_directory, lambda c: c.update(account, wanted))
    assert move.startswith("directory LDAP modifyDN ")


def test_an_entry_that_is_as_wanted_needs_no_change(ldap: LdapSubject) -> None:
    account = _made(ldap)
    before = _content(ldap)
    ldap.call(lambda c: c.update(account, _wanted(ldap)), dry_run=True)
    ldap.call(lambda c: c.enable(account, _wanted(ldap)), dry_run=True)
    ldap.call(lambda c: c.disable(account, _wanted(ldap)))
    disabled = _content(ldap)
    ldap.call(lambda c: c.disable(account, _wanted(ldap)), dry_run=True)
    assert _content(ldap) == disabled != before


def test_what_a_run_would_refuse_a_dry_run_refuses(ldap: LdapSubject) -> None:
    """An account that has gone is not shown as a change."""
    account = _made(ldap)
    gone = replace(account, remote_id=None, attributes=_wanted(ldap) | {ldap.key: "nobody"})
    wanted = _wanted(ldap) | {ldap.key: "nobody", ldap.target.identifier: "nobody"}
    with pytest.raises(AccountMissingError, match="does not show the account"):
        ldap.call(lambda c: c.update(gone, wanted), dry_run=True)
