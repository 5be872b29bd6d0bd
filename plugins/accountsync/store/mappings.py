"""Department and person-type mappings: edited by operators, read by the planner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

DEPARTMENTS = "department_mapping"
PERSON_TYPES = "person_type_mapping"


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingTable:
    """`key`: its primary key, and `person_column` the field of a person that holds it."""

    name: str
    key: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    person_column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.key, *self.required, *self.optional)


TABLES = {
    "departments": MappingTable(
        name=DEPARTMENTS,
        key="hr_department_code",
        required=("idaas_department_code", "ou_path"),
        optional=("department_name",),
        person_column="department_code",
    ),
    "person-types": MappingTable(
        name=PERSON_TYPES,
        key="person_type",
        required=("email_domain", "idaas_user_type", "welink_person_type"),
        optional=("active", "description"),
        person_column="person_type",
    ),
}


def read(connection: Connection, table: MappingTable) -> dict[str, Mapping[str, Any]]:
    """Key → row."""
    columns = ", ".join(table.columns)
    rows = connection.execute(text(f"SELECT {columns} FROM accountsync.{table.name}"))
    return {row[table.key]: dict(row) for row in rows.mappings()}


def write(connection: Connection, table: MappingTable, rows: Sequence[Mapping[str, Any]]) -> int:
    """Inserts and changes; unchanged rows keep their version. Returns how many changed.

    Persons whose mapping changed are planned again.
    """
    if not rows:
        return 0
    changing = [column for column in table.columns if column != table.key]
    statement = text(
        f"INSERT INTO accountsync.{table.name} AS old ({', '.join(table.columns)})"
        f" VALUES ({', '.join(f':{column}' for column in table.columns)})"
        f" ON CONFLICT ({table.key}) DO UPDATE SET version = old.version + 1, updated_at = now(),"
        f" {', '.join(f'{column} = excluded.{column}' for column in changing)}"
        f" WHERE ({', '.join(f'old.{column}' for column in changing)})"
        f" IS DISTINCT FROM ({', '.join(f'excluded.{column}' for column in changing)})"
        f" RETURNING {table.key}"
    )
    changed = [key for row in rows for key in connection.scalars(statement, dict(row))]
    connection.execute(
        text(
            "UPDATE accountsync.person SET planned_revision = 0"
            f" WHERE {table.person_column} = ANY(:keys)"
        ),
        {"keys": changed},
    )
    return len(changed)
