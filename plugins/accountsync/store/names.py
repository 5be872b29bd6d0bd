"""The name registry: names given in the plan's own transaction, never twice (I8)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from accountsync.domain.naming import NameSet, choose_numbers, fold

_CURRENT = text(
    "SELECT person_id, namespace, value FROM accountsync.name_registry"
    " WHERE person_id = ANY(:persons) AND current"
)

_TAKEN = text(  # rides on ix_name_registry_namespace_folded_base and the unique constraint
    "SELECT n.namespace, n.folded, n.person_id FROM accountsync.name_registry n"
    " JOIN unnest(CAST(:spaces AS text[]), CAST(:names AS text[])) AS w (namespace, name)"
    " ON n.namespace = w.namespace AND (n.folded_base = w.name OR n.folded = w.name)"
)

_GIVE = text(  # in one order, so that two planners wait for each other and never both
    "INSERT INTO accountsync.name_registry"
    " (namespace, folded, folded_base, value, number, person_id)"
    " SELECT * FROM unnest(CAST(:spaces AS text[]), CAST(:folded AS text[]),"
    " CAST(:bases AS text[]), CAST(:values AS text[]), CAST(:numbers AS bigint[]),"
    " CAST(:persons AS bigint[])) ORDER BY 1, 2"
    " ON CONFLICT (namespace, folded) DO UPDATE SET current = true"
    " WHERE name_registry.person_id = excluded.person_id"
    " RETURNING person_id, namespace, value, folded"
)

Names = dict[int, dict[str, str]]
"""Person id → namespace → value."""


def current(connection: Connection, persons: Sequence[int]) -> Names:
    names: Names = defaultdict(dict)
    for person_id, namespace, value in connection.execute(_CURRENT, {"persons": list(persons)}):
        names[person_id][namespace] = value
    return dict(names)


def allocate(connection: Connection, wanted: Sequence[NameSet]) -> Names:
    """Each person's names: those the person has, and new ones for the namespaces that lack one.

    The lowest number that is free in all of them at once; first come, first served, in that order.
    """
    names = current(connection, [w.person_id for w in wanted])
    lacking = [_lacking(w, names.get(w.person_id, {})) for w in wanted]
    lacking = [w for w in lacking if w.bases]
    tried: set[tuple[str, str]] = set()
    while lacking:
        numbers = choose_numbers(lacking, _taken(connection, lacking, tried))
        given = _give(connection, lacking, numbers)
        for person_id, values in given.items():
            names.setdefault(person_id, {}).update(values)
        lacking = [w for w in lacking if given.get(w.person_id, {}).keys() != w.bases.keys()]
        tried |= {name for w in lacking for name in w.folded(numbers[w.person_id])}
        _release(connection, lacking)
    return names


def _lacking(wanted: NameSet, has: Mapping[str, str]) -> NameSet:
    bases = {space: base for space, base in wanted.bases.items() if space not in has}
    return NameSet(person_id=wanted.person_id, bases=bases)


def _taken(
    connection: Connection, wanted: Sequence[NameSet], tried: set[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    looked_up = {name for w in wanted for name in w.folded(1)} | tried
    rows = connection.execute(
        _TAKEN, {"spaces": [s for s, _ in looked_up], "names": [n for _, n in looked_up]}
    )
    return {(namespace, folded): person_id for namespace, folded, person_id in rows}


def _give(connection: Connection, wanted: Sequence[NameSet], numbers: Mapping[int, int]) -> Names:
    columns: dict[str, list[Any]] = defaultdict(list)
    for w in wanted:
        number = numbers[w.person_id]
        for space, value in w.values(number).items():
            columns["spaces"].append(space)
            columns["folded"].append(fold(value))
            columns["bases"].append(fold(w.bases[space]))
            columns["values"].append(value)
            columns["numbers"].append(number)
            columns["persons"].append(w.person_id)
    given: Names = defaultdict(dict)
    for person_id, namespace, value, _ in connection.execute(_GIVE, dict(columns)):
        given[person_id][namespace] = value
    return given


def _release(connection: Connection, lost: Sequence[NameSet]) -> None:
    """Who lost a name to another base's number (`li12`: 12th of `li`, 2nd of `li1`) starts again
    with the whole set. What such a person got in the same round stays reserved, not current."""
    if lost:
        connection.execute(
            text(
                "UPDATE accountsync.name_registry SET current = false"
                " WHERE person_id = ANY(:persons) AND current AND namespace = ANY(:spaces)"
            ),
            {
                "persons": [w.person_id for w in lost],
                "spaces": sorted({space for w in lost for space in w.bases}),
            },
        )
