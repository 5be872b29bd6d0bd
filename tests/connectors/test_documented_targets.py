"""The examples of docs/targets.md with an HTTP API work, against services as the page has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from accountsync.errors import AccountExistsError, NeedsHumanError
from accountsync.settings.targets import RestTarget
from accountsync.targets.connector import Connector
from accountsync.testing import Act, Attributes, ConnectorContract, SeenAccount, Subject, known
from accountsync.wire.endpoint import Endpoint
from simulators.accounts import AccountBook
from tests.connectors import documented_service
from tests.connectors.subjects import DEAD_PORT, NAME, PHONE, connected
from tests.documented import documented_targets


def _target(name: str) -> RestTarget:
    target = documented_targets("docs/targets.md")[name]
    assert isinstance(target, RestTarget)
    return target


def _endpoint(name: str, url: str) -> Endpoint:
    return Endpoint(conn_id=name, base_url=url, login="me", password="s3cret")


class HelpdeskSubject:
    """The page's whole example, under contract."""

    change: Attributes = {"phone": "10000000009"}
    rename: Attributes = {"login": "neu1"}
    change_key: Attributes = {"number": "someone"}
    secrets = (PHONE, NAME, "s3cret")

    def __init__(self, url: str, book: AccountBook) -> None:
        self._url, self._book = url, book
        self.target = _target("helpdesk")

    def person(self, number: str) -> Attributes:
        return {"number": number, "login": f"o{number}", "phone": PHONE}

    @asynccontextmanager
    async def connector(
        self, *, reachable: bool = True, dry_run: bool = False
    ) -> AsyncIterator[Connector]:
        point = _endpoint("helpdesk", self._url if reachable else DEAD_PORT)
        async with connected(self.target, point, dry_run=dry_run) as connector:
            yield connector

    def make(self, attributes: Attributes) -> None:
        self._book.add({**attributes, "on": True})

    def edit(self, key: str, changes: Attributes) -> None:
        account = self._book.find("number", key)
        assert account is not None
        self._book.change(account, **changes)

    def accounts(self) -> list[SeenAccount]:
        return [
            SeenAccount(enabled=one["on"], attributes={n: one[n] for n in self.target.attributes})
            for one in self._book.all()
        ]


class TestHelpdesk(ConnectorContract):
    """I8, I9, I10, I15, I17, I18: `accountsync.testing` cites them test by test."""

    @pytest.fixture
    def subject(self) -> Iterator[Subject]:
        with documented_service.running("helpdesk") as (url, book):
            yield HelpdeskSubject(url, book)


def _perform(name: str, url: str, act: Act) -> Any:
    async def run() -> Any:
        async with connected(_target(name), _endpoint(name, url)) as connector:
            return await act(connector)

    return asyncio.run(run())


def _seen(book: AccountBook) -> Mapping[str, Any]:
    (account,) = book.all()
    return account


def test_wecom_takes_its_token_from_the_query() -> None:
    person = {"userid": "00100001", "name": NAME, "mobile": PHONE, "department": [1]}
    with documented_service.running("wecom") as (url, book):

        async def life(connector: Connector) -> None:
            made = await connector.create(person, enabled=False)
            assert _seen(book)["enable"] == 0
            account = known(made, person, enabled=False)
            with pytest.raises(AccountExistsError):
                await connector.create(person)
            await connector.enable(account, person | {"mobile": "10000000009"})
            assert (_seen(book)["enable"], _seen(book)["mobile"]) == (1, "10000000009")
            shown = await connector.look(account, person)
            assert shown is not None
            assert (shown.ours, shown.enabled) == (True, True)
            await connector.disable(account, {})
            assert _seen(book)["enable"] == 0

        _perform("wecom", url, life)


def test_the_crm_asks_a_human_for_all_but_the_account() -> None:
    person = {"number": "00100001", "login": "z1", "name": NAME}
    with documented_service.running("crm") as (url, book):

        async def life(connector: Connector) -> None:
            assert await connector.find(person) is None
            account = known(await connector.create(person), person)
            shown = await connector.find(person)
            assert shown is not None
            assert shown.ours
            assert _seen(book)["login"] == "z1"
            with pytest.raises(NeedsHumanError, match="Untick"):
                await connector.disable(account, person)
            assert "could be connected to" in await connector.check()

        _perform("crm", url, life)
