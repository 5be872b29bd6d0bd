"""Bring every store that says it is at 0001 to what 0001 says.

Until 0.1.0 the schema was changed inside of 0001, under the same number: a store that an earlier
checkout made is "at 0001" and lacks what came later. The first migration is frozen now; this one
runs it once more in a temporary schema that is never committed, compares that with what is there,
and mends. A store that is right is left alone.

What the 21 versions of 0001 changed: tables, columns, comments, rules, indexes and triggers were
added; four checks and one index became wider; a name may be nobody's; `account_task.priority` is
computed now. No table or column was renamed or dropped, so no value has to be carried from one
place to another. Columns that came later hold their defaults, which is what the code of that time
meant by not having them. `made_from` of older names is worked out where it is certain. The old
`priority` was 5 for every task, and is not kept.

Revision: 0002
Before: 0001
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from alembic import op
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.exc import DataError

from accountsync.errors import ConfigurationError
from accountsync.store.migrations import catalog, online, rebuild
from accountsync.store.migrations.catalog import Shape
from accountsync.store.migrations.mending import Mending
from accountsync.store.migrations.online import Say

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "accountsync"
FIRST = Path(__file__).with_name("0001_foundation.py")

_BASE = r"regexp_replace(n.value, n.number::text || '(@|$)', '\1')"
_MADE_FROM = f"""
UPDATE accountsync.name_registry n
SET made_from = CASE n.number WHEN 1 THEN n.value ELSE {_BASE} END
WHERE n.id > :above AND n.id <= :upto AND n.made_from IS NULL AND n.origin = 'mapping'
  AND n.person_id IS NOT NULL AND (n.number = 1 OR lower({_BASE}) = n.folded_base)
"""
"""What the mapping gave when it gave the name: the name without its number. Where that is not
certain it stays unknown, and the next plan notes what the mapping gives by then."""

_ONE_IN_USE = """
UPDATE accountsync.name_registry n SET current = false
WHERE n.id > :above AND n.id <= :upto AND n.current AND EXISTS (
  SELECT FROM accountsync.name_registry later WHERE later.person_id = n.person_id
  AND later.namespace = n.namespace AND later.current AND later.id > n.id)
"""
"""The last name that was given is in use. The others stay the person's (I8)."""


def upgrade() -> None:
    context = op.get_context()
    say: Say = context.opts["say"]
    with context.autocommit_block():
        repair(op.get_bind(), say)


def downgrade() -> None:
    """Nothing: a repaired store is what 0001 says."""


def repair(connection: Connection, say: Say) -> None:
    wanted = first_shape(connection)
    mending = Mending(connection, schema=SCHEMA, wanted=wanted, say=say)
    rebuild.throw_away(connection, say=say)
    if catalog.lacks(catalog.read(connection, SCHEMA), wanted):
        say("the store was made by an earlier checkout: it is brought to what 0001 says")
        mending.expand()
        _fill(connection, say)
        mending.contract()
    _mend_held_feeds(connection, say)
    left = catalog.lacks(catalog.read(connection, SCHEMA), wanted)
    if left:
        raise ConfigurationError("the store could not be brought to 0001:\n" + "\n".join(left))


def _fill(connection: Connection, say: Say) -> None:
    table = f"{SCHEMA}.name_registry"
    known = online.in_lots(connection, _MADE_FROM, table=table, what="names", say=say)
    retired = online.in_lots(connection, _ONE_IN_USE, table=table, what="names", say=say)
    if known or retired:
        say(f"  names: {known} got their base, {retired} give way to a later name of the person")


_STAGED = """
SELECT format('accountsync.%I', c.relname) AS place, r.id AS run
FROM accountsync.sync_run r JOIN pg_class c ON c.relname = 'staged_' || r.id
WHERE c.relnamespace = 'accountsync'::regnamespace AND r.state = 'held' AND NOT EXISTS (
  SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'attributes')
"""


def _mend_held_feeds(connection: Connection, say: Say) -> None:
    """A feed that waits for a human is a table of its own, made by the code that read it: without
    `repeated` at first, and with whole rows in `raw`. Its rows go where they are looked for now."""
    for place, run in connection.execute(text(_STAGED)).all():
        try:
            online.briefly(
                connection,
                f"ALTER TABLE {place} ALTER COLUMN raw DROP NOT NULL, ADD COLUMN attributes jsonb,"
                " ADD COLUMN IF NOT EXISTS repeated boolean NOT NULL DEFAULT false",
                f"UPDATE {place} SET attributes = raw::jsonb WHERE problems IS NULL",
                what=f"held feed of run {run}",
                say=say,
            )
            say(f"  held feed of run {run}: can be approved as before")
        except DataError:
            say(f"  held feed of run {run}: a row cannot be taken over; reject it and read again")


def first_shape(connection: Connection) -> Shape:
    """What 0001 makes, as this server writes it down."""
    with online.rolled_back(connection):
        for statement in _first_statements():
            online.run(connection, statement)
        return catalog.read(connection, "pg_temp")


def _first_statements() -> Iterator[str]:
    """The SQL of 0001, for temporary tables."""
    spec = importlib.util.spec_from_file_location("accountsync_first_migration", FIRST)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{FIRST} cannot be read")
    first = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(first)
    written = StringIO()
    dialect = PGDialect(paramstyle="named")  # type: ignore[no-untyped-call]
    options = {"as_sql": True, "output_buffer": written}
    offline = MigrationContext.configure(dialect=dialect, opts=options)
    vars(first)["op"] = Operations(offline)
    first.upgrade()
    yield written.getvalue().replace(f"{SCHEMA}.", "pg_temp.")
