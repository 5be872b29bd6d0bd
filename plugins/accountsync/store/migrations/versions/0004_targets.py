"""What a plan and a cause are about is a target, in their facts as in the code.

    plan.lines                 key `system` of each line    → `target`
    account_task.cause_facts   `system` of a failed target  → `target`

The columns named `system` keep their name: renaming one would stop everybody who is at work.

Revision: 0004
Before: 0003
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

from accountsync.store.migrations import online
from accountsync.store.migrations.online import Say

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TASK = "accountsync.account_task"
_PLAN = "accountsync.plan"
_LOT = "id > :above AND id <= :upto"


def _lines(old: str, new: str) -> str:
    return f"""
    UPDATE {_PLAN}
    SET lines = (
      SELECT jsonb_agg(
        told.line - '{old}' || jsonb_build_object('{new}', told.line -> '{old}')
        ORDER BY told.place
      )
      FROM jsonb_array_elements(lines) WITH ORDINALITY told (line, place)
    )
    WHERE jsonb_exists(lines -> 0, '{old}')
    """


def _causes(old: str, new: str) -> str:
    return f"""
    UPDATE {_TASK}
    SET cause_facts = cause_facts - '{old}' || jsonb_build_object('{new}', cause_facts -> '{old}')
    WHERE cause_kind = 'dependency_failed' AND jsonb_exists(cause_facts, '{old}')
    """


def upgrade() -> None:
    context = op.get_context()
    say: Say = context.opts["say"]
    changes = ((_PLAN, _lines, "plans"), (_TASK, _causes, "causes of tasks"))
    with context.autocommit_block():
        for table, change, what in changes:
            statement = f"{change('system', 'target')} AND {_LOT}"
            online.in_lots(op.get_bind(), statement, table=table, what=what, say=say)


def downgrade() -> None:
    for change in (_lines, _causes):
        op.execute(text(change("target", "system")))
