"""Plans, account tasks, their attempts, and the audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from accountsync.domain.accounts.account import TAKES_AWAY, WANTED, AccountState, Operation
from accountsync.domain.plans.risks import KEPT
from accountsync.domain.task_states import FINAL_STATES, OPEN_STATES, TaskState
from accountsync.domain.tasks import breaker
from accountsync.domain.tasks.outcomes import Outcome
from accountsync.store.tables.base import Documents, Table, identity, now, one_of

PLAN_STATES = ("released", "dry_run", "held", "approved", "rejected")

PRIORITY = (
    f"CASE operation WHEN '{Operation.DISABLE}'::text THEN 1"
    f" WHEN '{Operation.ENABLE}'::text THEN 2 WHEN '{Operation.CREATE}'::text THEN 3"
    f" WHEN '{Operation.DELETE}'::text THEN 5 ELSE 4 END"
)
"""Who has to lose access comes first, then who should have it; what can wait comes last."""


JUDGED = f"({one_of('operation', TAKES_AWAY)} OR risks IS NOT NULL)"
"""Of a task: the guard judges it (I7)."""

REFUSED = (
    f"(state = '{TaskState.CANCELLED}'"
    f" AND ({one_of('operation', TAKES_AWAY)} OR held_because IS NOT NULL))"
)
"""Of a task: a human refused what the guard held, or that access is taken away. It is not planned
again while it would be the same."""


NOT_FOLLOWED = """NOT EXISTS (
    -- rides on ix_account_task_person_id_system_id
    SELECT FROM accountsync.account_task newer
    WHERE newer.person_id = t.person_id
      AND newer.system = t.system
      AND newer.id > t.id
      AND newer.state <> 'superseded'
  )"""
"""Of a task `t`: nothing was asked for after it in that target."""


class PlanRow(Table):
    """The account tasks derived in one run.

    held: the guard stopped some of them, until a human approves or rejects exactly these · dry_run:
    derived and thrown away; released if the same comes out again.
    """

    __tablename__ = "plan"
    __table_args__ = (
        CheckConstraint(one_of("state", PLAN_STATES), name="state"),
        CheckConstraint(
            "(state IN ('approved', 'rejected')) = (reviewed_at IS NOT NULL)", name="reviewed"
        ),
        Index("ix_plan_held", "id", postgresql_where=text("state = 'held'")),
    )

    id: Mapped[int] = identity()
    airflow_run_id: Mapped[str | None]
    state: Mapped[str]
    persons: Mapped[int]
    counts: Mapped[dict[str, Any]] = mapped_column(comment="system → state → tasks")
    lines: Mapped[Documents] = mapped_column(
        server_default="[]",
        comment="of each target and operation: how many, why, examples by number, why held",
    )
    content_hash: Mapped[str | None] = mapped_column(comment="of all that the plan does")
    leavers_asked_at: Mapped[datetime | None] = mapped_column(
        comment="since when leavers are asked about once more, who would keep their access"
    )
    held_hash: Mapped[str | None] = mapped_column(comment="of what the guard held")
    reviewed_by: Mapped[str | None]
    reviewed_at: Mapped[datetime | None]
    comment: Mapped[str | None]
    created_at: Mapped[datetime] = now()


class PlannedRulesRow(Table):
    """By which configuration a target was planned last; another one is planned for everybody.
    `goes_after`: the targets whose tasks come first, without an account being needed there."""

    __tablename__ = "planned_rules"

    system: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    goes_after: Mapped[list[str]] = mapped_column(server_default="{}")
    reads: Mapped[dict[str, Any]] = mapped_column(
        server_default="{}", comment="target → the facts of an account there that its mapping reads"
    )
    planned_at: Mapped[datetime] = now()


class AccountTaskRow(Table):
    """One operation on one account. `waits_for`: the targets that come first."""

    __tablename__ = "account_task"
    __table_args__ = (
        CheckConstraint(one_of("operation", Operation), name="operation"),
        CheckConstraint(one_of("state", TaskState), name="state"),
        CheckConstraint(one_of("account_state", WANTED), name="account_state"),
        CheckConstraint(
            f"(state = '{TaskState.WAITING}') = (cardinality(waits_for) > 0)", name="waits_for"
        ),
        CheckConstraint(
            f"(state = '{TaskState.RUNNING}') = (lease_until IS NOT NULL)", name="lease"
        ),
        CheckConstraint(
            f"({one_of('state', FINAL_STATES)}) = (finished_at IS NOT NULL)", name="finished"
        ),
        CheckConstraint(
            "(cause_kind IS NULL) = (cause_facts IS NULL)"
            " AND (cause IS NULL OR cause_kind IS NULL)",
            name="cause",
        ),
        CheckConstraint("jsonb_typeof(cause_facts) = 'object'", name="cause_facts"),
        Index(
            "uq_account_task_open",
            "person_id",
            "system",
            unique=True,
            postgresql_where=text(one_of("state", OPEN_STATES)),
        ),
        Index(
            "ix_account_task_due",
            "system",
            "priority",
            "next_attempt_at",
            "id",
            postgresql_where=text(f"state = '{TaskState.READY}'"),
        ),
        Index(
            "ix_account_task_oldest",
            "system",
            "next_attempt_at",
            postgresql_where=text(f"state = '{TaskState.READY}'"),
        ),
        Index(
            "ix_account_task_unknown",
            "system",
            "next_attempt_at",
            postgresql_where=text(f"state = '{TaskState.UNKNOWN}'"),
        ),
        Index(
            "ix_account_task_lease",
            "system",
            "lease_until",
            postgresql_where=text(f"state = '{TaskState.RUNNING}'"),
        ),
        Index(
            "ix_account_task_waiting",
            "person_id",
            postgresql_where=text(f"state = '{TaskState.WAITING}'"),
        ),
        CheckConstraint(f"risks <@ ARRAY{list(map(str, KEPT))} AND risks <> '{{}}'", name="risks"),
        Index(
            "ix_account_task_guarded",
            "system",
            text("COALESCE(let_through_at, created_at)"),
            postgresql_where=text(JUDGED),
        ),
        Index(
            "ix_account_task_removal",
            "system",
            "next_attempt_at",
            postgresql_where=text(
                f"{one_of('operation', TAKES_AWAY)} AND {one_of('state', OPEN_STATES)}"
            ),
        ),
        Index("ix_account_task_refused", "person_id", postgresql_where=text(REFUSED)),
        Index(None, "plan_id"),
        Index(None, "person_id", "system", "id"),
    )

    id: Mapped[int] = identity()
    plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    system: Mapped[str]
    operation: Mapped[str]
    desired: Mapped[dict[str, Any]] = mapped_column(comment="attribute → value, as planned")
    late_bound: Mapped[dict[str, Any]] = mapped_column(
        server_default="{}", comment="attribute → mapping value over `accounts`, read at the claim"
    )
    account_state: Mapped[str] = mapped_column(
        server_default=AccountState.ACTIVE,
        comment="the account's state once the task has succeeded",
    )
    reason: Mapped[str | None] = mapped_column(comment="the rule that asks for it, e.g. `left`")
    state: Mapped[str]
    waits_for: Mapped[list[str]] = mapped_column(server_default="{}")
    priority: Mapped[int] = mapped_column(
        SmallInteger, Computed(PRIORITY, persisted=True), comment="the lowest goes first"
    )
    held_because: Mapped[Documents | None] = mapped_column(
        comment="the guard's reasons, kept for good: kinds and facts"
    )
    approved_at: Mapped[datetime | None] = mapped_column(comment="by a human, past the guard")
    let_through_at: Mapped[datetime | None] = mapped_column(comment="by the guard, without a human")
    risks: Mapped[list[str] | None] = mapped_column(
        comment="what the guard judges by, beside disables and deletes; null: nothing"
    )
    attempts: Mapped[int] = mapped_column(server_default="0")
    absences: Mapped[int] = mapped_column(
        SmallInteger, server_default="0", comment="probes in a row that surely found nothing"
    )
    unanswered: Mapped[int] = mapped_column(
        SmallInteger, server_default="0", comment="probes in a row that got no answer"
    )
    next_attempt_at: Mapped[datetime] = now(
        comment="not claimed before; of a waiting task: since when it waits"
    )
    lease_until: Mapped[datetime | None]
    claimed_by: Mapped[str | None]
    cause: Mapped[str | None] = mapped_column(comment="what others said, such as a target")
    cause_kind: Mapped[str | None] = mapped_column(comment="what we say, and with which facts")
    cause_facts: Mapped[dict[str, Any] | None]
    error_kind: Mapped[str | None]
    created_at: Mapped[datetime] = now()
    finished_at: Mapped[datetime | None]
    alerted_at: Mapped[datetime | None] = mapped_column(
        comment="of one that takes access away: when somebody was last told that it is not done"
    )


class TaskAttemptRow(Table):
    """One call to a target, recorded before it is made (I9). `outcome`: null until known."""

    __tablename__ = "task_attempt"
    __table_args__ = (
        UniqueConstraint("task_id", "number"),
        CheckConstraint(one_of("kind", ("call", "probe")), name="kind"),
        CheckConstraint(one_of("outcome", Outcome), name="outcome"),
    )

    id: Mapped[int] = identity()
    task_id: Mapped[int] = mapped_column(ForeignKey("account_task.id"))
    number: Mapped[int]
    kind: Mapped[str]
    worker: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    duration_ms: Mapped[int | None]
    error_kind: Mapped[str | None]
    code: Mapped[str | None]
    message: Mapped[str | None]


class BreakerRow(Table):
    """Whether a target is called at all; no row: closed. See domain/tasks/breaker.py."""

    __tablename__ = "breaker"
    __table_args__ = (CheckConstraint(one_of("state", breaker.STATES), name="state"),)

    system: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    failures: Mapped[int] = mapped_column(comment="looks in a row that found the target down")
    since: Mapped[datetime | None]
    probe_at: Mapped[datetime | None] = mapped_column(comment="nothing is sent before")
    cause: Mapped[str | None]
    trial_task: Mapped[int | None] = mapped_column(
        comment="the task that was tried last while the target was down"
    )
    updated_at: Mapped[datetime] = now()


class AuditEventRow(Table):
    """Who did what. Append only (a trigger refuses anything else)."""

    __tablename__ = "audit_event"
    __table_args__ = (Index(None, "action", "id"),)

    id: Mapped[int] = identity()
    at: Mapped[datetime] = now()
    actor: Mapped[str]
    action: Mapped[str]
    details: Mapped[dict[str, Any]]
