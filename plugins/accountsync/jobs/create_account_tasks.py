"""Derive the account tasks of every person that changed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from accountsync.domain import planning
from accountsync.domain.account import Account
from accountsync.domain.mapping import Value, compile_condition, compile_tree, roots_in
from accountsync.domain.naming import NameSet
from accountsync.domain.person import Unavailable
from accountsync.domain.planning import Action, OpenTask, PlannedTask, SystemRule
from accountsync.errors import RecordError
from accountsync.settings import Settings
from accountsync.settings.target import PERSON_ROOTS, SCOPE_ROOTS, Target
from accountsync.store import accounts, locks, mappings, names, persons, plans, schema, tasks

log = logging.getLogger(__name__)

_PERSONS_AT_ONCE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSummary:
    """`counts`: system → task state → tasks. `released`: tasks that can be carried out now."""

    plan_id: int
    persons: int
    counts: Mapping[str, Mapping[str, int]]
    released: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The configuration's part of planning, compiled once a run."""

    systems: Sequence[SystemRule]
    names: Mapping[str, Value]
    valid_statuses: Mapping[str, Sequence[str]]


@dataclass(slots=True, kw_only=True)
class _Changes:
    """What one lot of persons needs."""

    add: list[PlannedTask] = field(default_factory=list)
    revise: list[tuple[OpenTask, PlannedTask]] = field(default_factory=list)
    supersede: list[OpenTask] = field(default_factory=list)
    planned: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A person and what is known about the person's accounts."""

    id: int
    revision: int
    context: dict[str, Any]
    accounts: Mapping[str, Account]
    actions: Mapping[str, Action]
    open_tasks: Mapping[str, OpenTask]

    @property
    def needs_names(self) -> bool:
        return Action.CREATE in self.actions.values()


def create_account_tasks(
    *,
    engine: Engine,
    settings: Settings,
    now: datetime,
    dry_run: bool = False,
    airflow_run_id: str | None = None,
) -> PlanSummary:
    """One plan in one transaction; a dry run is the same, rolled back at the end."""
    rules = compile_rules(settings)
    with (
        locks.held(engine, "plan"),
        engine.connect() as connection,
        connection.begin() as transaction,
    ):
        schema.require_head(connection)
        summary = _plan(connection, rules, now, airflow_run_id)
        if dry_run:
            transaction.rollback()
    log.info(
        "event=planned plan=%s persons=%s released=%s dry_run=%s counts=%s",
        summary.plan_id, summary.persons, summary.released, dry_run, dict(summary.counts),
    )  # fmt: skip
    return summary


def compile_rules(settings: Settings) -> Rules:
    return Rules(
        systems=[_rule(name, target) for name, target in settings.systems.items()],
        names={
            space: compile_tree(text, roots={"person"}) for space, text in settings.names.items()
        },
        valid_statuses={source.name: source.valid_statuses for source in settings.hr},
    )


def _rule(name: str, target: Target) -> SystemRule:
    late = {
        attribute: node
        for attribute, node in target.attributes.items()
        if "accounts" in roots_in(node, roots=PERSON_ROOTS)
    }
    return SystemRule(
        name=name,
        depends_on=target.depends_on,
        in_scope=compile_condition(target.scope, roots=SCOPE_ROOTS),
        attributes={
            attribute: compile_tree(node, roots=PERSON_ROOTS)
            for attribute, node in target.attributes.items()
            if attribute not in late
        },
        late=late,
    )


def _plan(
    connection: Connection, rules: Rules, now: datetime, airflow_run_id: str | None
) -> PlanSummary:
    plan_id = plans.start(connection, airflow_run_id=airflow_run_id, state="released")
    count = 0
    for rows in _lots(connection):
        changes = _changes(connection, rules, rows)
        plans.supersede(connection, tasks=changes.supersede, now=now)
        plans.revise(connection, plan_id=plan_id, tasks=changes.revise, now=now)
        plans.add(connection, plan_id=plan_id, tasks=changes.add, now=now)
        persons.mark_planned(connection, revisions=changes.planned)
        count += len(rows)
        log.info("event=planning plan=%s persons=%s", plan_id, count)
    tasks.release_satisfied(connection, now=now)
    counts = plans.finish(connection, plan_id=plan_id, persons=count)
    return PlanSummary(
        plan_id=plan_id,
        persons=count,
        counts=counts,
        released=sum(states.get("ready", 0) for states in counts.values()),
    )


def _lots(connection: Connection) -> Iterator[Sequence[Any]]:
    after = 0
    while rows := persons.to_plan(connection, after=after, limit=_PERSONS_AT_ONCE):
        yield rows
        after = rows[-1]["id"]


def _changes(connection: Connection, rules: Rules, rows: Sequence[Any]) -> _Changes:
    candidates = _candidates(connection, rules, rows)
    given = _name(connection, rules, [c for c in candidates if c.needs_names])
    changes = _Changes()
    for candidate in candidates:
        _collect(changes, rules, candidate, given.get(candidate.id, {}))
    return changes


def _candidates(connection: Connection, rules: Rules, rows: Sequence[Any]) -> list[_Candidate]:
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
) -> _Candidate:
    statuses = rules.valid_statuses.get(person["source"], ())
    scope = {"person": person, "valid_statuses": statuses}
    actions = {
        rule.name: planning.decide(
            entitled=_entitled(rule, scope),
            account=has.get(rule.name),
            open_task=under_way.get(rule.name),
        )
        for rule in rules.systems
    }
    return _Candidate(
        id=person["id"],
        revision=person["revision"],
        context={"person": person},
        accounts=has,
        actions=actions,
        open_tasks=under_way,
    )


def _entitled(rule: SystemRule, scope: Mapping[str, Any]) -> bool:
    """A rule that cannot be answered for want of data does not entitle."""
    try:
        return rule.in_scope(scope)
    except RecordError:
        return False


def _name(
    connection: Connection, rules: Rules, candidates: Sequence[_Candidate]
) -> Mapping[int, Mapping[str, str]]:
    """Names of everybody who gets an account; Unavailable where the data for them is missing."""
    wanted: list[NameSet] = []
    missing: dict[int, Mapping[str, str]] = {}
    for candidate in candidates:
        try:
            bases = {space: str(value(candidate.context)) for space, value in rules.names.items()}
        except RecordError as error:
            missing[candidate.id] = Unavailable(str(error))
        else:
            wanted.append(NameSet(person_id=candidate.id, bases=bases))
    return {**names.allocate(connection, wanted), **missing}


def _collect(
    changes: _Changes, rules: Rules, candidate: _Candidate, given: Mapping[str, str]
) -> None:
    """A person with a call under way is planned again after it."""
    context = candidate.context | {"names": given}
    for rule in rules.systems:
        action = candidate.actions[rule.name]
        open_task = candidate.open_tasks.get(rule.name)
        if action is Action.CREATE:
            task = planning.create_task(
                rule, person_id=candidate.id, context=context, accounts=candidate.accounts
            )
            if open_task:
                changes.revise.append((open_task, task))
            else:
                changes.add.append(task)
        elif action is Action.SUPERSEDE and open_task:
            changes.supersede.append(open_task)
    if Action.LATER not in candidate.actions.values():
        changes.planned[candidate.id] = candidate.revision
