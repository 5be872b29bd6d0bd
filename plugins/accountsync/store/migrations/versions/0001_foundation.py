"""The first tables.

Revision: 0001
Before:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


APPEND_ONLY = {"name_registry": "DELETE OR TRUNCATE", "audit_event": "UPDATE OR DELETE OR TRUNCATE"}
REFUSE = """
CREATE FUNCTION accountsync.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append only', TG_TABLE_NAME;
END $$
"""


def upgrade() -> None:
    op.execute(REFUSE)
    op.create_table(
        "audit_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
        schema="accountsync",
    )
    op.create_index(
        op.f("ix_audit_event_action_id"),
        "audit_event",
        ["action", "id"],
        unique=False,
        schema="accountsync",
    )
    op.create_table(
        "department_mapping",
        sa.Column("hr_department_code", sa.Text(), nullable=False),
        sa.Column("idaas_department_code", sa.Text(), nullable=False),
        sa.Column("ou_path", sa.Text(), nullable=False),
        sa.Column("department_name", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("hr_department_code", name=op.f("pk_department_mapping")),
        schema="accountsync",
    )
    op.create_table(
        "person_type_mapping",
        sa.Column("person_type", sa.Text(), nullable=False),
        sa.Column("email_domain", sa.Text(), nullable=False),
        sa.Column("idaas_user_type", sa.Text(), nullable=False),
        sa.Column("welink_person_type", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("person_type", name=op.f("pk_person_type_mapping")),
        schema="accountsync",
    )
    op.create_table(
        "plan",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("airflow_run_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("persons", sa.BigInteger(), nullable=False),
        sa.Column(
            "counts",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="system → state → tasks",
        ),
        sa.Column(
            "lines",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="system → operation → how many, why, examples by number, why held",
        ),
        sa.Column("content_hash", sa.Text(), nullable=True, comment="of all that the plan does"),
        sa.Column("held_hash", sa.Text(), nullable=True, comment="of what the guard held"),
        sa.Column("reviewed_by", sa.Text(), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "state IN ('released', 'dry_run', 'held', 'approved', 'rejected')",
            name=op.f("ck_plan_state"),
        ),
        sa.CheckConstraint(
            "(state IN ('approved', 'rejected')) = (reviewed_at IS NOT NULL)",
            name=op.f("ck_plan_reviewed"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan")),
        schema="accountsync",
    )
    op.create_index(
        "ix_plan_held",
        "plan",
        ["id"],
        schema="accountsync",
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_table(
        "planned_rules",
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("goes_after", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column(
            "reads",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="target → the facts of an account there that its mapping reads",
        ),
        sa.Column(
            "planned_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("system", name=op.f("pk_planned_rules")),
        schema="accountsync",
    )
    op.create_table(
        "sync_run",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("airflow_run_id", sa.Text(), nullable=True),
        sa.Column("dry_run", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("state", sa.Text(), server_default="running", nullable=False),
        sa.Column("read_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fetched", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "retried",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="rows rejected earlier, tried again",
        ),
        sa.Column("inserted", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rejected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "differences",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="what the feed changes, by field, and who, by employee number",
        ),
        sa.Column(
            "stopped_by",
            sa.ARRAY(sa.Text()),
            server_default="{}",
            nullable=False,
            comment="the feed guard's reasons",
        ),
        sa.Column("fingerprint", sa.Text(), nullable=True, comment="of a held feed's rows"),
        sa.Column("file", sa.Text(), nullable=True, comment="which was read, and how it stood"),
        sa.Column(
            "silent_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="nothing new came since, longer than `expected_every` of the source",
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "mode IN ('incremental', 'full', 'window', 'person')", name=op.f("ck_sync_run_mode")
        ),
        sa.CheckConstraint(
            "state NOT IN ('succeeded', 'held')"
            " OR fetched + retried = inserted + updated + unchanged + rejected",
            name=op.f("ck_sync_run_counts_add_up"),
        ),
        sa.CheckConstraint("NOT dry_run OR state <> 'held'", name=op.f("ck_sync_run_dry_run")),
        sa.CheckConstraint(
            "state IN ('running', 'succeeded', 'failed', 'held', 'rejected', 'superseded')",
            name=op.f("ck_sync_run_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_run")),
        schema="accountsync",
    )
    op.create_index(
        op.f("ix_sync_run_source_id"),
        "sync_run",
        ["source", "id"],
        unique=False,
        schema="accountsync",
    )
    op.create_index(
        "ix_sync_run_held",
        "sync_run",
        ["source", "id"],
        unique=False,
        schema="accountsync",
        postgresql_where=sa.text("state IN ('held', 'rejected')"),
    )
    op.create_table(
        "rejected_record",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("record_key", sa.Text(), nullable=False),
        sa.Column("raw", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("reasons", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("first_run_id", sa.BigInteger(), nullable=False),
        sa.Column("last_run_id", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_because", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["first_run_id"],
            ["accountsync.sync_run.id"],
            name=op.f("fk_rejected_record_first_run_id"),
        ),
        sa.ForeignKeyConstraint(
            ["last_run_id"],
            ["accountsync.sync_run.id"],
            name=op.f("fk_rejected_record_last_run_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejected_record")),
        schema="accountsync",
    )
    op.create_index(
        "uq_rejected_record_open",
        "rejected_record",
        ["source", "record_key"],
        unique=True,
        schema="accountsync",
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "snapshot",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column(
            "taken_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["accountsync.sync_run.id"], name=op.f("fk_snapshot_run_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshot")),
        schema="accountsync",
    )
    op.create_index(
        op.f("ix_snapshot_source_id"),
        "snapshot",
        ["source", "id"],
        unique=False,
        schema="accountsync",
    )
    op.create_table(
        "watermark",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("value", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["accountsync.sync_run.id"], name=op.f("fk_watermark_run_id")
        ),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_watermark")),
        schema="accountsync",
    )
    op.create_table(
        "person",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("employee_number", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), server_default="hr", nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("english_name", sa.Text(), nullable=True),
        sa.Column("person_type", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("department_code", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("hire_date", sa.Date(), nullable=True),
        sa.Column("effective_date", sa.Date(), nullable=True),
        sa.Column("leave_date", sa.Date(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("source_updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attributes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("planned_revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("next_evaluation_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "requested_systems",
            sa.ARRAY(sa.Text()),
            server_default="{}",
            nullable=False,
            comment="of all account requests for this person that are in force",
        ),
        sa.Column(
            "presumed_left_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="absence that a rule or a human takes for leaving; undone when seen again",
        ),
        sa.Column(
            "absent_since_snapshot",
            sa.BigInteger(),
            nullable=True,
            comment="first complete snapshot without this person; null: seen in the latest one",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("origin IN ('hr', 'request')", name=op.f("ck_person_origin")),
        sa.CheckConstraint(
            "presumed_left_at IS NULL OR absent_since_snapshot IS NOT NULL",
            name=op.f("ck_person_presumed_left"),
        ),
        sa.CheckConstraint("planned_revision <= revision", name=op.f("ck_person_planned_revision")),
        sa.ForeignKeyConstraint(
            ["absent_since_snapshot"],
            ["accountsync.snapshot.id"],
            name=op.f("fk_person_absent_since_snapshot"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint(
            "employee_number",
            deferrable=True,
            initially="DEFERRED",
            name=op.f("uq_person_employee_number"),
        ),
        sa.UniqueConstraint("source", "source_key", name=op.f("uq_person_source_source_key")),
        schema="accountsync",
    )
    op.create_index(
        "ix_person_absent",
        "person",
        ["source", "absent_since_snapshot"],
        unique=False,
        schema="accountsync",
        postgresql_where=sa.text("absent_since_snapshot IS NOT NULL"),
    )
    op.create_index(
        "ix_person_next_evaluation_at",
        "person",
        ["next_evaluation_at"],
        unique=False,
        schema="accountsync",
        postgresql_where=sa.text("next_evaluation_at IS NOT NULL"),
    )
    op.create_index(
        "ix_person_requested",
        "person",
        ["employee_number"],
        unique=False,
        schema="accountsync",
        postgresql_where=sa.text("origin = 'request'"),
    )
    op.create_index(
        "ix_person_to_plan",
        "person",
        ["id"],
        unique=False,
        schema="accountsync",
        postgresql_where=sa.text("revision > planned_revision"),
    )
    op.create_table(
        "account",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=True),
        sa.Column("attributes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "as_shown",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="attributes: as the target showed them, not as applied",
        ),
        sa.Column("provenance", sa.Text(), nullable=False),
        sa.Column("disabled_by", sa.Text(), nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "provenance IN ('created', 'adopted', 'imported')", name=op.f("ck_account_provenance")
        ),
        sa.CheckConstraint(
            "state IN ('absent', 'disabled', 'active', 'deleted')", name=op.f("ck_account_state")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["accountsync.person.id"], name=op.f("fk_account_person_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("person_id", "system", name=op.f("uq_account_person_id_system")),
        schema="accountsync",
    )
    op.create_index(
        op.f("ix_account_system_identifier"),
        "account",
        ["system", "identifier"],
        unique=False,
        schema="accountsync",
    )
    op.create_index(
        "uq_account_remote_id",
        "account",
        ["system", "remote_id"],
        unique=True,
        schema="accountsync",
    )
    op.create_table(
        "breaker",
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "failures",
            sa.BigInteger(),
            nullable=False,
            comment="looks in a row that found the target down",
        ),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "probe_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="nothing is sent before",
        ),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "state IN ('closed', 'open', 'half_open', 'paused')", name=op.f("ck_breaker_state")
        ),
        sa.PrimaryKeyConstraint("system", name=op.f("pk_breaker")),
        schema="accountsync",
    )
    op.create_table(
        "account_task",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column(
            "desired",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="attribute → value, as planned",
        ),
        sa.Column(
            "late_bound",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="attribute → mapping value over `accounts`, read at the claim",
        ),
        sa.Column(
            "account_state",
            sa.Text(),
            server_default="active",
            nullable=False,
            comment="the account's state once the task has succeeded",
        ),
        sa.Column(
            "reason", sa.Text(), nullable=True, comment="the rule that asks for it, e.g. `left`"
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("waits_for", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column(
            "priority",
            sa.SmallInteger(),
            sa.Computed(
                "CASE operation WHEN 'disable'::text THEN 1 WHEN 'enable'::text THEN 2"
                " WHEN 'create'::text THEN 3 WHEN 'delete'::text THEN 5 ELSE 4 END",
                persisted=True,
            ),
            nullable=False,
            comment="the lowest goes first",
        ),
        sa.Column(
            "held_because",
            sa.Text(),
            nullable=True,
            comment="the guard's reasons, kept for good",
        ),
        sa.Column(
            "approved_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="by a human, past the guard",
        ),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "absences",
            sa.SmallInteger(),
            server_default="0",
            nullable=False,
            comment="probes in a row that surely found nothing",
        ),
        sa.Column(
            "unanswered",
            sa.SmallInteger(),
            server_default="0",
            nullable=False,
            comment="probes in a row that got no answer",
        ),
        sa.Column(
            "next_attempt_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="not claimed before; of a waiting task: since when it waits",
        ),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("error_kind", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL)", name=op.f("ck_account_task_lease")
        ),
        sa.CheckConstraint(
            "(state = 'waiting') = (cardinality(waits_for) > 0)",
            name=op.f("ck_account_task_waits_for"),
        ),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'superseded', 'cancelled'))"
            " = (finished_at IS NOT NULL)",
            name=op.f("ck_account_task_finished"),
        ),
        sa.CheckConstraint(
            "operation IN ('create', 'update', 'rename', 'enable', 'disable', 'delete')",
            name=op.f("ck_account_task_operation"),
        ),
        sa.CheckConstraint(
            "account_state IN ('active', 'disabled', 'deleted')",
            name=op.f("ck_account_task_account_state"),
        ),
        sa.CheckConstraint(
            "state IN ('planned', 'held', 'needs_data', 'waiting', 'ready', 'running', 'unknown',"
            " 'needs_human', 'succeeded', 'failed', 'superseded', 'cancelled')",
            name=op.f("ck_account_task_state"),
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["accountsync.person.id"], name=op.f("fk_account_task_person_id")
        ),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["accountsync.plan.id"], name=op.f("fk_account_task_plan_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_task")),
        schema="accountsync",
    )
    op.create_index(
        "ix_account_task_due",
        "account_task",
        ["system", "priority", "next_attempt_at", "id"],
        unique=False,
        schema="accountsync",
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_index(
        "ix_account_task_refused",
        "account_task",
        ["person_id"],
        unique=False,
        schema="accountsync",
        postgresql_where=sa.text("state = 'cancelled' AND operation IN ('disable', 'delete')"),
    )
    op.create_index(
        "ix_account_task_guarded",
        "account_task",
        ["system", "operation", "created_at"],
        schema="accountsync",
        postgresql_where=sa.text("operation IN ('disable', 'delete')"),
    )
    op.create_index(
        "ix_account_task_lease",
        "account_task",
        ["system", "lease_until"],
        unique=False,
        schema="accountsync",
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "ix_account_task_oldest",
        "account_task",
        ["system", "next_attempt_at"],
        unique=False,
        schema="accountsync",
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_index(
        op.f("ix_account_task_person_id_system_id"),
        "account_task",
        ["person_id", "system", "id"],
        unique=False,
        schema="accountsync",
    )
    op.create_index(
        op.f("ix_account_task_plan_id"),
        "account_task",
        ["plan_id"],
        unique=False,
        schema="accountsync",
    )
    op.create_index(
        "ix_account_task_unknown",
        "account_task",
        ["system", "next_attempt_at"],
        unique=False,
        schema="accountsync",
        postgresql_where=sa.text("state = 'unknown'"),
    )
    op.create_index(
        "ix_account_task_waiting",
        "account_task",
        ["person_id"],
        unique=False,
        schema="accountsync",
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "uq_account_task_open",
        "account_task",
        ["person_id", "system"],
        unique=True,
        schema="accountsync",
        postgresql_where=sa.text(
            "state IN ('planned', 'held', 'needs_data', 'waiting', 'ready', 'running', 'unknown',"
            " 'needs_human')"
        ),
    )
    op.create_table(
        "name_registry",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column(
            "folded_base",
            sa.Text(),
            nullable=False,
            comment="before numbering: finds all numbers of a base",
        ),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column(
            "made_from",
            sa.Text(),
            nullable=True,
            comment="what the mapping gave at that time; null: seen elsewhere",
        ),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "origin",
            sa.Text(),
            server_default="mapping",
            nullable=False,
            comment="mapping, override, operator, hr, or the system it was seen in",
        ),
        sa.Column("current", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "given_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint(
            "person_id IS NOT NULL OR NOT current", name=op.f("ck_name_registry_owner")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["accountsync.person.id"], name=op.f("fk_name_registry_person_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_name_registry")),
        sa.UniqueConstraint("namespace", "folded", name=op.f("uq_name_registry_namespace_folded")),
        schema="accountsync",
    )
    op.create_index(
        op.f("ix_name_registry_namespace_folded_base"),
        "name_registry",
        ["namespace", "folded_base"],
        unique=False,
        schema="accountsync",
    )
    op.create_index(
        op.f("ix_name_registry_person_id"),
        "name_registry",
        ["person_id"],
        unique=False,
        schema="accountsync",
    )
    op.create_index(
        "uq_name_registry_current",
        "name_registry",
        ["person_id", "namespace"],
        unique=True,
        schema="accountsync",
        postgresql_where=sa.text("current"),
    )
    op.create_table(
        "name_reading",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("characters", sa.Text(), nullable=False),
        sa.Column("reading", sa.Text(), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("kind IN ('surname', 'character')", name=op.f("ck_name_reading_kind")),
        sa.PrimaryKeyConstraint("kind", "characters", name=op.f("pk_name_reading")),
        schema="accountsync",
    )
    op.create_table(
        "person_name",
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("reading", sa.Text(), nullable=True),
        sa.Column(
            "names",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["accountsync.person.id"], name=op.f("fk_person_name_person_id")
        ),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_person_name")),
        schema="accountsync",
    )
    op.create_table(
        "person_change",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("changes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["accountsync.person.id"], name=op.f("fk_person_change_person_id")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["accountsync.sync_run.id"], name=op.f("fk_person_change_run_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_change")),
        schema="accountsync",
    )
    op.create_index(
        op.f("ix_person_change_person_id_id"),
        "person_change",
        ["person_id", "id"],
        unique=False,
        schema="accountsync",
    )
    op.create_table(
        "task_attempt",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("error_kind", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('call', 'probe')", name=op.f("ck_task_attempt_kind")),
        sa.CheckConstraint(
            "outcome IN ('succeeded', 'adopted', 'absent', 'retry', 'unknown', 'failed',"
            " 'not_sent')",
            name=op.f("ck_task_attempt_outcome"),
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["accountsync.account_task.id"], name=op.f("fk_task_attempt_task_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_attempt")),
        sa.UniqueConstraint("task_id", "number", name=op.f("uq_task_attempt_task_id_number")),
        schema="accountsync",
    )
    op.create_table(
        "account_request",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("origin_system", sa.Text(), nullable=False),
        sa.Column(
            "business_key", sa.Text(), nullable=False, comment="the origin system's own number"
        ),
        sa.Column("account_type", sa.Text(), nullable=False),
        sa.Column("employee_type", sa.Text(), nullable=False, comment="the persons' type"),
        sa.Column("systems", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "content_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="the same again is the same request",
        ),
        sa.Column("submitted_by", sa.Text(), nullable=False),
        sa.Column(
            "submitted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("cardinality(systems) > 0", name=op.f("ck_account_request_systems")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_request")),
        sa.UniqueConstraint(
            "origin_system",
            "business_key",
            name=op.f("uq_account_request_origin_system_business_key"),
        ),
        schema="accountsync",
    )
    op.create_table(
        "account_request_item",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("request_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "position", sa.BigInteger(), nullable=False, comment="in the request's list, from 1"
        ),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("employee_number", sa.Text(), nullable=False, comment="as it was requested"),
        sa.Column(
            "note",
            sa.Text(),
            nullable=True,
            comment="what a human should know, e.g. another name",
        ),
        sa.CheckConstraint("position > 0", name=op.f("ck_account_request_item_position")),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["accountsync.person.id"],
            name=op.f("fk_account_request_item_person_id"),
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["accountsync.account_request.id"],
            name=op.f("fk_account_request_item_request_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_request_item")),
        sa.UniqueConstraint(
            "request_id",
            "person_id",
            name=op.f("uq_account_request_item_request_id_person_id"),
        ),
        sa.UniqueConstraint(
            "request_id", "position", name=op.f("uq_account_request_item_request_id_position")
        ),
        schema="accountsync",
    )
    op.create_index(
        op.f("ix_account_request_item_person_id"),
        "account_request_item",
        ["person_id"],
        unique=False,
        schema="accountsync",
    )
    op.create_table(
        "correlation_case",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column(
            "account_key",
            sa.Text(),
            nullable=False,
            comment="the target's own id, or the identifier",
        ),
        sa.Column(
            "account",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="as the target shows it",
        ),
        sa.Column(
            "candidates",
            sa.ARRAY(sa.BigInteger()),
            nullable=False,
            comment="persons, the best match first",
        ),
        sa.Column("reasons", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'open') = (closed_at IS NULL)", name=op.f("ck_correlation_case_closed")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'adopted', 'ignored', 'settled')",
            name=op.f("ck_correlation_case_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_correlation_case")),
        sa.UniqueConstraint(
            "system", "account_key", name=op.f("uq_correlation_case_system_account_key")
        ),
        schema="accountsync",
    )
    op.create_index(
        "ix_correlation_case_open",
        "correlation_case",
        ["candidates"],
        unique=False,
        schema="accountsync",
        postgresql_using="gin",
        postgresql_where=sa.text("state = 'open'"),
    )
    for table, operations in APPEND_ONLY.items():
        op.execute(
            f"CREATE TRIGGER refuse_{table} BEFORE {operations} ON accountsync.{table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION accountsync.refuse()"
        )


def downgrade() -> None:
    op.drop_index(
        "ix_correlation_case_open",
        table_name="correlation_case",
        schema="accountsync",
        postgresql_using="gin",
        postgresql_where=sa.text("state = 'open'"),
    )
    op.drop_table("correlation_case", schema="accountsync")
    op.drop_index(
        op.f("ix_account_request_item_person_id"),
        table_name="account_request_item",
        schema="accountsync",
    )
    op.drop_table("account_request_item", schema="accountsync")
    op.drop_table("account_request", schema="accountsync")
    op.drop_table("task_attempt", schema="accountsync")
    op.drop_index(
        op.f("ix_person_change_person_id_id"), table_name="person_change", schema="accountsync"
    )
    op.drop_table("person_change", schema="accountsync")
    op.drop_table("person_name", schema="accountsync")
    op.drop_table("name_reading", schema="accountsync")
    op.drop_index(
        "uq_name_registry_current",
        table_name="name_registry",
        schema="accountsync",
        postgresql_where=sa.text("current"),
    )
    op.drop_index(
        op.f("ix_name_registry_person_id"), table_name="name_registry", schema="accountsync"
    )
    op.drop_index(
        op.f("ix_name_registry_namespace_folded_base"),
        table_name="name_registry",
        schema="accountsync",
    )
    op.drop_table("name_registry", schema="accountsync")
    op.drop_index(
        "uq_account_task_open",
        table_name="account_task",
        schema="accountsync",
        postgresql_where=sa.text(
            "state IN ('planned', 'held', 'needs_data', 'waiting', 'ready', 'running', 'unknown',"
            " 'needs_human')"
        ),
    )
    op.drop_index(
        "ix_account_task_waiting",
        table_name="account_task",
        schema="accountsync",
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.drop_index(
        "ix_account_task_unknown",
        table_name="account_task",
        schema="accountsync",
        postgresql_where=sa.text("state = 'unknown'"),
    )
    op.drop_index(op.f("ix_account_task_plan_id"), table_name="account_task", schema="accountsync")
    op.drop_index(
        "ix_account_task_refused",
        table_name="account_task",
        schema="accountsync",
        postgresql_where=sa.text("state = 'cancelled' AND operation IN ('disable', 'delete')"),
    )
    op.drop_index(
        "ix_account_task_guarded",
        table_name="account_task",
        schema="accountsync",
        postgresql_where=sa.text("operation IN ('disable', 'delete')"),
    )
    op.drop_index(
        op.f("ix_account_task_person_id_system_id"), table_name="account_task", schema="accountsync"
    )
    op.drop_index(
        "ix_account_task_lease",
        table_name="account_task",
        schema="accountsync",
        postgresql_where=sa.text("state = 'running'"),
    )
    op.drop_index(
        "ix_account_task_due",
        table_name="account_task",
        schema="accountsync",
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.drop_index(
        "ix_account_task_oldest",
        table_name="account_task",
        schema="accountsync",
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.drop_table("account_task", schema="accountsync")
    op.drop_table("breaker", schema="accountsync")
    op.drop_index("uq_account_remote_id", table_name="account", schema="accountsync")
    op.drop_index(op.f("ix_account_system_identifier"), table_name="account", schema="accountsync")
    op.drop_table("account", schema="accountsync")
    op.drop_index(
        "ix_person_to_plan",
        table_name="person",
        schema="accountsync",
        postgresql_where=sa.text("revision > planned_revision"),
    )
    op.drop_index(
        "ix_person_absent",
        table_name="person",
        schema="accountsync",
        postgresql_where=sa.text("absent_since_snapshot IS NOT NULL"),
    )
    op.drop_index(
        "ix_person_requested",
        table_name="person",
        schema="accountsync",
        postgresql_where=sa.text("origin = 'request'"),
    )
    op.drop_index(
        "ix_person_next_evaluation_at",
        table_name="person",
        schema="accountsync",
        postgresql_where=sa.text("next_evaluation_at IS NOT NULL"),
    )
    op.drop_table("person", schema="accountsync")
    op.drop_table("watermark", schema="accountsync")
    op.drop_index(op.f("ix_snapshot_source_id"), table_name="snapshot", schema="accountsync")
    op.drop_table("snapshot", schema="accountsync")
    op.drop_index(
        "uq_rejected_record_open",
        table_name="rejected_record",
        schema="accountsync",
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.drop_table("rejected_record", schema="accountsync")
    op.drop_index(
        "ix_sync_run_held",
        table_name="sync_run",
        schema="accountsync",
        postgresql_where=sa.text("state IN ('held', 'rejected')"),
    )
    op.drop_index(op.f("ix_sync_run_source_id"), table_name="sync_run", schema="accountsync")
    op.drop_table("sync_run", schema="accountsync")
    op.drop_table("planned_rules", schema="accountsync")
    op.drop_index(
        "ix_plan_held",
        table_name="plan",
        schema="accountsync",
        postgresql_where=sa.text("state = 'held'"),
    )
    op.drop_table("plan", schema="accountsync")
    op.drop_table("person_type_mapping", schema="accountsync")
    op.drop_table("department_mapping", schema="accountsync")
    op.drop_index(op.f("ix_audit_event_action_id"), table_name="audit_event", schema="accountsync")
    op.drop_table("audit_event", schema="accountsync")
    op.execute("DROP FUNCTION accountsync.refuse()")
