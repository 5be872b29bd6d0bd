"""Accounts, names, and the mappings that operators edit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from accountsync.domain.accounts.account import AccountState, Closure
from accountsync.store.tables.base import Documents, Table, identity, now, one_of

CASE_STATES = ("open", "adopted", "ignored", "settled")


class DepartmentMappingRow(Table):
    """HR department code → the targets' codes. Edited by operators; `version` counts the edits."""

    __tablename__ = "department_mapping"

    hr_department_code: Mapped[str] = mapped_column(primary_key=True)
    idaas_department_code: Mapped[str]
    ou_path: Mapped[str]
    department_name: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime] = now()


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
    updated_at: Mapped[datetime] = now()


class NameRow(Table):
    """Every name ever given or seen, and whose it is. A trigger refuses to delete any (I8).

    `person_id` null: kept for nobody. `current`: in use, at most one a person and namespace.
    """

    __tablename__ = "name_registry"
    __table_args__ = (
        UniqueConstraint("namespace", "folded"),
        Index(None, "namespace", "folded_base"),
        Index(None, "person_id"),
        Index(
            "uq_name_registry_current",
            "person_id",
            "namespace",
            unique=True,
            postgresql_where=text("current"),
        ),
        CheckConstraint("person_id IS NOT NULL OR NOT current", name="owner"),
    )

    id: Mapped[int] = identity()
    namespace: Mapped[str]
    folded: Mapped[str]
    folded_base: Mapped[str] = mapped_column(
        comment="before numbering: finds all numbers of a base"
    )
    value: Mapped[str]
    made_from: Mapped[str | None] = mapped_column(
        comment="what the mapping gave at that time; null: seen elsewhere"
    )
    number: Mapped[int]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    origin: Mapped[str] = mapped_column(
        server_default="mapping",
        comment="mapping, override, operator, hr, or the system it was seen in",
    )
    current: Mapped[bool] = mapped_column(server_default=text("true"))
    given_at: Mapped[datetime] = now()


class NameReadingRow(Table):
    """How operators read a surname, or characters elsewhere in a name; syllables with spaces."""

    __tablename__ = "name_reading"
    __table_args__ = (CheckConstraint(one_of("kind", ("surname", "character")), name="kind"),)

    kind: Mapped[str] = mapped_column(primary_key=True)
    characters: Mapped[str] = mapped_column(primary_key=True)
    reading: Mapped[str]
    updated_at: Mapped[datetime] = now()


class PersonNameRow(Table):
    """What operators want for one person. `names`: namespace → base instead of the mapping's."""

    __tablename__ = "person_name"

    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    reading: Mapped[str | None]
    names: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    updated_at: Mapped[datetime] = now()


class AccountRow(Table):
    """What a person has in a target, as far as we know."""

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("person_id", "system"),
        CheckConstraint(one_of("state", AccountState), name="state"),
        CheckConstraint(
            one_of("provenance", ("created", "adopted", "imported")), name="provenance"
        ),
        CheckConstraint(one_of("closed", Closure), name="closed"),
        Index("uq_account_remote_id", "system", "remote_id", unique=True),
        Index(None, "system", "identifier"),
    )

    id: Mapped[int] = identity()
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    system: Mapped[str]
    state: Mapped[str]
    identifier: Mapped[str]
    remote_id: Mapped[str | None]
    attributes: Mapped[dict[str, Any]]
    as_shown: Mapped[bool] = mapped_column(
        server_default="false", comment="attributes: as the target showed them, not as applied"
    )
    provenance: Mapped[str]
    disabled_by: Mapped[str | None]
    disabled_reason: Mapped[str | None]
    closed: Mapped[str | None] = mapped_column(
        comment="how we know that it gives no access to somebody who is to have none"
    )
    lost_id: Mapped[str | None] = mapped_column(
        comment="of one that is absent: the target's id under which it was last seen"
    )
    created_at: Mapped[datetime] = now()
    updated_at: Mapped[datetime] = now()


class CorrelationCaseRow(Table):
    """An account found in a target of which a human has to say whose it is.

    open: nobody has said yet · adopted, ignored: somebody did · settled: no longer in question.
    """

    __tablename__ = "correlation_case"
    __table_args__ = (
        UniqueConstraint("system", "account_key"),
        CheckConstraint(one_of("state", CASE_STATES), name="state"),
        CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="closed"),
        Index(
            "ix_correlation_case_open",
            "candidates",
            postgresql_using="gin",
            postgresql_where=text("state = 'open'"),
        ),
    )

    id: Mapped[int] = identity()
    system: Mapped[str]
    account_key: Mapped[str] = mapped_column(comment="the target's own id, or the identifier")
    account: Mapped[dict[str, Any]] = mapped_column(comment="as the target shows it")
    candidates: Mapped[list[int]] = mapped_column(
        ARRAY(BigInteger), comment="persons, the best match first"
    )
    reasons: Mapped[Documents] = mapped_column(comment="why it is doubtful: kinds and facts")
    state: Mapped[str] = mapped_column(server_default="open")
    found_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
