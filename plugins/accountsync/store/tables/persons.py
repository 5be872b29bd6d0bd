"""Persons, and what is known of the reads that brought them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from accountsync.store.tables.base import Documents, Table, identity, now, one_of

SYNC_STATES = ("running", "succeeded", "failed", "held", "rejected", "superseded")


class PersonRow(Table):
    """Identity is `source` + `source_key`. `employee_number` is unique at commit only, so that
    swapped or re-issued numbers converge in one merge."""

    __tablename__ = "person"
    __table_args__ = (
        UniqueConstraint("source", "source_key"),
        UniqueConstraint("employee_number", deferrable=True, initially="DEFERRED"),
        CheckConstraint(one_of("origin", ("hr", "request")), name="origin"),
        CheckConstraint("planned_revision <= revision", name="planned_revision"),
        Index("ix_person_to_plan", "id", postgresql_where=text("revision > planned_revision")),
        Index(
            "ix_person_next_evaluation_at",
            "next_evaluation_at",
            postgresql_where=text("next_evaluation_at IS NOT NULL"),
        ),
        Index(
            "ix_person_requested", "employee_number", postgresql_where=text("origin = 'request'")
        ),
        Index(
            "ix_person_absent",
            "source",
            "absent_since_snapshot",
            postgresql_where=text("absent_since_snapshot IS NOT NULL"),
        ),
        CheckConstraint(
            "presumed_left_at IS NULL OR absent_since_snapshot IS NOT NULL",
            name="presumed_left",
        ),
    )

    id: Mapped[int] = identity()
    source: Mapped[str]
    source_key: Mapped[str]
    employee_number: Mapped[str]
    origin: Mapped[str] = mapped_column(server_default="hr")
    full_name: Mapped[str]
    english_name: Mapped[str | None]
    person_type: Mapped[str | None]
    status: Mapped[str | None]
    department_code: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    hire_date: Mapped[date | None]
    effective_date: Mapped[date | None]
    leave_date: Mapped[date | None]
    time_zone: Mapped[str | None]
    source_updated_at: Mapped[datetime | None]
    attributes: Mapped[dict[str, Any]]
    content_hash: Mapped[bytes]
    revision: Mapped[int] = mapped_column(server_default="1")
    planned_revision: Mapped[int] = mapped_column(server_default="0")
    next_evaluation_at: Mapped[datetime | None]
    requested_systems: Mapped[list[str]] = mapped_column(
        server_default="{}", comment="of all account requests for this person that are in force"
    )
    presumed_left_at: Mapped[datetime | None] = mapped_column(
        comment="absence that a rule or a human takes for leaving; undone when seen again"
    )
    absent_since_snapshot: Mapped[int | None] = mapped_column(
        ForeignKey("snapshot.id"),
        comment="first complete snapshot without this person; null: seen in the latest one",
    )
    created_at: Mapped[datetime] = now()
    updated_at: Mapped[datetime] = now()


class PersonChangeRow(Table):
    """What a run changed about a person: `{"field": [old, new]}`."""

    __tablename__ = "person_change"
    __table_args__ = (Index(None, "person_id", "id"),)

    id: Mapped[int] = identity()
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    run_id: Mapped[int] = mapped_column(ForeignKey("sync_run.id"))
    changes: Mapped[dict[str, Any]]
    changed_at: Mapped[datetime] = now()


class SyncRunRow(Table):
    """One read of one source. Counts add up or the run cannot be called succeeded (I14).

    held: the feed guard stopped its feed, which stays staged until a human approves (succeeded) or
    rejects it, or a newer feed takes its place (superseded).
    """

    __tablename__ = "sync_run"
    __table_args__ = (
        CheckConstraint(one_of("state", SYNC_STATES), name="state"),
        CheckConstraint(one_of("mode", ("incremental", "full", "window", "person")), name="mode"),
        CheckConstraint(
            "state NOT IN ('succeeded', 'held')"
            " OR fetched + retried = inserted + updated + unchanged + rejected",
            name="counts_add_up",
        ),
        CheckConstraint("NOT dry_run OR state <> 'held'", name="dry_run"),
        Index(None, "source", "id"),
        Index(
            "ix_sync_run_held",
            "source",
            "id",
            postgresql_where=text("state IN ('held', 'rejected')"),
        ),
    )

    id: Mapped[int] = identity()
    source: Mapped[str]
    mode: Mapped[str]
    airflow_run_id: Mapped[str | None]
    dry_run: Mapped[bool] = mapped_column(server_default="false")
    state: Mapped[str] = mapped_column(server_default="running")
    read_from: Mapped[datetime | None]
    read_to: Mapped[datetime | None]
    fetched: Mapped[int] = mapped_column(server_default="0")
    retried: Mapped[int] = mapped_column(
        server_default="0", comment="rows rejected earlier, tried again"
    )
    inserted: Mapped[int] = mapped_column(server_default="0")
    updated: Mapped[int] = mapped_column(server_default="0")
    unchanged: Mapped[int] = mapped_column(server_default="0")
    rejected: Mapped[int] = mapped_column(server_default="0")
    differences: Mapped[dict[str, Any]] = mapped_column(
        server_default="{}", comment="what the feed changes, by field, and who, by employee number"
    )
    stopped_by: Mapped[Documents] = mapped_column(
        server_default="[]", comment="the feed guard's reasons: kinds and facts"
    )
    fingerprint: Mapped[str | None] = mapped_column(comment="of a held feed's rows")
    file: Mapped[str | None] = mapped_column(comment="which was read, and how it stood")
    silent_since: Mapped[datetime | None] = mapped_column(
        comment="nothing new came since, longer than `expected_every` of the source"
    )
    silence: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB, comment="how long nothing came, and what was expected: kind and facts"
    )
    error: Mapped[str | None]
    started_at: Mapped[datetime] = now()
    finished_at: Mapped[datetime | None]


class WatermarkRow(Table):
    """How far HR was read: the newest change time received, never a clock of ours (I1)."""

    __tablename__ = "watermark"

    source: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[datetime]
    run_id: Mapped[int] = mapped_column(ForeignKey("sync_run.id"))


class SnapshotRow(Table):
    """One complete full read."""

    __tablename__ = "snapshot"
    __table_args__ = (Index(None, "source", "id"),)

    id: Mapped[int] = identity()
    source: Mapped[str]
    run_id: Mapped[int] = mapped_column(ForeignKey("sync_run.id"))
    rows: Mapped[int]
    taken_at: Mapped[datetime] = now()


class RejectedRecordRow(Table):
    """A row of HR that cannot be used. Open until a read brings it right, or HR drops it (I3).

    `record_key`: the row's own key, or a hash of the row where it has none.
    """

    __tablename__ = "rejected_record"
    __table_args__ = (
        Index(
            "uq_rejected_record_open",
            "source",
            "record_key",
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
    )

    id: Mapped[int] = identity()
    source: Mapped[str]
    record_key: Mapped[str]
    raw: Mapped[dict[str, Any]] = mapped_column(JSON)
    reasons: Mapped[Documents] = mapped_column(comment="what is wrong with it: kinds and facts")
    first_run_id: Mapped[int] = mapped_column(ForeignKey("sync_run.id"))
    last_run_id: Mapped[int] = mapped_column(ForeignKey("sync_run.id"))
    closed_at: Mapped[datetime | None]
    closed_because: Mapped[str | None]
