"""A connector of your own: accounts are JSON files in a folder, one each, named by their key.

    targets:
      badges:
        kind: custom
        connector: folder_connector:FolderConnector
        options: {folder: /srv/badges}
        conn_id: badges
        key: number
        identifier: number
        attributes: {number: person.employee_number, name: person.full_name}

`api` speaks HTTP to the host of the Connection, with its credentials, rate and time-outs, and makes
AccountSync's errors of what goes wrong; this target has no HTTP and asks it only for `dry_run`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from accountsync.domain.accounts.account import Account, Operation, RemoteAccount
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    ForeignAccountError,
    TargetDownError,
)
from accountsync.settings.targets import CustomTarget
from accountsync.targets.connector import required
from accountsync.wire.api import Api
from accountsync.wire.dry_run import refused
from accountsync.wire.request import masked


class FolderConnector:
    is_watched = False
    operations = frozenset(Operation)
    can_find = True
    can_list = True

    def __init__(self, target: CustomTarget, api: Api, *, folder: str) -> None:
        self._target = target
        self._api = api
        self._folder = Path(folder)

    async def create(self, attributes: Mapping[str, Any], *, enabled: bool = True) -> RemoteAccount:
        file, content = self._file(attributes), {"enabled": enabled, "attributes": dict(attributes)}
        self._refuse_in_a_dry_run("make a file", attributes)
        try:
            with file.open("x", encoding="utf-8") as new:
                json.dump(content, new)
        except FileExistsError as error:
            raise AccountExistsError("there is such a file") from error
        return self._account(file)

    async def update(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        return await self._changed(account, attributes, attributes=dict(attributes))

    async def rename(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        return await self._changed(account, attributes, attributes=dict(attributes))

    async def enable(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        facts = {"enabled": True, "attributes": dict(attributes)}
        return await self._changed(account, attributes, **facts)

    async def disable(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        return await self._changed(account, attributes, enabled=False)

    async def delete(self, account: Account) -> None:
        seen = await self._own(account, account.attributes)
        self._refuse_in_a_dry_run("delete the file", None)
        self._named(seen.remote_id).unlink()

    async def find(self, attributes: Mapping[str, Any]) -> RemoteAccount | None:
        key = required(attributes, self._target.key)
        return next((one for one in self._accounts() if self._key(one.attributes) == key), None)

    async def look(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount | None:
        """By the file's name, which stays whatever the file says, and without it by the key that
        the account was last seen to carry."""
        if account.remote_id is None:
            return await self.find({**attributes, **account.attributes})
        file = self._named(account.remote_id)
        if not file.exists():
            return None
        shown = self._account(file)
        keys = {self._key(account.attributes), self._key(attributes)}
        return replace(shown, ours=self._key(shown.attributes) in keys)

    async def list(self) -> AsyncIterator[RemoteAccount]:
        for account in self._accounts():
            yield account

    async def check(self) -> str:
        return f"found a folder with {len(list(self._accounts()))} accounts"

    async def _changed(
        self, account: Account, wanted: Mapping[str, Any], **facts: Any
    ) -> RemoteAccount:
        """What is returned is read from the file again: nothing in it is only wished for."""
        seen = await self._own(account, wanted)
        self._refuse_in_a_dry_run("change the file", facts)
        file = self._named(seen.remote_id)
        file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | facts), "utf-8")
        return replace(self._account(file), was_enabled=seen.enabled)

    async def _own(self, account: Account, wanted: Mapping[str, Any]) -> RemoteAccount:
        """The account as it is before a change. Nobody else's is touched."""
        seen = await self.look(account, wanted)
        if seen is None:
            raise AccountMissingError("there is no such file")
        if not seen.ours:
            raise ForeignAccountError("the file holds another key by now")
        return seen

    def _refuse_in_a_dry_run(self, what: str, content: Any) -> None:
        """Names of fields are shown, values are not."""
        if self._api.dry_run:
            raise refused(f"{self._target.conn_id} {what}: {masked(content)}")

    def _key(self, attributes: Mapping[str, Any]) -> Any:
        return attributes.get(self._target.key)

    def _file(self, attributes: Mapping[str, Any]) -> Path:
        """A new account's file; its name is the target's own id from then on."""
        key = required(attributes, self._target.key)
        return self._opened() / f"{key.encode().hex()}.json"

    def _named(self, remote_id: str | None) -> Path:
        return self._opened() / f"{remote_id}.json"

    def _opened(self) -> Path:
        if not self._folder.is_dir():
            raise TargetDownError("cannot connect: the folder is not there")
        return self._folder

    def _accounts(self) -> Iterator[RemoteAccount]:
        return (self._account(file) for file in sorted(self._opened().glob("*.json")))

    def _account(self, file: Path) -> RemoteAccount:
        there = json.loads(file.read_text("utf-8"))
        return RemoteAccount(
            identifier=there["attributes"][self._target.identifier],
            remote_id=file.stem,
            ours=True,
            enabled=there["enabled"],
            attributes=there["attributes"],
        )
