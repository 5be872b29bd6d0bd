"""Whatever goes wrong with any request of an operation, that operation fails and says so, and the
next one works (I13, I17)."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from accountsync import errors
from accountsync.domain.accounts.account import Account
from accountsync.errors import AccountSyncError
from accountsync.targets.connector import Connector
from accountsync.testing import known
from accountsync.wire.directory import Directory
from tests.connectors.ldap_subjects import SALES, LdapSubject

NUMBER = "20001"
TREE: list[type[Exception]] = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, AccountSyncError)
    and kind not in (AccountSyncError, errors.DryRunError)
]
FOREIGN: list[type[Exception]] = [KeyError, ValueError, AttributeError, RuntimeError]
REQUESTS = ("search", "search_if_readable", "read", "change", "bind_answer")
Act = Callable[[Connector], Awaitable[Any]]


class _Operations:
    """Each has something to do, and may be said again and again."""

    def __init__(self, ldap: LdapSubject) -> None:
        self._ldap = ldap
        self._numbers = itertools.count(30_001)
        self.person = ldap.person(NUMBER) | {"groups": [ldap.group("staff")]}
        self._moved = self.person | {
            "displayName": "neu",
            "ou": SALES,
            "groups": [ldap.group("vpn")],
        }
        self.account: Account | None = None

    def all(self) -> list[Act]:
        return [self._create, self._disable, self._look, self._enable, self._update, self._find,
                self._list, self._check, self._delete]  # fmt: skip

    def _known(self) -> Account:
        assert self.account is not None
        return self.account

    async def _create(self, c: Connector) -> None:
        """Somebody else each time."""
        person = self._ldap.person(str(next(self._numbers)))
        assert (await c.create(person | {"groups": [self._ldap.group("staff")]})).ours

    async def _disable(self, c: Connector) -> None:
        assert (await c.disable(self._known(), self.person)).enabled is False

    async def _look(self, c: Connector) -> None:
        assert await c.look(self._known(), self.person) is not None

    async def _enable(self, c: Connector) -> None:
        assert (await c.enable(self._known(), self.person)).enabled is True

    async def _update(self, c: Connector) -> None:
        shown = await c.update(self._known(), self._moved)
        assert {name: shown.attributes[name] for name in self._moved} == self._moved

    async def _find(self, c: Connector) -> None:
        assert await c.find(self.person) is not None

    async def _list(self, c: Connector) -> None:
        assert NUMBER in {one.attributes[self._ldap.key] async for one in c.list()}

    async def _check(self, c: Connector) -> None:
        assert await c.check()

    async def _delete(self, c: Connector) -> None:
        await c.delete(self._known())


class _Trip:
    """Raises at the nth request; the change before it may have been made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.at, self.kind = 0, 0, Exception
        for name in REQUESTS:
            monkeypatch.setattr(Directory, name, self._tripping(getattr(Directory, name)))

    def _tripping(self, request: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def tripping(directory: Directory, *args: Any, **options: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                raise self.kind("for this one")
            return await request(directory, *args, **options)

        return tripping

    def arm(self, at: int, kind: type[Exception]) -> None:
        self.count, self.at, self.kind = 0, at, kind


@pytest.mark.parametrize("kind", [*TREE, *FOREIGN], ids=lambda kind: kind.__name__)
def test_any_error_of_any_request_fails_its_operation_and_no_other(
    ldap: LdapSubject, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is raised is of the tree, or the very exception; no operation is said to be done that is
    not; and the next one works, on the same connection."""
    trip = _Trip(monkeypatch)

    operations = _Operations(ldap)

    async def run(connector: Connector) -> None:
        made = await connector.create(operations.person)
        operations.account = known(made, operations.person)
        for act in operations.all():
            await _tripped(trip, kind, connector, act)

    ldap.call(run)
    assert NUMBER not in {entry.text(ldap.key) for entry in ldap.entries()}


async def _tripped(trip: _Trip, kind: type[Exception], connector: Connector, act: Act) -> None:
    """Each request in turn, until the operation has fewer requests than that."""
    for at in range(1, 40):
        trip.arm(at, kind)
        try:
            await act(connector)
        except (AccountSyncError, kind):
            assert trip.count >= at or at > 1  # deleted by the change before
            if trip.count < at:
                return
        else:
            if trip.count < at:
                return
    raise AssertionError("it never ends")
