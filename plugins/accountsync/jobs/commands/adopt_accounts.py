"""Adopts the accounts that a target has already, as the first step of an installation.

Nothing is changed in the target. Only sure accounts are adopted; doubtful ones become cases for a
human, and nothing is planned for their candidates there until the case is closed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from accountsync.domain.accounts.account import RemoteAccount
from accountsync.domain.accounts.correlation import Correlated, Matcher, Rule, account_key
from accountsync.domain.mapping.values import Context, Value, compile_tree
from accountsync.domain.reasons import Kind, Reason
from accountsync.errors import ConfigurationError, RecordError, TransientError
from accountsync.jobs.commands.account_names import names_of
from accountsync.jobs.plans import person_facts
from accountsync.settings.target import PERSON_ROOTS, Correlation
from accountsync.settings.targets import AnyTarget
from accountsync.store import audit, locks, schema
from accountsync.store.accounts import account_cases, accounts
from accountsync.store.accounts.account_cases import Doubt
from accountsync.store.audit import AuditAction
from accountsync.store.names import seen_names
from accountsync.store.names.seen_names import Place
from accountsync.store.persons import persons
from accountsync.targets.connector import OpenConnector

log = logging.getLogger(__name__)

_PERSONS_AT_ONCE = 2000
_EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """`listed = known + adopted + doubtful + ignored + foreign` (I14). `known` were recorded
    before, `refreshed` of them are usable or disabled other than we knew; a human decided that
    `ignored` belong to nobody. `examples` are some employee numbers."""

    target: str
    listed: int
    known: int
    refreshed: int
    adopted: int
    doubtful: int
    ignored: int
    foreign: int
    examples: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sorted:
    """The accounts that a target listed, by what becomes of them."""

    known: dict[int, RemoteAccount]
    known_ones: int
    ignored: int
    sure: dict[int, RemoteAccount]
    doubts: list[Doubt]
    foreign: list[RemoteAccount]


async def list_accounts(open_connector: OpenConnector, *, target: str) -> list[RemoteAccount]:
    """All accounts of the target. Raises IncompleteReadError where the list is not complete
    (I2)."""
    async with open_connector() as connector:
        if not connector.can_list:
            raise ConfigurationError(f"{target}: the target offers no list of its accounts")
        return [account async for account in connector.list()]


def adopt_accounts(
    *,
    engine: Engine,
    target: str,
    declared: AnyTarget,
    read: Callable[[], Sequence[RemoteAccount]],
    actor: str,
    now: datetime,
    dry_run: bool = False,
) -> Adoption:
    """Adopts in one transaction after a complete read; a dry run rolls it back. It may be repeated.

    Raises TransientError while tasks of this target are carried out.
    """
    with locks.held_or_not(engine, f"target/{target}") as lock:
        if not lock:
            raise TransientError(f"{target}: tasks are being carried out; try again after that")
        listed = read()
        with engine.connect() as connection, connection.begin() as transaction:
            schema.require_our_tables(connection)
            locks.take_persons(connection)
            adoption = _adopt(connection, target, declared, listed, now)
            audit.record(
                connection,
                actor=actor,
                action=AuditAction.ACCOUNTS_ADOPTED,
                details=_audit_details(adoption),
            )
            if dry_run:
                transaction.rollback()
    counts = " ".join(f"{name}={value}" for name, value in _audit_details(adoption).items())
    log.info("event=adopted dry_run=%s %s", dry_run, counts)
    return adoption


def _audit_details(adoption: Adoption) -> dict[str, object]:
    counts = ("listed", "known", "refreshed", "adopted", "doubtful", "ignored", "foreign")
    return {"target": adoption.target} | {name: getattr(adoption, name) for name in counts}


def _adopt(
    connection: Connection,
    target: str,
    declared: AnyTarget,
    listed: Sequence[RemoteAccount],
    now: datetime,
) -> Adoption:
    sorted_accounts = _sorted(connection, target, declared, listed)
    doubts = sorted_accounts.doubts + _without_takennames_of(
        connection, target, declared, sorted_accounts.sure
    )
    account_cases.adopt(connection, target=target, found=sorted_accounts.sure)
    refreshed = account_cases.refresh(connection, target=target, seen=sorted_accounts.known)
    account_cases.put_cases(connection, target=target, doubts=doubts, now=now)
    others = [*sorted_accounts.foreign, *(doubt.account for doubt in doubts)]
    seen_names.see(
        connection,
        [name for account in others for name in names_of(target, declared, account, None)]
        + [
            name
            for person_id, account in sorted_accounts.known.items()
            for name in names_of(target, declared, account, person_id)
        ],
    )
    return Adoption(
        target=target,
        listed=len(listed),
        known=sorted_accounts.known_ones,
        refreshed=refreshed,
        adopted=len(sorted_accounts.sure),
        doubtful=len(doubts),
        ignored=sorted_accounts.ignored,
        foreign=len(sorted_accounts.foreign),
        examples=persons.numbers(connection, list(sorted_accounts.sure)[:_EXAMPLES]),
    )


def _sorted(
    connection: Connection, target: str, declared: AnyTarget, listed: Sequence[RemoteAccount]
) -> _Sorted:
    ours = accounts.present(connection, target=target)
    ignored = account_cases.ignored(connection, target=target)
    owners = [_owner(account, ours) for account in listed]
    new = [account for account, owner in zip(listed, owners, strict=True) if owner is None]
    open_ones = [account for account in new if account_key(account) not in ignored]
    result = _Sorted(
        known={
            owner: account
            for account, owner in zip(listed, owners, strict=True)
            if owner is not None
        },
        known_ones=len(listed) - len(new),
        ignored=len(new) - len(open_ones),
        sure={},
        doubts=[],
        foreign=[],
    )
    having = frozenset(ours.by_identifier.values())
    for correlated in _correlated(connection, declared, open_ones):
        _sort(result, correlated, having)
    return result


def _owner(account: RemoteAccount, ours: accounts.Present) -> int | None:
    """The person of whom we know the account."""
    by_id = ours.by_remote_id.get(account.remote_id or "")
    return by_id or ours.by_identifier.get(account.identifier)


def _sort(result: _Sorted, correlated: Correlated, having: frozenset[int]) -> None:
    reasons = [
        *correlated.reasons,
        *(Reason.of(Kind.PERSON_HAS_AN_ACCOUNT) for p in correlated.persons if p in having),
    ]
    if not correlated.persons:
        result.foreign.append(correlated.account)
    elif reasons:
        doubt = Doubt(account=correlated.account, persons=correlated.persons, reasons=reasons)
        result.doubts.append(doubt)
    else:
        result.sure[correlated.persons[0]] = correlated.account


def _correlated(
    connection: Connection, declared: AnyTarget, listed: Sequence[RemoteAccount]
) -> list[Correlated]:
    correlations = declared.correlate_by or [Correlation(attribute=declared.key, sure=True)]
    rules = [
        Rule(attribute=correlation.attribute, is_sure=correlation.sure)
        for correlation in correlations
    ]
    values = [
        compile_tree(
            correlation.value or declared.attributes[correlation.attribute], roots=PERSON_ROOTS
        )
        for correlation in correlations
    ]
    matcher = Matcher(rules=rules, key=declared.key, accounts=listed)
    for rows in persons.lots(connection, at_once=_PERSONS_AT_ONCE, due=None):
        for context in account_cases.contexts(connection, person_facts.of(connection, rows)):
            person_values = [_value(value, context) for value in values]
            matcher.add_person(context["person"]["id"], person_values)
    return matcher.correlated()


def _value(value: Value, context: Context) -> object:
    """The value of a mapping, or None where the person lacks the data for it."""
    try:
        return value(context)
    except RecordError:
        return None


def _without_takennames_of(
    connection: Connection, target: str, declared: AnyTarget, sure: dict[int, RemoteAccount]
) -> list[Doubt]:
    """Records the names of sure accounts, which are the persons' from now on, and takes those out
    whose names are another person's (I8)."""
    seen = [
        name
        for person_id, account in sure.items()
        for name in names_of(target, declared, account, person_id, Place.OF_RESERVED)
    ]
    refused = {name.person_id: name.namespace for name in seen_names.see(connection, seen)}
    return [
        Doubt(
            account=sure.pop(person_id),
            persons=[person_id],
            reasons=[Reason.of(Kind.NAME_IS_ANOTHERS, namespace=namespace)],
        )
        for person_id, namespace in refused.items()
        if person_id is not None
    ]
