"""Who is missing from HR, and what a human says it means (I4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from accountsync.errors import ConfigurationError
from accountsync.settings.hr import AnySource
from accountsync.store import audit, locks
from accountsync.store.audit import AuditAction
from accountsync.store.persons import absences
from accountsync.store.persons.absences import Absent


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedAbsence:
    """`is_asked` says whether the source's policy wants a human to decide what the absence
    means."""

    absent: Absent
    is_asked: bool


def list_absent(*, engine: Engine, sources: Iterable[AnySource]) -> list[ListedAbsence]:
    """All persons of these sources who are missing from HR's complete reads."""
    listed = []
    with engine.connect() as connection:
        for source in sources:
            for absent in absences.of_source(
                connection, source=source.name, left_statuses=source.left_statuses
            ):
                listed.append(ListedAbsence(absent=absent, is_asked=_is_asked(source, absent)))
    return listed


def _is_asked(source: AnySource, absent: Absent) -> bool:
    policy = source.absence
    return (
        policy.policy == "ask"
        and absent.presumed_left_at is None
        and not absent.has_left
        and absent.snapshots >= policy.after_snapshots
    )


def presume_left(
    *, engine: Engine, numbers: Sequence[str], actor: str, comment: str, now: datetime
) -> None:
    """Takes these missing persons for leavers until HR has them again.

    Raises ConfigurationError, and changes nothing, where one of them is not missing; it names who.
    """
    with engine.begin() as connection:
        locks.take_persons(connection)
        marked = absences.presume_left_by_number(connection, numbers=numbers, now=now)
        if others := sorted(set(numbers) - set(marked)):
            raise ConfigurationError(
                f"not missing from HR, or taken for leavers already: {', '.join(others)};"
                " nothing was changed"
            )
        details = {"numbers": sorted(marked), "comment": comment}
        audit.record(
            connection, actor=actor, action=AuditAction.ABSENCE_TAKEN_FOR_LEAVING, details=details
        )
