"""Brings the tables of a schema to a wanted shape, beside those who use them.

`expand` adds what takes nothing away: functions, tables, columns, defaults. Then the migration
fills rows. `contract` makes rules, indexes and triggers what they should be. Every step is told by
what the catalog says, so a mending that was interrupted is simply started again. What the store has
beside the wanted shape stays.
"""

from __future__ import annotations

from collections.abc import Iterator

from psycopg.errors import NotNullViolation
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from accountsync.errors import ConfigurationError
from accountsync.store.migrations import catalog, online
from accountsync.store.migrations.catalog import Column, Shape, TableShape, qualified
from accountsync.store.migrations.online import Say
from accountsync.store.migrations.rebuild import comment_on, rebuild


class Mending:
    """`may_fill`: where a value has to be there and is not, the column's default is what was meant.
    That holds for rows of a time before the rule, and not for what somebody has emptied."""

    def __init__(
        self, connection: Connection, *, schema: str, wanted: Shape, say: Say, may_fill: bool = True
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._wanted = wanted
        self._say = say
        self._may_fill = may_fill

    def expand(self) -> None:
        have = catalog.read(self._connection, self._schema)
        for name, definition in self._wanted.functions.items():
            if have.functions.get(name) != definition:
                self._briefly(f"function {name} is made", qualified(definition, self._schema))
        for table, wanted in self._wanted.tables.items():
            known = have.tables.get(table)
            if known is None:
                self._make(table, wanted)
            elif otherwise_in(known, wanted):
                self._rebuild(table, known, wanted)
            else:
                self._add_columns(table, known, wanted)
                self._rename_rules(table, known, wanted)

    def contract(self) -> None:
        """Keys before the foreign keys that point to them."""
        have = catalog.read(self._connection, self._schema)
        for table, wanted in self._wanted.tables.items():
            self._require_values(table, have.tables[table], wanted)
        for is_foreign in (False, True):
            for table, wanted in self._wanted.tables.items():
                for name, rule in wanted.rules.items():
                    if rule.startswith("FOREIGN KEY") is is_foreign:
                        self._rule(table, name, have.tables[table].rules.get(name), rule)
        for table, wanted in self._wanted.tables.items():
            self._indexes(table, have.tables[table], wanted)
            self._triggers(table, have.tables[table], wanted)

    def _make(self, table: str, wanted: TableShape) -> None:
        """With its rules, but those that point to tables which may be made later; `contract` adds
        what is left."""
        place = self._place(table)
        parts = [f"{name} {column.declared}" for name, column in wanted.columns.items()]
        parts += [
            f"CONSTRAINT {name} {rule}"
            for name, rule in wanted.rules.items()
            if not rule.startswith("FOREIGN KEY")
        ]
        self._briefly(
            f"table {table} is made",
            f"CREATE TABLE {place} ({', '.join(parts)})",
            *(comment_on(f"{place}.{n}", c.comment) for n, c in wanted.columns.items()),
            *(qualified(index, self._schema) for index in wanted.indexes.values()),
        )

    def _rebuild(self, table: str, known: TableShape, wanted: TableShape) -> None:
        columns = ", ".join(otherwise_in(known, wanted))
        self._say(f"  table {table} is written anew, because of: {columns}")
        rebuild(
            self._connection,
            schema=self._schema,
            table=table,
            have=known,
            wanted=wanted,
            say=self._say,
        )

    def _add_columns(self, table: str, known: TableShape, wanted: TableShape) -> None:
        """All of a table in one transaction: what waits for it waits once."""
        steps = [
            step
            for name, column in wanted.columns.items()
            for step in self._column(table, name, known.columns.get(name), column)
        ]
        missing = [name for name in wanted.columns if name not in known.columns]
        if not steps:
            return
        what = f"table {table}: " + (
            f"{', '.join(missing)} added" if missing else "defaults and comments"
        )
        try:
            self._briefly(what, *steps)
        except DBAPIError as error:
            if isinstance(error.orig, NotNullViolation):
                raise ConfigurationError(
                    f"{what}: missing, and what the column held of the rows that are there cannot"
                    " be known. Restore the store, or add the column with its values by hand"
                ) from error
            raise

    def _rename_rules(self, table: str, known: TableShape, wanted: TableShape) -> None:
        """A rule under another name is not made a second time."""
        for name in wanted.rules.keys() - known.rules.keys():
            for other in known.rules.keys() - wanted.rules.keys():
                if known.rules[other] == wanted.rules[name]:
                    self._briefly(
                        f"constraint {other} of {table} is called {name}",
                        f"ALTER TABLE {self._place(table)} RENAME CONSTRAINT {other} TO {name}",
                    )
                    break

    def _column(self, table: str, name: str, known: Column | None, wanted: Column) -> Iterator[str]:
        alter = f"ALTER TABLE {self._place(table)}"
        if known is None:
            yield f"{alter} ADD COLUMN {name} {wanted.declared}"
        elif known.default != wanted.default:
            default = "DROP DEFAULT" if wanted.default is None else f"SET DEFAULT {wanted.default}"
            yield f"{alter} ALTER COLUMN {name} {default}"
        if known is not None and known.is_required and not wanted.is_required:
            yield f"{alter} ALTER COLUMN {name} DROP NOT NULL"
        if wanted.comment != (known.comment if known else None):
            yield comment_on(f"{self._place(table)}.{name}", wanted.comment)

    def _require_values(self, table: str, known: TableShape, wanted: TableShape) -> None:
        place = self._place(table)
        for name, column in wanted.columns.items():
            if not column.is_required or known.columns[name].is_required:
                continue
            if self._may_fill and column.default is not None:
                statement = f"UPDATE {place} SET {name} = {column.default} WHERE {name} IS NULL"
                if "id" in wanted.columns:
                    statement += " AND id > :above AND id <= :upto"
                    online.in_lots(
                        self._connection, statement, table=place, what=table, say=self._say
                    )
                else:
                    self._connection.execute(text(statement))
            online.require_values(self._connection, table=place, column=name, say=self._say)

    def _rule(self, table: str, name: str, known: str | None, wanted: str) -> None:
        place, rule = self._place(table), qualified(wanted, self._schema)
        if known == wanted:
            return
        if known is not None and catalog.is_only_unproven(known, wanted):
            online.prove_rule(
                self._connection, table=place, name=name, definition=rule, say=self._say
            )
        elif rule.startswith(("CHECK", "FOREIGN KEY")):
            online.add_rule(
                self._connection, table=place, name=name, definition=rule, say=self._say
            )
        else:
            online.add_key(
                self._connection,
                schema=self._schema,
                table=table,
                name=name,
                definition=rule,
                say=self._say,
            )

    def _indexes(self, table: str, known: TableShape, wanted: TableShape) -> None:
        for name, index in wanted.indexes.items():
            if known.indexes.get(name) != index:
                online.build_index(
                    self._connection,
                    schema=self._schema,
                    name=name,
                    definition=qualified(index, self._schema),
                    say=self._say,
                )

    def _triggers(self, table: str, known: TableShape, wanted: TableShape) -> None:
        for name, trigger in wanted.triggers.items():
            if known.triggers.get(name) != trigger:
                self._briefly(
                    f"trigger {name} is made",
                    f"DROP TRIGGER IF EXISTS {name} ON {self._place(table)}",
                    qualified(trigger, self._schema),
                )

    def _place(self, table: str) -> str:
        return f"{self._schema}.{table}"

    def _briefly(self, what: str, *statements: str) -> None:
        self._say(f"  {what}")
        online.briefly(self._connection, *statements, what=what, say=self._say)


def stored_otherwise(have: Shape, wanted: Shape) -> list[str]:
    """Of all tables, one line each."""
    return [
        f"column {table}.{name} is stored otherwise"
        for table, known in have.tables.items()
        if table in wanted.tables
        for name in otherwise_in(known, wanted.tables[table])
    ]


def otherwise_in(known: TableShape, wanted: TableShape) -> list[str]:
    """Columns that cannot become what they should be without writing every row anew."""
    return [
        name
        for name, column in wanted.columns.items()
        if (known.columns[name].storage != column.storage if name in known.columns
            else bool(column.generated))
    ]  # fmt: skip
