"""Compiles what the configuration says about planning, once in a run."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from graphlib import TopologicalSorter

import orjson

from accountsync.domain.mapping.values import compile_condition, compile_tree, paths, roots_in
from accountsync.domain.persons import account_request
from accountsync.domain.persons.lifecycle import Statuses
from accountsync.domain.plans.desired import TargetRule
from accountsync.domain.plans.entitlement import Policy
from accountsync.domain.plans.plan_guard import GuardRule
from accountsync.domain.plans.risks import Risk
from accountsync.domain.tasks.waiting import Order
from accountsync.jobs.plans.name_rules import NameRules, compile_names
from accountsync.settings import Settings
from accountsync.settings.hr import AnySource
from accountsync.settings.target import PERSON_ROOTS, SCOPE_ROOTS
from accountsync.settings.targets import AnyTarget

_PLANNED_AS = 5
"""The way in which this code plans: after another one, everybody is planned again."""

_PLANNED_BY = {
    "scope", "attributes", "identifier", "depends_on", "after", "prehire", "leave", "leaver",
    "delete_after", "keep",
}  # fmt: skip
"""The settings of a target that decide who has what. When one of them changes, everybody is planned
again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """`order` says which targets come after which. `fingerprints` has a hash of each target's
    rules. `valid_statuses` and `statuses` are by source. The valid ones include those of a leave,
    about which the `leave` of each target decides. Persons of a source that is not in `statuses`
    keep their accounts as they are. `joiner`: target → within which time somebody was hired who
    explains an account there; `joined_since`: the date that follows from it, but for targets that
    are new."""

    targets: Sequence[TargetRule]
    order: Order
    names: NameRules
    valid_statuses: Mapping[str, Sequence[str]]
    statuses: Mapping[str, Statuses]
    guards: Mapping[tuple[str, Risk], GuardRule]
    joiner: Mapping[str, timedelta]
    fingerprints: Mapping[str, str]
    joined_since: Mapping[str, date] = field(default_factory=dict)

    @property
    def reads(self) -> Mapping[str, Mapping[str, Sequence[str]]]:
        """Target → another target → the facts of an account there that the first one's mapping
        reads."""
        return {rule.name: _read_accounts(rule) for rule in self.targets}

    def with_joiners(self, settled: Sequence[str], now: datetime) -> Rules:
        """The rules with `joined_since`. `settled`: the targets that are not new."""
        since = {target: (now - self.joiner[target]).date() for target in settled}
        return replace(self, joined_since=since)


def _read_accounts(rule: TargetRule) -> Mapping[str, Sequence[str]]:
    facts: dict[str, list[str]] = {}
    for root, *path in sorted(paths(rule.late, roots=PERSON_ROOTS)):
        if root == "accounts":
            facts.setdefault(path[0], []).append(path[1])
    return facts


def compile_rules(settings: Settings) -> Rules:
    named = _named(settings)
    return Rules(
        targets=[_rule(name, target, named[name]) for name, target in settings.targets.items()],
        order=settings.order,
        names=compile_names(settings),
        valid_statuses={
            account_request.SOURCE: [],
            **{
                source.name: [*source.valid_statuses, *source.leave_statuses]
                for source in settings.hr
            },
        },
        statuses={
            account_request.SOURCE: Statuses(zone=settings.timezone),
            **{source.name: _statuses(source) for source in settings.hr},
        },
        guards={
            (name, risk): (target.guard or settings.guard).rule(risk)
            for name, target in settings.targets.items()
            for risk in Risk
        },
        joiner={
            name: (target.guard or settings.guard).joiner
            for name, target in settings.targets.items()
        },
        fingerprints={
            name: _fingerprint(settings, target) for name, target in settings.targets.items()
        },
    )


def _named(settings: Settings) -> Mapping[str, frozenset[str]]:
    """Target → its attributes that are made from a name: one of the person's, another account's
    identifier, or an attribute there that is made from a name itself."""
    named: dict[str, frozenset[str]] = {}
    for name in TopologicalSorter(settings.order.depends_on).static_order():
        named[name] = frozenset(
            attribute
            for attribute, node in settings.targets[name].attributes.items()
            if any(_is_name(path, named) for path in paths(node, roots=PERSON_ROOTS))
        )
    return named


def _is_name(path: tuple[str, ...], named: Mapping[str, Collection[str]]) -> bool:
    match path:
        case ("names", *_):
            return True
        case ("accounts", other, fact, *_):
            return fact == "identifier" or fact in named.get(other, ())
    return False


def _rule(name: str, target: AnyTarget, named: Collection[str]) -> TargetRule:
    late = {
        attribute: node
        for attribute, node in target.attributes.items()
        if "accounts" in roots_in(node, roots=PERSON_ROOTS)
    }
    values = {
        attribute: compile_tree(node, roots=PERSON_ROOTS)
        for attribute, node in target.attributes.items()
    }
    return TargetRule(
        name=name,
        key=target.key,
        depends_on=target.depends_on,
        after=target.after,
        in_scope=compile_condition(target.scope, roots=SCOPE_ROOTS),
        attributes={attribute: values[attribute] for attribute in values if attribute not in late},
        late=late,
        late_values={attribute: values[attribute] for attribute in late},
        policy=_policy(target),
        identifier=target.identifier,
        kept=target.keep,
        memberships=target.memberships,
        named=named,
    )


def _policy(target: AnyTarget) -> Policy:
    return Policy(
        prehire=target.prehire or timedelta(0),
        leave_keeps=target.leave == "keep",
        leaver_keeps=target.leaver == "keep",
        delete_after=target.delete_after,
    )


def _statuses(source: AnySource) -> Statuses:
    return Statuses(zone=source.zone, leave=source.leave_statuses, left=source.left_statuses)


def _fingerprint(settings: Settings, target: AnyTarget) -> str:
    statuses = {"zone", "valid_statuses", "leave_statuses", "left_statuses"}
    rules = {
        "planned_as": _PLANNED_AS,
        "names": {name: rule.model_dump(mode="json") for name, rule in settings.names.items()},
        "reserved": settings.reserved_names.model_dump(mode="json"),
        "hr": {
            source.name: source.model_dump(mode="json", include=statuses) for source in settings.hr
        },
        "target": target.model_dump(mode="json", include=_PLANNED_BY),
    }
    return hashlib.sha256(orjson.dumps(rules, option=orjson.OPT_SORT_KEYS)).hexdigest()
