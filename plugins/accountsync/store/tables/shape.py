"""Whether the tables are those of the models, asked in a few ms.

The store is compared with the models of this code, because its own version is the same after it was
changed by hand, or when an earlier checkout made it. Tests prove that migrations make exactly the
models. Names, types and whether a value has to be there are compared here; `db check` also compares
what each rule says. Whatever the store has beside these, such as an index that was added or the
table of a staged feed, is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import sqlalchemy
from sqlalchemy import Column, Connection, Dialect, text

from accountsync.store.tables import SCHEMA, Table, functions

APPEND_ONLY = {
    "name_registry": "DELETE OR TRUNCATE OR UPDATE OF id, namespace, folded, folded_base, number,"
    " given_at",
    "audit_event": "UPDATE OR DELETE OR TRUNCATE",
}
"""Tables whose rows are kept for good (I8) → the operations that a trigger refuses. Of a name that
was given it may change whether it is in use, how it is spelt, where it came from, what it was made
from, and whose it is where two persons are merged."""

# Kinds of constraints are those that the models name; PostgreSQL 18 also lists NOT NULL as one. An
# index that was not finished, a rule that was not proven and a trigger that is off are not there.
_LACKING = text("""
WITH ours AS MATERIALIZED (
  SELECT oid, relname, relpersistence, relrowsecurity FROM pg_class
  WHERE relnamespace = to_regnamespace(:schema) AND relkind = 'r'
), found (part) AS (
  SELECT format('table %s, logged and without row security', relname) FROM ours
  WHERE relpersistence = 'p' AND NOT relrowsecurity
  UNION ALL
  SELECT format('column %s.%s %s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
    CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END)
    || CASE WHEN a.attidentity <> '' THEN ' IDENTITY' WHEN a.attgenerated <> '' THEN ' GENERATED'
      WHEN a.atthasdef THEN ' DEFAULT' ELSE '' END
  FROM ours c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT format('constraint %s of %s', o.conname, c.relname) FROM ours c
  JOIN pg_constraint o ON o.conrelid = c.oid AND o.convalidated AND o.contype <> 'n'
  UNION ALL
  SELECT format('index %s of %s', i.relname, c.relname) FROM ours c
  JOIN pg_index x ON x.indrelid = c.oid AND x.indisvalid JOIN pg_class i ON i.oid = x.indexrelid
  UNION ALL
  SELECT format('trigger %s of %s', t.tgname, c.relname) FROM ours c
  JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
  UNION ALL
  SELECT format('function %s(%s)', proname, oidvectortypes(proargtypes)) FROM pg_proc
  WHERE pronamespace = to_regnamespace(:schema))
SELECT part FROM unnest(CAST(:wanted AS text[])) AS wanted (part)
EXCEPT SELECT part FROM found ORDER BY part
""")


def make(connection: Connection, schema: str) -> None:
    """Makes the tables of the models, with their triggers, in another schema."""
    connection.execution_options(schema_translate_map={SCHEMA: schema})
    try:
        Table.metadata.create_all(connection, checkfirst=False)
    finally:
        connection.execution_options(schema_translate_map={})
    for statement in functions.statements(schema):
        connection.execute(text(statement))
    for table, operations in APPEND_ONLY.items():
        connection.execute(
            text(
                f"CREATE TRIGGER refuse_{table} BEFORE {operations} ON {schema}.{table}"
                f" FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse()"
            )
        )


def lacking(connection: Connection) -> list[str]:
    """The parts that the models have and the store has not, in words."""
    wanted = {"schema": SCHEMA, "wanted": _wanted(connection.dialect)}
    return [f"no {part}" for part in connection.scalars(_LACKING, wanted)]


@cache
def _wanted(dialect: Dialect) -> list[str]:
    parts = [part for table in Table.metadata.sorted_tables for part in _parts(table, dialect)]
    return parts + [f"function {name}" for name in functions.CALLED]


def _parts(table: sqlalchemy.Table, dialect: Dialect) -> Iterator[str]:
    names = dialect.identifier_preparer
    yield f"table {table.name}, logged and without row security"
    for column in table.columns:
        yield f"column {table.name}.{column.name} {_declared(column, dialect)}"
    for constraint in table.constraints:
        yield f"constraint {names.format_constraint(constraint)} of {table.name}"
    for index in table.indexes:
        yield f"index {names.format_index(index)} of {table.name}"
    if table.name in APPEND_ONLY:
        yield f"trigger refuse_{table.name} of {table.name}"


def _declared(column: Column[Any], dialect: Dialect) -> str:
    words = [str(column.type.compile(dialect)).lower(), *([] if column.nullable else ["NOT NULL"])]
    if column.identity is not None:
        words.append("IDENTITY")
    elif column.computed is not None:
        words.append("GENERATED")
    elif column.server_default is not None:
        words.append("DEFAULT")
    return " ".join(words)
