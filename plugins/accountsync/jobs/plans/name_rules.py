"""How names are made, compiled from the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from accountsync.domain.mapping.filters import ASCII_FILTERS
from accountsync.domain.mapping.values import (
    Value,
    compile_tree,
    filters_of_template,
    texts_of_template,
)
from accountsync.domain.names.numbering import Shape
from accountsync.settings import Settings
from accountsync.settings.naming import NAME_ROOTS, NameSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    rule: NameSpace
    shape: Shape
    value: Value
    existing: Value | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRules:
    """`reserved` has folded words. `numbered` says whether a name that is a reserved word gets a
    number, or waits for an operator."""

    spaces: Mapping[str, Space]
    reserved: frozenset[str]
    numbered: bool


def compile_names(settings: Settings) -> NameRules:
    return NameRules(
        spaces={name: _space(rule) for name, rule in settings.names.items()},
        reserved=settings.reserved_names.folded,
        numbered=settings.reserved_names.then == "number",
    )


def _space(rule: NameSpace) -> Space:
    existing = compile_tree(rule.existing, roots=NAME_ROOTS) if rule.existing else None
    return Space(
        rule=rule,
        shape=Shape(
            is_address="@" in texts_of_template(rule.value),
            is_ascii=not ASCII_FILTERS.isdisjoint(filters_of_template(rule.value)),
        ),
        value=compile_tree(rule.value, roots=NAME_ROOTS),
        existing=existing,
    )
