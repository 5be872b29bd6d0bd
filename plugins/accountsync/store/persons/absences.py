"""Who is missing from complete reads of HR. Absence is not leaving (I4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from accountsync.store.persons.feeds import table

_MARK = """
UPDATE accountsync.person p
-- planned again: what would be given waits from now on (I19)
SET absent_since_snapshot = :snapshot, planned_revision = 0
WHERE p.source = :source
  AND p.absent_since_snapshot IS NULL
  -- who was made after the read began is not missing from it
  AND p.created_at <= (SELECT started_at FROM accountsync.sync_run WHERE id = :run_id)
  AND NOT EXISTS (SELECT FROM {table} s WHERE s.source_key = p.source_key AND NOT s.retried)
  -- nor is whose row came without its key
  AND NOT EXISTS (
    SELECT FROM {table} s
    WHERE s.source_key IS NULL AND s.employee_number = p.employee_number
  )
"""

_BACK = """
-- rides on ix_person_absent
p.source = :source
  AND p.source_key = s.source_key
  AND NOT s.retried
  AND NOT s.repeated
  AND p.absent_since_snapshot IS NOT NULL
"""

_RECORD_RETURN = f"""
INSERT INTO accountsync.person_change (person_id, run_id, changes)
SELECT
  p.id, :run_id,
  jsonb_build_object('presumed_left_at', jsonb_build_array(p.presumed_left_at, NULL))
FROM {{table}} s
JOIN accountsync.person p ON {_BACK}
WHERE p.presumed_left_at IS NOT NULL
"""

_WELCOME_BACK = f"""
UPDATE accountsync.person p
SET
  absent_since_snapshot = NULL,
  presumed_left_at = NULL,
  planned_revision = 0,
  revision = p.revision + CASE WHEN p.presumed_left_at IS NULL THEN 0 ELSE 1 END
FROM {{table}} s
WHERE {_BACK}
"""

_HAS_LEFT = """
coalesce(
  p.status = ANY(:left)
    OR p.leave_date < current_date
      AND (coalesce(p.hire_date, p.effective_date) <= p.leave_date) IS NOT FALSE,
  false
)
"""
"""Whether HR had said before that the person left (domain.persons.lifecycle)."""

_LONG_ABSENT = """
-- rides on ix_person_absent and ix_snapshot_source_id
SELECT p.id
FROM accountsync.person p
WHERE p.source = :source
  AND p.presumed_left_at IS NULL
  AND p.absent_since_snapshot <= (
    SELECT id
    FROM accountsync.snapshot
    WHERE source = :source
    ORDER BY id DESC OFFSET :after - 1
    LIMIT 1
  )
"""

_PRESUME_LEFT = """
WITH presumed AS (
  UPDATE accountsync.person p
  SET presumed_left_at = :now, revision = p.revision + 1
  WHERE p.id IN ({who})
  RETURNING p.id
), recorded AS (
  INSERT INTO accountsync.person_change (person_id, run_id, changes)
  SELECT
    id, :run_id,
    jsonb_build_object('presumed_left_at', jsonb_build_array(NULL, CAST(:now AS timestamptz)))
  FROM presumed
)
SELECT count(*)
FROM presumed
"""

_LIST = text(f"""
-- rides on ix_person_absent
SELECT
  p.employee_number, p.source, s.taken_at AS since, p.presumed_left_at,
  (
    -- how many complete reads lacked the person
    SELECT count(*)
    FROM accountsync.snapshot later
    WHERE later.source = p.source AND later.id >= s.id
  ) AS snapshots,
  {_HAS_LEFT} AS has_left
FROM accountsync.person p
JOIN accountsync.snapshot s ON s.id = p.absent_since_snapshot
WHERE p.source = :source AND p.absent_since_snapshot IS NOT NULL
ORDER BY s.id, 1
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """`since`: when the first complete snapshot lacked the person. `snapshots`: how many did so
    far. `has_left`: HR had said before that the person left."""

    employee_number: str
    source: str
    since: datetime
    snapshots: int
    presumed_left_at: datetime | None
    has_left: bool


def mark(connection: Connection, *, run_id: int, source: str, snapshot: int) -> None:
    """After a full read, notes who is missing since this snapshot, and changes nothing else.

    A person who was made after the read began (it was held, and is merged late) is not missing
    from it, and neither is one whose row came without its key.
    """
    connection.execute(
        text(_MARK.format(table=table(run_id))),
        {"source": source, "snapshot": snapshot, "run_id": run_id},
    )


def welcome_back(connection: Connection, *, run_id: int, source: str) -> None:
    """Persons of this feed, of whatever kind, are not missing any more, nor presumed to have
    left."""
    bound = {"source": source, "run_id": run_id}
    connection.execute(text(_RECORD_RETURN.format(table=table(run_id))), bound)
    connection.execute(text(_WELCOME_BACK.format(table=table(run_id))), {"source": source})


def presume_left(
    connection: Connection, *, run_id: int, source: str, after_snapshots: int, now: datetime
) -> int:
    """Presumes by rule that persons whom so many complete snapshots lack have left. Counts them."""
    presumed = connection.scalar(
        text(_PRESUME_LEFT.format(who=_LONG_ABSENT)),
        {"source": source, "run_id": run_id, "after": after_snapshots, "now": now},
    )
    return int(presumed or 0)


_COUNT_LONG_ABSENT = f"""
SELECT count(*), (array_agg(employee_number ORDER BY employee_number))[1:{{examples:d}}]
FROM accountsync.person p
WHERE id IN ({_LONG_ABSENT}) AND NOT {_HAS_LEFT}
"""


def long_absent(
    connection: Connection,
    *,
    source: str,
    after_snapshots: int,
    left_statuses: Sequence[str],
    examples: int,
) -> tuple[int, list[str]]:
    """How many persons who had not left so many complete snapshots lack, and their first employee
    numbers."""
    count, numbers = connection.execute(
        text(_COUNT_LONG_ABSENT.format(examples=examples)),
        {"source": source, "after": after_snapshots, "left": list(left_statuses)},
    ).one()
    return count, numbers or []


_PRESUME_LEFT_BY_NUMBER = text("""
UPDATE accountsync.person
SET presumed_left_at = :now, revision = revision + 1
WHERE employee_number = ANY(:numbers)
  AND absent_since_snapshot IS NOT NULL
  AND presumed_left_at IS NULL
RETURNING employee_number
""")


def presume_left_by_number(
    connection: Connection, *, numbers: Sequence[str], now: datetime
) -> list[str]:
    """Takes absent persons for leavers because a human says so. Returns the employee numbers of
    those for whom that is new."""
    bound = {"numbers": list(numbers), "now": now}
    return list(connection.scalars(_PRESUME_LEFT_BY_NUMBER, bound))


def of_source(connection: Connection, *, source: str, left_statuses: Sequence[str]) -> list[Absent]:
    rows = connection.execute(_LIST, {"source": source, "left": list(left_statuses)}).mappings()
    return [Absent(**row) for row in rows]
