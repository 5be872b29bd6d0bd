"""What of a task could go wrong for many at once: by these risks the guard counts (I7).

| risk               | a task has it that                                                          |
|--------------------|-----------------------------------------------------------------------------|
| disable, delete    | does this                                                                   |
| enable, create     | does this, and nothing explains it (see `is_expected`)                      |
| rename             | changes the identifier, or an attribute that is or was made from a name     |
| lost_membership    | is an update or rename after which the account is in fewer groups or roles  |
| emptied_attribute  | is an update or rename that clears an attribute, or one value of several    |

What was made within a day has nothing to lose yet: a change of it, as where a target did not make
it quite as it was asked to, is none of these.

A task may have several. Those of a disable or delete follow from the operation and are not kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from accountsync.domain.accounts.account import GIVES, Account, Attributes, Operation
from accountsync.domain.plans.desired import TargetRule
from accountsync.domain.plans.losses import forms_of, holds_name, is_cleared, is_empty, loses_member


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
    names: Collection[str] = (),
) -> tuple[Risk, ...]:
    """The risks to keep with a task. `joined_since`: see `is_expected`; None: the target is new, so
    that everybody's account is expected. `names`: those that the person has."""
    if operation in GIVES:
        is_plain = joined_since is None or is_expected(person, rule.name, joined_since=joined_since)
        return () if is_plain else (Risk(operation),)
    if operation in _CHANGES and account is not None and not _is_fresh(account, now):
        return _of_change(rule, operation, desired, account, names)
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
    rule: TargetRule,
    operation: Operation,
    desired: Attributes,
    account: Account,
    names: Collection[str],
) -> tuple[Risk, ...]:
    """What is not mapped any more stays as it is, but for groups, which are left. An attribute that
    holds a name was made from one, whatever it is made from now."""
    applied = account.attributes
    changed = [name for name, value in desired.items() if applied.get(name) != value]
    own = forms_of([account.identifier, *names])
    found = {
        Risk.RENAME: operation == Operation.RENAME
        or any(
            (name in rule.named and not is_empty(applied.get(name)))
            or holds_name(applied.get(name), own)
            for name in changed
        ),
        Risk.LOST_MEMBERSHIP: any(
            loses_member(desired.get(name), applied.get(name)) for name in rule.memberships
        ),
        Risk.EMPTIED_ATTRIBUTE: any(
            is_cleared(desired[name], applied.get(name))
            for name in changed
            if name not in rule.memberships
        ),
    }
    return tuple(risk for risk, is_there in found.items() if is_there)
