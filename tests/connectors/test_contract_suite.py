"""The contract suite fails where a connector breaks what it owes, and is told by the target."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from accountsync.domain.accounts.account import Account, RemoteAccount
from accountsync.errors import AccountSyncError
from accountsync.settings.targets import CustomTarget
from accountsync.targets.connector import Connector
from accountsync.testing import ConnectorContract
from accountsync.wire.dry_run import refused
from docs.examples import folder_connector
from docs.examples.folder_connector import FolderConnector
from docs.examples.test_folder_connector import FolderSubject, declared

CONTRACT = ConnectorContract()


class Forgetful(FolderConnector):
    """It does not ask whether this is a dry run."""

    def _refuse_in_a_dry_run(self, what: str, content: Any) -> None:
        return


class Talkative(FolderConnector):
    def _refuse_in_a_dry_run(self, what: str, content: Any) -> None:
        if self._api.dry_run:
            raise refused(f"{what}: {content}")


class Claiming(FolderConnector):
    """It says that an account is disabled, and leaves it as it is."""

    async def disable(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        seen = await self._own(account, attributes)
        return replace(seen, was_enabled=seen.enabled)


class Overwriting(FolderConnector):
    async def create(self, attributes: Mapping[str, Any], *, enabled: bool = True) -> RemoteAccount:
        self._file(attributes).unlink(missing_ok=True)
        return await super().create(attributes, enabled=enabled)


class Hasty(FolderConnector):
    """It lists what can be used, and leaves the others out."""

    async def list(self) -> AsyncIterator[RemoteAccount]:
        async for account in super().list():
            if account.enabled:
                yield account


class Reckless(FolderConnector):
    """It takes a folder that is not there for one without accounts."""

    async def find(self, attributes: Mapping[str, Any]) -> RemoteAccount | None:
        try:
            return await super().find(attributes)
        except AccountSyncError:
            return None


class Sweeping(FolderConnector):
    """It deletes more than it was asked to."""

    async def delete(self, account: Account) -> None:
        await super().delete(account)
        for file in self._folder.iterdir():
            file.unlink()


class Careless(FolderConnector):
    """A leaver's account gets what HR says of the leaver."""

    async def disable(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        facts = {"enabled": False, "attributes": dict(attributes)}
        return await self._changed(account, attributes, **facts)


class Trusting(FolderConnector):
    """It changes the file that it knows, whoever it belongs to by now."""

    async def look(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount | None:
        shown = await super().look(account, attributes)
        return replace(shown, ours=True) if shown else None


class Wishing(FolderConnector):
    """It goes by the key that HR wants, which may be somebody else's."""

    async def look(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount | None:
        return await self.find(attributes)


class Hoping(FolderConnector):
    """It returns what it was asked for, and does something else."""

    async def update(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        key = {self._target.key: account.attributes[self._target.key]}
        changed = await super().update(account, {**attributes, **key})
        return replace(changed, attributes=attributes)


BROKEN: dict[type[FolderConnector], Callable[[Any], None]] = {
    Forgetful: lambda subject: CONTRACT.test_a_dry_run_shows_a_change_and_sends_none(
        subject, "disable"
    ),
    Talkative: lambda subject: CONTRACT.test_a_dry_run_shows_a_change_and_sends_none(
        subject, "create"
    ),
    Claiming: (CONTRACT.test_a_leaver_is_disabled_and_a_rehire_enabled_however_often_it_is_said),
    Overwriting: CONTRACT.test_creating_twice_says_that_it_exists,
    Hasty: CONTRACT.test_everybody_is_listed_once,
    Reckless: lambda subject: CONTRACT.test_nothing_is_sent_to_a_target_that_is_down(
        subject, "find"
    ),
    Sweeping: CONTRACT.test_other_peoples_accounts_are_left_alone,
    Careless: CONTRACT.test_a_leaver_keeps_what_the_account_holds,
    Trusting: lambda subject: CONTRACT.test_what_has_become_another_persons_is_left_alone(
        subject, "disable"
    ),
    Wishing: lambda subject: CONTRACT.test_a_swap_of_two_persons_keys_touches_only_the_own_account(
        subject, "disable"
    ),
    Hoping: CONTRACT.test_a_changed_key_is_carried_or_shown_as_it_was,
}


class BrokenSubject(FolderSubject):
    def __init__(self, folder: Path, kind: type[FolderConnector]) -> None:
        super().__init__(folder)
        self._kind = kind

    @asynccontextmanager
    async def connector(
        self, *, reachable: bool = True, dry_run: bool = False
    ) -> AsyncIterator[Connector]:
        async with super().connector(reachable=reachable, dry_run=dry_run) as connector:
            assert isinstance(connector, FolderConnector)
            yield self._kind(self.target, connector._api, folder=str(connector._folder))


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_connector_that_breaks_the_contract_fails(
    tmp_path: Path, kind: type[FolderConnector]
) -> None:
    BROKEN[kind](FolderSubject(tmp_path))
    for file in tmp_path.iterdir():
        file.unlink()
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        BROKEN[kind](BrokenSubject(tmp_path, kind))


def test_the_example_is_declared_as_its_documentation_says(tmp_path: Path) -> None:
    text = str(folder_connector.__doc__).partition("\n\n")[2].partition("\n\n`api`")[0]
    documented = CustomTarget.model_validate(yaml.safe_load(text)["targets"]["badges"])
    own = {"connector", "options"}
    assert documented.model_dump(exclude=own) == declared(tmp_path).model_dump(exclude=own)
    assert documented.connector.partition(":")[2] == FolderConnector.__name__
    assert documented.options.keys() == {"folder"}
