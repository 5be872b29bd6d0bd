"""Names that exist already: seen in HR or a target, asked about, or kept for nobody (I8)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, text

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
-- a name that was seen before and was nobody's is this person's; one kept by an operator stays
ON CONFLICT (namespace, folded) DO UPDATE SET
  person_id = excluded.person_id,
  current = excluded.current
WHERE n.person_id IS NULL AND n.origin <> 'operator' AND excluded.person_id IS NOT NULL
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenName:
    """A name that HR or a target has already. `person_id`: None where nobody we know has it."""

    person_id: int | None
    namespace: str
    value: str
    origin: str


def holder(connection: Connection, *, namespace: str, value: str) -> RowMapping | None:
    """`person_id, employee_number, origin` of whoever has or had the name; None: it is free."""
    bound = {"space": namespace, "folded": fold(value)}
    return connection.execute(_HOLDER, bound).mappings().one_or_none()


def see(connection: Connection, seen: Sequence[SeenName]) -> list[SeenName]:
    """Records names that exist already; a person's first one becomes the name in use.

    Returns those that are somebody else's: in the registry, or earlier in `seen`.
    """
    if not seen:
        return []
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


def reserve(connection: Connection, *, namespace: str, value: str) -> bool:
    """Keeps a name for nobody. False: it is in the registry already."""
    bound = {"space": namespace, "folded": fold(value), "stem": stem(value), "value": value}
    return connection.execute(_RESERVE, bound).rowcount == 1
