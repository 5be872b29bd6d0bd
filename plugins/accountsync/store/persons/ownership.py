"""Which HR source owns a person: one source owns each, and numbers are unique across sources."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, text

from accountsync.domain.reasons import Kind
from accountsync.store.persons.feeds import MAY_REPLACE, table

# A row may not take a number that another one wants or has:
#
#   twin      numbers that several rows of this feed have
#   taker     rows that newly want their number: of a person who had another one, or of nobody known
#   refused   takers of a twin's number; takers whose number has a holder, unless the holder's own
#             row in this feed gives it up
_REJECT_TAKEN_NUMBERS = """
WITH twin AS (
  SELECT employee_number
  FROM {table}
  WHERE problems IS NULL
  GROUP BY employee_number
  HAVING count(*) > 1
), taker AS (
  SELECT s.ctid AS row, s.employee_number, p.id AS person_id
  FROM {table} s
  LEFT JOIN accountsync.person p ON p.source = :source AND p.source_key = s.source_key
  WHERE s.problems IS NULL
    AND s.attributes IS NOT NULL
    AND (p.id IS NULL OR p.employee_number <> s.employee_number)
    AND {taker_may_replace}
), refused AS (
  SELECT row, true AS by_twin, '{another_rows}' AS kind, NULL AS source
  FROM taker
  JOIN twin USING (employee_number)
  UNION ALL
  SELECT
    row,
    false,
    CASE
      WHEN holder.source = :source THEN '{another_persons}'
      WHEN holder.origin = 'request' THEN '{requested_persons}'
      ELSE '{of_another_source}'
    END,
    CASE WHEN holder.source <> :source AND holder.origin <> 'request' THEN holder.source END
  FROM taker t
  JOIN accountsync.person holder ON holder.employee_number = t.employee_number
  WHERE NOT EXISTS (
    SELECT FROM {table} moving
    WHERE holder.source = :source
      AND moving.source_key = holder.source_key
      AND moving.problems IS NULL
      AND moving.employee_number <> holder.employee_number
      AND {mover_may_replace}
  )
)
UPDATE {table} s
SET problems = jsonb_build_array(jsonb_build_object(
  'kind', one.kind,
  'facts', jsonb_strip_nulls(
    jsonb_build_object('field', 'employee_number', 'source', one.source)
  )
))
-- who has the number says more than that another row wants it
FROM (SELECT DISTINCT ON (row) * FROM refused ORDER BY row, by_twin) one
WHERE s.ctid = one.row
"""


_OF_OTHERS = text("""
-- from one source to the next on the unique index of source and key
WITH RECURSIVE found (source) AS (
  (SELECT source FROM accountsync.person ORDER BY source LIMIT 1)
  UNION ALL
  SELECT (
    SELECT p.source
    FROM accountsync.person p
    WHERE p.source > found.source
    ORDER BY p.source
    LIMIT 1
  )
  FROM found
  WHERE found.source IS NOT NULL
)
SELECT
  source, (SELECT count(*) FROM accountsync.person p WHERE p.source = found.source) AS persons
FROM found
WHERE source <> ALL(CAST(:known AS text[]))
""")


_KINDS = {
    "another_rows": Kind.IS_ANOTHER_ROWS,
    "another_persons": Kind.IS_ANOTHER_PERSONS,
    "requested_persons": Kind.IS_A_REQUESTED_PERSONS,
    "of_another_source": Kind.IS_OF_ANOTHER_SOURCE,
}


def reject_taken_numbers(
    connection: Connection, *, run_id: int, source: str, latest: datetime, decides: bool
) -> None:
    """Rejects rows whose number another row wants, too, or whose holder does not give it up here.

    Repeated until nothing changes: a refused row keeps its old number, which another row may want.
    A row that was known when it was read and lost its number since is not refused: its feed is old.
    """
    statement = text(
        _REJECT_TAKEN_NUMBERS.format(
            table=table(run_id),
            taker_may_replace=MAY_REPLACE.format(row="s", person="p"),
            **_KINDS,
            mover_may_replace=MAY_REPLACE.format(row="moving", person="holder"),
        )
    )
    bound = {"run_id": run_id, "source": source, "latest": latest, "decides": decides}
    while connection.execute(statement, bound).rowcount:
        pass


def persons_of_others(connection: Connection, *, known: Collection[str]) -> dict[str, int]:
    """Sources that are none of the known ones → how many persons each has."""
    rows = connection.execute(_OF_OTHERS, {"known": list(known)})
    return {row.source: row.persons for row in rows}
