"""The functions of the store: what a run-time login that owns nothing cannot do by itself.

A feed is staged in a table per run, and to make, index and drop tables takes their owner. These
functions run with the owner's rights (SECURITY DEFINER): each does exactly one thing to
`staged_<run>`, whose name is made of a number. `search_path` is fixed: PostgreSQL's own names come
first, and a table of the session's own, which anybody may make, comes last. Nobody may call them
but the owner and whom `store.rights` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from accountsync.domain.persons.person import PERSON_FIELDS
from accountsync.store.tables.base import SCHEMA

_TYPES: Mapping[type, str] = {str: "text", date: "date", datetime: "timestamptz"}
_COLUMNS = ",\n    ".join(f"{name} {_TYPES[kind]}" for name, kind in PERSON_FIELDS.items())

_REFUSE = """
CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append only', TG_TABLE_NAME;
END $$
"""

# What drops the table would wait a second for autovacuum.
_STAGE = """
BEGIN
  IF NOT EXISTS (SELECT FROM sync_run r WHERE r.id = stage.run_id) THEN
    RAISE EXCEPTION 'there is no run %', stage.run_id;
  END IF;
  EXECUTE format($create$CREATE UNLOGGED TABLE %1$I (
    position bigint GENERATED ALWAYS AS IDENTITY,
    {columns},
    raw json,
    attributes jsonb,
    content_hash bytea NOT NULL,
    problems jsonb,
    retried boolean NOT NULL,
    repeated boolean NOT NULL DEFAULT false
  ) WITH (autovacuum_enabled = false)$create$, 'staged_' || stage.run_id);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON %I TO %I',
    'staged_' || stage.run_id, session_user);
END"""

_UNSTAGE = """
BEGIN
  EXECUTE format('DROP TABLE IF EXISTS %I', 'staged_' || unstage.run_id);
END"""

# Only the columns by which the merge joins and filters: the others are wide and slow to sample. Of
# keys a small sample is enough.
_INDEX_STAGED = """
BEGIN
  EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (source_key)',
    'staged_' || index_staged.run_id || '_source_key', 'staged_' || index_staged.run_id);
  PERFORM set_config('default_statistics_target', '10', true);
  EXECUTE format('ANALYZE %I (source_key, employee_number, source_updated_at, content_hash,'
    ' problems, retried)', 'staged_' || index_staged.run_id);
END"""

_KEEP_STAGED = """
BEGIN
  EXECUTE format('ALTER TABLE %I SET LOGGED', 'staged_' || keep_staged.run_id);
END"""

_DEFINER = """
CREATE FUNCTION {schema}.{name}(run_id bigint) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = {ours}, pg_temp AS $$
{body}
$$
"""
_BODIES = {
    "stage": _STAGE.replace("{columns}", _COLUMNS),
    "unstage": _UNSTAGE,
    "index_staged": _INDEX_STAGED,
    "keep_staged": _KEEP_STAGED,
}

CALLED = tuple(f"{name}(bigint)" for name in _BODIES)
"""What the run-time login calls."""


def statements(schema: str) -> list[str]:
    """What makes them in that schema. They always work on the tables of the store."""
    made = [_REFUSE.replace("{schema}", schema)]
    for name, body in _BODIES.items():
        definition = _DEFINER.replace("{schema}", schema).replace("{name}", name)
        made.append(definition.replace("{ours}", SCHEMA).replace("{body}", body.strip()))
    return made + [f"REVOKE ALL ON FUNCTION {schema}.{name} FROM PUBLIC" for name in CALLED]
