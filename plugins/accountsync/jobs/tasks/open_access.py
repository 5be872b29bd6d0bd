"""Tells of access that is to end and has not (I17): at once, and then every day."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Engine

from accountsync.domain.plans.entitlement import HAS_LEFT
from accountsync.errors import ConfigurationError, SafetyStopError
from accountsync.store.engine import database_time
from accountsync.store.tasks import open_access, task_commands
from accountsync.store.tasks.open_access import OpenAccess, Told
from accountsync.store.tasks.task_commands import TaskFilter

log = logging.getLogger(__name__)

_NAMED = 10
_STATES = {
    "needs_human": "refused, or seen not to be done; asked again every hour",
    "held": "held for more than a day without a decision",
    "cancelled": "rejected or cancelled by a human, and kept so",
}
_UNDER_WAY = "under way for more than an hour"


def list_open(
    *, engine: Engine, target: str | None = None, targets: Sequence[str] = ()
) -> list[OpenAccess]:
    """Raises ConfigurationError where the target is none of `targets`, and nothing was ever asked
    of it."""
    with engine.connect() as connection:
        chosen = TaskFilter(target=target)
        if unknown := task_commands.unknown(connection, chosen, targets=targets):
            raise ConfigurationError("; ".join(unknown))
        return open_access.find(connection, target=target)


def counted(found: Sequence[OpenAccess]) -> str:
    people = {one.employee_number for one in found}
    leavers = {one.employee_number for one in found if one.is_leavers}
    return f"{len(found)} accounts of {len(people)} people, {len(leavers)} of them leavers"


def kept_by_rejection(*, engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return open_access.kept(connection)


def require_ended(*, engine: Engine) -> None:
    """Raises SafetyStopError where somebody has to be told; each case is told once a day."""
    with engine.begin() as connection:
        told = open_access.tell(connection, now=database_time(connection))
    for one in told:
        log.warning(
            "event=access_not_ended employee_number=%s target=%s state=%s reason=%s",
            one.employee_number, one.target, one.state, one.reason,
        )  # fmt: skip
    if told:
        raise SafetyStopError(_message(told))


def _message(told: list[Told]) -> str:
    leavers = {one.employee_number for one in told if one.reason in HAS_LEFT}
    others = {one.employee_number for one in told} - leavers
    who = [
        f"{len(numbers)} {called}"
        for numbers, called in ((leavers, "leavers"), (others, "others who lost a right"))
        if numbers
    ]
    states = Counter(_STATES.get(one.state, _UNDER_WAY) for one in told)
    why = "; ".join(f"{count} {text}" for text, count in states.most_common())
    named = ", ".join(f"{one.employee_number} in {one.target}" for one in told[:_NAMED])
    more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return (
        f"access has not ended: {' and '.join(who)} ({why}): {named}{more}."
        " Look: bin/accountsync access list"
    )
