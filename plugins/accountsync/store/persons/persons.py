"""Persons: one staged feed into the store, writing only rows that differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, TextClause, text

from accountsync.domain.persons.feed_guard import FieldChange, Leaving
from accountsync.domain.persons.person import PERSON_FIELDS
from accountsync.errors import IncompleteReadError
from accountsync.store.engine import bigints
from accountsync.store.persons.feeds import MAY_REPLACE, table

EXAMPLES = 5

_FIELDS = [name for name in PERSON_FIELDS if name != "source_key"]
_CODED = ("department_code", "person_type", "status", "time_zone")
"""Their values are no personal data, and tell a reorganisation from a broken feed."""
_TRACKED = [name for name in _FIELDS if name != "source_updated_at"]

_JOIN = "p.source = :source AND p.source_key = s.source_key AND s.problems IS NULL"
_CHANGED = (
    f"{_JOIN} AND p.content_hash <> s.content_hash AND {MAY_REPLACE.format(row='s', person='p')}"
)

_ROW_OF = "(SELECT * FROM {{table}} t WHERE t.ctid = {found}.row OFFSET 0)"
"""Fetched one by one, which OFFSET 0 keeps so: joined, all that is staged, a gigabyte for a million
persons, would go through a hash on disk for the sake of however few."""

_UPDATE = f"""
WITH changed AS MATERIALIZED (
  SELECT p.id, s.ctid AS row, s.attributes IS NULL AS is_blank
  FROM {{table}} s JOIN accountsync.person p ON {_CHANGED}
), updated AS (
  UPDATE accountsync.person p
  SET {", ".join(f"{f} = s.{f}" for f in _FIELDS)}, attributes = s.attributes,
    content_hash = s.content_hash, revision = p.revision + 1, updated_at = now()
  FROM changed CROSS JOIN LATERAL {_ROW_OF.format(found="changed")} s
  WHERE p.id = changed.id AND NOT changed.is_blank
  RETURNING p.id
), recorded AS (
  INSERT INTO accountsync.person_change (person_id, run_id, changes)
  SELECT p.id, :run_id, difference.changes
  FROM changed CROSS JOIN LATERAL {_ROW_OF.format(found="changed")} s
  JOIN accountsync.person p ON p.id = changed.id
  CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(field, jsonb_build_array(old, new)) AS changes
    FROM (VALUES {", ".join(f"('{f}', p.{f}::text, s.{f}::text)" for f in _TRACKED)})
      v (field, old, new)
    WHERE old IS DISTINCT FROM new
  ) difference
  WHERE difference.changes IS NOT NULL
  RETURNING person_id, changes
), change AS (
  SELECT field, value, p.employee_number
  FROM recorded r CROSS JOIN LATERAL jsonb_each(r.changes) c (field, value)
  JOIN accountsync.person p ON p.id = r.person_id
), shift AS (
  SELECT field, value->>0 AS old, value->>1 AS new, count(*) AS persons,
    row_number() OVER (PARTITION BY field ORDER BY count(*) DESC, value::text) AS rank
  FROM change WHERE field IN {_CODED!r} GROUP BY field, value
), fields AS (
  SELECT field, count(*), count(*) FILTER (WHERE value->>1 IS NULL),
    count(*) FILTER (WHERE CASE field
      WHEN 'status' THEN value->>0 = ANY(:left) AND (value->>1 = ANY(:left)) IS NOT TRUE
      WHEN 'leave_date' THEN value->>0 < :today AND (value->>1 < :today) IS NOT TRUE END),
    (array_agg(employee_number ORDER BY employee_number))[1:{EXAMPLES}],
    (SELECT jsonb_agg(jsonb_build_array(old, new, persons) ORDER BY rank)
     FROM shift WHERE shift.field = change.field AND rank <= {EXAMPLES})
  FROM change GROUP BY field
)
SELECT 'updated', count(*), (SELECT count(*) FROM changed WHERE is_blank), NULL, NULL, NULL
FROM updated
UNION ALL
(SELECT * FROM fields ORDER BY field)
"""  # one join finds who differs: where nothing does, that is all

_INTO_PERSON = f"""
INSERT INTO accountsync.person (source, source_key, {", ".join(_FIELDS)}, attributes, content_hash)
SELECT :source, s.source_key, {", ".join(f"s.{f}" for f in _FIELDS)}, s.attributes, s.content_hash
"""

_INSERT_EVERYBODY = f"""
{_INTO_PERSON} FROM {{table}} s WHERE s.problems IS NULL AND s.attributes IS NOT NULL
"""

_INSERT_NEWCOMERS = f"""
WITH newcomer AS MATERIALIZED (
  SELECT s.ctid AS row, s.attributes IS NULL AS is_blank FROM {{table}} s
  WHERE s.problems IS NULL AND NOT EXISTS (
    SELECT FROM accountsync.person p WHERE p.source = :source AND p.source_key = s.source_key)
  ORDER BY s.position
), made AS (
  {_INTO_PERSON}
  FROM newcomer CROSS JOIN LATERAL {_ROW_OF.format(found="newcomer")} s
  WHERE NOT newcomer.is_blank
  RETURNING employee_number
)
SELECT (SELECT count(*) FROM made), (SELECT count(*) FROM newcomer WHERE is_blank),
  ARRAY(SELECT employee_number FROM made LIMIT {EXAMPLES})
"""  # ordered, so that all newcomers are known before the first is inserted: where the store was
# empty when it was planned, each would be looked for among all that were inserted before


_EXAMPLES = f"SELECT employee_number FROM {{table}} WHERE problems IS NULL LIMIT {EXAMPLES}"

_KNOWS_ANYBODY = text("SELECT EXISTS (SELECT FROM accountsync.person WHERE source = :source)")

_COUNTS = """
SELECT count(*) FILTER (WHERE NOT retried) AS fetched, count(*) FILTER (WHERE retried) AS retried,
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
    """`vanished`: rows that were known when they were read, and are no longer."""

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
    """All staged rows that differ, and their history.

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
    """Where nobody is known, nobody needs to be looked for."""
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


PLANNED_COLUMNS = (
    f"id, source, revision, planned_revision, next_evaluation_at, attributes, presumed_left_at,"
    f" requested_systems, {', '.join(_FIELDS)}"
)
"""All that the rules may read of a person."""
_TO_PLAN = text(  # ix_person_to_plan, ix_person_next_evaluation_at
    f"SELECT {PLANNED_COLUMNS} FROM accountsync.person WHERE id IN ("
    " (SELECT id FROM accountsync.person WHERE revision > planned_revision AND id > :after"
    "  ORDER BY id LIMIT :limit)"
    " UNION (SELECT id FROM accountsync.person WHERE next_evaluation_at <= :now AND id > :after"
    "  ORDER BY id LIMIT :limit)"
    ") ORDER BY id LIMIT :limit"
)
_EVERYBODY = text(  # pk_person
    f"SELECT {PLANNED_COLUMNS} FROM accountsync.person WHERE id > :after ORDER BY id LIMIT :limit"
)

_OF_NUMBER = text(  # uq_person_employee_number
    f"SELECT {PLANNED_COLUMNS} FROM accountsync.person WHERE employee_number = :number"
)


def lots(
    connection: Connection, *, at_once: int, due: datetime | None
) -> Iterator[Sequence[dict[str, Any]]]:
    """Persons, by id, that changed since they were last planned or for whom a date has come.
    `due`: when it is now; None: everybody."""
    statement, bound = _EVERYBODY if due is None else _TO_PLAN, {"limit": at_once, "now": due}
    after = 0
    while rows := _rows(connection.execute(statement, bound | {"after": after})):
        yield rows
        after = rows[-1]["id"]


def of_number(connection: Connection, employee_number: str) -> Sequence[dict[str, Any]]:
    """One person or none, as `lots` gives them, whether there is something new or not."""
    return _rows(connection.execute(_OF_NUMBER, {"number": employee_number}))


def _rows(found: CursorResult[Any]) -> Sequence[dict[str, Any]]:
    columns = tuple(found.keys())
    return [dict(zip(columns, row, strict=True)) for row in found.all()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """`revision`: the one that was planned; negative where the person stays to plan though nothing
    new is known (a call is under way). `next_at`: when time alone brings the person back."""

    person_id: int
    revision: int
    next_at: datetime | None


def mark_planned(connection: Connection, evaluations: Sequence[Evaluation]) -> None:
    """One whose person HR changed meanwhile stays to plan."""
    connection.execute(
        text(
            "UPDATE accountsync.person p"
            " SET planned_revision = planned.revision, next_evaluation_at = planned.next_at"
            " FROM unnest(CAST(:ids AS bigint[]), CAST(:revisions AS bigint[]),"
            "  CAST(:dates AS timestamptz[])) AS planned (id, revision, next_at)"
            " WHERE p.id = planned.id"
        ),
        {
            "ids": bigints(one.person_id for one in evaluations),
            "revisions": bigints(one.revision for one in evaluations),
            "dates": [one.next_at for one in evaluations],
        },
    )


_HASHES = text(
    "SELECT string_agg(substr(content_hash, 1, :length), '' ORDER BY content_hash)"
    " FROM accountsync.person WHERE source = :source AND length(content_hash) >= :length"
    " GROUP BY get_byte(content_hash, 0) ORDER BY get_byte(content_hash, 0)"
)


def content_hashes(connection: Connection, *, source: str, length: int) -> Iterator[bytes]:
    """The first `length` bytes of each, sorted, one after the other in lots of many."""
    return connection.scalars(_HASHES, {"source": source, "length": length})


def with_value(connection: Connection, *, source: str, field: str) -> int:
    """How many persons of the source have one in this of PERSON_FIELDS."""
    counted = text(f"SELECT count({field}) FROM accountsync.person WHERE source = :source")
    return int(connection.scalar(counted, {"source": source}) or 0)


_LEAVERS = {"status": "status = ANY(:left)", "leave_date": "leave_date::text < :today"}


def leavers(connection: Connection, *, source: str, field: str, leaving: Leaving) -> int:
    """How many persons of the source have left, by this of LEAVING_FIELDS."""
    counted = text(
        f"SELECT count(*) FROM accountsync.person WHERE source = :source AND {_LEAVERS[field]}"
    )
    return int(connection.scalar(counted, {"source": source} | _bound(leaving)) or 0)


def id_of(connection: Connection, employee_number: str) -> int | None:
    found: int | None = connection.scalar(
        text("SELECT id FROM accountsync.person WHERE employee_number = :number"),
        {"number": employee_number},
    )
    return found


def numbers(connection: Connection, persons: Sequence[int]) -> list[str]:
    query = "SELECT employee_number FROM accountsync.person WHERE id = ANY(:ids) ORDER BY id"
    return list(connection.scalars(text(query), {"ids": list(persons)}))
