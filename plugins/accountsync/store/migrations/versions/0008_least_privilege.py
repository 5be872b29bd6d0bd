"""The run-time login need not own the store: its functions do what takes the owner's rights.

    stage, unstage, index_staged, keep_staged      new

And a name that was given stays what it is: the trigger refuses to change that, too.

Revision: 0008
Before: 0007
"""

from __future__ import annotations

from alembic import op

from accountsync.store.migrations import online
from accountsync.store.migrations.online import Say

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_FUNCTIONS = ("stage", "unstage", "index_staged", "keep_staged")
_MADE = [
    """
CREATE FUNCTION accountsync.stage(run_id bigint) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = accountsync, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM sync_run r WHERE r.id = stage.run_id) THEN
    RAISE EXCEPTION 'there is no run %', stage.run_id;
  END IF;
  EXECUTE format($create$CREATE UNLOGGED TABLE %1$I (
    position bigint GENERATED ALWAYS AS IDENTITY,
    source_key text,
    employee_number text,
    full_name text,
    english_name text,
    person_type text,
    status text,
    department_code text,
    email text,
    phone text,
    hire_date date,
    effective_date date,
    leave_date date,
    time_zone text,
    source_updated_at timestamptz,
    raw json,
    attributes jsonb,
    content_hash bytea NOT NULL,
    problems jsonb,
    retried boolean NOT NULL,
    repeated boolean NOT NULL DEFAULT false
  ) WITH (autovacuum_enabled = false)$create$, 'staged_' || stage.run_id);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON %I TO %I',
    'staged_' || stage.run_id, session_user);
END
$$
""",
    """
CREATE FUNCTION accountsync.unstage(run_id bigint) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = accountsync, pg_temp AS $$
BEGIN
  EXECUTE format('DROP TABLE IF EXISTS %I', 'staged_' || unstage.run_id);
END
$$
""",
    """
CREATE FUNCTION accountsync.index_staged(run_id bigint) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = accountsync, pg_temp AS $$
BEGIN
  EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (source_key)',
    'staged_' || index_staged.run_id || '_source_key', 'staged_' || index_staged.run_id);
  PERFORM set_config('default_statistics_target', '10', true);
  EXECUTE format('ANALYZE %I (source_key, employee_number, source_updated_at, content_hash,'
    ' problems, retried)', 'staged_' || index_staged.run_id);
END
$$
""",
    """
CREATE FUNCTION accountsync.keep_staged(run_id bigint) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = accountsync, pg_temp AS $$
BEGIN
  EXECUTE format('ALTER TABLE %I SET LOGGED', 'staged_' || keep_staged.run_id);
END
$$
""",
    "REVOKE ALL ON FUNCTION accountsync.stage(bigint) FROM PUBLIC",
    "REVOKE ALL ON FUNCTION accountsync.unstage(bigint) FROM PUBLIC",
    "REVOKE ALL ON FUNCTION accountsync.index_staged(bigint) FROM PUBLIC",
    "REVOKE ALL ON FUNCTION accountsync.keep_staged(bigint) FROM PUBLIC",
]
_KEPT = "UPDATE OF id, namespace, folded, folded_base, number, given_at OR DELETE OR TRUNCATE"


def upgrade() -> None:
    say: Say = op.get_context().opts["say"]
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        online.briefly(connection, *_dropped(), *_MADE, what="functions", say=say)
    _refuse(_KEPT)


def downgrade() -> None:
    _refuse("DELETE OR TRUNCATE")
    for statement in _dropped():
        op.execute(statement)


def _dropped() -> list[str]:
    return [f"DROP FUNCTION IF EXISTS accountsync.{name}(bigint)" for name in _FUNCTIONS]


def _refuse(operations: str) -> None:
    say: Say = op.get_context().opts["say"]
    with op.get_context().autocommit_block():
        online.briefly(
            op.get_bind(),
            "DROP TRIGGER IF EXISTS refuse_name_registry ON accountsync.name_registry",
            f"CREATE TRIGGER refuse_name_registry BEFORE {operations}"
            " ON accountsync.name_registry FOR EACH STATEMENT"
            " EXECUTE FUNCTION accountsync.refuse()",
            what="trigger refuse_name_registry",
            say=say,
        )
