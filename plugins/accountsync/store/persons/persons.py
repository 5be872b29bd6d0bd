"""Persons: those to plan, by number, and what a source knows of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, text

from accountsync.domain.persons.person import PERSON_FIELDS
from accountsync.store.engine import bigints

_FIELDS = ", ".join(name for name in PERSON_FIELDS if name != "source_key")
PLANNED_COLUMNS = (
    "id, source, revision, planned_revision, next_evaluation_at, attributes, presumed_left_at,"
    f" absent_since_snapshot, requested_systems, {_FIELDS}"
)
"""All that the rules may read of a person."""

_TO_PLAN = text(f"""
SELECT {PLANNED_COLUMNS}
FROM accountsync.person
WHERE id IN (
  (
    -- something new is known: rides on ix_person_to_plan
    SELECT id
    FROM accountsync.person
    WHERE revision > planned_revision AND id > :after
    ORDER BY id
    LIMIT :limit
  )
  UNION
  (
    -- a date has come: rides on ix_person_next_evaluation_at
    SELECT id
    FROM accountsync.person
    WHERE next_evaluation_at <= :now AND id > :after
    ORDER BY id
    LIMIT :limit
  )
)
ORDER BY id
LIMIT :limit
""")

_EVERYBODY = text(f"""
-- rides on pk_person
SELECT {PLANNED_COLUMNS}
FROM accountsync.person
WHERE id > :after
ORDER BY id
LIMIT :limit
""")

_OF_NUMBER = text(f"""
-- rides on uq_person_employee_number
SELECT {PLANNED_COLUMNS}
FROM accountsync.person
WHERE employee_number = :number
""")


def lots(
    connection: Connection, *, at_once: int, due: datetime | None
) -> Iterator[Sequence[dict[str, Any]]]:
    """Lots of persons, by id, who changed since they were last planned or for whom a date has come.
    `due`: the present time; None: everybody is given."""
    statement, bound = _EVERYBODY if due is None else _TO_PLAN, {"limit": at_once, "now": due}
    after = 0
    while rows := _rows(connection.execute(statement, bound | {"after": after})):
        yield rows
        after = rows[-1]["id"]


def of_number(connection: Connection, employee_number: str) -> Sequence[dict[str, Any]]:
    """One person or none, as `lots` gives them, whether there is something new or not."""
    return _rows(connection.execute(_OF_NUMBER, {"number": employee_number}))


def _rows(result: CursorResult[Any]) -> Sequence[dict[str, Any]]:
    columns = tuple(result.keys())
    return [dict(zip(columns, row, strict=True)) for row in result.all()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """`revision`: the one that was planned; negative where the person has to be planned again
    though nothing new is known (a call is under way). `next_at`: when time alone makes that
    necessary."""

    person_id: int
    revision: int
    next_at: datetime | None


_MARK_PLANNED = text("""
UPDATE accountsync.person p
SET planned_revision = planned.revision, next_evaluation_at = planned.next_at
FROM unnest(
  CAST(:ids AS bigint[]), CAST(:revisions AS bigint[]), CAST(:dates AS timestamptz[])
) AS planned (id, revision, next_at)
WHERE p.id = planned.id
""")


def mark_planned(connection: Connection, evaluations: Sequence[Evaluation]) -> None:
    """Notes what was planned. A person whom HR changed meanwhile is planned again."""
    connection.execute(
        _MARK_PLANNED,
        {
            "ids": bigints(evaluation.person_id for evaluation in evaluations),
            "revisions": bigints(evaluation.revision for evaluation in evaluations),
            "dates": [evaluation.next_at for evaluation in evaluations],
        },
    )


_HASHES = text("""
SELECT string_agg(substr(content_hash, 1, :length), '' ORDER BY content_hash)
FROM accountsync.person
WHERE source = :source AND length(content_hash) >= :length
GROUP BY get_byte(content_hash, 0)
ORDER BY get_byte(content_hash, 0)
""")


def content_hashes(connection: Connection, *, source: str, length: int) -> Iterator[bytes]:
    """Lots of content hashes: the first `length` bytes of each, sorted and joined."""
    return connection.scalars(_HASHES, {"source": source, "length": length})


def id_of(connection: Connection, employee_number: str) -> int | None:
    person_id: int | None = connection.scalar(
        text("SELECT id FROM accountsync.person WHERE employee_number = :number"),
        {"number": employee_number},
    )
    return person_id


def numbers(connection: Connection, persons: Sequence[int]) -> list[str]:
    query = "SELECT employee_number FROM accountsync.person WHERE id = ANY(:ids) ORDER BY id"
    return list(connection.scalars(text(query), {"ids": list(persons)}))
