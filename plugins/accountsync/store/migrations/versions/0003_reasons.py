"""Reasons are kinds and facts instead of English sentences.

    account_task.held_because      text, sentences     → jsonb, reasons
    account_task.cause             anybody's words     → what others said; ours go into cause_kind
                                                         and cause_facts, which are new
    sync_run.stopped_by            text[]              → jsonb, reasons
    sync_run.silence               (in `error`)        → jsonb, a reason; new
    sync_run.differences           why rows are rejected, as reasons
    rejected_record.reasons        text[]              → jsonb, reasons
    correlation_case.reasons       text[]              → jsonb, reasons
    plan.lines                     object of objects   → array, with reasons
    staged_….problems              text[]              → jsonb, reasons; of feeds that wait

What is none of the known sentences is kept as kind `text`. A column that gets another type is made
anew beside the old one, filled in lots, and takes its name in one short transaction: nobody waits
for a table that is written anew.

Revision: 0003
Before: 0002
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op
from psycopg.errors import DependentObjectsStillExist
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from accountsync.errors import ConfigurationError
from accountsync.store.migrations import online, sentences
from accountsync.store.migrations.online import Say
from accountsync.store.migrations.sentences import DOUBTED, HELD, REJECTED, STOPPED

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TASK = "accountsync.account_task"
_RUN = "accountsync.sync_run"
_REJECT = "accountsync.rejected_record"
_CASE = "accountsync.correlation_case"
_PLAN = "accountsync.plan"
_NEW = "reasons_now"
_LOT = "id > :above AND id <= :upto"
_ALLOWED = "(cause_kind IS NULL) = (cause_facts IS NULL) AND (cause IS NULL OR cause_kind IS NULL)"

_SENTENCES_OF_GUARD = "string_to_array({}, '; ')"

_HELD = f"""
UPDATE {_TASK}
SET {_NEW} = {sentences.reasons(_SENTENCES_OF_GUARD.format("held_because"), HELD)}
WHERE held_because IS NOT NULL AND {_NEW} IS NULL
"""
_CAUSES = f"""
UPDATE {_TASK}
SET
  cause = NULL,
  cause_kind = {sentences.kind_of("cause")},
  cause_facts = {sentences.facts_of("cause")}
WHERE {_LOT} AND cause_kind IS NULL AND ({sentences.is_ours("cause")})
"""
_STOPPED = f"""
UPDATE {_RUN}
SET {_NEW} = {sentences.reasons("stopped_by", STOPPED)}
WHERE cardinality(stopped_by) > 0 AND {_NEW} = '[]'
"""
_SILENCE = f"""
UPDATE {_RUN}
SET
  silence = jsonb_build_object('kind', 'text', 'facts', jsonb_build_object('text', error)),
  error = NULL
WHERE {_LOT} AND silent_since IS NOT NULL AND silence IS NULL AND error IS NOT NULL
  AND state = 'succeeded'
"""
_DIFFERENCES = f"""
UPDATE {_RUN}
SET differences = jsonb_set(differences, '{{rejected}}', (
  SELECT jsonb_agg(
    told.one || jsonb_build_object(
      'reason', {sentences.reason("(told.one ->> 'reason')", REJECTED)}
    )
    ORDER BY told.place
  )
  FROM jsonb_array_elements(differences -> 'rejected') WITH ORDINALITY told (one, place)
))
WHERE {_LOT} AND jsonb_typeof(differences #> '{{rejected,0,reason}}') = 'string'
"""
_REJECTED = f"""
UPDATE {_REJECT}
SET {_NEW} = {sentences.reasons("reasons", REJECTED)}
WHERE {_NEW} IS NULL
"""
_DOUBTED = f"""
UPDATE {_CASE}
SET {_NEW} = {sentences.reasons("reasons", DOUBTED)}
WHERE {_NEW} IS NULL
"""
_LINES = f"""
UPDATE {_PLAN}
SET lines = coalesce((
  SELECT jsonb_agg(
    jsonb_build_object(
      'target', target.key,
      'operation', line.key,
      'tasks', coalesce(line.value -> 'tasks', '0'),
      'held', coalesce(line.value -> 'held', '0'),
      'reasons', coalesce(line.value -> 'reasons', '{{}}'),
      'examples', coalesce(line.value -> 'examples', '[]'),
      'held_because',
      {sentences.reasons(_SENTENCES_OF_GUARD.format("line.value ->> 'held_because'"), HELD)}
    )
    ORDER BY target.key, line.key
  )
  FROM jsonb_each(lines) target, jsonb_each(target.value) line
), '[]')
WHERE {_LOT} AND jsonb_typeof(lines) = 'object'
"""
_STAGED = """
SELECT format('accountsync.%I', c.relname)
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'problems' AND NOT a.attisdropped
WHERE c.relnamespace = to_regnamespace('accountsync')
  AND c.relname LIKE 'staged\\_%'
  AND format_type(a.atttypid, a.atttypmod) = 'text[]'
"""
_TYPE = """
SELECT format_type(atttypid, atttypmod)
FROM pg_attribute
WHERE attrelid = CAST(:table AS regclass) AND attname = :column AND NOT attisdropped
"""


def upgrade() -> None:
    context = op.get_context()
    say: Say = context.opts["say"]
    with context.autocommit_block():
        connection = op.get_bind()
        _tasks(connection, say)
        _runs(connection, say)
        for table, statement in ((_REJECT, _REJECTED), (_CASE, _DOUBTED)):
            _replace(connection, table, "reasons", statement, is_required=True, say=say)
        _plans(connection, say)
        _staged(connection, say)
        _comment(connection, say)


def _tasks(connection: Connection, say: Say) -> None:
    online.briefly(
        connection,
        f"ALTER TABLE {_TASK} ADD COLUMN IF NOT EXISTS cause_kind text,"
        " ADD COLUMN IF NOT EXISTS cause_facts jsonb",
        what="causes of tasks",
        say=say,
    )
    online.in_lots(connection, _CAUSES, table=_TASK, what="causes of tasks", say=say)
    online.add_rule(
        connection,
        table=_TASK,
        name="ck_account_task_cause",
        definition=f"CHECK ({_ALLOWED})",
        say=say,
    )
    # What a plan held since its lot was filled is of the guarded operations, which have an index.
    rest = f"{_HELD} AND operation IN ('disable', 'delete')"
    _replace(connection, _TASK, "held_because", _HELD, rest=rest, say=say)


def _runs(connection: Connection, say: Say) -> None:
    online.briefly(
        connection,
        f"ALTER TABLE {_RUN} ADD COLUMN IF NOT EXISTS silence jsonb",
        what="silences",
        say=say,
    )
    online.in_lots(connection, _SILENCE, table=_RUN, what="silences", say=say)
    online.in_lots(connection, _DIFFERENCES, table=_RUN, what="differences of feeds", say=say)
    _replace(connection, _RUN, "stopped_by", _STOPPED, default="'[]'", is_required=True, say=say)


def _plans(connection: Connection, say: Say) -> None:
    statement = f"ALTER TABLE {_PLAN} ALTER COLUMN lines SET DEFAULT '[]'"
    online.briefly(connection, statement, what="plans", say=say)
    online.in_lots(connection, _LINES, table=_PLAN, what="plans", say=say)


def _replace(
    connection: Connection,
    table: str,
    column: str,
    statement: str,
    *,
    say: Say,
    rest: str | None = None,
    default: str | None = None,
    is_required: bool = False,
) -> None:
    """The column as jsonb. `statement`: fills it where that is still to be done; `rest`: what was
    written since it was filled, where the table is too large to be looked through again."""
    if connection.scalar(text(_TYPE), {"table": table, "column": column}) == "jsonb":
        return
    declared = f"{_NEW} jsonb" + (f" DEFAULT {default}" if default else "")
    online.briefly(
        connection,
        f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {declared}",
        what=f"{table}.{column}",
        say=say,
    )
    lot = f"{statement} AND {_LOT}"
    online.in_lots(connection, lot, table=table, what=f"{table}.{column}", say=say)
    alter = f"ALTER TABLE {table}"
    steps = [
        f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
        rest or statement,
        f"{alter} DROP COLUMN {column}",
        f"{alter} RENAME COLUMN {_NEW} TO {column}",
        # the rule takes the column's name, so it comes last
        *([f"{alter} ALTER COLUMN {column} SET NOT NULL"] if is_required else []),
    ]
    _take_its_place(connection, f"{table}.{column}", steps, say)


def _take_its_place(connection: Connection, column: str, steps: Sequence[str], say: Say) -> None:
    try:
        online.briefly(connection, *steps, what=column, say=say)
    except DBAPIError as error:
        if isinstance(error.orig, DependentObjectsStillExist):
            raise ConfigurationError(
                f"a view or another object that is not ours depends on {column}, which gets"
                " another type: drop it, run bin/accountsync db upgrade, make it again"
            ) from error
        raise


def _staged(connection: Connection, say: Say) -> None:
    """Feeds that wait for a human are tables of their own."""
    for table in connection.scalars(text(_STAGED)).all():
        online.briefly(
            connection,
            f"ALTER TABLE {table} ADD COLUMN {_NEW} jsonb",
            f"UPDATE {table} SET {_NEW} = {sentences.reasons('problems', REJECTED)}"
            " WHERE problems IS NOT NULL",
            f"ALTER TABLE {table} DROP COLUMN problems",
            f"ALTER TABLE {table} RENAME COLUMN {_NEW} TO problems",
            what=table,
            say=say,
        )


_COMMENTS = {
    f"{_TASK}.held_because": "the guard''s reasons, kept for good: kinds and facts",
    f"{_TASK}.cause": "what others said, such as a target",
    f"{_TASK}.cause_kind": "what we say, and with which facts",
    f"{_RUN}.stopped_by": "the feed guard''s reasons: kinds and facts",
    f"{_RUN}.silence": "how long nothing came, and what was expected: kind and facts",
    f"{_REJECT}.reasons": "what is wrong with it: kinds and facts",
    f"{_CASE}.reasons": "why it is doubtful: kinds and facts",
    f"{_PLAN}.lines": ("of each target and operation: how many, why, examples by number, why held"),
}


def _comment(connection: Connection, say: Say) -> None:
    for column, comment in _COMMENTS.items():
        statement = f"COMMENT ON COLUMN {column} IS '{comment}'"
        online.briefly(connection, statement, what=column, say=say)


def downgrade() -> None:
    """What others said is as before; of our own reasons the kinds and facts are what is left."""
    for statement in _BACK:
        op.execute(text(statement))


_BACK = (
    f"ALTER TABLE {_TASK} DROP CONSTRAINT ck_account_task_cause",
    f"""
    UPDATE {_TASK} SET cause = CASE cause_kind
      WHEN 'dependency_failed' THEN (cause_facts ->> 'target') || ' failed for good'
      ELSE concat_ws(' ', cause_kind, nullif(cause_facts::text, '{{}}')) END
    WHERE cause_kind IS NOT NULL
    """,
    f"ALTER TABLE {_TASK} DROP COLUMN cause_kind, DROP COLUMN cause_facts",
    f"ALTER TABLE {_TASK} ALTER COLUMN held_because TYPE text USING held_because::text",
    *(
        statement
        for table, column in ((_RUN, "stopped_by"), (_REJECT, "reasons"), (_CASE, "reasons"))
        for statement in (
            f"ALTER TABLE {table} ADD COLUMN before text[] NOT NULL DEFAULT '{{}}'",
            f"""
            UPDATE {table} SET before = ARRAY(
              SELECT coalesce(one #>> '{{facts,text}}', one::text)
              FROM jsonb_array_elements({column}) one
            )
            """,
            f"ALTER TABLE {table} DROP COLUMN {column}",
            f"ALTER TABLE {table} RENAME COLUMN before TO {column}",
        )
    ),
    *(f"ALTER TABLE {t} ALTER COLUMN reasons DROP DEFAULT" for t in (_REJECT, _CASE)),
    f"UPDATE {_RUN} SET error = silence::text WHERE silence IS NOT NULL AND error IS NULL",
    f"ALTER TABLE {_RUN} DROP COLUMN silence",
    f"""
    UPDATE {_RUN} SET differences = jsonb_set(differences, '{{rejected}}', (
      SELECT jsonb_agg(one || jsonb_build_object('reason', (one -> 'reason')::text))
      FROM jsonb_array_elements(differences -> 'rejected') one
    ))
    WHERE jsonb_typeof(differences #> '{{rejected,0,reason}}') = 'object'
    """,
    f"ALTER TABLE {_PLAN} ALTER COLUMN lines SET DEFAULT '{{}}'",
    f"""
    UPDATE {_PLAN} SET lines = coalesce((
      SELECT jsonb_object_agg(system, operations)
      FROM (
        SELECT line ->> 'target' AS system, jsonb_object_agg(
          line ->> 'operation',
          line - 'target' - 'operation'
            || jsonb_build_object('held_because', nullif(line ->> 'held_because', '[]'))
        ) AS operations
        FROM jsonb_array_elements(lines) line
        GROUP BY 1
      ) targets
    ), '{{}}')
    """,
    f"COMMENT ON COLUMN {_TASK}.held_because IS 'the guard''s reasons, kept for good'",
    f"COMMENT ON COLUMN {_TASK}.cause IS NULL",
    f"COMMENT ON COLUMN {_RUN}.stopped_by IS 'the feed guard''s reasons'",
    f"COMMENT ON COLUMN {_PLAN}.lines IS"
    " 'system → operation → how many, why, examples by number, why held'",
)
