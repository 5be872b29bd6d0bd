"""What the guard judges a task by, and when it let it through.

Tasks of before have neither: disables and deletes are counted by when they were written.

Revision: 0006
Before: 0005
"""

from __future__ import annotations

from alembic import op

from accountsync.store.migrations import online
from accountsync.store.migrations.online import Say

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TASK = "accountsync.account_task"
_TAKES_AWAY = "operation IN ('disable', 'delete')"
_RISKS = (
    "CHECK (risks <@ ARRAY['create', 'enable', 'rename', 'lost_membership', 'emptied_attribute']"
    " AND risks <> '{}')"
)
_INDEXES = {
    "ix_account_task_guarded": f"(system, coalesce(let_through_at, created_at))"
    f" WHERE ({_TAKES_AWAY} OR risks IS NOT NULL)",
    "ix_account_task_refused": "(person_id) WHERE (state = 'cancelled'"
    f" AND ({_TAKES_AWAY} OR held_because IS NOT NULL))",
}
_INDEXES_BEFORE = {
    "ix_account_task_guarded": f"(system, operation, created_at) WHERE {_TAKES_AWAY}",
    "ix_account_task_refused": f"(person_id) WHERE state = 'cancelled' AND {_TAKES_AWAY}",
}


def upgrade() -> None:
    """Columns without a value of their own are added at once, whatever the table holds."""
    say: Say = op.get_context().opts["say"]
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        online.briefly(
            connection,
            f"ALTER TABLE {_TASK} ADD COLUMN IF NOT EXISTS let_through_at timestamptz,"
            " ADD COLUMN IF NOT EXISTS risks text[]",
            f"COMMENT ON COLUMN {_TASK}.let_through_at IS 'by the guard, without a human'",
            f"COMMENT ON COLUMN {_TASK}.risks IS"
            " 'what the guard judges by, beside disables and deletes; null: nothing'",
            what="risks of tasks",
            say=say,
        )
        online.add_rule(
            connection, table=_TASK, name="ck_account_task_risks", definition=_RISKS, say=say
        )
    _build(_INDEXES)


def downgrade() -> None:
    _build(_INDEXES_BEFORE)
    op.execute(
        f"ALTER TABLE {_TASK} DROP CONSTRAINT ck_account_task_risks,"
        " DROP COLUMN risks, DROP COLUMN let_through_at"
    )


def _build(indexes: dict[str, str]) -> None:
    """Earlier code, which runs meanwhile, needs none of them to be right."""
    say: Say = op.get_context().opts["say"]
    with op.get_context().autocommit_block():
        for name, definition in indexes.items():
            online.build_index(
                op.get_bind(),
                schema="accountsync",
                name=name,
                definition=f"CREATE INDEX {name} ON {_TASK} {definition}",
                say=say,
            )
