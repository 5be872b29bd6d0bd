"""Explains why a person has what, and why not, by the code that plans. Nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Engine

from accountsync.domain.accounts.account import Account
from accountsync.domain.mapping.values import Context, reads_of_template
from accountsync.domain.persons.person import Unavailable
from accountsync.domain.plans.desired import TargetRule, with_accounts
from accountsync.errors import ConfigurationError, RecordError
from accountsync.hr.record import RowMapper
from accountsync.jobs.commands import person_commands
from accountsync.jobs.commands.person_commands import PersonCase
from accountsync.jobs.persons import rejected_records
from accountsync.jobs.plans import hr_names, name_giving
from accountsync.jobs.plans.candidates import Candidate, read_candidates, standing_of
from accountsync.jobs.plans.person_facts import Facts, unknown_person
from accountsync.jobs.plans.plan_rules import Rules, compile_rules
from accountsync.settings import Settings
from accountsync.store import causes
from accountsync.store.names import name_registry
from accountsync.store.persons import person_view

_ATTEMPTS = 10
_UNKNOWN = "unknown"
_LATE = "known once the account it reads is there"
_SHOWN = (
    "source", "status", "person_type", "department_code", "hire_date", "effective_date",
    "leave_date", "time_zone", "presumed_left_at",
)  # fmt: skip
_SINCE = {"active": "hire_date", "left": "leave_date"}
_NOT_SHOWN = ("desired", "cause_kind", "cause_facts")
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetExplanation:
    """`wanted` is the state that the account should have, or None where it stays as it is; `reason`
    says why, and `next_at` when time alone changes it. `in_scope` is the answer of the entitlement
    rule, None where data is missing; `because` has what the rule reads, with the values of this
    person. `attributes` has the mapped values, or why there is none."""

    target: str
    wanted: str | None
    makes: bool
    reason: str
    next_at: datetime | None
    in_scope: bool | None
    rule: str
    because: Mapping[str, object]
    depends_on: Sequence[str]
    after: Sequence[str]
    attributes: Mapping[str, object]
    account: Row | None
    open_task: Row | None
    last_task: Row | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What `explain` shows of a person.

    - `since` is the date behind the lifecycle state, where it has one.
    - `unknown_source` is the person's HR source where it is not configured, so that every account
      is kept as it is.
    - `absent_since` says since when HR's complete reads lack the person.
    - `rejected` is set where HR's newest row cannot be used: `reasons`, `since`, and `used`, the
      change time of the row before, which is used.
    - `waiting` has other records of HR that want the number, and wait for a human.
    - `planned` says whether the last plan has seen the person as HR has the person now.
    - `next_at` says when time alone changes something.
    - `names` has all names of the person, `names_now` those that a plan would use.
    - `names_not_followed` says by namespace why a name that HR says is not used, where it is not.
    """

    employee_number: str
    lifecycle: str
    since: date | None
    unknown_source: str | None
    absent_since: datetime | None
    rejected: Row | None
    waiting: Sequence[PersonCase]
    facts: Row
    planned: bool
    next_at: datetime | None
    names: Sequence[Row]
    names_now: Mapping[str, str]
    names_problem: str | None
    names_not_followed: Mapping[str, str]
    targets: Sequence[TargetExplanation]
    attempts: Sequence[Row]


def explain(*, engine: Engine, settings: Settings, number: str, now: datetime) -> Explanation:
    """Raises ConfigurationError where nobody has this employee number."""
    rules = compile_rules(settings)
    with engine.connect() as connection, connection.begin() as transaction:
        person = person_view.by_number(connection, number)
        if person is None:
            raise ConfigurationError(unknown_person(number))
        explained = _explained(connection, settings, rules, person, now)
        transaction.rollback()
    return explained


def _explained(
    connection: Connection, settings: Settings, rules: Rules, person: Facts, now: datetime
) -> Explanation:
    owned = name_registry.of_person(connection, person["id"])
    candidate = read_candidates(connection, rules, [person], now)[0]
    given = _names_now(connection, rules, candidate)
    lifecycle = _lifecycle(rules, person, candidate, now)
    return Explanation(
        employee_number=person["employee_number"],
        lifecycle=lifecycle,
        since=person[_SINCE[lifecycle]] if lifecycle in _SINCE else None,
        unknown_source=None if person["source"] in rules.statuses else person["source"],
        absent_since=person_view.absent_since(connection, person["id"]),
        rejected=_rejected(connection, settings, person),
        waiting=person_commands.cases_of(connection, settings, person["employee_number"], now),
        facts={field: person[field] for field in _SHOWN if person[field] is not None},
        planned=person["planned_revision"] >= person["revision"],
        next_at=candidate.next_at,
        names=[dict(row) for row in owned],
        names_now=dict(given),
        names_problem=given.message if isinstance(given, Unavailable) else None,
        names_not_followed=hr_names.not_followed(
            connection, rules.names, candidate.context["person"]
        ),
        targets=_targets(connection, settings, rules, candidate, given),
        attempts=_attempts(connection, person["id"]),
    )


def _lifecycle(rules: Rules, person: Facts, candidate: Candidate, now: datetime) -> str:
    stands = standing_of(rules, person, candidate.accounts, now)
    return stands.state.value if stands else _UNKNOWN


def _rejected(connection: Connection, settings: Settings, person: Facts) -> Row | None:
    source = person["source"]
    reject = rejected_records.of_person(
        connection,
        source=source,
        mapper=next(
            (RowMapper(configured) for configured in settings.hr if configured.name == source), None
        ),
        key=person_view.source_key(connection, person["id"]),
        number=person["employee_number"],
    )
    if reject is None:
        return None
    used = person["source_updated_at"]
    return {"reasons": list(reject.reasons), "since": reject.since, "used": used}


def _names_now(connection: Connection, rules: Rules, candidate: Candidate) -> Mapping[str, str]:
    given = name_giving.give(connection, rules.names, {candidate.id: candidate.context})
    return given[candidate.id]


def _attempts(connection: Connection, person_id: int) -> list[Row]:
    return [dict(row) for row in person_view.attempts(connection, person_id, limit=_ATTEMPTS)]


def _targets(
    connection: Connection,
    settings: Settings,
    rules: Rules,
    candidate: Candidate,
    given: Mapping[str, str],
) -> list[TargetExplanation]:
    accounts = {row["target"]: dict(row) for row in person_view.accounts(connection, candidate.id)}
    open_tasks, last_tasks = person_view.tasks(connection, candidate.id)
    known = _Known(
        accounts=accounts,
        open_tasks={row["target"]: _task(dict(row)) for row in open_tasks},
        last_tasks={row["target"]: _task(dict(row)) for row in last_tasks},
    )
    person = candidate.context["person"]
    source = person["source"]
    unknown = Unavailable(f"the HR source {source!r} is not configured")
    context = {
        **candidate.context, "names": given,
        "valid_statuses": rules.valid_statuses.get(source, unknown),
    }  # fmt: skip
    return [
        _target(rule, settings.targets[rule.name].scope, candidate, context, known)
        for rule in rules.targets
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the store knows of a person, by target."""

    accounts: Mapping[str, Row]
    open_tasks: Mapping[str, Row]
    last_tasks: Mapping[str, Row]


def _target(
    rule: TargetRule, scope: str, candidate: Candidate, context: Context, known: _Known
) -> TargetExplanation:
    wanted = candidate.wanted[rule.name]
    return TargetExplanation(
        target=rule.name,
        wanted=wanted.state,
        makes=wanted.makes,
        reason=wanted.reason,
        next_at=wanted.next_at,
        in_scope=_in_scope(rule, context),
        rule=scope,
        because=_because(scope, context),
        depends_on=list(rule.depends_on),
        after=list(rule.after),
        attributes=_mapped(rule, context, candidate.accounts),
        account=known.accounts.get(rule.name),
        open_task=known.open_tasks.get(rule.name),
        last_task=known.last_tasks.get(rule.name),
    )


def _task(row: Row) -> Row:
    """A task as it is shown, with its cause as a reason."""
    shown = {name: value for name, value in row.items() if name not in _NOT_SHOWN}
    return shown | {"cause": causes.read(row)}


def _in_scope(rule: TargetRule, context: Context) -> bool | None:
    try:
        return rule.in_scope(context)
    except RecordError:
        return None


def _because(scope: str, context: Context) -> dict[str, object]:
    values = {}
    for root, field in sorted(reads_of_template(f"{{{{ {scope} }}}}"), key=str):
        value = context.get(root)
        if field is None:
            values[root] = value.message if isinstance(value, Unavailable) else value
        elif isinstance(value, Mapping):
            part = value.get(field)
            values[f"{root}.{field}"] = part.message if isinstance(part, Unavailable) else part
    return values


def _mapped(
    rule: TargetRule, context: Context, accounts: Mapping[str, Account]
) -> dict[str, object]:
    """The mapped attributes; a phone number only by its last digits."""
    phone, attributes = context["person"]["phone"], {}
    visible = with_accounts(context, accounts)
    for attribute, value in {**rule.attributes, **rule.late_values}.items():
        try:
            mapped = value(visible)
        except RecordError as error:
            mapped = _LATE if attribute in rule.late else f"cannot be mapped: {error}"
        attributes[attribute] = f"…{str(mapped)[-4:]}" if phone and mapped == phone else mapped
    return attributes
