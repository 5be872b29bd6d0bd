"""Access ends: how an account was closed, and what takes access away is asked again.

Revision: 0005
Before: 0004
"""

from __future__ import annotations

from alembic import op

from accountsync.store.migrations import online
from accountsync.store.migrations.online import Say

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ADDED = {
    "account": {"closed": "text", "lost_id": "text"},
    "account_task": {"alerted_at": "timestamptz"},
    "breaker": {"trial_task": "bigint"},
    "plan": {"leavers_asked_at": "timestamptz"},
}
_COMMENTS = {
    "account.closed": "how we know that it gives no access to somebody who is to have none",
    "account.lost_id": "of one that is absent: the target's id under which it was last seen",
    "account_task.alerted_at": (
        "of one that takes access away: when somebody was last told that it is not done"
    ),
    "breaker.trial_task": "the task that was tried last while the target was down",
    "plan.leavers_asked_at": (
        "since when leavers are asked about once more, who would keep their access"
    ),
}
_CLOSED = "ck_account_closed"
_REMOVAL = "ix_account_task_removal"
_TAKES_AWAY = "operation IN ('disable', 'delete')"
_OPEN = (
    "state IN ('planned', 'held', 'needs_data', 'waiting', 'ready', 'running', 'unknown',"
    " 'needs_human')"
)


def upgrade() -> None:
    say: Say = op.get_context().opts["say"]
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        for table, columns in _ADDED.items():
            added = [
                f"ALTER TABLE accountsync.{table} ADD COLUMN IF NOT EXISTS {name} {kind}"
                for name, kind in columns.items()
            ]
            comments = [
                f"COMMENT ON COLUMN accountsync.{column} IS $${_COMMENTS[column]}$$"
                for column in (f"{table}.{name}" for name in columns)
            ]
            online.briefly(connection, *added, *comments, what=table, say=say)
        online.add_rule(
            connection,
            table="accountsync.account",
            name=_CLOSED,
            definition="CHECK (closed IN ('seen', 'absent', 'told'))",
            say=say,
        )
        online.build_index(
            connection,
            schema="accountsync",
            name=_REMOVAL,
            definition=f"CREATE INDEX {_REMOVAL} ON accountsync.account_task"
            f" (system, next_attempt_at) WHERE {_TAKES_AWAY} AND {_OPEN}",
            say=say,
        )


def downgrade() -> None:
    op.execute(f"DROP INDEX accountsync.{_REMOVAL}")
    for table, columns in _ADDED.items():
        for name in columns:
            op.execute(f"ALTER TABLE accountsync.{table} DROP COLUMN {name}")
