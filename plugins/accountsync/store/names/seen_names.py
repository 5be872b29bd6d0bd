"""Names that exist already: seen in HR or a target, asked about, or kept for nobody (I8)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, text

from accountsync.domain.accounts.account import THERE
from accountsync.domain.names.numbering import fold, stem
from accountsync.store.names.name_registry import TAKEN_VALUES

_NUMBER = re.compile(r"(?<=\D)\d{1,4}(?=@|$)")
"""The number in a name seen elsewhere: `zhangwei7` is the name of the seventh `zhangwei`, too."""

_SEE = text("""
INSERT INTO accountsync.name_registry AS n (
  namespace, folded, folded_base, value, number, person_id, origin, current
)
SELECT
  s.namespace, s.folded, s.stem, s.value, 1, s.person_id, s.origin,
  -- in use: the first of the person's in this namespace, where none is in use yet
  s.person_id IS NOT NULL
    AND s.rank = 1
    AND NOT EXISTS (
      SELECT FROM accountsync.name_registry o
      WHERE o.person_id = s.person_id AND o.namespace = s.namespace AND o.current
    )
FROM (
  -- of equal names in the list the first one counts
  SELECT DISTINCT ON (namespace, folded)
    *, row_number() OVER (PARTITION BY person_id, namespace ORDER BY i) AS rank
  FROM unnest(
    CAST(:spaces AS text[]), CAST(:folded AS text[]), CAST(:stems AS text[]),
    CAST(:values AS text[]), CAST(:persons AS bigint[]), CAST(:origins AS text[])
  ) WITH ORDINALITY AS u (namespace, folded, stem, value, person_id, origin, i)
  ORDER BY namespace, folded, i
) s
ORDER BY 1, 2
ON CONFLICT (namespace, folded) DO UPDATE SET
  person_id = excluded.person_id,
  current = n.current OR excluded.current,
  -- what comes into use is spelt as it was seen; HR's spelling counts, except over an operator's
  value = CASE
    WHEN excluded.current AND NOT n.current THEN excluded.value
    WHEN excluded.origin = 'hr' AND n.origin <> 'override' THEN excluded.value
    ELSE n.value
  END,
  origin = CASE WHEN n.person_id IS NULL THEN excluded.origin ELSE n.origin END,
  -- in use because it was seen: what the mapping gave for it before says nothing any more
  made_from = CASE WHEN n.current THEN n.made_from END
WHERE
  -- one that was seen before and was nobody's is this person's; one kept by an operator stays
  n.person_id IS NULL AND n.origin <> 'operator' AND excluded.person_id IS NOT NULL
  OR n.person_id = excluded.person_id
    AND (
      excluded.current AND NOT n.current
      OR excluded.origin = 'hr' AND n.origin <> 'override' AND n.value <> excluded.value
    )
""")

_GIVE_WAY = text("""
-- rides on uq_name_registry_current
UPDATE accountsync.name_registry o
SET current = false
FROM unnest(
  CAST(:spaces AS text[]), CAST(:folded AS text[]), CAST(:persons AS bigint[]),
  CAST(:origins AS text[]), CAST(:places AS text[])
) s (namespace, folded, person_id, origin, place)
WHERE o.person_id = s.person_id
  AND o.namespace = s.namespace
  AND o.current
  AND o.folded <> s.folded
  -- what an operator chose stays
  AND o.origin <> 'override'
  -- so does the one in use where this one is another person's, or is kept for nobody
  AND NOT EXISTS (
    SELECT FROM accountsync.name_registry n
    WHERE n.namespace = s.namespace
      AND n.folded = s.folded
      AND (n.person_id <> s.person_id OR n.person_id IS NULL AND n.origin = 'operator')
  )
  AND CASE s.place
    WHEN 'of_any' THEN true
    WHEN 'of_hrs' THEN o.origin = 'hr'
    WHEN 'of_reserved' THEN
      o.origin <> 'hr'
      AND NOT EXISTS (
        SELECT FROM accountsync.account a
        WHERE a.person_id = s.person_id
          AND a.system <> s.origin
          AND a.state = ANY(:there)
          AND (
            lower(a.identifier) = lower(o.value)
            OR EXISTS (
              SELECT FROM jsonb_path_query(a.attributes, 'lax $.**') shown
              WHERE lower(shown #>> '{}') = lower(o.value)
            )
          )
      )
    ELSE false
  END
""")

_HOLDER = text("""
SELECT n.person_id, p.employee_number, n.origin
FROM accountsync.name_registry n
LEFT JOIN accountsync.person p ON p.id = n.person_id
WHERE n.namespace = :space AND n.folded = :folded
""")

_RESERVE = text("""
INSERT INTO accountsync.name_registry (
  namespace, folded, folded_base, value, number, person_id, origin, current
)
VALUES (:space, :folded, :stem, :value, 1, NULL, 'operator', false)
ON CONFLICT (namespace, folded) DO NOTHING
""")


class Place(StrEnum):
    """Whose place a name that was seen takes, where the person uses another one. What an operator
    chose always stays in use."""

    OF_NONE = "of_none"
    """It is in use only where no other one is."""
    OF_HRS = "of_hrs"
    """That of one that HR said: HR corrects itself."""
    OF_RESERVED = "of_reserved"
    """That of one that HR did not say, and that no account in another target bears."""
    OF_ANY = "of_any"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenName:
    """A name that HR or a target has already. `person_id`: None where nobody we know has it."""

    person_id: int | None
    namespace: str
    value: str
    origin: str
    place: Place = Place.OF_NONE


def holder(connection: Connection, *, namespace: str, value: str) -> RowMapping | None:
    """`person_id, employee_number, origin` of whoever has or had the name; None: it is free."""
    bound = {"space": namespace, "folded": fold(value)}
    return connection.execute(_HOLDER, bound).mappings().one_or_none()


def see(connection: Connection, seen: Sequence[SeenName]) -> list[SeenName]:
    """Records names that exist already; a person's first one becomes the name in use, where none
    is, or where it takes the place of the one that is. The other one stays the person's (I8).

    Returns those that are somebody else's: in the registry, or earlier in `seen`.
    """
    if not seen:
        return []
    _give_way(connection, seen)
    folded = [fold(name.value) for name in seen]
    columns = {
        "spaces": [name.namespace for name in seen],
        "folded": folded,
        "stems": [_NUMBER.sub("", name) for name in folded],
        "values": [name.value for name in seen],
        "persons": [name.person_id for name in seen],
        "origins": [name.origin for name in seen],
    }
    connection.execute(_SEE, columns)
    bound = {"spaces": columns["spaces"], "names": folded}
    owners = {(s, f): owner for s, f, owner in connection.execute(TAKEN_VALUES, bound)}
    return [
        name
        for name, folded_value in zip(seen, folded, strict=True)
        if name.person_id is not None and owners[name.namespace, folded_value] != name.person_id
    ]


def _give_way(connection: Connection, seen: Sequence[SeenName]) -> None:
    """Takes out of use what the first name of a person in a namespace takes the place of."""
    first: dict[tuple[int, str], SeenName] = {}
    claimed: dict[tuple[str, str], int | None] = {}
    for name in seen:
        is_first = claimed.setdefault((name.namespace, fold(name.value)), name.person_id)
        if name.person_id is not None and is_first == name.person_id:
            first.setdefault((name.person_id, name.namespace), name)
    taking = [name for name in first.values() if name.place is not Place.OF_NONE]
    if not taking:
        return
    columns = {
        "spaces": [name.namespace for name in taking],
        "folded": [fold(name.value) for name in taking],
        "persons": [name.person_id for name in taking],
        "origins": [name.origin for name in taking],
        "places": [name.place for name in taking],
        "there": list(THERE),
    }
    connection.execute(_GIVE_WAY, columns)


def reserve(connection: Connection, *, namespace: str, value: str) -> bool:
    """Keeps a name for nobody. False: it is in the registry already."""
    bound = {"space": namespace, "folded": fold(value), "stem": stem(value), "value": value}
    return connection.execute(_RESERVE, bound).rowcount == 1
