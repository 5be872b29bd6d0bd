"""What the tables of schema `accountsync` have in common.

Times are `timestamptz`. States and operations are texts with a check, explained below.
"""

from __future__ import annotations

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

from accountsync.domain.accounts.account import OPERATIONS as OPERATIONS

SCHEMA = "accountsync"

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

WAITING_SINCE = "CASE WHEN state = 'waiting' THEN next_attempt_at END"
"""Of a task: since when it waits for other targets."""


def one_of(column: str, members: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(member) for member in members)})"


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
