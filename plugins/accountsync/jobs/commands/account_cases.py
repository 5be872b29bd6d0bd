"""Accounts of a target of which a human says whose they are: listed, adopted or ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, RowMapping

from accountsync.domain.reasons import Reason, from_documents
from accountsync.errors import SafetyStopError
from accountsync.jobs.commands.account_names import names_of
from accountsync.settings.targets import AnyTarget
from accountsync.store import audit, locks
from accountsync.store.accounts import account_cases, accounts
from accountsync.store.audit import AuditAction
from accountsync.store.names import seen_names
from accountsync.store.names.seen_names import Place
from accountsync.store.persons import persons

_CLOSED_BY = {
    "adopted": AuditAction.CORRELATION_CASE_ADOPTED,
    "ignored": AuditAction.CORRELATION_CASE_IGNORED,
}
"""The state of a closed case → the audit action of the human who closed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`account` is the target's own id. `candidates` are employee numbers, the best match first."""

    id: int
    target: str
    account: str
    candidates: Sequence[str]
    reasons: Sequence[Reason]


def list_cases(*, engine: Engine, target: str | None = None) -> list[Case]:
    with engine.connect() as connection:
        return [_case(row) for row in account_cases.cases(connection, target=target)]


def _case(row: RowMapping) -> Case:
    return Case(
        id=row["id"],
        target=row["system"],
        account=row["account_key"],
        candidates=row["numbers"],
        reasons=from_documents(row["reasons"]),
    )


def adopt_case(
    *,
    engine: Engine,
    case: int,
    employee_number: str,
    targets: Mapping[str, AnyTarget],
    actor: str,
    comment: str,
    now: datetime,
) -> None:
    """Closes a case: the account is this person's. Raises SafetyStopError where that cannot be."""
    with _open_case(engine, case) as (connection, row):
        target, account = row["system"], account_cases.account_of(row)
        if target not in targets:
            raise SafetyStopError(f"{target} is no longer configured")
        person_id = persons.id_of(connection, employee_number)
        if person_id is None:
            raise SafetyStopError(f"nobody has the employee number {employee_number}")
        if person_id in accounts.present(connection, target=target).by_identifier.values():
            raise SafetyStopError(f"{employee_number} has an account in {target} already")
        seen = list(names_of(target, targets[target], account, person_id, Place.OF_RESERVED))
        if refused := seen_names.see(connection, seen):
            raise SafetyStopError(
                f"its {refused[0].namespace} is another person's name: rename the account in the"
                " target and adopt again, or ignore it"
            )
        account_cases.adopt(connection, target=target, found={person_id: account})
        details = {"employee_number": employee_number, "comment": comment}
        _close(connection, row, "adopted", actor, details, now)


@contextmanager
def _open_case(engine: Engine, case: int) -> Iterator[tuple[Connection, RowMapping]]:
    with engine.begin() as connection:
        locks.take_persons(connection)
        row = account_cases.find_case(connection, case)
        if row is None or row["state"] != "open":
            problem = row["state"] if row else "there is none of this number"
            raise SafetyStopError(f"case {case} is not open: {problem}")
        yield connection, row


def ignore_case(*, engine: Engine, case: int, actor: str, comment: str, now: datetime) -> None:
    """Closes a case: the account belongs to nobody we know, and is left alone from now on."""
    with _open_case(engine, case) as (connection, row):
        _close(connection, row, "ignored", actor, {"comment": comment}, now)


def _close(
    connection: Connection,
    case: RowMapping,
    state: str,
    actor: str,
    details: Mapping[str, object],
    now: datetime,
) -> None:
    account_cases.close(connection, case=case["id"], state=state, now=now)
    account_cases.plan_again(connection, case["candidates"])
    audited = {"case": case["id"], "target": case["system"], **details}
    audit.record(connection, actor=actor, action=_CLOSED_BY[state], details=audited)
