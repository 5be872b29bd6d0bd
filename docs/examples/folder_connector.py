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
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from accountsync.domain.accounts.account import Account, Operation, RemoteAccount
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    TargetDownError,
)
from accountsync.settings.targets import CustomTarget
from accountsync.targets.connector import required
from accountsync.wire.api import Api
from accountsync.wire.dry_run import refused
from accountsync.wire.request import masked


class FolderConnector:
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
        return self._changed(attributes, attributes=dict(attributes))

    async def rename(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        return self._changed(attributes, attributes=dict(attributes))

    async def enable(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        return self._changed(attributes, enabled=True, attributes=dict(attributes))

    async def disable(self, account: Account, attributes: Mapping[str, Any]) -> RemoteAccount:
        return self._changed(attributes, enabled=False)

    async def delete(self, account: Account) -> None:
        file = self._present(account.attributes)
        self._refuse_in_a_dry_run("delete the file", None)
        file.unlink()

    async def find(self, attributes: Mapping[str, Any]) -> RemoteAccount | None:
        file = self._file(attributes)
        return self._account(file) if file.exists() else None

    async def list(self) -> AsyncIterator[RemoteAccount]:
        for file in sorted(self._opened().glob("*.json")):
            yield self._account(file)

    async def check(self) -> str:
        return f"found a folder with {len(list(self._opened().glob('*.json')))} accounts"

    def _changed(self, wanted: Mapping[str, Any], **facts: Any) -> RemoteAccount:
        file = self._present(wanted)
        self._refuse_in_a_dry_run("change the file", facts)
        file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | facts), "utf-8")
        return self._account(file)

    def _present(self, attributes: Mapping[str, Any]) -> Path:
        file = self._file(attributes)
        if not file.exists():
            raise AccountMissingError("there is no such file")
        return file

    def _refuse_in_a_dry_run(self, what: str, content: Any) -> None:
        """Names of fields are shown, values are not."""
        if self._api.dry_run:
            raise refused(f"{self._target.conn_id} {what}: {masked(content)}")

    def _file(self, attributes: Mapping[str, Any]) -> Path:
        """The key of the account found is always the one asked for: it is the file's name."""
        key = required(attributes, self._target.key)
        return self._opened() / f"{key.encode().hex()}.json"

    def _opened(self) -> Path:
        if not self._folder.is_dir():
            raise TargetDownError("cannot connect: the folder is not there")
        return self._folder

    def _account(self, file: Path) -> RemoteAccount:
        there = json.loads(file.read_text("utf-8"))
        return RemoteAccount(
            identifier=there["attributes"][self._target.identifier],
            remote_id=file.stem,
            ours=True,
            enabled=there["enabled"],
            attributes=there["attributes"],
        )
