"""Merges one staged feed into the store; only rows that differ are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, TextClause, text

from accountsync.domain.persons.feed_guard import FieldChange, Leaving
from accountsync.domain.persons.person import PERSON_FIELDS
from accountsync.errors import IncompleteReadError
from accountsync.store.persons.feeds import MAY_REPLACE, table

EXAMPLES = 5

_FIELDS = [name for name in PERSON_FIELDS if name != "source_key"]
_CODED = ("department_code", "person_type", "status", "time_zone")
"""Fields whose values are no personal data, and show a human a reorganisation or a broken feed."""
_TRACKED = [name for name in _FIELDS if name != "source_updated_at"]

_COLUMNS = ", ".join(_FIELDS)
_STAGED = ", ".join(f"s.{name}" for name in _FIELDS)
_ASSIGNMENTS = ", ".join(f"{name} = s.{name}" for name in _FIELDS)
_OLD_AND_NEW = ", ".join(f"('{name}', p.{name}::text, s.{name}::text)" for name in _TRACKED)

_MAY_REPLACE = MAY_REPLACE.format(row="s", person="p")

_ROW_OF = "(SELECT * FROM {{table}} t WHERE t.ctid = {found}.row OFFSET 0)"
"""OFFSET 0 makes PostgreSQL fetch the rows one by one. A plain join would put all that is staged, a
gigabyte for a million persons, through a hash on disk, however few rows are needed."""
_CHANGED_ROW = _ROW_OF.format(found="changed")
_NEW_ROW = _ROW_OF.format(found="newcomer")

# What the merge does to persons it knows, and what it tells of them. One join finds who differs:
# where nothing does, that is all. Its parts, in order:
#
#   changed    who differs and may be replaced; `is_blank`: the row was known when it was read
#   updated    those written, all but the blank ones
#   recorded   their history: field → [old, new]; the snapshot still shows the old person
#   change     the same, a row per field
#   shift      of the coded fields: how many persons went from which value to which
#   fields     by field: changed, emptied, back (had left and has not any more), examples, shifts
#
# The first row counts the updated and the blank ones; a row per field follows.
_UPDATE = f"""
WITH changed AS MATERIALIZED (
  SELECT p.id, s.ctid AS row, s.attributes IS NULL AS is_blank
  FROM {{table}} s
  JOIN accountsync.person p
    ON p.source = :source
      AND p.source_key = s.source_key
      AND s.problems IS NULL
      AND p.content_hash <> s.content_hash
      AND {_MAY_REPLACE}
), updated AS (
  UPDATE accountsync.person p
  SET
    {_ASSIGNMENTS},
    attributes = s.attributes,
    content_hash = s.content_hash,
    revision = p.revision + 1,
    updated_at = now()
  FROM changed
  CROSS JOIN LATERAL {_CHANGED_ROW} s
  WHERE p.id = changed.id AND NOT changed.is_blank
  RETURNING p.id
), recorded AS (
  INSERT INTO accountsync.person_change (person_id, run_id, changes)
  SELECT p.id, :run_id, difference.changes
  FROM changed
  CROSS JOIN LATERAL {_CHANGED_ROW} s
  JOIN accountsync.person p ON p.id = changed.id
  CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(field, jsonb_build_array(old, new)) AS changes
    FROM (VALUES {_OLD_AND_NEW}) v (field, old, new)
    WHERE old IS DISTINCT FROM new
  ) difference
  WHERE difference.changes IS NOT NULL
  RETURNING person_id, changes
), change AS (
  SELECT field, value, p.employee_number
  FROM recorded r
  CROSS JOIN LATERAL jsonb_each(r.changes) c (field, value)
  JOIN accountsync.person p ON p.id = r.person_id
), shift AS (
  SELECT
    field, value->>0 AS old, value->>1 AS new, count(*) AS persons,
    row_number() OVER (PARTITION BY field ORDER BY count(*) DESC, value::text) AS rank
  FROM change
  WHERE field IN {_CODED!r}
  GROUP BY field, value
), fields AS (
  SELECT
    field, count(*), count(*) FILTER (WHERE value->>1 IS NULL),
    count(*) FILTER (
      WHERE CASE field
        WHEN 'status' THEN value->>0 = ANY(:left) AND (value->>1 = ANY(:left)) IS NOT TRUE
        WHEN 'leave_date' THEN value->>0 < :today AND (value->>1 < :today) IS NOT TRUE
      END
    ),
    (array_agg(employee_number ORDER BY employee_number))[1:{EXAMPLES}],
    (
      SELECT jsonb_agg(jsonb_build_array(old, new, persons) ORDER BY rank)
      FROM shift
      WHERE shift.field = change.field AND rank <= {EXAMPLES}
    )
  FROM change
  GROUP BY field
)
SELECT 'updated', count(*), (SELECT count(*) FROM changed WHERE is_blank), NULL, NULL, NULL
FROM updated
UNION ALL
(SELECT * FROM fields ORDER BY field)
"""

_INTO_PERSON = f"""
INSERT INTO accountsync.person (source, source_key, {_COLUMNS}, attributes, content_hash)
SELECT :source, s.source_key, {_STAGED}, s.attributes, s.content_hash
"""

_INSERT_EVERYBODY = f"""
{_INTO_PERSON}
FROM {{table}} s
WHERE s.problems IS NULL AND s.attributes IS NOT NULL
"""

_INSERT_NEWCOMERS = f"""
WITH newcomer AS MATERIALIZED (
  SELECT s.ctid AS row, s.attributes IS NULL AS is_blank
  FROM {{table}} s
  WHERE s.problems IS NULL
    AND NOT EXISTS (
      SELECT FROM accountsync.person p
      WHERE p.source = :source AND p.source_key = s.source_key
    )
  -- ordered, so that all newcomers are known before the first is inserted. Where the store was
  -- empty when it was planned, each would be looked for among all that were inserted before
  ORDER BY s.position
), made AS (
  {_INTO_PERSON}
  FROM newcomer
  CROSS JOIN LATERAL {_NEW_ROW} s
  WHERE NOT newcomer.is_blank
  RETURNING employee_number
)
SELECT
  (SELECT count(*) FROM made),
  (SELECT count(*) FROM newcomer WHERE is_blank),
  ARRAY(SELECT employee_number FROM made LIMIT {EXAMPLES})
"""

_EXAMPLES = f"SELECT employee_number FROM {{table}} WHERE problems IS NULL LIMIT {EXAMPLES}"

_KNOWS_ANYBODY = text("SELECT EXISTS (SELECT FROM accountsync.person WHERE source = :source)")

_COUNTS = """
SELECT
  count(*) FILTER (WHERE NOT retried) AS fetched,
  count(*) FILTER (WHERE retried) AS retried,
  count(*) FILTER (WHERE problems IS NOT NULL) AS rejected,
  max(source_updated_at) FILTER (WHERE source_updated_at <= :latest) AS newest_change,
  count(*) FILTER (WHERE source_updated_at > :latest) AS from_the_future
FROM {table}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeCounts:
    """`fetched + retried = inserted + updated + unchanged + rejected` (I14)."""

    fetched: int = 0
    retried: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    newest_change: datetime | None = None
    from_the_future: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """`changes`: by field, what the merge changed about persons it knew · `newcomers`: employee
    numbers of a few whom it inserted · `is_first`: nobody of the source was known."""

    counts: MergeCounts
    changes: list[FieldChange]
    newcomers: list[str]
    is_first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """`vanished`: rows whose persons were known when they were read, and are no longer."""

    updated: int = 0
    inserted: int
    vanished: int
    changes: list[FieldChange] = field(default_factory=list)
    newcomers: list[str]


def merge(
    connection: Connection,
    *,
    run_id: int,
    source: str,
    latest: datetime,
    decides: bool,
    leaving: Leaving,
) -> Merged:
    """Writes all staged rows that differ, and their history.

    `latest`: change times after it are from the future, reported and left out of `newest_change`.
    `decides`: a full read, which also takes back what is newer in the store (see MAY_REPLACE).
    Raises IncompleteReadError where a row was known when it was read, and is no longer.
    """
    bound = {"source": source, "run_id": run_id, "latest": latest, "decides": decides}
    bound |= _bound(leaving)
    staged = connection.execute(_of(run_id, _COUNTS), bound).one()._asdict()
    good = staged["fetched"] + staged["retried"] - staged["rejected"]
    is_first = not connection.scalar(_KNOWS_ANYBODY, bound)
    if is_first:
        written = _insert_everybody(connection, run_id, bound, good=good)
    else:
        written = _update_and_insert(connection, run_id, bound)
    if written.vanished:
        raise IncompleteReadError(
            f"{written.vanished} persons changed in the store while HR was read"
        )
    counts = MergeCounts(
        **staged,
        inserted=written.inserted,
        updated=written.updated,
        unchanged=good - written.inserted - written.updated,
    )
    return Merged(
        counts=counts, changes=written.changes, newcomers=written.newcomers, is_first=is_first
    )


def _bound(leaving: Leaving) -> dict[str, Any]:
    return {"left": list(leaving.statuses), "today": leaving.today.isoformat()}


def _of(run_id: int, statement: str) -> TextClause:
    return text(statement.format(table=table(run_id)))


def _insert_everybody(
    connection: Connection, run_id: int, bound: dict[str, Any], *, good: int
) -> _Written:
    """For a source without persons, in which no row has to be looked up."""
    inserted = connection.execute(_of(run_id, _INSERT_EVERYBODY), bound).rowcount
    newcomers = connection.scalars(_of(run_id, _EXAMPLES))
    return _Written(inserted=inserted, vanished=good - inserted, newcomers=sorted(newcomers))


def _update_and_insert(connection: Connection, run_id: int, bound: dict[str, Any]) -> _Written:
    (_, updated, outdated, *_), *recorded = connection.execute(_of(run_id, _UPDATE), bound)
    inserted, vanished, newcomers = connection.execute(_of(run_id, _INSERT_NEWCOMERS), bound).one()
    changes = [
        FieldChange(
            field=name,
            changed=changed,
            emptied=emptied,
            back=back,
            examples=tuple(examples),
            shifts=tuple(map(tuple, shifts or ())),
        )
        for name, changed, emptied, back, examples, shifts in recorded
    ]
    return _Written(
        updated=updated,
        inserted=inserted,
        vanished=outdated + vanished,
        changes=changes,
        newcomers=sorted(newcomers),
    )


def with_value(connection: Connection, *, source: str, field: str) -> int:
    """How many persons of the source have a value in this field of PERSON_FIELDS."""
    counted = text(f"SELECT count({field}) FROM accountsync.person WHERE source = :source")
    return int(connection.scalar(counted, {"source": source}) or 0)


_LEAVERS = {"status": "status = ANY(:left)", "leave_date": "leave_date::text < :today"}


def leavers(connection: Connection, *, source: str, field: str, leaving: Leaving) -> int:
    """How many persons of the source have left, by this field of LEAVING_FIELDS."""
    counted = text(
        f"SELECT count(*) FROM accountsync.person WHERE source = :source AND {_LEAVERS[field]}"
    )
    return int(connection.scalar(counted, {"source": source} | _bound(leaving)) or 0)
