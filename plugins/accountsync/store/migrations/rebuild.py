"""A table is written anew beside those who use it, for what PostgreSQL changes under a lock only:
the type of a column, or a column that becomes a generated one.

1. An empty table of the new shape is made in a schema of its own, under the old names.
2. A trigger on the old table carries every write over from now on.
3. The rows that are there are copied in lots, each in a transaction of its own.
4. In one short transaction the new table takes the place of the old one, and foreign keys that
   point there are made anew; then they are proven, which blocks nobody.

Where that fails the old table is as it was and the half copy is thrown away: at once, or, after a
kill, at the next start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from psycopg.errors import DependentObjectsStillExist
from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from accountsync.errors import AccountSyncError, ConfigurationError
from accountsync.store.migrations import online
from accountsync.store.migrations.catalog import SCRATCH, TableShape, qualified
from accountsync.store.migrations.online import Say

_POINTING = """
SELECT o.conrelid::regclass::text AS table, o.conname AS name, pg_get_constraintdef(o.oid) AS rule
FROM pg_constraint o WHERE o.contype = 'f' AND o.confrelid = to_regclass(:table)
  AND o.conrelid <> o.confrelid
"""
_GRANTS = """
SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS grantee,
  string_agg(privilege_type, ', ') AS rights
FROM pg_class c, aclexplode(c.relacl) WHERE c.oid = to_regclass(:table) GROUP BY 1
"""
_NOT_COPIED = """
SELECT part
FROM pg_class c, LATERAL (VALUES
  ('row security', relrowsecurity),
  ('policies', EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid)),
  ('storage parameters', reloptions IS NOT NULL),
  ('replica identity', relreplident <> 'd'),
  ('publications', EXISTS (SELECT FROM pg_publication_rel WHERE prrelid = c.oid)),
  ('rights on columns',
    EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT NULL))
) AS set_up (part, is_so)
WHERE c.oid = to_regclass(:table) AND is_so
"""
# With the rights of who upgrades: those who write know nothing of the scratch schema.
_FOLLOW = """
CREATE FUNCTION {scratch}.follow() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    DELETE FROM {new} WHERE ({key}) = ({old_key});
    INSERT INTO {scratch}.gone VALUES ({old_key});
    RETURN NULL;
  ELSIF TG_OP = 'INSERT' THEN
    DELETE FROM {scratch}.gone WHERE ({key}) = ({new_key});
  END IF;
  INSERT INTO {new} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values})
  ON CONFLICT ({key}) DO UPDATE SET {assigned};
  RETURN NULL;
END $$
"""
# What the trigger has carried over already is newer than what is read here.
_COPY = """
INSERT INTO {new} ({names}) OVERRIDING SYSTEM VALUE
SELECT {source} FROM {old}{condition}
ON CONFLICT ({key}) DO NOTHING
"""
_NUMBERING = """
SELECT setval(pg_get_serial_sequence('{new}', '{name}'),
  coalesce(pg_sequence_last_value(s), 1), pg_sequence_last_value(s) IS NOT NULL)
FROM CAST(pg_get_serial_sequence('{old}', '{name}') AS regclass) AS s
"""
_OWNER = "SELECT quote_ident(pg_get_userbyid(relowner)) FROM pg_class WHERE oid = to_regclass(:t)"


def rebuild(connection: Connection, *, schema: str, table: str, have: TableShape,
            wanted: TableShape, say: Say, lot: int = online.LOT) -> None:  # fmt: skip
    """`wanted` and, beside it, what the table has under other names. Values of columns that stay
    are carried over, with a cast where the type is another one."""
    shape = TableShape(
        columns=wanted.columns | {n: c for n, c in have.columns.items() if n not in wanted.columns},
        rules=wanted.rules | {n: r for n, r in have.rules.items() if n not in wanted.rules},
        indexes=wanted.indexes | {n: i for n, i in have.indexes.items() if n not in wanted.indexes},
        triggers=wanted.triggers | _others(have, wanted),
    )
    work = _Rebuild(connection, schema=schema, table=table, have=have, shape=shape, say=say)
    work.refuse_what_would_be_lost()
    throw_away(connection, say=say)
    try:
        work.make()
        work.follow()
        work.copy(lot)
        work.swap()
    except BaseException:
        with suppress(DBAPIError, AccountSyncError):  # the next start does it otherwise
            throw_away(connection, say=say)
        raise


def _others(have: TableShape, wanted: TableShape) -> dict[str, str]:
    known = {*wanted.triggers, SCRATCH}
    return {name: rule for name, rule in have.triggers.items() if name not in known}


def throw_away(connection: Connection, *, say: Say) -> None:
    """What an interrupted rebuild left behind: the half copy and the trigger that fills it."""
    if connection.scalar(text("SELECT to_regnamespace(:name) IS NOT NULL"), {"name": SCRATCH}):
        what = "the copy of an upgrade that did not end"
        online.briefly(connection, f"DROP SCHEMA {SCRATCH} CASCADE", what=what, say=say)
        say(f"  {what} is thrown away")


class _Rebuild:
    def __init__(self, connection: Connection, *, schema: str, table: str, have: TableShape,
                 shape: TableShape, say: Say) -> None:  # fmt: skip
        self._connection = connection
        self._schema = schema
        self._name = table
        self._old, self._new = f"{schema}.{table}", f"{SCRATCH}.{table}"
        self._have, self._shape = have, shape
        self._carried = [
            name for name, c in shape.columns.items() if name in have.columns and not c.generated
        ]
        self._key = _key_of(shape) or []
        self._say = say

    def refuse_what_would_be_lost(self) -> None:
        """Rows that have one key, and what somebody set up for the table and is not copied."""
        if _key_of(self._have) is None:
            raise ConfigurationError(
                f"{self._old} has no primary key, so rows may stand in it twice: make it again,"
                f" PRIMARY KEY ({', '.join(self._key)}), and run the command again"
            )
        settings = self._connection.scalars(text(_NOT_COPIED), {"table": self._old}).all()
        if settings:
            raise ConfigurationError(
                f"{self._old} has to be written anew, which would lose its {', '.join(settings)}:"
                " take that off, run the command again, set it up again"
            )

    def make(self) -> None:
        """Empty, with every rule and index: rows that break one are refused while they are copied,
        before anything was changed."""
        columns = ", ".join(f"{n} {c.declared}" for n, c in self._shape.columns.items())
        online.briefly(
            self._connection,
            f"CREATE SCHEMA {SCRATCH}",
            f"CREATE TABLE {self._new} ({columns})",
            *self._comments(),
            *(
                f"ALTER TABLE {self._new} ADD CONSTRAINT {name} {qualified(rule, self._schema)}"
                for name, rule in self._shape.rules.items()
            ),
            *(qualified(index, SCRATCH) for index in self._shape.indexes.values()),
            *self._grants(),
            what=f"table {self._name}",
            say=self._say,
        )

    def _comments(self) -> Iterator[str]:
        for name, column in self._shape.columns.items():
            if column.comment is not None:
                yield comment_on(f"{self._new}.{name}", column.comment)

    def _grants(self) -> Iterator[str]:
        owner = self._connection.scalar(text(_OWNER), {"t": self._old})
        yield f"ALTER TABLE {self._new} OWNER TO {owner}"
        for grantee, rights in self._connection.execute(text(_GRANTS), {"table": self._old}):
            yield f"GRANT {rights} ON {self._new} TO {grantee}"

    def follow(self) -> None:
        """A row that is deleted while its lot is being copied is deleted once more at the end. Keys
        never change."""
        names = ", ".join(self._carried)
        values = ", ".join(f"NEW.{n}::{self._shape.columns[n].type}" for n in self._carried)
        assigned = ", ".join(f"{n} = excluded.{n}" for n in self._carried if n not in self._key)
        key = ", ".join(self._key)
        function = _FOLLOW.format(
            scratch=SCRATCH,
            new=self._new,
            names=names,
            values=values,
            assigned=assigned,
            key=key,
            old_key=", ".join(f"OLD.{name}" for name in self._key),
            new_key=", ".join(f"NEW.{name}" for name in self._key),
        )
        online.briefly(
            self._connection,
            f"CREATE TABLE {SCRATCH}.gone AS SELECT {key} FROM {self._old} WITH NO DATA",
            function,
            f"CREATE TRIGGER {SCRATCH} AFTER INSERT OR UPDATE OR DELETE ON {self._old}"
            f" FOR EACH ROW EXECUTE FUNCTION {SCRATCH}.follow()",
            what=f"table {self._name}",
            say=self._say,
        )

    def copy(self, lot: int) -> None:
        """In lots of `id`, where the key is one; otherwise, a small table, at once."""
        by_id = self._key == ["id"]
        condition = " WHERE id > :above AND id <= :upto" if by_id else ""
        source = ", ".join(f"{n}::{self._shape.columns[n].type}" for n in self._carried)
        statement = _COPY.format(
            new=self._new,
            names=", ".join(self._carried),
            source=source,
            old=self._old,
            condition=condition,
            key=", ".join(self._key),
        )
        what = f"table {self._name}"
        try:
            with online.told(self._say, f"{what} is copied"):
                if by_id:
                    online.in_lots(
                        self._connection, statement, table=self._old, what=what, say=self._say,
                        lot=lot,
                    )  # fmt: skip
                else:
                    online.briefly(self._connection, statement, what=what, say=self._say)
        except IntegrityError as error:
            raise online.broken(what, "its rules") from error

    def swap(self) -> None:
        pointing = self._connection.execute(text(_POINTING), {"table": self._old}).all()
        try:
            online.briefly(
                self._connection,
                *self._exchange(pointing),
                what=f"table {self._name}",
                say=self._say,
            )
        except DBAPIError as error:
            if isinstance(error.orig, DependentObjectsStillExist):
                raise ConfigurationError(
                    f"a view or another object that is not ours depends on {self._old}, which is"
                    " to be written anew: drop it, run the command again, make it again"
                ) from error
            raise
        for row in pointing:
            online.prove_rule(
                self._connection, table=row.table, name=row.name, definition=row.rule, say=self._say
            )

    def _exchange(self, pointing: Sequence[Row[Any]]) -> Iterator[str]:
        """`pointing`: foreign keys of other tables that point to this one."""
        places = ", ".join([self._old, *(row.table for row in pointing)])
        match = " AND ".join(f"n.{name} = g.{name}" for name in self._key)
        yield f"LOCK TABLE {places} IN ACCESS EXCLUSIVE MODE"
        yield f"DELETE FROM {self._new} n USING {SCRATCH}.gone g WHERE {match}"
        yield from self._numbering()
        for row in pointing:
            yield f"ALTER TABLE {row.table} DROP CONSTRAINT {row.name}"
        yield f"DROP TABLE {self._old}"
        yield f"ALTER TABLE {self._new} SET SCHEMA {self._schema}"
        for row in pointing:
            yield f"ALTER TABLE {row.table} ADD CONSTRAINT {row.name} {row.rule} NOT VALID"
        for rule in self._shape.triggers.values():
            yield qualified(rule, self._schema)
        yield f"DROP SCHEMA {SCRATCH} CASCADE"

    def _numbering(self) -> Iterator[str]:
        """Identity columns go on where the old ones were."""
        for name, column in self._shape.columns.items():
            if column.identity and name in self._carried:
                yield _NUMBERING.format(new=self._new, old=self._old, name=name)


def comment_on(column: str, comment: str | None) -> str:
    value = "NULL" if comment is None else "'" + comment.replace("'", "''") + "'"
    return f"COMMENT ON COLUMN {column} IS {value}"


def _key_of(shape: TableShape) -> list[str] | None:
    for rule in shape.rules.values():
        if rule.startswith("PRIMARY KEY"):
            return rule.removeprefix("PRIMARY KEY (").removesuffix(")").split(", ")
    return None
