"""What of a task could go wrong for many at once: by these risks the guard counts (I7).

| risk               | a task has it that                                                          |
|--------------------|-----------------------------------------------------------------------------|
| disable, delete    | does this                                                                   |
| enable, create     | does this, and nothing explains it (see `is_expected`)                      |
| rename             | changes the identifier, or an attribute that is made from a name            |
| lost_membership    | is an update or rename after which the account is in fewer groups or roles  |
| emptied_attribute  | is an update or rename that clears an attribute which had a value           |

What was made within a day has nothing to lose yet: a change of it, as where a target did not make
it quite as it was asked to, is none of these.

A task may have several. Those of a disable or delete follow from the operation and are not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from accountsync.domain.accounts.account import GIVES, Account, Attributes, Operation
from accountsync.domain.plans.desired import TargetRule


class Risk(StrEnum):
    """What the guard counts: the table on top."""

    DISABLE = "disable"
    DELETE = "delete"
    CREATE = "create"
    ENABLE = "enable"
    RENAME = "rename"
    LOST_MEMBERSHIP = "lost_membership"
    EMPTIED_ATTRIBUTE = "emptied_attribute"


KEPT = tuple(risk for risk in Risk if risk not in (Risk.DISABLE, Risk.DELETE))
"""Risks that the store keeps with a task."""

_FRESH = timedelta(days=1)
_CHANGES = (Operation.UPDATE, Operation.RENAME)


def of_task(
    rule: TargetRule,
    operation: Operation,
    desired: Attributes,
    account: Account | None,
    *,
    person: Mapping[str, Any],
    joined_since: date | None,
    now: datetime,
) -> tuple[Risk, ...]:
    """The risks to keep with a task. `joined_since`: see `is_expected`; None: the target is new, so
    that everybody's account is expected."""
    if operation in GIVES:
        is_plain = joined_since is None or is_expected(person, rule.name, joined_since=joined_since)
        return () if is_plain else (Risk(operation),)
    if operation in _CHANGES and account is not None and not _is_fresh(account, now):
        return _of_change(rule, operation, desired, account.attributes)
    return ()


def _is_fresh(account: Account, now: datetime) -> bool:
    return account.made_at is not None and account.made_at > now - _FRESH


def is_expected(person: Mapping[str, Any], target: str, *, joined_since: date) -> bool:
    """Whether an account that is made or enabled is explained: the person joins, or joined since
    that date, or an account request asks for it."""
    first = person["hire_date"] or person["effective_date"]
    if first is not None and first >= joined_since:
        return True
    return target in person["requested_systems"]


def _of_change(
    rule: TargetRule, operation: Operation, desired: Attributes, applied: Attributes
) -> tuple[Risk, ...]:
    """What is not mapped any more stays as it is, but for groups, which are left."""
    changed = [name for name, value in desired.items() if applied.get(name) != value]
    is_renamed, is_emptied = operation == Operation.RENAME, False
    for name in changed:
        is_renamed = is_renamed or (name in rule.named and not _is_empty(applied.get(name)))
        is_emptied = is_emptied or (
            name not in rule.memberships and _is_cleared(desired[name], applied.get(name))
        )
    loses = rule.memberships and any(
        _loses(desired.get(name), applied.get(name)) for name in rule.memberships
    )
    found = (
        (Risk.RENAME, is_renamed),
        (Risk.LOST_MEMBERSHIP, loses),
        (Risk.EMPTIED_ATTRIBUTE, is_emptied),
    )
    return tuple(risk for risk, is_there in found if is_there)


def _loses(desired: Any, applied: Any) -> bool:
    return bool(applied) and not _entries(applied) <= _entries(desired)


def _entries(value: Any) -> frozenset[str]:
    """The groups of a membership attribute: texts, or SCIM's objects with a `value`. Directories
    and SCIM compare both without regard to case."""
    if value is None:
        return frozenset()
    entries = value if isinstance(value, list | tuple) else [value]
    texts = (entry.get("value") if isinstance(entry, Mapping) else entry for entry in entries)
    return frozenset(str(entry).casefold() for entry in texts if entry)


def _is_cleared(value: Any, old: Any) -> bool:
    """Whether it, or a part of it, had a value and has none now."""
    if _is_empty(value):
        return not _is_empty(old)
    if not (isinstance(value, Mapping) and isinstance(old, Mapping)):
        return False
    return any(_is_cleared(part, old.get(name)) for name, part in value.items())


def _is_empty(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_empty, value.values()))
    return value is None or value == "" or value == []
