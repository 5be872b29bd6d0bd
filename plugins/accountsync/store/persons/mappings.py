"""Department and person-type mappings: edited by operators, read by the planner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from accountsync.store.audit import AuditAction, recorded_as
from accountsync.store.tables import listed

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
    query = f"SELECT {columns} FROM accountsync.{table.name} ORDER BY {table.key}"
    rows = connection.execute(text(query))
    return {row[table.key]: dict(row) for row in rows.mappings()}


_WRITE = """
INSERT INTO accountsync.{table} AS old ({columns})
VALUES ({values})
ON CONFLICT ({key}) DO UPDATE SET
  version = old.version + 1,
  updated_at = now(),
  {assignments}
WHERE ({old}) IS DISTINCT FROM ({new})
RETURNING {key}
"""


def write(connection: Connection, table: MappingTable, rows: Sequence[Mapping[str, Any]]) -> int:
    """Inserts and changes; unchanged rows keep their version. Returns how many changed.

    Persons whose mapping changed are planned again.
    """
    if not rows:
        return 0
    statement = text(_write_of(table))
    changed = [key for row in rows for key in connection.scalars(statement, dict(row))]
    _plan_again(connection, table, changed)
    return len(changed)


def _write_of(table: MappingTable) -> str:
    changing = [column for column in table.columns if column != table.key]
    return _WRITE.format(
        table=table.name,
        key=table.key,
        columns=", ".join(table.columns),
        values=", ".join(f":{column}" for column in table.columns),
        assignments=", ".join(f"{column} = excluded.{column}" for column in changing),
        old=", ".join(f"old.{column}" for column in changing),
        new=", ".join(f"excluded.{column}" for column in changing),
    )


def remove(connection: Connection, table: MappingTable, keys: Sequence[str]) -> None:
    """Persons who lose their mapping are planned again: their tasks will need data."""
    statement = text(f"DELETE FROM accountsync.{table.name} WHERE {table.key} = ANY(:keys)")
    connection.execute(statement, {"keys": list(keys)})
    _plan_again(connection, table, keys)


def _plan_again(connection: Connection, table: MappingTable, keys: Sequence[str]) -> None:
    statement = text(
        "UPDATE accountsync.person SET planned_revision = 0"
        f" WHERE {table.person_column} = ANY(:keys)"
    )
    connection.execute(statement, {"keys": list(keys)})


def affected(connection: Connection, table: MappingTable, keys: Sequence[str]) -> int:
    """How many persons carry one of these codes."""
    query = f"SELECT count(*) FROM accountsync.person WHERE {table.person_column} = ANY(:keys)"
    return int(connection.scalar(text(query), {"keys": list(keys)}) or 0)


_GAPS = """
SELECT
  p.{code} AS code,
  count(DISTINCT p.id) AS persons,
  count(t.id) AS tasks,
  (array_agg(DISTINCT p.employee_number))[1:CAST(:n AS int)] AS examples
FROM accountsync.person p
LEFT JOIN accountsync.{table} m ON m.{key} = p.{code}{active}
LEFT JOIN accountsync.account_task t ON t.person_id = p.id AND t.state = 'needs_data'
WHERE m.{key} IS NULL
GROUP BY 1
ORDER BY tasks DESC, persons DESC, 1
"""


def gaps(connection: Connection, table: MappingTable, *, examples: int) -> Sequence[RowMapping]:
    """Codes of persons that no active mapping knows: code (null: HR gives none), persons, tasks
    that wait for data, and a few employee numbers."""
    return connection.execute(text(_gaps_of(table)), {"n": examples}).mappings().all()


def _gaps_of(table: MappingTable) -> str:
    return _GAPS.format(
        table=table.name,
        key=table.key,
        code=table.person_column,
        active=" AND m.active" if "active" in table.columns else "",
    )


HISTORY = text(f"""
-- rides on ix_audit_event_action_id
SELECT id, at, actor, details
FROM accountsync.audit_event
WHERE action IN {listed(recorded_as(AuditAction.MAPPING_IMPORTED))} AND details->>'table' = :table
ORDER BY id DESC
""")


def history(connection: Connection, table: MappingTable) -> Sequence[RowMapping]:
    """Every change through `import`, the newest first: `details` holds old and new rows."""
    return connection.execute(HISTORY, {"table": table.name}).mappings().all()
