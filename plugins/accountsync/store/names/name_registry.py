"""The name registry: names given in the plan's own transaction, never twice (I8)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

import psycopg
from sqlalchemy import Connection, RowMapping, text

from accountsync.domain.names.numbering import (
    FirstNumbers,
    NameSet,
    Owner,
    choose_numbers,
    fold,
    numbered,
    stem,
)
from accountsync.store.engine import bigints, copying

MAPPING, OVERRIDE, OPERATOR, HR = "mapping", "override", "operator", "hr"
"""Origins of a name; any other origin is the target in which the name was found."""

# OFFSET 0 makes PostgreSQL look up each of the few thousand names of a lot in the index. With a
# plain join it would read the whole registry for every lot.
_OWNED = text("""
SELECT found.*
FROM unnest(CAST(:persons AS bigint[])) AS w (person_id)
CROSS JOIN LATERAL (
  -- rides on uq_name_registry_current
  SELECT n.person_id, n.namespace, n.value, n.made_from, n.origin
  FROM accountsync.name_registry n
  WHERE n.person_id = w.person_id AND n.current
  OFFSET 0
) found
""")

_ALL_OF = text("""
SELECT found.*
FROM unnest(CAST(:persons AS bigint[])) AS w (person_id)
CROSS JOIN LATERAL (
  -- rides on ix_name_registry_person_id
  SELECT n.person_id, n.namespace, n.value, n.current
  FROM accountsync.name_registry n
  WHERE n.person_id = w.person_id
  OFFSET 0
) found
""")

_TAKEN_BASES = text("""
SELECT found.*
FROM unnest(CAST(:spaces AS text[]), CAST(:names AS text[])) AS w (namespace, name)
CROSS JOIN LATERAL (
  -- rides on ix_name_registry_namespace_folded_base
  SELECT n.namespace, n.folded, n.person_id
  FROM accountsync.name_registry n
  WHERE n.namespace = w.namespace AND n.folded_base = w.name
  OFFSET 0
) found
""")

TAKEN_VALUES = text("""
SELECT found.*
FROM unnest(CAST(:spaces AS text[]), CAST(:names AS text[])) AS w (namespace, name)
CROSS JOIN LATERAL (
  -- rides on uq_name_registry_namespace_folded
  SELECT n.namespace, n.folded, n.person_id
  FROM accountsync.name_registry n
  WHERE n.namespace = w.namespace AND n.folded = w.name
  OFFSET 0
) found
""")

_COLUMNS = (
    "namespace", "folded", "folded_base", "value", "made_from", "number", "person_id", "origin",
)  # fmt: skip
_COPY = f"COPY accountsync.name_registry ({', '.join(_COLUMNS)}) FROM STDIN".encode()
_GIVE = text(f"""
-- where one of them is taken: a name that is the person's own already is in use again
INSERT INTO accountsync.name_registry ({", ".join(_COLUMNS)})
SELECT *
FROM unnest(
  CAST(:namespace AS text[]), CAST(:folded AS text[]), CAST(:folded_base AS text[]),
  CAST(:value AS text[]), CAST(:made_from AS text[]), CAST(:number AS bigint[]),
  CAST(:person_id AS bigint[]), CAST(:origin AS text[])
)
ON CONFLICT (namespace, folded) DO UPDATE SET
  current = true,
  made_from = excluded.made_from,
  origin = CASE excluded.origin WHEN 'override' THEN 'override' ELSE name_registry.origin END
WHERE name_registry.person_id = excluded.person_id
RETURNING person_id, namespace, value
""")

_RETIRE = text("""
UPDATE accountsync.name_registry n
SET current = false
FROM unnest(CAST(:persons AS bigint[]), CAST(:spaces AS text[])) w (person_id, namespace)
WHERE n.person_id = w.person_id AND n.namespace = w.namespace AND n.current
""")

_TAKE_UP = text("""
UPDATE accountsync.name_registry n
SET current = true
FROM unnest(
  CAST(:persons AS bigint[]), CAST(:spaces AS text[]), CAST(:values AS text[])
) w (person_id, namespace, value)
WHERE n.person_id = w.person_id AND n.namespace = w.namespace AND n.value = w.value
""")

_OF_PERSON = text("""
SELECT namespace, value, number, current, origin, made_from, given_at
FROM accountsync.name_registry
WHERE person_id = :person
ORDER BY namespace, current DESC, id
""")

Names = dict[int, dict[str, str]]
"""Person id → namespace → value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedName:
    """A name in use. `made_from`: the mapping's value at that time; None: it was seen elsewhere."""

    value: str
    made_from: str | None
    origin: str


@dataclass(slots=True)
class _Known:
    current: dict[str, str] = field(default_factory=dict)
    has_former: bool = False


def owned(connection: Connection, persons: Sequence[int]) -> dict[int, dict[str, OwnedName]]:
    """Person id → namespace → the name in use."""
    names: dict[int, dict[str, OwnedName]] = defaultdict(dict)
    for row in connection.execute(_OWNED, {"persons": bigints(persons)}).all():
        names[row.person_id][row.namespace] = OwnedName(
            value=row.value, made_from=row.made_from, origin=row.origin
        )
    return names


def _of(connection: Connection, persons: Sequence[int]) -> dict[int, _Known]:
    """Person id → the names that the registry has of the person, if any."""
    known: dict[int, _Known] = defaultdict(_Known)
    for person_id, namespace, value, is_current in connection.execute(
        _ALL_OF, {"persons": bigints(persons)}
    ).all():
        if is_current:
            known[person_id].current[namespace] = value
        else:
            known[person_id].has_former = True
    return known


def current(connection: Connection, persons: Sequence[int]) -> Names:
    return {
        person_id: {space: name.value for space, name in names.items()}
        for person_id, names in owned(connection, persons).items()
    }


def of_person(connection: Connection, person_id: int) -> Sequence[RowMapping]:
    """Every name that is this person's, in use or not."""
    return connection.execute(_OF_PERSON, {"person": person_id}).mappings().all()


def allocate(
    connection: Connection,
    wanted: Sequence[NameSet],
    *,
    reserved: AbstractSet[str] = frozenset(),
    first: FirstNumbers | None = None,
) -> Names:
    """Each person's names: those the person has, and new ones for the namespaces that lack one.

    A set gets the lowest number that is free in all its namespaces; earlier sets choose first. Who
    gets no number has no name of the set. `first`: the numbers that earlier lots of the same
    transaction have found; bases in it are not looked up again.
    """
    first = FirstNumbers() if first is None else first
    known = _of(connection, [w.person_id for w in wanted])
    names: Names = {person_id: dict(has.current) for person_id, has in known.items()}
    lacking = [_lacking(w, names.get(w.person_id, {})) for w in wanted]
    lacking = [w for w in lacking if w.bases]
    unsure = [w for w in lacking if not (_is_new(w, known) and first.knows(w))]
    tried: set[tuple[str, str]] = set()
    while lacking:
        numbers = choose_numbers(lacking, _taken(connection, unsure, tried), reserved, first)
        chosen = [(w, n) for w, n in zip(lacking, numbers, strict=True) if n is not None]
        new_names = _give(connection, chosen)
        for person_id, values in new_names.items():
            names.setdefault(person_id, {}).update(values)
        lost = [
            (w, number)
            for w, number in chosen
            if not w.bases.keys() <= new_names.get(w.person_id, {}).keys()
        ]
        tried |= {name for w, number in lost for name in w.folded(number)}
        lacking = unsure = [w for w, _ in lost]
        # These lost a name to another base's number (`li12` is the 12th of `li` and the 2nd of
        # `li1`), and try again with the whole set. A name that such a person got in the same round
        # stays the person's, and is not in use.
        retire(connection, [(w.person_id, space) for w in lacking for space in w.bases])
    return names


def _is_new(wanted: NameSet, known: Mapping[int, _Known]) -> bool:
    """Whether no name that is taken can be this person's own."""
    return wanted.person_id not in known or not known[wanted.person_id].has_former


def _lacking(wanted: NameSet, has: Mapping[str, str]) -> NameSet:
    if not has:
        return wanted
    bases = {space: base for space, base in wanted.bases.items() if space not in has}
    return replace(wanted, bases=bases)


def _taken(connection: Connection, wanted: Sequence[NameSet], tried: set[tuple[str, str]]) -> Owner:
    bases = {name for w in wanted for name in w.stems()}
    values = {name for w in wanted for name in w.folded(1)} | tried
    taken: dict[tuple[str, str], int | None] = {}
    for query, names in ((_TAKEN_BASES, bases), (TAKEN_VALUES, values)):
        if names:
            bound = {"spaces": [s for s, _ in names], "names": [n for _, n in names]}
            rows = connection.execute(query, bound).all()
            taken.update({(namespace, folded): person_id for namespace, folded, person_id in rows})
    return taken


_Row = tuple[str, str, str, str, str, int, int, str]
"""namespace, folded, folded_base, value, made_from, number, person_id, origin."""


def _give(connection: Connection, chosen: Sequence[tuple[NameSet, int]]) -> Names:
    """Gives the names that nobody else has by now, and returns them."""
    rows = [row for wanted, number in chosen for row in _rows(wanted, number)]
    rows.sort()  # in one order, so that two planners wait for each other and never both
    try:
        with connection.begin_nested():
            _copy(connection, rows)
        won = ((row[6], row[0], row[3]) for row in rows)
    except psycopg.errors.UniqueViolation:
        columns = zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True)
        won = ((p, s, v) for p, s, v in connection.execute(_GIVE, dict(columns)).all())
    names: Names = defaultdict(dict)
    for person_id, namespace, value in won:
        names[person_id][namespace] = value
    return names


def _rows(wanted: NameSet, number: int) -> Iterator[_Row]:
    limits, person_id = wanted.max_lengths, wanted.person_id
    origin = OVERRIDE if wanted.is_exact else MAPPING
    for space, base in wanted.bases.items():
        value = numbered(base, number, limits.get(space))
        folded_base = stem(base, limits.get(space))
        yield space, fold(value), folded_base, value, base, number, person_id, origin


def _copy(connection: Connection, rows: Sequence[_Row]) -> None:
    with copying(connection, _COPY) as copy:
        for row in rows:
            copy.write_row(row)


def retire(connection: Connection, names: Sequence[tuple[int, str]]) -> None:
    """Takes the names of (person, namespace) out of use. They stay the persons' (I8)."""
    if names:
        bound = {"persons": [p for p, _ in names], "spaces": [s for _, s in names]}
        connection.execute(_RETIRE, bound)


def take_up(connection: Connection, names: Mapping[tuple[int, str], str]) -> None:
    """`names`: (person, namespace) → the name, just retired, that is in use after all."""
    if names:
        bound = {"persons": [p for p, _ in names], "spaces": [s for _, s in names]}
        connection.execute(_TAKE_UP, bound | {"values": list(names.values())})


def remember_base(connection: Connection, bases: Mapping[tuple[int, str], str]) -> None:
    """Keeps what the mapping gives for names that were seen elsewhere: a rename differs from it."""
    if bases:
        connection.execute(
            text(
                "UPDATE accountsync.name_registry SET made_from = :base"
                " WHERE person_id = :person AND namespace = :space AND current"
            ),
            [{"person": p, "space": s, "base": base} for (p, s), base in bases.items()],
        )
