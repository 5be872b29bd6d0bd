"""Answers what operators ask about names, and carries out what they decide. Decisions about persons
are audited without the names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, RowMapping

from accountsync.domain.accounts.account import Account
from accountsync.domain.names.readings import read, spelt
from accountsync.domain.names.surnames import OTHER_READINGS
from accountsync.domain.persons.person import Unavailable
from accountsync.domain.plans.desired import same
from accountsync.domain.plans.steps import PlannedTask, Step, step
from accountsync.errors import ConfigurationError, NeedsDataError, SafetyStopError
from accountsync.jobs.plans import candidates, hr_names, name_giving, person_facts
from accountsync.jobs.plans.name_rules import compile_names
from accountsync.jobs.plans.person_facts import Facts
from accountsync.jobs.plans.plan_rules import compile_rules
from accountsync.settings import Settings
from accountsync.store import audit, locks
from accountsync.store.audit import AuditAction
from accountsync.store.names import name_readings, name_registry, seen_names
from accountsync.store.names.name_readings import PersonName
from accountsync.store.persons import person_view


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """`names` is namespace → the name that would be given now. `problem` says why some cannot be
    given. `warning` says what a human should look at first, because a name is given for ever."""

    names: Mapping[str, str]
    problem: str | None
    warning: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What the next plan would make of a command. `names` is namespace → the name in use, and the
    one after the plan. `changes` is target → an operation that differs from the open task's, and
    the attributes of the account that it changes."""

    names: Mapping[str, tuple[str | None, str | None]]
    problem: str | None
    changes: Mapping[str, tuple[str, Sequence[str]]]


def preview(*, engine: Engine, settings: Settings, number: str) -> Preview:
    """The names that this person has or would get, by the code that gives them."""
    with engine.connect() as connection, connection.begin() as transaction:
        person = _find_person(connection, number)
        names = _give(connection, settings, person)
        transaction.rollback()
    return names


def preview_newcomer(*, engine: Engine, settings: Settings, person: Facts) -> Preview:
    """As `preview`, for somebody whom HR does not have yet. `person` has the fields that mappings
    read."""
    with engine.connect() as connection, connection.begin() as transaction:
        newcomer = person_view.newcomer(connection, person)
        names = _give(connection, settings, newcomer)
        transaction.rollback()
    return names


def _give(connection: Connection, settings: Settings, person: Facts) -> Preview:
    facts = person_facts.of(connection, [person])[0]
    rules = compile_names(settings)
    hr_names.record_existing(connection, rules, lambda: [[facts]])
    given = name_giving.give(connection, rules, {facts["id"]: {"person": facts}})[facts["id"]]
    known = dict(given)
    return Preview(
        names={space: known[space] for space in rules.spaces if space in known},
        problem=given.message if isinstance(given, Unavailable) else None,
        warning=_doubt(facts),
    )


def _doubt(person: Facts) -> str | None:
    """A warning about a surname that some families read in another way, unless somebody has decided
    how it is read."""
    readings = person["readings"]
    try:
        surname = read(person["full_name"], readings).written[0]
    except NeedsDataError:
        return None
    other = OTHER_READINGS.get(surname)
    if other is None or readings.own or surname in readings.surnames:
        return None
    command = "`bin/accountsync name override --reading`"
    return f"this surname is also read {other}: ask, and use {command} if so"


def of_person(*, engine: Engine, number: str) -> Sequence[RowMapping]:
    with engine.connect() as connection:
        return name_registry.of_person(connection, _find_person(connection, number)["id"])


def override(
    *, engine: Engine, settings: Settings, number: str, actor: str,
    now: datetime, reading: str | None = None, chosen: Mapping[str, str] | None = None,
) -> Effect:  # fmt: skip
    """Records how a person's name is read, or what it is, and returns what the next plan makes of
    it.

    An empty `reading` or name takes the earlier decision back. The person is planned again. Raises
    SafetyStopError for a name that this person cannot have as it is."""
    _require_known_spaces(settings, chosen or {})
    if reading:
        _syllables(reading)
    with engine.begin() as connection:
        locks.take_persons(connection)  # or a plan under way would mark the person as planned
        person_id = _find_person(connection, number)["id"]
        _refuse(connection, settings, person_id, chosen or {})
        old = name_readings.of_persons(connection, [person_id]).get(person_id, PersonName())
        merged = {**old.names, **(chosen or {})}
        new = PersonName(
            reading=old.reading if reading is None else reading or None,
            names={space: value for space, value in merged.items() if value},
        )
        name_readings.override(connection, person_id=person_id, name=new)
        decided = {"employee_number": number, "names": sorted(chosen or {})}
        details = decided | {"reading": reading is not None}
        audit.record(connection, actor=actor, action=AuditAction.NAME_OVERRIDDEN, details=details)
        return _effect(connection, settings, number, now)


def _effect(connection: Connection, settings: Settings, number: str, now: datetime) -> Effect:
    """Plans the person by the code of the next plan, and rolls that back."""
    rules, person = compile_rules(settings), _find_person(connection, number)
    before = name_registry.current(connection, [person["id"]]).get(person["id"], {})
    derivation = connection.begin_nested()
    people = candidates.read_candidates(connection, rules, [person], now)
    given = candidates.give_names(connection, rules, people)
    (candidate,) = candidates.take_over_adopted(connection, rules, people, given)
    after = given.get(candidate.id, {})
    tasks = candidates.plan_tasks(rules, candidate, after)
    derivation.rollback()
    known = dict(after)
    return Effect(
        names={space: (before.get(space), known.get(space)) for space in rules.names.spaces},
        problem=after.message if isinstance(after, Unavailable) else None,
        changes={
            target: (task.operation, _changed(task, candidate.accounts.get(target)))
            for target, task in tasks.items()
            if step(task, candidate.open_tasks.get(target)) not in (Step.NOTHING, Step.LATER)
        },
    )


def _changed(task: PlannedTask, account: Account | None) -> Sequence[str]:
    shown = account.attributes if account else {}
    return [
        name for name, value in task.desired.items()
        if account and not same({name: value}, {name: shown.get(name)})
    ]  # fmt: skip


def _refuse(
    connection: Connection, settings: Settings, person_id: int, chosen: Mapping[str, str]
) -> None:
    """Raises SafetyStopError where a chosen name cannot be given as it is."""
    rules = compile_names(settings)
    for space, value in chosen.items():
        if value:
            try:
                name_giving.refuse(connection, rules, person_id=person_id, space=space, value=value)
            except NeedsDataError as error:
                raise SafetyStopError(str(error)) from error


def decide_reading(*, engine: Engine, kind: str, characters: str, reading: str, actor: str) -> int:
    """Records how a surname or characters are read; an empty `reading` takes that back. Returns how
    many persons are planned again."""
    with engine.begin() as connection:
        locks.take_persons(connection)
        if reading:
            syllables = " ".join(_syllables(reading))
            count = name_readings.say(
                connection, kind=kind, characters=characters, reading=syllables
            )
        else:
            count = name_readings.forget(connection, kind=kind, characters=characters)
        details = {"kind": kind, "characters": characters, "reading": reading}
        audit.record(
            connection, actor=actor, action=AuditAction.NAME_READING_CHANGED, details=details
        )
    return count


def _syllables(reading: str) -> tuple[str, ...]:
    try:
        return spelt(reading).syllables
    except NeedsDataError as error:
        raise ConfigurationError(str(error)) from error


def reserve(
    *, engine: Engine, settings: Settings, value: str, spaces: Sequence[str], actor: str
) -> list[str]:
    """Reserves a name, so that nobody gets it. Returns the namespaces in which it was free."""
    _require_known_spaces(settings, spaces)
    with engine.begin() as connection:
        free = [s for s in spaces if seen_names.reserve(connection, namespace=s, value=value)]
        details = {"value": value, "namespaces": free}
        audit.record(connection, actor=actor, action=AuditAction.NAME_RESERVED, details=details)
    return free


def _require_known_spaces(settings: Settings, spaces: Iterable[str]) -> None:
    if unknown := sorted(set(spaces) - set(settings.names)):
        known = ", ".join(settings.names)
        raise ConfigurationError(f"there is no namespace {unknown[0]!r}; known: {known}")


def list_readings(*, engine: Engine) -> Sequence[RowMapping]:
    with engine.connect() as connection:
        return name_readings.listed(connection)


def _find_person(connection: Connection, number: str) -> Facts:
    person = person_view.by_number(connection, number)
    if person is None:
        raise ConfigurationError(person_facts.unknown_person(number))
    return person
