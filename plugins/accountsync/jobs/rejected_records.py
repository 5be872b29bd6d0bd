"""Rows of HR that wait to be put right there (I3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Engine

from accountsync.domain.person import PERSON_FIELDS
from accountsync.hr.record import RowMapper
from accountsync.settings.hr import AnySource
from accountsync.store import rejects
from accountsync.store.rejects import OpenReject

_NUMBER_AT = list(PERSON_FIELDS).index("employee_number")


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRecord:
    """`employee_number`: as the row has it; None where it has none that can be read."""

    reject: OpenReject
    employee_number: str | None


def list_rejected(*, engine: Engine, sources: Iterable[AnySource]) -> list[RejectedRecord]:
    """Of all sources, also of those that are no longer configured."""
    mappers = {source.name: RowMapper(source) for source in sources}
    with engine.connect() as connection:
        return [
            RejectedRecord(
                reject=reject, employee_number=_number(mappers.get(reject.source), reject)
            )
            for reject in rejects.open_ones(connection)
        ]


def _number(mapper: RowMapper | None, reject: OpenReject) -> str | None:
    return mapper.map_kept(reject.raw).values[_NUMBER_AT] if mapper else None
