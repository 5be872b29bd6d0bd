"""Accounts, names, and the mappings that operators edit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from accountsync.store.base import Table, identity, now, one_of


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
    """Every name ever given or seen, and whose it is. A trigger refuses to delete any (I8)."""

    __tablename__ = "name_registry"
    __table_args__ = (
        UniqueConstraint("namespace", "folded"),
        Index(None, "namespace", "folded_base"),
        Index(None, "person_id"),
    )

    id: Mapped[int] = identity()
    namespace: Mapped[str]
    folded: Mapped[str]
    folded_base: Mapped[str] = mapped_column(
        comment="before numbering: finds all numbers of a base"
    )
    value: Mapped[str]
    number: Mapped[int]
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    current: Mapped[bool] = mapped_column(server_default=text("true"))
    given_at: Mapped[datetime] = now()


class AccountRow(Table):
    """What a person has in a system, as far as we know."""

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("person_id", "system"),
        CheckConstraint(one_of("state", ("absent", "disabled", "active", "deleted")), name="state"),
        CheckConstraint(
            one_of("provenance", ("created", "adopted", "imported")), name="provenance"
        ),
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
    provenance: Mapped[str]
    disabled_by: Mapped[str | None]
    disabled_reason: Mapped[str | None]
    created_at: Mapped[datetime] = now()
    updated_at: Mapped[datetime] = now()
