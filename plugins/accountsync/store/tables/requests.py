"""Account requests: persons whom another system than HR asks accounts for."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from accountsync.store.tables.base import Table, identity, now


class AccountRequestRow(Table):
    """One request. What became of it is read from tasks and accounts, never kept here."""

    __tablename__ = "account_request"
    __table_args__ = (
        UniqueConstraint("origin_system", "business_key"),
        CheckConstraint("cardinality(systems) > 0", name="systems"),
    )

    id: Mapped[int] = identity()
    origin_system: Mapped[str]
    business_key: Mapped[str] = mapped_column(comment="the origin system's own number")
    account_type: Mapped[str]
    employee_type: Mapped[str] = mapped_column(comment="the persons' type")
    systems: Mapped[list[str]]
    content_hash: Mapped[bytes] = mapped_column(comment="the same again is the same request")
    submitted_by: Mapped[str]
    submitted_at: Mapped[datetime] = now()
    cancelled_at: Mapped[datetime | None]


class AccountRequestItemRow(Table):
    """One person of a request. HR may own the person, or take the person over later."""

    __tablename__ = "account_request_item"
    __table_args__ = (
        UniqueConstraint("request_id", "position"),
        UniqueConstraint("request_id", "person_id"),
        Index(None, "person_id"),
        CheckConstraint("position > 0", name="position"),
    )

    id: Mapped[int] = identity()
    request_id: Mapped[int] = mapped_column(ForeignKey("account_request.id"))
    position: Mapped[int] = mapped_column(comment="in the request's list, from 1")
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    employee_number: Mapped[str] = mapped_column(comment="as it was requested")
    note: Mapped[str | None] = mapped_column(comment="what a human should know, e.g. another name")
