"""The names that HR says people have (`existing`)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection

from accountsync.domain.names.numbering import fold, is_reserved
from accountsync.domain.storable import is_storable
from accountsync.errors import RecordError
from accountsync.jobs.plans.name_rules import NameRules, Space
from accountsync.jobs.plans.person_facts import Facts
from accountsync.store.names import name_readings, name_registry, seen_names
from accountsync.store.names.seen_names import Place, SeenName

log = logging.getLogger(__name__)


def record_existing(
    connection: Connection,
    rules: NameRules,
    lots: Callable[[], Iterable[Sequence[Facts]]],
) -> list[SeenName]:
    """Records the names that people have according to HR, before one is given to somebody else.

    HR's word is used where a namespace follows it, and where HR corrects its own. `lots` reads the
    persons; it is called only where a namespace has an `existing`. Returns the names that belong to
    another person already.
    """
    has_any = any(space.existing for space in rules.spaces.values())
    refused: list[SeenName] = []
    for lot in lots() if has_any else ():
        refused += seen_names.see(
            connection, [seen for person in lot for seen in _seen_by_hr(rules, person)]
        )
    if refused:
        log.warning("event=names_of_others refused=%s", len(refused))
    return refused


def _seen_by_hr(rules: NameRules, person: Facts) -> Iterable[SeenName]:
    for space, rule in rules.spaces.items():
        name = said_by_hr(rule, person)
        if name and problem_of(rules, rule, name) is None:
            yield SeenName(
                person_id=person["id"],
                namespace=space,
                value=name,
                origin=name_registry.HR,
                place=Place.OF_ANY if rule.rule.on_rename == "follow" else Place.OF_HRS,
            )


def said_by_hr(space: Space, person: Facts) -> str | None:
    """The name that HR says the person has; None: it says none, or is not asked."""
    if space.existing is None:
        return None
    try:
        return str(space.existing({"person": person}) or "").strip() or None
    except RecordError:
        return None


def problem_of(rules: NameRules, space: Space, name: str) -> str | None:
    """Why HR's name can be nobody's; None where it can."""
    limit = space.rule.max_length
    if not is_storable(name):
        return "it holds what is no character"
    if is_reserved(name, rules.reserved):
        return "a reserved word is nobody's name"
    if limit is not None and len(name) > limit:
        return f"it is longer than {limit}"
    return space.shape.problem(name)


def not_followed(connection: Connection, rules: NameRules, person: Facts) -> dict[str, str]:
    """Namespace → why the name that HR says this person has is not used, where it is not."""
    current = name_registry.current(connection, [person["id"]]).get(person["id"], {})
    return {
        space: reason
        for space, rule in rules.spaces.items()
        if (name := said_by_hr(rule, person))
        and fold(name) != fold(current.get(space, ""))
        and (reason := _why_not(connection, rules, space, name, person["id"]))
    }


def _why_not(
    connection: Connection, rules: NameRules, space: str, name: str, person_id: int
) -> str | None:
    rule = rules.spaces[space]
    if problem := problem_of(rules, rule, name):
        return f"it can be no such name: {problem}"
    holder = seen_names.holder(connection, namespace=space, value=name)
    if holder is None:
        return None
    if holder["person_id"] is None and holder["origin"] == name_registry.OPERATOR:
        return "an operator keeps it for nobody"
    if holder["person_id"] is not None and holder["person_id"] != person_id:
        return f"it is or was that of {holder['employee_number']}, and nobody else gets it"
    own = name_readings.of_persons(connection, [person_id]).get(person_id)
    if own and space in own.names:
        return "an operator chose another one"
    return "names in use are kept (`on_rename: keep`)" if rule.rule.on_rename == "keep" else None
