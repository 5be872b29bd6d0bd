"""The connector of folder_connector.py under contract: a subject, and a class of tests.

python -m pytest docs/examples
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from accountsync.settings.targets import CustomTarget
from accountsync.targets import catalog
from accountsync.targets.connector import Connector
from accountsync.testing import Attributes, ConnectorContract, SeenAccount, Subject
from accountsync.wire.endpoint import Endpoint

NAME = "欧阳娜娜"


class FolderSubject:
    """The connector, its settings, and a folder that is looked into without it."""

    change: Attributes = {"name": "欧阳"}
    rename = None
    change_key = None
    secrets = (NAME,)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.target = declared(folder)

    def person(self, number: str) -> Attributes:
        return {"number": number, "name": NAME}

    @asynccontextmanager
    async def connector(
        self, *, reachable: bool = True, dry_run: bool = False
    ) -> AsyncIterator[Connector]:
        target = self.target if reachable else declared(self._folder / "gone")
        endpoint = Endpoint(conn_id="badges", base_url="")
        async with catalog.opened(target, endpoint, dry_run=dry_run) as connector:
            yield connector

    def make(self, attributes: Attributes) -> None:
        file = self._folder / f"{attributes['number'].encode().hex()}.json"
        file.write_text(json.dumps({"enabled": True, "attributes": attributes}), "utf-8")

    def edit(self, key: str, changes: Attributes) -> None:
        for file in self._folder.iterdir():
            there = json.loads(file.read_text("utf-8"))
            if there["attributes"]["number"] == key:
                there["attributes"] |= changes
                file.write_text(json.dumps(there), "utf-8")

    def accounts(self) -> list[SeenAccount]:
        files = sorted(self._folder.iterdir())
        return [SeenAccount(**json.loads(file.read_text("utf-8"))) for file in files]


def declared(folder: Path) -> CustomTarget:
    """As the configuration declares it under `targets`."""
    return CustomTarget.model_validate(
        {
            "kind": "custom",
            "connector": "docs.examples.folder_connector:FolderConnector",
            "options": {"folder": str(folder)},
            "conn_id": "badges",
            "key": "number",
            "identifier": "number",
            "attributes": {"number": "person.employee_number", "name": "person.full_name"},
        }
    )


class TestFolderConnector(ConnectorContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        return FolderSubject(tmp_path)
