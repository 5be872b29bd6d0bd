"""Questions to humans about what a guard held: which run of Airflow asks, what it showed, and what
was answered (I20). A run that is not known here was started by somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_ADD = text("""
INSERT INTO accountsync.review (airflow_run_id, kind, number) VALUES (:run_id, :kind, :number)
""")
# Rides on ix_review_kind_number.
_RUNS = text("""
SELECT airflow_run_id FROM accountsync.review
WHERE kind = :kind AND number = ANY(:numbers) AND carried_out_at IS NULL
  AND (reviewed IS NULL OR reviewed = coalesce(CAST(:reviewed AS text), reviewed))
ORDER BY asked_at DESC LIMIT 50
""")
_FIND = text("SELECT * FROM accountsync.review WHERE airflow_run_id = :run_id FOR UPDATE")
_NEWER = text("""
SELECT EXISTS (
  SELECT FROM accountsync.review newer JOIN accountsync.review this USING (kind, number)
  WHERE this.airflow_run_id = :run_id AND newer.asked_at > this.asked_at)
""")
_SHOW = text("""
UPDATE accountsync.review SET reviewed = :reviewed, shown_at = now()
WHERE airflow_run_id = :run_id AND answer IS NULL
""")
_ANSWER = text("""
UPDATE accountsync.review
SET answer = :answer, answered_by = :by, answered_as = :name, answered_at = :at,
  comment = :comment
WHERE airflow_run_id = :run_id AND answer IS NULL AND reviewed IS NOT NULL
""")
_CARRIED_OUT = text("""
UPDATE accountsync.review SET carried_out_at = now() WHERE airflow_run_id = :run_id
""")
_MISSED = text("""
UPDATE accountsync.review
SET missed_at = now()
WHERE airflow_run_id = ANY(:run_ids) AND shown_at IS NULL AND answer IS NULL
  AND asked_at < now() - CAST(:patience AS interval)
  AND (missed_at IS NULL OR missed_at < now() - interval '1 day')
RETURNING airflow_run_id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedReview:
    """`reviewed`: the hash of what was shown; None: nothing was shown yet. `answer`: approved or
    rejected; None: nobody answered. `answered_by` is the id of Airflow's user, `answered_as` the
    name."""

    airflow_run_id: str
    kind: str
    number: int
    asked_at: datetime
    reviewed: str | None
    shown_at: datetime | None
    missed_at: datetime | None
    answer: str | None
    answered_by: str | None
    answered_as: str | None
    answered_at: datetime | None
    comment: str | None
    carried_out_at: datetime | None


def add(connection: Connection, *, run_id: str, kind: str, number: int) -> None:
    connection.execute(_ADD, {"run_id": run_id, "kind": kind, "number": number})


def runs_about(
    connection: Connection, *, kind: str, numbers: Sequence[int], reviewed: str | None = None
) -> list[str]:
    """The runs that asked about one of these and whose answer was not carried out, the newest
    first, 50 at most: Airflow is asked about them in one address. `reviewed`: without those that
    show something of another hash."""
    bound = {"kind": kind, "numbers": list(numbers), "reviewed": reviewed}
    return list(connection.scalars(_RUNS, bound))


def find(connection: Connection, *, run_id: str) -> AskedReview | None:
    """Locks the row until the transaction ends."""
    row = connection.execute(_FIND, {"run_id": run_id}).mappings().one_or_none()
    return AskedReview(**row) if row else None


def has_newer(connection: Connection, *, run_id: str) -> bool:
    """Whether a later run asks about the same."""
    return bool(connection.scalar(_NEWER, {"run_id": run_id}))


def show(connection: Connection, *, run_id: str, reviewed: str) -> None:
    connection.execute(_SHOW, {"run_id": run_id, "reviewed": reviewed})


def answer(
    connection: Connection, *, run_id: str, answer: str, by: str, name: str, at: datetime,
    comment: str,
) -> bool:  # fmt: skip
    """Records an answer. Returns False, and changes nothing, where one was recorded before."""
    bound = {"answer": answer, "by": by, "name": name, "at": at, "comment": comment}
    return bool(connection.execute(_ANSWER, {"run_id": run_id, **bound}).rowcount)


def carried_out(connection: Connection, *, run_id: str) -> None:
    connection.execute(_CARRIED_OUT, {"run_id": run_id})


def missed(connection: Connection, *, run_ids: Sequence[str], patience: str) -> list[str]:
    """Of these runs those that have shown their question to nobody for so long (an interval of
    PostgreSQL), and about which nobody was told within a day; now they count as told."""
    return list(connection.scalars(_MISSED, {"run_ids": list(run_ids), "patience": patience}))
