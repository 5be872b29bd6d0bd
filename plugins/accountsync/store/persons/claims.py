"""Rows of HR whose number is somebody's already: that person's, or only a human can say whose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text

from accountsync.domain.reasons import Kind
from accountsync.store.persons.feeds import table

# A row of nobody known that has somebody's number. `own`: the holder's own row in this feed. Left
# alone where two rows of nobody known have the number, or the holder's own row gives it up.
#
#   verdict      the row
#   ended        has ended, and the holder has not: the holder's rights stand
#   take         is the holder's: a request made the person, or this source takes over the holder's,
#                and name or address agree; or the holder has left, and the name agrees and the
#                address or, within one source, the birth date
#   requested    has another name than the person of a request
#   other_name   has another name than the person of a source that this one takes over
#   leavers      has the number of somebody who left: the same person, or another one
#   null         wants what somebody else has, see below
_CLAIM = """
held AS MATERIALIZED (
  SELECT s.ctid AS row, p.id
  FROM {table} s
  CROSS JOIN LATERAL (
    -- rides on uq_person_employee_number; OFFSET 0: row by row, for all but a few rows were known
    SELECT id
    FROM accountsync.person p
    WHERE p.employee_number = s.employee_number
      AND (p.source, p.source_key) <> (:source, s.source_key)
    OFFSET 0
  ) p
  WHERE s.problems IS NULL AND s.attributes IS NOT NULL
), claim AS (
  SELECT
    held.row, s.source_key, p.id, p.source AS old_source, p.source_key AS old_key,
    p.presumed_left_at, own.ctid AS own_row,
    CASE
      WHEN {row_ended} AND NOT sure.has_left AND p.origin <> 'request' AND sure.uses_something
        THEN 'ended'
      WHEN (p.origin = 'request' OR p.source = ANY(:takes_over)) AND (sure.name OR sure.address)
        THEN 'take'
      WHEN p.origin = 'request' THEN 'requested'
      WHEN p.source = ANY(:takes_over) THEN 'other_name'
      WHEN {row_ended} OR NOT sure.has_left THEN NULL
      WHEN sure.name AND (sure.address OR sure.birth_date) THEN 'take'
      ELSE 'leavers'
    END AS verdict
  FROM held
  CROSS JOIN LATERAL (SELECT * FROM {table} t WHERE t.ctid = held.row OFFSET 0) s
  JOIN accountsync.person p ON p.id = held.id
  LEFT JOIN {table} own
    ON p.source = :source AND own.source_key = p.source_key AND own.problems IS NULL
  CROSS JOIN LATERAL (
    SELECT
      {name_of_row} = {name_of_person} AS name,
      -- who is taken over and has no account loses none
      p.source <> ALL(:takes_over) OR EXISTS (
        SELECT FROM accountsync.account a WHERE a.person_id = p.id AND a.state = 'active'
      ) AS uses_something,
      coalesce(lower(s.email) = lower(p.email), false) AS address,
      coalesce(
        p.source = :source
          AND cardinality(CAST(:birth_date AS text[])) > 0
          AND s.attributes #>> CAST(:birth_date AS text[]) <> ''
          AND s.attributes #>> CAST(:birth_date AS text[])
            = p.attributes #>> CAST(:birth_date AS text[]),
        false
      ) AS birth_date,
      CASE
        WHEN own.attributes IS NOT NULL THEN {own_ended}
        ELSE
          p.presumed_left_at IS NOT NULL
          OR own.source_key IS NULL AND p.absent_since_snapshot IS NOT NULL
          OR {person_ended}
      END AS has_left
  ) sure
  WHERE (own.source_key IS NULL OR own.employee_number = p.employee_number)
    AND NOT EXISTS (
      SELECT FROM {table} twin
      WHERE twin.employee_number = s.employee_number
        AND twin.problems IS NULL
        AND twin.ctid <> held.row
        AND twin.ctid IS DISTINCT FROM own.ctid
    )
    AND NOT EXISTS (
      SELECT FROM accountsync.person known
      WHERE known.source = :source AND known.source_key = s.source_key
    )
)
"""

_ENDED = """coalesce(
  {status} = ANY(:left)
    OR cardinality(CAST(:valid AS text[])) > 0 AND {status} <> ALL(:valid)
    OR {of}.leave_date < :today
      AND (coalesce({of}.hire_date, {of}.effective_date) <= {of}.leave_date) IS NOT FALSE,
  false
)"""
"""Whether HR says that the person has left (domain.persons.lifecycle)."""

_HOLDERS_STATUS = "CASE WHEN p.source = :source OR p.status = s.status THEN p.status END"
"""Another status of another source may mean anything."""

_FOLDED = "regexp_replace(lower(normalize({name}, NFKC)), '\\s+', '', 'g')"

# What they are is merged afterwards, like any difference: hence the empty hash and the oldest of
# times. The holder's own row, which has ended, is nobody's from now on: it is set aside, and filled
# where it was known and only its identity is staged.
_TAKE_OVER = """
WITH {claim}, taken AS (
  SELECT * FROM claim WHERE verdict = 'take'
), recorded AS (
  INSERT INTO accountsync.person_change (person_id, run_id, changes)
  SELECT
    id, :run_id,
    jsonb_build_object(
      'source', jsonb_build_array(old_source, CAST(:source AS text)),
      'source_key', jsonb_build_array(old_key, source_key)
    ) || CASE
      WHEN presumed_left_at IS NULL THEN '{{}}'
      ELSE jsonb_build_object('presumed_left_at', jsonb_build_array(presumed_left_at, NULL))
    END
  FROM taken
), aside AS (
  UPDATE {table} own
  SET
    attributes = coalesce(own.attributes, p.attributes),
    problems = {has_an_active_record}
  FROM taken
  JOIN accountsync.person p ON p.id = taken.id
  WHERE own.ctid = taken.own_row
)
UPDATE accountsync.person p
SET
  source = :source,
  source_key = taken.source_key,
  origin = 'hr',
  source_updated_at = NULL,
  content_hash = '',
  updated_at = 'epoch',
  absent_since_snapshot = NULL,
  presumed_left_at = NULL
FROM taken
WHERE p.id = taken.id
RETURNING p.employee_number
"""

_REJECT_CLAIMS = """
WITH {claim}
UPDATE {table} s
SET problems = CASE claim.verdict
  WHEN 'ended' THEN {has_an_active_record}
  WHEN 'requested' THEN {requested_for_another}
  WHEN 'other_name' THEN {is_another_names}
  ELSE {is_a_leavers}
END
FROM claim
WHERE s.ctid = claim.row AND claim.verdict IN ('ended', 'requested', 'other_name', 'leavers')
"""

# Of two new records of one number, the one that has ended gives way. A known person's own row is
# that person's, whatever it says.
_SET_ENDED_ASIDE = """
WITH twin AS MATERIALIZED (
  SELECT employee_number
  FROM {table}
  WHERE problems IS NULL AND attributes IS NOT NULL
  GROUP BY employee_number
  HAVING count(*) > 1
)
UPDATE {table} s
SET problems = {has_an_active_record}
FROM twin
JOIN {table} active USING (employee_number)
WHERE twin.employee_number = s.employee_number
  AND active.ctid <> s.ctid
  AND s.problems IS NULL
  AND s.attributes IS NOT NULL
  AND active.problems IS NULL
  AND active.attributes IS NOT NULL
  AND {row_ended}
  AND NOT {active_ended}
  AND NOT EXISTS (
    SELECT FROM accountsync.person known
    WHERE known.source = :source AND known.source_key = s.source_key
  )
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """`takes_over`: the sources whose persons become this one's when it has their number. Who has
    left is told by `left` and, where there are any, by not being one of the `valid` statuses.
    `birth_date`: where a row of the source has it."""

    source: str
    takes_over: Sequence[str] = ()
    left: Sequence[str] = ()
    valid: Sequence[str] = ()
    today: date
    birth_date: Sequence[str] = ()


def take_over(connection: Connection, *, run_id: int, owner: Owner) -> list[str]:
    """Gives this source the persons of the feed that a request made or another source or record
    owned, and returns their employee numbers. Their fields are merged afterwards, like any
    difference, also by a feed that was held while the old owner wrote.

    Rows of which only a human can say whose they are, and those that have ended while another one
    of the number has not, are rejected.
    """
    bound = {
        "run_id": run_id,
        "source": owner.source,
        "takes_over": list(owner.takes_over),
        "left": list(owner.left),
        "valid": list(owner.valid),
        "today": owner.today,
        "birth_date": list(owner.birth_date),
    }
    names = _names(run_id)
    connection.execute(text(_SET_ENDED_ASIDE.format(**names)), bound)
    claim = _CLAIM.format(**names)
    taken = connection.scalars(text(_TAKE_OVER.format(claim=claim, **names)), bound)
    numbers = sorted(taken)
    connection.execute(text(_REJECT_CLAIMS.format(claim=claim, **names)), bound)
    return numbers


def _names(run_id: int) -> dict[str, str]:
    return {
        "table": table(run_id),
        "row_ended": _ENDED.format(of="s", status="s.status"),
        "own_ended": _ENDED.format(of="own", status="own.status"),
        "active_ended": _ENDED.format(of="active", status="active.status"),
        "person_ended": _ENDED.format(of="p", status=_HOLDERS_STATUS),
        "name_of_row": _FOLDED.format(name="s.full_name"),
        "name_of_person": _FOLDED.format(name="p.full_name"),
        "has_an_active_record": _problem(Kind.HAS_AN_ACTIVE_RECORD),
        "requested_for_another": _problem(Kind.REQUESTED_FOR_ANOTHER),
        "is_another_names": _problem(Kind.IS_ANOTHER_NAMES),
        "is_a_leavers": _problem(Kind.IS_A_LEAVERS),
    }


def _problem(kind: Kind) -> str:
    return (
        f"jsonb_build_array(jsonb_build_object('kind', '{kind}',"
        " 'facts', jsonb_build_object('field', 'employee_number')))"
    )
