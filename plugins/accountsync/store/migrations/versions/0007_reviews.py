"""Questions to humans are kept, with the run that asks and what was answered.

    review                         new

A run of `review_held_changes` that has no row here was started by somebody else and decides
nothing. Nothing that is there is changed: what is held when this runs is asked about once more.

Revision: 0007
Before: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ANSWERED = (
    "(answer IS NULL) = (answered_at IS NULL) AND (answer IS NULL) = (answered_by IS NULL)"
    " AND (answer IS NULL OR reviewed IS NOT NULL)"
)


def upgrade() -> None:
    time, told = sa.DateTime(timezone=True), "when somebody was told that the question is shown"
    op.create_table(
        "review",
        sa.Column("airflow_run_id", sa.Text, nullable=False, comment="nobody can guess it"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False, comment="of the plan, or of the feed"),
        sa.Column("asked_at", time, nullable=False, server_default=sa.func.now()),
        sa.Column("reviewed", sa.Text, comment="the hash of what was shown"),
        sa.Column("shown_at", time),
        sa.Column("missed_at", time, comment=f"{told} to nobody"),
        sa.Column("answer", sa.Text),
        sa.Column("answered_by", sa.Text, comment="the id of Airflow's user"),
        sa.Column("answered_as", sa.Text, comment="the name of Airflow's user"),
        sa.Column("answered_at", time, comment="as Airflow recorded it"),
        sa.Column("comment", sa.Text),
        sa.Column("carried_out_at", time),
        sa.PrimaryKeyConstraint("airflow_run_id", name=op.f("pk_review")),
        sa.CheckConstraint("kind IN ('plan', 'feed')", name=op.f("ck_review_kind")),
        sa.CheckConstraint("(reviewed IS NULL) = (shown_at IS NULL)", name=op.f("ck_review_shown")),
        sa.CheckConstraint("answer IN ('approved', 'rejected')", name=op.f("ck_review_answer")),
        sa.CheckConstraint(_ANSWERED, name=op.f("ck_review_answered")),
        schema="accountsync",
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_review_kind_number"),
        "review",
        ["kind", "number"],
        schema="accountsync",
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_table("review", schema="accountsync")
