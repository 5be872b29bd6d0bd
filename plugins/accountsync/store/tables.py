"""The tables of schema `accountsync`, with every rule that the database can hold.

Times are `timestamptz`. States and operations are texts with a check, explained below.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "accountsync"

OPERATIONS = ("create", "update", "rename", "enable", "disable", "delete")
OPEN_STATES = (
    "planned",
    "held",
    "needs_data",
    "waiting",
    "ready",
    "running",
    "unknown",
    "needs_human",
)
"""A task in one of these is not over: at most one per person and system.

planned: derived, not yet judged by the guard · held: the guard wants a human · needs_data: a
mapping of ours is missing · waiting: for the targets in `waits_for` · ready: to be claimed ·
running: claimed, under a lease · unknown: it may have happened, a probe decides · needs_human: only
a human can decide.
"""
FINAL_STATES = ("succeeded", "failed", "superseded", "cancelled")
TASK_STATES = OPEN_STATES + FINAL_STATES


def _one_of(column: str, members: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(member) for member in members)})"


_OPEN = text(_one_of("state", OPEN_STATES))


class Table(DeclarativeBase):
    metadata = MetaData(
        schema=SCHEMA,
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        },
    )
    type_annotation_map = {
        int: BigInteger,
        str: Text,
        datetime: DateTime(timezone=True),
        date: Date,
        bytes: LargeBinary,
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
    }


def _id() -> Mapped[int]:
    return mapped_column(BigInteger, Identity(always=True), primary_key=True)


def _now() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())


class PersonRow(Table):
    """Identity is `source` + `source_key`. `employee_number` is unique at commit only, so that
    swapped or re-issued numbers converge in one merge."""

    __tablename__ = "person"
    __table_args__ = (
        UniqueConstraint("source", "source_key"),
        UniqueConstraint("employee_number", deferrable=True, initially="DEFERRED"),
        CheckConstraint(_one_of("origin", ("hr", "request")), name="origin"),
        CheckConstraint("planned_revision <= revision", name="planned_revision"),
        Index("ix_person_to_plan", "id", postgresql_where=text("revision > planned_revision")),
        Index(
            "ix_person_next_evaluation_at",
            "next_evaluation_at",
            postgresql_where=text("next_evaluation_at IS NOT NULL"),
        ),
    )

    id: Mapped[int] = _id()
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
    leave_date: Mapped[date | None]
    time_zone: Mapped[str | None]
    source_updated_at: Mapped[datetime | None]
    attributes: Mapped[dict[str, Any]]
    content_hash: Mapped[bytes]
    revision: Mapped[int] = mapped_column(server_default="1")
    planned_revision: Mapped[int] = mapped_column(server_default="0")
    next_evaluation_at: Mapped[datetime | None]
    absent_since_snapshot: Mapped[int | None] = mapped_column(
        ForeignKey("snapshot.id"),
        comment="first complete snapshot without this person; null: seen in the latest one",
    )
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class PersonChangeRow(Table):
    """What a run changed about a person: `{"field": [old, new]}`."""

    __tablename__ = "person_change"
    __table_args__ = (Index(None, "person_id", "id"),)

    id: Mapped[int] = _id()
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    run_id: Mapped[int] = mapped_column(ForeignKey("sync_run.id"))
    changes: Mapped[dict[str, Any]]
    changed_at: Mapped[datetime] = _now()


class SyncRunRow(Table):
    """One read of one source. Counts add up or the run cannot be called succeeded (I14)."""

    __tablename__ = "sync_run"
    __table_args__ = (
        CheckConstraint(_one_of("state", ("running", "succeeded", "failed")), name="state"),
        CheckConstraint(_one_of("mode", ("incremental", "full", "window")), name="mode"),
        CheckConstraint(
            "state <> 'succeeded' OR fetched + retried = inserted + updated + unchanged + rejected",
            name="counts_add_up",
        ),
        Index(None, "source", "id"),
    )

    id: Mapped[int] = _id()
    source: Mapped[str]
    mode: Mapped[str]
    airflow_run_id: Mapped[str | None]
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
    error: Mapped[str | None]
    started_at: Mapped[datetime] = _now()
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

    id: Mapped[int] = _id()
    source: Mapped[str]
    run_id: Mapped[int] = mapped_column(ForeignKey("sync_run.id"))
    rows: Mapped[int]
    taken_at: Mapped[datetime] = _now()


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

    id: Mapped[int] = _id()
    source: Mapped[str]
    record_key: Mapped[str]
    raw: Mapped[dict[str, Any]] = mapped_column(JSON)
    reasons: Mapped[list[str]]
    first_run_id: Mapped[int] = mapped_column(ForeignKey("sync_run.id"))
    last_run_id: Mapped[int] = mapped_column(ForeignKey("sync_run.id"))
    closed_at: Mapped[datetime | None]
    closed_because: Mapped[str | None]


class DepartmentMappingRow(Table):
    """HR department code → the targets' codes. Edited by operators; `version` counts the edits."""

    __tablename__ = "department_mapping"

    hr_department_code: Mapped[str] = mapped_column(primary_key=True)
    idaas_department_code: Mapped[str]
    ou_path: Mapped[str]
    department_name: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime] = _now()


class PersonTypeMappingRow(Table):
    """Person type → e-mail domain and the targets' types. Edited by operators."""

    __tablename__ = "person_type_mapping"

    person_type: Mapped[str] = mapped_column(primary_key=True)
    email_domain: Mapped[str]
    idaas_user_type: Mapped[str]
    welink_person_type: Mapped[str]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    description: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime] = _now()


class NameRow(Table):
    """Every name ever given or seen, and whose it is. A trigger refuses to delete any (I8)."""

    __tablename__ = "name_registry"
    __table_args__ = (
        UniqueConstraint("namespace", "folded"),
        Index(None, "namespace", "folded_base"),
        Index(None, "person_id"),
    )

    id: Mapped[int] = _id()
    namespace: Mapped[str]
    folded: Mapped[str]
    folded_base: Mapped[str] = mapped_column(
        comment="before numbering: finds all numbers of a base"
    )
    value: Mapped[str]
    number: Mapped[int]
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    current: Mapped[bool] = mapped_column(server_default=text("true"))
    given_at: Mapped[datetime] = _now()


class AccountRow(Table):
    """What a person has in a system, as far as we know."""

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("person_id", "system"),
        CheckConstraint(
            _one_of("state", ("absent", "disabled", "active", "deleted")), name="state"
        ),
        CheckConstraint(
            _one_of("provenance", ("created", "adopted", "imported")), name="provenance"
        ),
        Index("uq_account_remote_id", "system", "remote_id", unique=True),
        Index(None, "system", "identifier"),
    )

    id: Mapped[int] = _id()
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    system: Mapped[str]
    state: Mapped[str]
    identifier: Mapped[str]
    remote_id: Mapped[str | None]
    attributes: Mapped[dict[str, Any]]
    provenance: Mapped[str]
    disabled_by: Mapped[str | None]
    disabled_reason: Mapped[str | None]
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class PlanRow(Table):
    """The account tasks derived in one run. `counts`: `{"system": {"operation": n}}`."""

    __tablename__ = "plan"
    __table_args__ = (CheckConstraint(_one_of("state", ("released", "dry_run")), name="state"),)

    id: Mapped[int] = _id()
    airflow_run_id: Mapped[str | None]
    state: Mapped[str]
    persons: Mapped[int]
    counts: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = _now()


class AccountTaskRow(Table):
    """One operation on one account. `waits_for`: the targets that need an account first."""

    __tablename__ = "account_task"
    __table_args__ = (
        CheckConstraint(_one_of("operation", OPERATIONS), name="operation"),
        CheckConstraint(_one_of("state", TASK_STATES), name="state"),
        CheckConstraint("(state = 'waiting') = (cardinality(waits_for) > 0)", name="waits_for"),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="lease"),
        CheckConstraint(
            f"({_one_of('state', FINAL_STATES)}) = (finished_at IS NOT NULL)", name="finished"
        ),
        Index("uq_account_task_open", "person_id", "system", unique=True, postgresql_where=_OPEN),
        Index(
            "ix_account_task_due",
            "system",
            "priority",
            "next_attempt_at",
            "id",
            postgresql_where=text("state = 'ready'"),
        ),
        Index(
            "ix_account_task_unknown",
            "system",
            "next_attempt_at",
            postgresql_where=text("state = 'unknown'"),
        ),
        Index(
            "ix_account_task_lease",
            "system",
            "lease_until",
            postgresql_where=text("state = 'running'"),
        ),
        Index("ix_account_task_waiting", "person_id", postgresql_where=text("state = 'waiting'")),
        Index(None, "plan_id"),
        Index(None, "person_id", "system", "id"),
    )

    id: Mapped[int] = _id()
    plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    system: Mapped[str]
    operation: Mapped[str]
    desired: Mapped[dict[str, Any]] = mapped_column(comment="attribute → value, as planned")
    late_bound: Mapped[dict[str, Any]] = mapped_column(
        server_default="{}", comment="attribute → mapping value over `accounts`, read at the claim"
    )
    state: Mapped[str]
    waits_for: Mapped[list[str]] = mapped_column(server_default="{}")
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="5", comment="0 goes first")
    attempts: Mapped[int] = mapped_column(server_default="0")
    absences: Mapped[int] = mapped_column(
        SmallInteger, server_default="0", comment="probes in a row that surely found nothing"
    )
    next_attempt_at: Mapped[datetime] = _now()
    lease_until: Mapped[datetime | None]
    claimed_by: Mapped[str | None]
    cause: Mapped[str | None]
    error_kind: Mapped[str | None]
    created_at: Mapped[datetime] = _now()
    finished_at: Mapped[datetime | None]


class TaskAttemptRow(Table):
    """One call to a target, recorded before it is made (I9). `outcome`: null until known."""

    __tablename__ = "task_attempt"
    __table_args__ = (
        UniqueConstraint("task_id", "number"),
        CheckConstraint(_one_of("kind", ("call", "probe")), name="kind"),
        CheckConstraint(
            _one_of(
                "outcome",
                ("succeeded", "adopted", "absent", "retry", "unknown", "failed", "not_sent"),
            ),
            name="outcome",
        ),
    )

    id: Mapped[int] = _id()
    task_id: Mapped[int] = mapped_column(ForeignKey("account_task.id"))
    number: Mapped[int]
    kind: Mapped[str]
    worker: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    error_kind: Mapped[str | None]
    code: Mapped[str | None]
    message: Mapped[str | None]


class AuditEventRow(Table):
    """Who did what. Append only (a trigger refuses anything else)."""

    __tablename__ = "audit_event"

    id: Mapped[int] = _id()
    at: Mapped[datetime] = _now()
    actor: Mapped[str]
    action: Mapped[str]
    details: Mapped[dict[str, Any]]
