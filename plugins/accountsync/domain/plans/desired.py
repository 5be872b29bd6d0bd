"""The attributes that an account should have, compared with those applied last."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import orjson

from accountsync.domain.accounts.account import GONE, Account, Attributes
from accountsync.domain.accounts.likeness import as_found
from accountsync.domain.mapping.values import Context, Value
from accountsync.domain.plans.entitlement import Policy
from accountsync.domain.storable import is_storable
from accountsync.errors import RecordError


class Difference(Enum):
    """What differs between the attributes wanted and those applied last."""

    NONE = "none"
    ATTRIBUTES = "attributes"
    IDENTIFIER = "identifier"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRule:
    """One target's part of the configuration, compiled.

    `late`: attributes that read `accounts`. `key`: the attribute that tells whose an account is.
    `depends_on`: targets in which an account is needed.
    `after`: targets whose task comes first, however it ends. `kept`: attributes that stay as they
    were first applied. `memberships`: attributes that name groups or roles. `named`: attributes
    that are made from a name, of the person or of another account.
    """

    name: str
    depends_on: Sequence[str]
    in_scope: Callable[[Context], bool]
    attributes: Mapping[str, Value]
    late: Mapping[str, Any]
    key: str = ""
    late_values: Mapping[str, Value] = field(default_factory=dict)
    after: Sequence[str] = ()
    policy: Policy = field(default_factory=Policy)
    identifier: str = ""
    kept: Collection[str] = ()
    memberships: Collection[str] = ()
    named: Collection[str] = ()


def same(left: Attributes, right: Attributes) -> bool:
    """Whether both are the same in JSON, in which a date equals its text."""
    return left == right or _plain(left) == _plain(right)


def _plain(attributes: Attributes) -> object:
    return orjson.loads(orjson.dumps(attributes))


def difference(rule: TargetRule, desired: Attributes, applied: Attributes) -> Difference:
    if same(desired, applied):
        return Difference.NONE
    if desired.get(rule.identifier) != applied.get(rule.identifier):
        return Difference.IDENTIFIER
    return Difference.ATTRIBUTES


def gains(desired: Attributes, applied: Attributes) -> bool:
    """Whether a list, such as that of the groups, has a member that it had not."""
    return any(
        any(member not in _members(applied.get(name)) for member in value)
        for name, value in desired.items()
        if isinstance(value, list | tuple)
    )


def _members(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else (value,)


def attributes(
    rule: TargetRule,
    account: Account | None,
    context: Context,
    accounts: Mapping[str, Account],
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The attributes known now, and those that wait for another account.

    Raises RecordError where data is missing or the store could not keep a value.
    """
    desired = {name: value(context) for name, value in rule.attributes.items()}
    if account is None or account.state in GONE:
        return sendable(desired), rule.late
    with_others = with_accounts(context, accounts)
    for name, value in rule.late_values.items():
        desired[name] = _late(value, with_others, account.attributes.get(name))
    kept = {name: account.attributes[name] for name in rule.kept if name in account.attributes}
    return sendable(desired | kept), {}


def with_accounts(context: Context, accounts: Mapping[str, Account]) -> Context:
    """The context that late-bound attributes read: with the accounts that are there."""
    contexts = {
        name: account.as_context()
        for name, account in accounts.items()
        if account.state not in GONE
    }
    return {**context, "accounts": contexts}


def sendable(desired: dict[str, Any]) -> dict[str, Any]:
    """The attributes. Raises RecordError, which stops one person only (I3), where the store could
    not keep them."""
    try:
        text = orjson.dumps(desired)
    except orjson.JSONEncodeError as error:
        raise RecordError(f"an attribute is not JSON: {error}") from error
    if b"\\u0000" in text and not is_storable(desired):
        raise RecordError("an attribute holds a NUL character")
    return desired


def _late(value: Value, context: Context, applied: Any) -> Any:
    """The value, or the one applied last where the account that gave it has gone."""
    try:
        return value(context)
    except RecordError:
        return applied


def as_applied(
    rule: TargetRule, context: Context, accounts: Mapping[str, Account]
) -> dict[str, Any] | None:
    """The attributes of an adopted account that count as applied last; None: data is missing.

    An attribute that the target shows counts as shown, or as wanted where it only is spelled in
    another way. Of any other the value wanted now counts,
    so that only a later change of it is sent.
    """
    account = accounts[rule.name]
    shown = {name: value for name, value in account.attributes.items() if value is not None}
    shown = {rule.identifier: account.identifier} | shown
    try:
        desired, _ = attributes(rule, replace(account, attributes=shown), context, accounts)
    except RecordError:
        return None
    return as_found(desired, shown)
