"""Says whose a record of HR is: cases of a number, links and merges of persons.

A record of HR whose number is somebody's already waits as a rejected row until it is clear whether
it is about the same person. Where the name agrees, and the e-mail address or birth date, and the
older record has ended, the merge of HR decides that itself (store.persons.claims). Everything else
is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, Engine, RowMapping

from accountsync.domain.names.numbering import fold
from accountsync.domain.persons.lifecycle import Lifecycle
from accountsync.domain.persons.person import PERSON_FIELDS
from accountsync.domain.reasons import WHOSE_NUMBER, Reason
from accountsync.errors import ConfigurationError, SafetyStopError
from accountsync.hr.record import RowMapper
from accountsync.jobs.plans.candidates import standing_of
from accountsync.jobs.plans.person_facts import unknown_person
from accountsync.jobs.plans.plan_rules import Rules, compile_rules
from accountsync.settings import Settings
from accountsync.store import audit, locks
from accountsync.store.accounts import accounts
from accountsync.store.audit import AuditAction
from accountsync.store.persons import identities, person_view, rejects
from accountsync.store.persons.rejects import OpenReject

_AT = {name: place for place, name in enumerate(PERSON_FIELDS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonCase:
    """A record of HR that wants `employee_number`, and the person who has it: of `holder_source`,
    with `accounts`, target → state. `same_address` is None where one of the two has none."""

    employee_number: str
    source: str
    record_key: str
    since: datetime
    reasons: Sequence[Reason]
    holder_source: str
    has_left: bool
    same_name: bool
    same_address: bool | None
    accounts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a command did, or would do. `number`: of the person who keeps the accounts."""

    number: str
    accounts: Mapping[str, str]
    moved: Sequence[str] = ()


def list_cases(*, engine: Engine, settings: Settings, now: datetime) -> list[PersonCase]:
    """The open ones."""
    with engine.connect() as connection:
        return list(_cases(connection, settings, now))


def cases_of(
    connection: Connection, settings: Settings, number: str, now: datetime
) -> list[PersonCase]:
    return [c for c in _cases(connection, settings, now) if c.employee_number == number]


def _cases(connection: Connection, settings: Settings, now: datetime) -> Iterator[PersonCase]:
    mappers = {source.name: RowMapper(source) for source in settings.hr}
    rules: Rules | None = None
    for reject in rejects.open_ones(connection):
        is_case = any(reason.kind in WHOSE_NUMBER for reason in reject.reasons)
        if is_case and reject.source in mappers:
            rules = rules or compile_rules(settings)
            values = mappers[reject.source].map_kept(reject.raw).values
            if case := _case(connection, rules, reject, values, now):
                yield case


def _case(
    connection: Connection,
    rules: Rules,
    reject: OpenReject,
    values: Sequence[str],
    now: datetime,
) -> PersonCase | None:
    number, address = values[_AT["employee_number"]], values[_AT["email"]]
    holder = identities.identity(connection, number)
    if holder is None:
        return None
    name = values[_AT["full_name"]]
    return PersonCase(
        employee_number=number,
        source=reject.source,
        record_key=reject.record_key,
        since=reject.since,
        reasons=reject.reasons,
        holder_source=holder["source"],
        has_left=_has_left(connection, rules, number, now),
        same_name=_spelt(name) == _spelt(holder["full_name"]),
        same_address=fold(address) == fold(holder["email"])
        if address and holder["email"]
        else None,
        accounts=_accounts(connection, holder),
    )


def _spelt(name: str) -> str:
    return "".join(fold(name).split())


def _accounts(connection: Connection, person: RowMapping) -> dict[str, str]:
    return {row["target"]: row["state"] for row in identities.accounts(connection, person["id"])}


def _has_left(connection: Connection, rules: Rules, number: str, now: datetime) -> bool:
    """Whether HR says so, or lacks the person, or the person's status gives no account."""
    person = person_view.by_number(connection, number)
    if person is None:
        return False
    known = accounts.of_persons(connection, [person["id"]]).get(person["id"], {})
    stands = standing_of(rules, person, known, now)
    valid = rules.valid_statuses.get(person["source"])
    return (
        person["absent_since_snapshot"] is not None
        or (stands is not None and stands.state is Lifecycle.LEFT)
        or (bool(valid) and person["status"] not in (valid or ()))
    )


def link(
    *,
    engine: Engine,
    settings: Settings,
    number: str,
    same: bool,
    actor: str,
    comment: str,
    now: datetime,
    key: str | None = None,
    dry_run: bool = False,
) -> Effect:
    """Answers the case of a number. `same`: the record is about the person who has the number, who
    gets its key. Else it is about another person: the one who has the number has left, keeps the
    accounts, and gives the number up. `key`: the record's, where several want the number.

    Raises ConfigurationError where there is no such case, and SafetyStopError where it cannot be.
    """
    with _transaction(engine, dry_run=dry_run) as connection:
        case = _case_of(connection, settings, number, key, now)
        holder = _person(connection, number)
        _require_quiet(connection, [holder["id"]])
        details = {
            "employee_number": number,
            "source": [holder["source"], case.source],
            "source_key": [holder["source_key"], case.record_key],
            "comment": comment,
        }
        action, kept = AuditAction.PERSON_LINKED, number
        if same:
            identities.rekey(
                connection, person=holder["id"], source=case.source, key=case.record_key
            )
        else:
            action, kept = AuditAction.NUMBER_REASSIGNED, _part(connection, case, holder, now)
            details["given_up_for"] = kept
        audit.record(connection, actor=actor, action=action, details=details)
        return Effect(number=kept, accounts=case.accounts)


def _part(connection: Connection, case: PersonCase, holder: RowMapping, now: datetime) -> str:
    if not case.has_left and holder["origin"] != "request":
        raise SafetyStopError(
            f"{case.employee_number} is still at work by the other record: correct one of the two"
            " numbers in HR"
        )
    return identities.part(connection, person=holder["id"], last_day=_yesterday(now))


def _yesterday(now: datetime) -> date:
    return (now - timedelta(days=1)).date()


def _case_of(
    connection: Connection, settings: Settings, number: str, key: str | None, now: datetime
) -> PersonCase:
    found = cases_of(connection, settings, number, now)
    chosen = [case for case in found if key is None or case.record_key == key]
    if not chosen:
        raise ConfigurationError(
            f"no record of HR waits for the number {number!r}; list them:"
            " bin/accountsync person cases"
        )
    if len(chosen) > 1:
        keys = ", ".join(case.record_key for case in chosen)
        raise ConfigurationError(f"several records want {number}: say which, with --key: {keys}")
    return chosen[0]


def merge(
    *,
    engine: Engine,
    settings: Settings,
    older: str,
    newer: str,
    actor: str,
    comment: str,
    now: datetime,
    disable_newer: bool = False,
    dry_run: bool = False,
) -> Effect:
    """Makes two persons one: the older one keeps accounts and names, and becomes what HR says of
    the newer one, whose accounts it gets, too. `disable_newer`: where both have an account in a
    target, the newer one is disabled as a leaver's.

    Raises SafetyStopError where both have one and nobody said so (I9), a call is under way, or the
    older one is still at work.
    """
    with _transaction(engine, dry_run=dry_run) as connection:
        old, new = _person(connection, older), _person(connection, newer)
        _require_two(connection, settings, old, new, now)
        if not disable_newer:
            _require_one_account(connection, old, new)
        before = _accounts(connection, old)
        details = {
            "employee_number": [older, newer],
            "source": [old["source"], new["source"]],
            "source_key": [old["source_key"], new["source_key"]],
            "accounts": [before, _accounts(connection, new)],
            "comment": comment,
        }
        moved = identities.merge(connection, older=old["id"], newer=new, last_day=_yesterday(now))
        audit.record(connection, actor=actor, action=AuditAction.PERSONS_MERGED, details=details)
        return Effect(number=newer, accounts=_accounts(connection, old), moved=moved)


def _require_two(
    connection: Connection, settings: Settings, old: RowMapping, new: RowMapping, now: datetime
) -> None:
    number = old["employee_number"]
    if old["id"] == new["id"]:
        raise ConfigurationError("these are one person already")
    if not _has_left(connection, compile_rules(settings), number, now):
        raise SafetyStopError(f"{number} is still at work: only who has left becomes somebody new")
    _require_quiet(connection, [old["id"], new["id"]])


def _require_one_account(connection: Connection, old: RowMapping, new: RowMapping) -> None:
    if both := identities.in_both(connection, older=old["id"], newer=new["id"]):
        raise SafetyStopError(
            f"both have an account in {', '.join(both)}, and one person uses one: with"
            f" --disable-newer that of {new['employee_number']} is disabled as a leaver's"
        )


def _require_quiet(connection: Connection, persons: Sequence[int]) -> None:
    if targets := identities.under_way(connection, persons):
        raise SafetyStopError(
            f"a call to {', '.join(targets)} may be under way: try again when it has ended"
        )


def _person(connection: Connection, number: str) -> RowMapping:
    person = identities.identity(connection, number)
    if person is None:
        raise ConfigurationError(unknown_person(number))
    return person


@contextmanager
def _transaction(engine: Engine, *, dry_run: bool) -> Iterator[Connection]:
    """One with the lock of all persons, which a dry run rolls back."""
    with engine.connect() as connection, connection.begin() as transaction:
        locks.take_persons(connection)
        yield connection
        if dry_run:
            transaction.rollback()
