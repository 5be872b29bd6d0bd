"""Facts of a cause are an object: what was written as a text that holds one is read once more.

0.2.0 wrote them so where a plan changed a task, which had to wait for data from then on.

Revision: 0004
Before: 0003
"""

from __future__ import annotations

from alembic import op

from accountsync.store.migrations import online
from accountsync.store.migrations.online import Say

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TASK = "accountsync.account_task"
_NAME = "ck_account_task_cause_facts"
_RULE = "CHECK (jsonb_typeof(cause_facts) = 'object')"
_AS_OBJECTS = f"""
UPDATE {_TASK}
SET cause_facts = CAST(cause_facts #>> '{{}}' AS jsonb)
WHERE id > :above AND id <= :upto AND jsonb_typeof(cause_facts) = 'string'
"""


def upgrade() -> None:
    """The rule comes first: no code of before then writes what the lots have passed."""
    say: Say = op.get_context().opts["say"]
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        online.briefly(
            connection,
            f"ALTER TABLE {_TASK} DROP CONSTRAINT IF EXISTS {_NAME}",
            f"ALTER TABLE {_TASK} ADD CONSTRAINT {_NAME} {_RULE} NOT VALID",
            what=f"constraint {_NAME}",
            say=say,
        )
        online.in_lots(connection, _AS_OBJECTS, table=_TASK, what="causes of tasks", say=say)
        online.prove_rule(connection, table=_TASK, name=_NAME, definition=_RULE, say=say)


def downgrade() -> None:
    op.execute(f"ALTER TABLE {_TASK} DROP CONSTRAINT {_NAME}")
