"""Gives names to the persons of one lot, inside the plan's transaction (I8)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from accountsync.domain.mapping.values import Context
from accountsync.domain.names.numbering import FirstNumbers, NameSet, fold, is_reserved, numbered
from accountsync.domain.persons.person import Unavailable, reason_of
from accountsync.domain.storable import is_storable
from accountsync.errors import NeedsDataError, RecordError
from accountsync.jobs.plans import hr_names
from accountsync.jobs.plans.name_rules import NameRules, Space
from accountsync.store.names import name_readings, name_registry, seen_names
from accountsync.store.names.name_readings import PersonName
from accountsync.store.names.name_registry import OwnedName

_OVERRIDE = "set it with `bin/accountsync name override`"
_HIGH_NUMBER = 9999
"""A name is given only if it has room for a number as long as this one."""

Given = Mapping[int, Mapping[str, str]]
"""Person id → namespace → value. Where names could not be given, the inner mapping is an
`Unavailable`, and a look-up raises an error that says what data is missing."""


@dataclass(slots=True, kw_only=True)
class _Lot:
    """What is to be done for the persons of one lot. `renewed` has the names that are replaced."""

    wanted: list[NameSet] = field(default_factory=list)
    renewed: dict[tuple[int, str], str] = field(default_factory=dict)
    bases: dict[tuple[int, str], str] = field(default_factory=dict)
    problems: dict[int, RecordError] = field(default_factory=dict)


def give(
    connection: Connection,
    rules: NameRules,
    contexts: Mapping[int, Context],
    first: FirstNumbers | None = None,
) -> Given:
    """Gives every person a name in every namespace. Names that people have are kept, but for those
    of a namespace that follows renames, and for an operator's override.

    `contexts` is person id → context, in the order in which persons are served. `first` is that of
    `store.names.name_registry.allocate`."""
    ids = list(contexts)
    owned = name_registry.owned(connection, ids)
    overrides = name_readings.of_persons(connection, ids)
    lot = _Lot()
    for person_id, context in contexts.items():
        names, override = owned.get(person_id, {}), overrides.get(person_id, PersonName())
        try:
            bases = _bases(rules, context, names, override)
            _want(lot, rules, person_id, bases, names, override)
        except RecordError as error:
            lot.problems[person_id] = error
    name_registry.remember_base(connection, lot.bases)
    name_registry.retire(connection, list(lot.renewed))
    given = name_registry.allocate(connection, lot.wanted, reserved=rules.reserved, first=first)
    lacking = _not_given(connection, lot, given)
    in_use = {
        person_id: {
            space: name.value for space, name in names.items() if (person_id, space) not in lacking
        }
        for person_id, names in owned.items()
    }
    return {
        person_id: _partly(given.get(person_id) or in_use.get(person_id, {}), lot, person_id)
        for person_id in ids
    }


def _not_given(
    connection: Connection, lot: _Lot, given: name_registry.Names
) -> Collection[tuple[int, str]]:
    """The (person, namespace) for which no name was free. The name in use stays in use, but it is
    not the one that the person should have, so what needs it waits and has this as its reason."""
    lacking = {
        (name_set.person_id, space)
        for name_set in lot.wanted
        for space in name_set.bases
        if space not in given.get(name_set.person_id, {})
    }
    name_registry.take_up(
        connection, {key: lot.renewed[key] for key in lacking if key in lot.renewed}
    )
    chosen = {
        (name_set.person_id, s)
        for name_set in lot.wanted
        if name_set.is_exact
        for s in name_set.bases
    }
    for person_id, space in lacking:
        lot.problems[person_id] = NeedsDataError(
            f"the {space} that an operator chose is taken or reserved; choose another one with"
            " `name override`"
            if (person_id, space) in chosen
            else f"no number of this {space} is free that fits into the length allowed here"
        )
    return lacking


def _partly(given: Mapping[str, str], lot: _Lot, person_id: int) -> Mapping[str, str]:
    problem = lot.problems.get(person_id)
    if problem is None:
        return given
    return Unavailable(str(problem), reason=reason_of(problem), known=given)


def _bases(
    rules: NameRules, context: Context, names: Mapping[str, OwnedName], override: PersonName
) -> dict[str, str]:
    """Namespace → the base of the name, where one is needed. A name that was given does not depend
    any more on what it was made from, and none is needed where HR says the one in use."""
    bases = {}
    for name, space in rules.spaces.items():
        if name in override.names:
            bases[name] = override.names[name]
        elif name not in names or (
            space.rule.on_rename == "follow" and not _hr_decides(rules, space, context, names[name])
        ):
            bases[name] = _base(rules, name, context)
    return bases


def _hr_decides(rules: NameRules, space: Space, context: Context, known: OwnedName) -> bool:
    """Whether HR says the name in use, or one that can be nobody's: then the one in use stays."""
    name = hr_names.said_by_hr(space, context["person"])
    return name is not None and (
        fold(name) == fold(known.value) or hr_names.problem_of(rules, space, name) is not None
    )


def _base(rules: NameRules, name: str, context: Context) -> str:
    space = rules.spaces[name]
    said = hr_names.said_by_hr(space, context["person"])
    if said and (problem := hr_names.problem_of(rules, space, said)):
        raise NeedsDataError(
            f"the {name} that HR says the person has can be none: {problem}; correct it in HR, or"
            f" {_OVERRIDE}"
        )
    base = str(space.value(context))
    if not base.partition("@")[0].strip():
        raise NeedsDataError(f"a name came out empty; {_OVERRIDE}")
    if not is_storable(base):
        raise NeedsDataError(f"a name holds what is no character; {_OVERRIDE}")
    if not rules.numbered and is_reserved(base, rules.reserved):
        raise NeedsDataError(f"the name is a reserved word; {_OVERRIDE}")
    if problem := space.shape.problem(numbered(base, 1, space.rule.max_length)):
        raise NeedsDataError(f"the {name} that comes out can be none: {problem}; {_OVERRIDE}")
    return base


def _want(
    lot: _Lot,
    rules: NameRules,
    person_id: int,
    bases: Mapping[str, str],
    names: Mapping[str, OwnedName],
    override: PersonName,
) -> None:
    """Adds the names that one person needs to the lot. Raises NeedsDataError, and adds nothing,
    where one of them is too long."""
    wanted, renewed = {}, {}
    for space, base in bases.items():
        known = names.get(space)
        if known is None:
            wanted[space] = base
        elif known.made_from is None and space not in override.names:
            lot.bases[person_id, space] = base
        elif base not in (known.made_from, known.value):
            wanted[space] = base
            renewed[person_id, space] = known.value
    for space, base in wanted.items():
        if space in override.names:
            _check_length(rules, space, base)
        else:
            numbered(base, _HIGH_NUMBER, rules.spaces[space].rule.max_length)
    lot.renewed |= renewed
    shared = {
        space: base
        for space, base in wanted.items()
        if rules.spaces[space].rule.number == "shared" and space not in override.names
    }
    for group in (shared, *({s: base} for s, base in wanted.items() if s not in shared)):
        if group:
            is_exact = not override.names.keys().isdisjoint(group)
            lot.wanted.append(_name_set(rules, person_id, group, is_exact=is_exact))


def _name_set(
    rules: NameRules, person_id: int, bases: Mapping[str, str], *, is_exact: bool
) -> NameSet:
    limits = {s: limit for s in bases if (limit := rules.spaces[s].rule.max_length)}
    return NameSet(person_id=person_id, bases=bases, max_lengths=limits, is_exact=is_exact)


def _check_length(rules: NameRules, space: str, value: str) -> None:
    limit = rules.spaces[space].rule.max_length
    if limit is not None and len(value) > limit:
        raise NeedsDataError(f"the {space} that an operator chose is longer than {limit}")


def refuse(
    connection: Connection, rules: NameRules, *, person_id: int, space: str, value: str
) -> None:
    """Raises NeedsDataError, which says why, where this person cannot have exactly this name."""
    if problem := rules.spaces[space].shape.problem(value):
        raise NeedsDataError(f"{space}: {problem}")
    _check_length(rules, space, value)
    if is_reserved(value, rules.reserved):
        raise NeedsDataError(f"{space}: a reserved word is nobody's name")
    holder = seen_names.holder(connection, namespace=space, value=value)
    if holder is None or holder["person_id"] == person_id:
        return
    if holder["person_id"] is not None:
        number = holder["employee_number"]
        raise NeedsDataError(f"{space}: {number} has or had this name, and nobody else gets it")
    reason = (
        "it is reserved"
        if holder["origin"] == name_registry.OPERATOR
        else f"seen in {holder['origin']}"
    )
    raise NeedsDataError(f"{space}: this name is kept for nobody: {reason}")
