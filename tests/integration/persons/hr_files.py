"""Files that HR drops in a folder, at whatever address Airflow's ObjectStoragePath takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Engine, text

from accountsync import settings, wiring
from accountsync.domain.reasons import Reason, from_documents
from accountsync.jobs.persons.sync_hr_persons import SyncResult

ROWS = [
    {"id": "1", "number": "E1", "name": "欧阳婷", "state": "on"},
    {"id": "2", "number": "E2", "name": "Zoë Müller", "state": "off"},
]
FIELDS = {
    "source_key": "id",
    "employee_number": "number",
    "full_name": "name",
    "status": {"path": "state", "translate": {"on": "1", "off": "2"}},
}
NAMES = {"E1": "欧阳婷", "E2": "Zoë Müller"}


def csv(rows: list[dict[str, str]], delimiter: str = ",") -> str:
    lines = [rows[0].keys(), *(row.values() for row in rows)]
    return "".join(delimiter.join(line) + "\r\n" for line in lines)


def jsonl(rows: list[dict[str, str]]) -> str:
    return "\n".join(orjson.dumps(row).decode() for row in rows)


@dataclass(frozen=True, kw_only=True)
class Drop:
    """`root`: an address under which are the folders `in` and `archive`; `also`: of the source."""

    root: str
    engine: Engine
    also: dict[str, Any] = field(default_factory=dict)

    def path(self, name: str) -> Any:
        from airflow.sdk import ObjectStoragePath

        return ObjectStoragePath(f"{self.root}/{name}")

    def put(self, name: str, content: bytes, *, marker: bytes | None = b"") -> None:
        for file, held in ((name, content), (f"{name}.done", marker)):
            if held is not None:
                with self.path(f"in/{file}").open("wb") as opened:
                    opened.write(held)

    def names(self, folder: str) -> set[str]:
        return {found.name for found in self.path(folder).glob("*")}

    def sync(self, **more: Any) -> SyncResult:
        document = {
            "name": "drop", "kind": "file", "path": f"{self.root}/in",
            "archive": f"{self.root}/archive", "format": "csv", "pattern": "persons-*",
            "fields": FIELDS,
        } | self.also | more  # fmt: skip
        parsed = settings.parse({"hr": [document], "targets": {}}, origin="test")
        return wiring.sync_source(parsed, "drop")

    def persons(self) -> dict[str, str]:
        with self.engine.connect() as connection:
            found = connection.execute(
                text("SELECT employee_number, full_name FROM accountsync.person")
            )
            return {row.employee_number: row.full_name for row in found}

    def scalar(self, query: str) -> Any:
        with self.engine.connect() as connection:
            return connection.scalar(text(query))

    def reasons(self) -> dict[str, tuple[Reason, ...]]:
        """Of open rejects, by key."""
        found = self.scalar(
            "SELECT json_object_agg(record_key, reasons) FROM accountsync.rejected_record"
            " WHERE closed_at IS NULL"
        )
        return {key: from_documents(reasons) for key, reasons in (found or {}).items()}
