"""What a schema holds, as PostgreSQL itself writes it down, and in what it differs from another.

Definitions come from the server's own catalog, so two schemas of one server can be compared text by
text, whatever its version. The schema's name is left out of them; `qualified` puts it back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

_COLUMNS = """
SELECT c.relname AS table, quote_ident(a.attname) AS name,
  format_type(a.atttypid, a.atttypmod) AS type, pg_get_expr(d.adbin, d.adrelid) AS default,
  a.attnotnull AS is_required,
  a.attidentity::text AS identity, a.attgenerated::text AS generated,
  col_description(c.oid, a.attnum) AS comment
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = :schema AND c.relkind = 'r' AND c.relname <> 'alembic_version'
ORDER BY c.relname, a.attnum
"""
_CONSTRAINTS = """
SELECT c.relname AS table, quote_ident(o.conname) AS name, pg_get_constraintdef(o.oid) AS definition
FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
WHERE c.relnamespace = :schema AND o.contype IN ('p', 'u', 'c', 'f', 'x') ORDER BY o.oid
"""
# An index that was not finished is none; one of a constraint is told by its constraint.
_INDEXES = """
SELECT c.relname AS table, quote_ident(i.relname) AS name, pg_get_indexdef(i.oid) AS definition
FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
WHERE c.relnamespace = :schema AND c.relkind = 'r' AND x.indisvalid
  AND NOT EXISTS (
    SELECT FROM pg_constraint o WHERE o.conindid = i.oid AND o.contype IN ('p', 'u', 'x'))
ORDER BY i.oid
"""
_TRIGGERS = """
SELECT c.relname AS table, quote_ident(t.tgname) AS name,
  pg_get_triggerdef(t.oid)
    || CASE WHEN t.tgenabled IN ('O', 'A') THEN '' ELSE ' (disabled)' END AS definition
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = :schema AND NOT t.tgisinternal ORDER BY t.oid
"""
_FUNCTIONS = """
SELECT format('%I(%s)', proname, oidvectortypes(proargtypes)) AS name,
  pg_get_functiondef(oid) AS definition
FROM pg_proc WHERE pronamespace = :schema AND prokind = 'f' ORDER BY oid
"""
_REFERENCE = re.compile(r"(?<=REFERENCES )(?=\w+\()")
_PLACE = re.compile(r"(?<= ON )(?=\w+ )")
_FUNCTION = re.compile(r"(?<=FUNCTION )(?=\w+\()")
_NOT_VALID = " NOT VALID"

SCRATCH = "accountsync_rebuild"
"""The schema in which a table is written anew, and the trigger that fills it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`default`: of a generated column its expression. `identity`, `generated`: as in
    pg_attribute, empty: neither."""

    type: str
    default: str | None
    is_required: bool
    identity: str
    generated: str
    comment: str | None

    @property
    def has_to_be_given(self) -> bool:
        """Whether a row that does not name it is refused."""
        return self.is_required and self.default is None and not self.identity

    @property
    def declared(self) -> str:
        """As it stands in CREATE TABLE."""
        words = [self.type]
        if self.generated:
            words.append(f"GENERATED ALWAYS AS ({self.default}) STORED")
        elif self.default is not None:
            words.append(f"DEFAULT {self.default}")
        if self.identity:
            kind = "ALWAYS" if self.identity == "a" else "BY DEFAULT"
            words.append(f"GENERATED {kind} AS IDENTITY")
        return " ".join([*words, *(["NOT NULL"] if self.is_required else [])])

    @property
    def storage(self) -> tuple[str | None, ...]:
        """What cannot be changed without writing every row again."""
        expression = self.default if self.generated else None
        return (self.type, self.identity, self.generated, expression)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableShape:
    """Each by name; rules are constraints."""

    columns: dict[str, Column] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)
    triggers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    tables: dict[str, TableShape]
    functions: dict[str, str]


def read(connection: Connection, schema: str) -> Shape:
    """`schema`: `pg_temp` is the session's own. Tables of staged feeds are left out."""
    oid = connection.scalar(
        text(
            "SELECT CASE :name WHEN 'pg_temp' THEN pg_my_temp_schema()"
            " ELSE to_regnamespace(:name)::oid END"
        ),
        {"name": schema},
    )
    name = connection.scalar(text("SELECT nspname FROM pg_namespace WHERE oid = :o"), {"o": oid})
    reader = _Reader(connection, oid=oid, names=(f"{name}.", "pg_temp."))
    tables: dict[str, TableShape] = {}
    for row in reader.rows(_COLUMNS):
        shape, name = tables.setdefault(row.pop("table"), TableShape()), row.pop("name")
        shape.columns[name] = Column(**row)
    for query, kind in ((_CONSTRAINTS, "rules"), (_INDEXES, "indexes"), (_TRIGGERS, "triggers")):
        for row in reader.rows(query):
            if row["table"] in tables:
                getattr(tables[row["table"]], kind)[row["name"]] = row["definition"]
    functions = {row["name"]: row["definition"] for row in reader.rows(_FUNCTIONS)}
    return Shape(tables=tables, functions=functions)


class _Reader:
    """Rows of the catalog without the schema's name and without staged feeds."""

    def __init__(self, connection: Connection, *, oid: int, names: Sequence[str]) -> None:
        self._connection = connection
        self._oid = oid
        self._names = names

    def rows(self, query: str) -> Iterator[dict[str, Any]]:
        for row in self._connection.execute(text(query), {"schema": self._oid}).mappings():
            if not str(row.get("table", "")).startswith("staged_"):
                yield {name: self._bare(value) for name, value in row.items()}

    def _bare(self, value: Any) -> Any:
        if isinstance(value, str):
            for name in self._names:
                value = value.replace(name, "")
        return value


def qualified(definition: str, schema: str) -> str:
    """The definition of a constraint, index, trigger or function, with the schema's name again."""
    place = f"{schema}."
    if definition.startswith(("FOREIGN KEY", "CREATE OR REPLACE FUNCTION")):
        pattern = _REFERENCE if definition.startswith("FOREIGN") else _FUNCTION
        return pattern.sub(place, definition, count=1)
    if definition.startswith("CREATE"):
        return _FUNCTION.sub(place, _PLACE.sub(place, definition, count=1))
    return definition


def is_only_unproven(have: str, wanted: str) -> bool:
    """Whether the constraint is the wanted one and only was not validated yet."""
    return have == wanted + _NOT_VALID


def lacks(have: Shape, wanted: Shape) -> list[str]:
    """What the wanted schema has and the other has not, or has otherwise, one line each. More than
    is wanted, such as an index that was added, is no lack."""
    lines = list(_lacking("function", have.functions, wanted.functions))
    for table, shape in wanted.tables.items():
        if table not in have.tables:
            lines.append(f"table {table} is missing")
            continue
        lines.extend(_lacks_of_table(table, have.tables[table], shape))
    return lines


def _lacks_of_table(table: str, have: TableShape, wanted: TableShape) -> Iterator[str]:
    for name, column in wanted.columns.items():
        place = f"column {table}.{name}"
        if name not in have.columns:
            yield f"{place} is missing"
        elif have.columns[name] != column:
            yield f"{place} is not {_told(column)} but {_told(have.columns[name])}"
    for kind in ("rules", "indexes", "triggers"):
        word = {"rules": "constraint", "indexes": "index", "triggers": "trigger"}[kind]
        of = f" of {table}"
        yield from _lacking(word, getattr(have, kind), getattr(wanted, kind), of=of)


def _told(column: Column) -> str:
    remark = "" if column.comment is None else f" -- {column.comment}"
    return f"`{column.declared}{remark}`"


def _lacking(
    kind: str, have: Mapping[str, str], wanted: Mapping[str, str], *, of: str = ""
) -> Iterator[str]:
    for name, definition in wanted.items():
        if name not in have:
            yield f"{kind} {name}{of} is missing"
        elif have[name] != definition:
            yield f"{kind} {name}{of} is not `{definition}` but `{have[name]}`"


def lost(have: Shape, wanted: Shape) -> list[str]:
    """Tables and columns of the wanted schema that are gone with what they held, one line each."""
    lines = [f"table {table} is missing" for table in wanted.tables if table not in have.tables]
    for table, shape, known in _both(have, wanted):
        lines += [
            f"column {table}.{name} is missing"
            for name, column in known.columns.items()
            if name not in shape.columns and not column.generated
        ]
    return lines


def beside(have: Shape, wanted: Shape) -> Iterator[tuple[str, bool]]:
    """What stands beside the wanted shape, and whether it may refuse our rows."""
    for table in have.tables.keys() - wanted.tables.keys():
        yield f"table {table}", False
    for table, shape, known in _both(have, wanted):
        for name, column in shape.columns.items():
            if name not in known.columns:
                yield f"column {table}.{name}", column.has_to_be_given
        for name in shape.rules.keys() - known.rules.keys():
            yield f"constraint {name} of {table}", True
        for name in shape.indexes.keys() - known.indexes.keys():
            is_unique = shape.indexes[name].startswith("CREATE UNIQUE")
            yield f"index {name} of {table}", is_unique
        for name in shape.triggers.keys() - known.triggers.keys():
            comes_first = " BEFORE " in shape.triggers[name]
            yield f"trigger {name} of {table}", comes_first or name == SCRATCH


def _both(have: Shape, wanted: Shape) -> Iterator[tuple[str, TableShape, TableShape]]:
    for table, shape in have.tables.items():
        if table in wanted.tables:
            yield table, shape, wanted.tables[table]


_VIEWS = text("""
SELECT DISTINCT format('view %s of %s', v.oid::regclass, c.relname)
FROM pg_class c
JOIN pg_depend d ON d.refobjid = c.oid AND d.refclassid = 'pg_class'::regclass
JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_class v ON v.oid = r.ev_class
WHERE c.relnamespace = to_regnamespace(:schema) AND v.relkind IN ('v', 'm')
ORDER BY 1
""")
# Staged feeds are not logged on purpose.
_PROPERTIES = text("""
WITH ours AS (
  SELECT *
  FROM pg_class
  WHERE relnamespace = to_regnamespace(:schema)
    AND relkind = 'r'
    AND NOT starts_with(relname, 'staged_')
)
SELECT format('row security of %s is on: rows may be hidden from us', relname)
FROM ours WHERE relrowsecurity
UNION ALL
SELECT format('table %s is not logged: a crash empties it', relname)
FROM ours WHERE relpersistence <> 'p'
UNION ALL
SELECT format('table %s inherits from %s: its rows count as ours', i.inhrelid::regclass, relname)
FROM ours JOIN pg_inherits i ON i.inhparent = ours.oid
UNION ALL
SELECT format('rule %s of %s is not ours, and may refuse our rows', r.rulename, relname)
FROM ours JOIN pg_rewrite r ON r.ev_class = ours.oid
ORDER BY 1
""")


def strange_properties(connection: Connection, schema: str) -> list[str]:
    """What somebody has set up for the tables as a whole that changes which rows they hold."""
    return list(connection.scalars(_PROPERTIES, {"schema": schema}))


def views_of(connection: Connection, schema: str) -> list[str]:
    """Views of others upon the tables: they disturb nobody until an upgrade replaces a column."""
    return list(connection.scalars(_VIEWS, {"schema": schema}))
