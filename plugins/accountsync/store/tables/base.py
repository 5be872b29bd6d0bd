"""What the tables of schema `accountsync` have in common.

Times are `timestamptz`. States and operations are texts with a check, made from the members that
`domain` explains.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Date,
    DateTime,
    Identity,
    LargeBinary,
    MetaData,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from accountsync.domain.task_states import TaskState

SCHEMA = "accountsync"

WAITING_SINCE = f"CASE WHEN state = '{TaskState.WAITING}' THEN next_attempt_at END"
"""An expression of SQL: since when a task waits for other targets."""


def listed(members: Iterable[str]) -> str:
    """The members as SQL writes them behind IN. Only for words of our own: nothing is escaped."""
    quoted = [f"'{member}'" for member in members]
    return f"({', '.join(quoted)})"


def one_of(column: str, members: Iterable[str]) -> str:
    return f"{column} IN {listed(members)}"


Documents = list[dict[str, Any]]


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
        Documents: JSONB,
    }


def identity() -> Mapped[int]:
    return mapped_column(BigInteger, Identity(always=True), primary_key=True)


def now(*, comment: str | None = None) -> Mapped[datetime]:
    return mapped_column(server_default=func.now(), comment=comment)
