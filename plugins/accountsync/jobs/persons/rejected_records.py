"""Rows of HR that are rejected until they are corrected there (I3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from accountsync.domain.persons.person import PERSON_FIELDS
from accountsync.errors import ConfigurationError
from accountsync.hr.record import RowMapper
from accountsync.settings.hr import AnySource
from accountsync.store import audit
from accountsync.store.audit import AuditAction
from accountsync.store.persons import rejects
from accountsync.store.persons.rejects import OpenReject

_NUMBER_AT = list(PERSON_FIELDS).index("employee_number")


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRecord:
    """`employee_number` is that of the row, or None where it has none that can be read."""

    reject: OpenReject
    employee_number: str | None


def list_rejected(*, engine: Engine, sources: Iterable[AnySource]) -> list[RejectedRecord]:
    """The open rows of all sources, also of those that are not configured any more."""
    mappers = {source.name: RowMapper(source) for source in sources}
    with engine.connect() as connection:
        return [
            RejectedRecord(
                reject=reject, employee_number=_number(mappers.get(reject.source), reject)
            )
            for reject in rejects.open_ones(connection)
        ]


def of_person(
    connection: Connection, *, source: str, mapper: RowMapper | None, key: str, number: str
) -> OpenReject | None:
    """The open row that has the person's key, or that has no key and the person's number. `mapper`
    is None where the source is not configured any more."""
    open_rejects = list(rejects.open_ones(connection, source=source))
    of_key = [reject for reject in open_rejects if reject.record_key == key]
    if of_key or mapper is None:
        return of_key[0] if of_key else None
    mapped = ((reject, mapper.map_kept(reject.raw)) for reject in open_rejects)
    keyless = [
        reject for reject, row in mapped if (row.source_key, row.values[_NUMBER_AT]) == ("", number)
    ]
    return keyless[-1] if keyless else None


def close(*, engine: Engine, source: str, record_key: str, actor: str, comment: str) -> None:
    """Closes a row that no read will close, such as one without key and number from a source of
    changes only. It is open again when HR sends it again. Raises ConfigurationError where no such
    row is open."""
    with engine.begin() as connection:
        if not rejects.close(connection, source=source, record_key=record_key):
            raise ConfigurationError(
                f"{source} has no open rejected row {record_key}; list them:"
                " bin/accountsync reject list"
            )
        details = {"source": source, "record_key": record_key, "comment": comment}
        audit.record(connection, actor=actor, action=AuditAction.REJECT_CLOSED, details=details)


def _number(mapper: RowMapper | None, reject: OpenReject) -> str | None:
    return mapper.map_kept(reject.raw).values[_NUMBER_AT] or None if mapper else None
