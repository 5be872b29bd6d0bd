"""Persons to plan, each with what is known of the accounts and with what they should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from accountsync.domain import planning
from accountsync.domain.account import Account
from accountsync.domain.entitlement import Wanted, wanted
from accountsync.domain.lifecycle import Standing, Statuses, standing
from accountsync.domain.naming import NameSet
from accountsync.domain.person import Unavailable
from accountsync.domain.planning import OpenTask, PlannedTask, SystemRule
from accountsync.errors import RecordError
from accountsync.jobs.plan_rules import Rules
from accountsync.store import accounts, mappings, names, plans

_UNKNOWN_SOURCE = Statuses()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A person, what is known about the person's accounts, and what they should be."""

    id: int
    revision: int
    context: dict[str, Any]
    accounts: Mapping[str, Account]
    wanted: Mapping[str, Wanted]
    open_tasks: Mapping[str, OpenTask]
    next_at: datetime | None

    @property
    def needs_names(self) -> bool:
        """Somebody gets an account; who has a call under way is planned again after it."""
        return any(
            planning.operation(wanted, self.accounts.get(system), planning.Difference.NONE)
            == "create"
            and (system not in self.open_tasks or self.open_tasks[system].state not in
                 planning.IN_DOUBT)
            for system, wanted in self.wanted.items()
        )  # fmt: skip


def read_candidates(
    connection: Connection, rules: Rules, rows: Sequence[Any], now: datetime
) -> list[Candidate]:
    ids = [row["id"] for row in rows]
    known = accounts.of_persons(connection, ids)
    under_way = plans.open_tasks(connection, ids)
    types = mappings.read(connection, mappings.TABLES["person-types"])
    departments = mappings.read(connection, mappings.TABLES["departments"])
    return [
        _candidate(
            rules,
            {
                **row,
                "type": _mapped(types, "person type", row["person_type"]),
                "department": _mapped(departments, "department", row["department_code"]),
            },
            known.get(row["id"], {}),
            under_way.get(row["id"], {}),
            now,
        )
        for row in rows
    ]


def _mapped(
    table: Mapping[str, Mapping[str, Any]], what: str, code: str | None
) -> Mapping[str, Any]:
    if code is None:
        return Unavailable(f"HR gives no {what}")
    row = table.get(code)
    if row is None or row.get("active") is False:
        return Unavailable(f"{what} {code!r} has no active mapping; import one")
    return row


def _candidate(
    rules: Rules,
    person: dict[str, Any],
    has: Mapping[str, Account],
    under_way: Mapping[str, OpenTask],
    now: datetime,
) -> Candidate:
    statuses = rules.valid_statuses.get(person["source"], ())
    scope = {"person": person, "valid_statuses": statuses}
    stands = standing(person, rules.statuses.get(person["source"], _UNKNOWN_SOURCE), now=now)
    should = {
        rule.name: _wanted(rule, stands, scope, has.get(rule.name), now) for rule in rules.systems
    }
    dates = [one.next_at for one in should.values() if one.next_at]
    return Candidate(
        id=person["id"],
        revision=person["revision"],
        context={"person": person},
        accounts=has,
        wanted=should,
        open_tasks=under_way,
        next_at=min([*dates, *([stands.next_at] if stands.next_at else [])], default=None),
    )


def _wanted(
    rule: SystemRule,
    stands: Standing,
    scope: Mapping[str, Any],
    account: Account | None,
    now: datetime,
) -> Wanted:
    is_disabled = account is not None and account.state == "disabled"
    return wanted(
        stands,
        in_scope=_entitled(rule, scope),
        policy=rule.policy,
        disabled_since=account.since if account and is_disabled else None,
        now=now,
    )


def _entitled(rule: SystemRule, scope: Mapping[str, Any]) -> bool | None:
    """None: a rule that cannot be answered for want of data neither gives nor takes."""
    try:
        return rule.in_scope(scope)
    except RecordError:
        return None


def give_names(
    connection: Connection, rules: Rules, candidates: Sequence[Candidate]
) -> Mapping[int, Mapping[str, str]]:
    """The names of everybody, new ones for those who get an account; Unavailable where the data for
    them is missing."""
    wanted: list[NameSet] = []
    missing: dict[int, Mapping[str, str]] = {}
    for candidate in candidates:
        if not candidate.needs_names:
            continue
        try:
            bases = {space: str(value(candidate.context)) for space, value in rules.names.items()}
        except RecordError as error:
            missing[candidate.id] = Unavailable(str(error))
        else:
            wanted.append(NameSet(person_id=candidate.id, bases=bases))
    others = [one.id for one in candidates if not one.needs_names and one.accounts]
    return {**names.current(connection, others), **names.allocate(connection, wanted), **missing}


def plan_tasks(
    rules: Rules, candidate: Candidate, given: Mapping[str, str]
) -> dict[str, PlannedTask]:
    context = candidate.context | {"names": given}
    found = {}
    for rule in rules.systems:
        task = planning.plan_task(
            rule,
            person_id=candidate.id,
            wanted=candidate.wanted[rule.name],
            context=context,
            accounts=candidate.accounts,
        )
        if task is not None:
            found[rule.name] = task
    return found
