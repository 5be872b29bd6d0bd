"""What operators have recorded of names: readings of surnames, of characters, of single persons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, text

from accountsync.domain.names.readings import Readings
from accountsync.store.engine import bigints

_SAY = text("""
INSERT INTO accountsync.name_reading AS r (kind, characters, reading)
VALUES (:kind, :characters, :reading)
ON CONFLICT (kind, characters) DO UPDATE SET reading = excluded.reading, updated_at = now()
WHERE r.reading <> excluded.reading
""")
_FORGET = text(
    "DELETE FROM accountsync.name_reading WHERE kind = :kind AND characters = :characters"
)
_OVERRIDE = text("""
INSERT INTO accountsync.person_name AS p (person_id, reading, names)
VALUES (:person, :reading, CAST(:names AS jsonb))
ON CONFLICT (person_id) DO UPDATE SET
  reading = excluded.reading,
  names = excluded.names,
  updated_at = now()
""")
_PLAN_AGAIN = "UPDATE accountsync.person SET planned_revision = 0 WHERE "


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonName:
    """`names`: namespace → the base that an operator wants instead of the mapping's."""

    reading: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)


def load(connection: Connection) -> Readings:
    readings: dict[str, dict[str, tuple[str, ...]]] = {"surname": {}, "character": {}}
    for row in listed(connection):
        readings[row["kind"]][row["characters"]] = tuple(row["reading"].split())
    return Readings(surnames=readings["surname"], characters=readings["character"])


def listed(connection: Connection) -> Sequence[RowMapping]:
    query = "SELECT kind, characters, reading FROM accountsync.name_reading ORDER BY 1, 2"
    return connection.execute(text(query)).mappings().all()


def of_persons(connection: Connection, persons: Sequence[int]) -> dict[int, PersonName]:
    query = "SELECT person_id, reading, names FROM accountsync.person_name"
    rows = connection.execute(
        text(f"{query} WHERE person_id = ANY(CAST(:persons AS bigint[]))"),
        {"persons": bigints(persons)},
    )
    return {row.person_id: PersonName(reading=row.reading, names=row.names) for row in rows}


def with_own(readings: Readings, own: PersonName | None) -> Readings:
    return replace(readings, own=own.reading) if own and own.reading else readings


def say(connection: Connection, *, kind: str, characters: str, reading: str) -> int:
    """Records a reading of `kind` surname or character. Returns how many persons are replanned."""
    bound = {"kind": kind, "characters": characters, "reading": reading}
    changed = connection.execute(_SAY, bound).rowcount
    return _plan_bearers_again(connection, kind, characters) if changed else 0


def forget(connection: Connection, *, kind: str, characters: str) -> int:
    changed = connection.execute(_FORGET, {"kind": kind, "characters": characters}).rowcount
    return _plan_bearers_again(connection, kind, characters) if changed else 0


def _plan_bearers_again(connection: Connection, kind: str, characters: str) -> int:
    condition = "starts_with(full_name, :c)" if kind == "surname" else "strpos(full_name, :c) > 0"
    return connection.execute(text(_PLAN_AGAIN + condition), {"c": characters}).rowcount


def override(connection: Connection, *, person_id: int, name: PersonName) -> None:
    """Replaces all that operators want for this person, and plans the person again."""
    bound: dict[str, Any] = {
        "person": person_id,
        "reading": name.reading,
        "names": orjson.dumps(dict(name.names)).decode(),
    }
    connection.execute(_OVERRIDE, bound)
    connection.execute(text(f"{_PLAN_AGAIN} id = :person"), bound)
