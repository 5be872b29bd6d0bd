"""Account requests: who is asked for, and what has become of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from accountsync.domain.accounts.account import AccountState
from accountsync.domain.persons.lifecycle import Lifecycle
from accountsync.domain.task_states import FOR_A_HUMAN, TaskState

SOURCE = "request"
"""The source of persons whom no HR source owns."""


class Fulfilment(StrEnum):
    """How far an account that was asked for has come; also used for items and whole requests."""

    TO_PLAN = "to_plan"
    """The planner has not yet seen the request."""
    IN_PROGRESS = "in_progress"
    BLOCKED = "blocked"
    """Somebody has to do something: a mapping, an approval, a look at the target."""
    ACTIVE = "active"
    """The account exists and can be used."""
    ENDED = "ended"
    """The account was there, and is disabled or deleted."""
    FAILED = "failed"
    REFUSED = "refused"
    """The rules give this person no such account, for example because HR knows a leaver."""
    PARTLY = "partly_failed"
    """All is over: some accounts are active, others will never be."""
    CANCELLED = "cancelled"


_GIVEN_UP = (TaskState.FAILED, TaskState.CANCELLED)
_OPEN = (Fulfilment.BLOCKED, Fulfilment.IN_PROGRESS, Fulfilment.TO_PLAN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What the store knows of one account that was asked for. `task_state`: of the newest task;
    `is_planned`: the planner has seen the person as the person is now."""

    account_state: str | None
    disabled_reason: str | None
    task_state: str | None
    is_open: bool
    is_planned: bool


def fulfilment(progress: Progress) -> Fulfilment:
    """How far it is. It is `active` where the account is, and not where only its task succeeded."""
    if progress.account_state == AccountState.ACTIVE:
        return Fulfilment.ACTIVE
    if progress.is_open:
        return Fulfilment.BLOCKED if progress.task_state in FOR_A_HUMAN else Fulfilment.IN_PROGRESS
    if not progress.is_planned:
        return Fulfilment.TO_PLAN
    is_disabled = progress.account_state == AccountState.DISABLED
    if is_disabled and progress.disabled_reason == Lifecycle.PREHIRE:
        return Fulfilment.IN_PROGRESS
    if progress.task_state in _GIVEN_UP:
        return Fulfilment.FAILED
    if progress.account_state in (AccountState.DISABLED, AccountState.DELETED):
        return Fulfilment.ENDED
    return Fulfilment.REFUSED


def together(parts: Collection[Fulfilment]) -> Fulfilment:
    """The state of a person's accounts, or of a request's persons, as one: open while a part is."""
    states = set(parts)
    if states == {Fulfilment.TO_PLAN}:
        return Fulfilment.TO_PLAN
    for state in _OPEN:
        if state in states:
            return Fulfilment.IN_PROGRESS if state is Fulfilment.TO_PLAN else state
    if len(states) == 1:
        return states.pop()
    if states == {Fulfilment.ACTIVE, Fulfilment.ENDED}:
        return Fulfilment.ACTIVE
    if states & {Fulfilment.ACTIVE, Fulfilment.ENDED, Fulfilment.PARTLY}:
        return Fulfilment.PARTLY
    return Fulfilment.FAILED


def entitles(target: str, person: Mapping[str, Any], valid_statuses: Collection[str]) -> bool:
    """Whether a request gives the person this account. A person of HR has to have a valid status
    there, because a request brings nobody back who has left."""
    if target not in person["requested_systems"]:
        return False
    return person["source"] == SOURCE or person["status"] in valid_statuses
