"""Changes the mapping tables of departments and person types as a whole, and records the
changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, RowMapping

from accountsync.errors import ConfigurationError
from accountsync.store import audit, locks
from accountsync.store.audit import AuditAction
from accountsync.store.persons import mappings
from accountsync.store.persons.mappings import MappingTable

Row = Mapping[str, Any]
_EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row that changes. `old` is None for a new row, `new` is None for a removed one."""

    key: str
    old: Row | None
    new: Row | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """`kept` are rows that the file does not have and that stay. `persons` are planned again."""

    changes: Sequence[Change]
    unchanged: int
    kept: Sequence[str]
    persons: int


def compare(
    stored: Mapping[str, Row], wanted: Sequence[Row], table: MappingTable, *, delete: bool
) -> list[Change]:
    rows = {str(row[table.key]): row for row in wanted}
    changes = [
        Change(key=key, old=stored.get(key), new=row)
        for key, row in rows.items()
        if stored.get(key) != row
    ]
    gone = [key for key in stored if key not in rows] if delete else []
    return changes + [Change(key=key, old=stored[key], new=None) for key in gone]


def import_rows(
    *,
    engine: Engine,
    table: MappingTable,
    rows: Sequence[Row],
    actor: str,
    delete: bool = False,
    dry_run: bool = False,
) -> ImportResult:
    """Imports all rows in one transaction, which a dry run rolls back. With `delete`, rows that are
    not among them are removed."""
    with engine.connect() as connection, connection.begin() as transaction:
        locks.take_persons(connection)
        stored = mappings.read(connection, table)
        changes = compare(stored, rows, table, delete=delete)
        keys = [change.key for change in changes]
        mappings.write(connection, table, [c.new for c in changes if c.new is not None])
        mappings.remove(connection, table, [c.key for c in changes if c.new is None])
        if changes:
            details = {"table": table.name, "changes": [_as_json(c) for c in changes]}
            audit.record(
                connection, actor=actor, action=AuditAction.MAPPING_IMPORTED, details=details
            )
        persons = mappings.affected(connection, table, keys)
        if dry_run:
            transaction.rollback()
    asked = {str(row[table.key]) for row in rows}
    kept = [] if delete else [key for key in stored if key not in asked]
    return ImportResult(
        changes=changes, unchanged=len(asked) - sum(c.new is not None for c in changes),
        kept=kept, persons=persons,
    )  # fmt: skip


def _as_json(change: Change) -> dict[str, object]:
    return {"key": change.key, "old": change.old, "new": change.new}


def export(*, engine: Engine, table: MappingTable, before: int | None = None) -> list[Row]:
    """The rows as they are, or as they were before a change (a number of `history`). Raises
    ConfigurationError where there is no such change."""
    with engine.connect() as connection:
        rows = mappings.read(connection, table)
        events = mappings.history(connection, table) if before is not None else []
    if before is not None and before not in {event["id"] for event in events}:
        raise ConfigurationError(f"there is no change {before} of this mapping; see the history")
    for event in events:
        if event["id"] < (before or 0):
            break
        _take_back(rows, event["details"]["changes"])
    return [rows[key] for key in sorted(rows)]


def _take_back(rows: dict[str, Row], changes: Sequence[Mapping[str, Any]]) -> None:
    for change in changes:
        if change["old"] is None:
            rows.pop(change["key"], None)
        else:
            rows[change["key"]] = change["old"]


def gaps(*, engine: Engine, table: MappingTable) -> Sequence[RowMapping]:
    with engine.connect() as connection:
        return mappings.gaps(connection, table, examples=_EXAMPLES)


def history(*, engine: Engine, table: MappingTable) -> Sequence[RowMapping]:
    with engine.connect() as connection:
        return mappings.history(connection, table)
