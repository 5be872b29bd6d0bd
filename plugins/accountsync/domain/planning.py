"""What a person should have, compared with what the person has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from accountsync.domain.account import Account
from accountsync.domain.mapping import Context, Value
from accountsync.errors import RecordError


class Action(Enum):
    """What the planner does about one person in one system."""

    NOTHING = "nothing"
    CREATE = "create"
    """A new task, or new attributes for the open one."""
    SUPERSEDE = "supersede"
    """The open task's reason has gone."""
    LATER = "later"
    """A call is under way, or a human has to look: decide when that is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemRule:
    """One target's part of the configuration, compiled. `late`: attributes that read `accounts`."""

    name: str
    depends_on: Sequence[str]
    in_scope: Callable[[Context], bool]
    attributes: Mapping[str, Value]
    late: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTask:
    id: int
    operation: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """`state`: ready, waiting (for the systems in `waits_for`), needs_data (see `cause`)."""

    person_id: int
    system: str
    operation: str
    desired: Mapping[str, Any]
    late_bound: Mapping[str, Any]
    state: str
    waits_for: Sequence[str]
    cause: str | None


IN_DOUBT = frozenset({"running", "unknown", "needs_human"})
"""The account may be there: planning neither sends the task again nor gives it up (I6, I9)."""


def decide(*, entitled: bool, account: Account | None, open_task: OpenTask | None) -> Action:
    """One action for one person in one system, from the three facts that matter.

    An account that exists, in whatever state, is left alone here.
    """
    if open_task is not None and open_task.state in IN_DOUBT:
        return Action.LATER
    has_account = account is not None and account.state != "absent"
    if entitled and not has_account:
        return Action.CREATE
    return Action.NOTHING if open_task is None else Action.SUPERSEDE


def create_task(
    rule: SystemRule,
    *,
    person_id: int,
    context: Context,
    accounts: Mapping[str, Account],
) -> PlannedTask:
    """The task with its attributes, or the one that says what data it lacks."""
    missing = [name for name in rule.depends_on if not _is_active(accounts.get(name))]
    try:
        desired = {name: value(context) for name, value in rule.attributes.items()}
    except RecordError as error:
        return _task(rule, person_id, desired={}, state="needs_data", cause=str(error))
    if missing:
        return _task(rule, person_id, desired=desired, state="waiting", waits_for=missing)
    return _task(rule, person_id, desired=desired, state="ready")


def _is_active(account: Account | None) -> bool:
    return account is not None and account.state == "active"


def _task(
    rule: SystemRule,
    person_id: int,
    *,
    desired: Mapping[str, Any],
    state: str,
    waits_for: Collection[str] = (),
    cause: str | None = None,
) -> PlannedTask:
    return PlannedTask(
        person_id=person_id,
        system=rule.name,
        operation="create",
        desired=desired,
        late_bound=rule.late if state != "needs_data" else {},
        state=state,
        waits_for=tuple(waits_for),
        cause=cause,
    )
