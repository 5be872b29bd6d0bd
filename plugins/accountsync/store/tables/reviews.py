"""Questions to humans about what a guard held, and their answers (I20)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from accountsync.store.tables.base import Table, now, one_of

KINDS = ("plan", "feed")
ANSWERS = ("approved", "rejected")


class ReviewRow(Table):
    """One run of `review_held_changes` that we started. A run that has no row here was started by
    somebody else, and decides nothing."""

    __tablename__ = "review"
    __table_args__ = (
        Index(None, "kind", "number"),
        CheckConstraint(one_of("kind", KINDS), name="kind"),
        CheckConstraint("(reviewed IS NULL) = (shown_at IS NULL)", name="shown"),
        CheckConstraint(one_of("answer", ANSWERS), name="answer"),
        CheckConstraint(
            "(answer IS NULL) = (answered_at IS NULL)"
            " AND (answer IS NULL) = (answered_by IS NULL)"
            " AND (answer IS NULL OR reviewed IS NOT NULL)",
            name="answered",
        ),
    )

    airflow_run_id: Mapped[str] = mapped_column(primary_key=True, comment="nobody can guess it")
    kind: Mapped[str]
    number: Mapped[int] = mapped_column(comment="of the plan, or of the feed")
    asked_at: Mapped[datetime] = now()
    reviewed: Mapped[str | None] = mapped_column(comment="the hash of what was shown")
    shown_at: Mapped[datetime | None]
    missed_at: Mapped[datetime | None] = mapped_column(
        comment="when somebody was told that the question is shown to nobody"
    )
    answer: Mapped[str | None]
    answered_by: Mapped[str | None] = mapped_column(comment="the id of Airflow's user")
    answered_as: Mapped[str | None] = mapped_column(comment="the name of Airflow's user")
    answered_at: Mapped[datetime | None] = mapped_column(comment="as Airflow recorded it")
    comment: Mapped[str | None]
    carried_out_at: Mapped[datetime | None]
