"""What one person should have in one target, from lifecycle, rule and the target's policies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from accountsync.domain.accounts.account import GONE, Account, AccountState
from accountsync.domain.persons.lifecycle import Lifecycle, Standing

NOT_ENTITLED = "not_entitled"
NOT_VALID = "status_not_valid"
"""HR's status is none of those that the source calls valid, or a leave."""
GONE_FROM_HR = "gone_from_hr"
"""HR lacks the person, and that was taken for leaving."""
HAS_LEFT = (Lifecycle.LEFT.value, GONE_FROM_HR)
"""Reasons of leavers."""
RETENTION = "retention"
NO_SOURCE = "source_not_configured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A target's rules for joiners and leavers.

    `prehire`: how long before the first working day the account is made, disabled.
    `delete_after`: how long after leaving and disabling, whichever was later, a leaver's account
    is deleted; None: never.
    """

    prehire: timedelta = timedelta(0)
    leave_keeps: bool = True
    leaver_keeps: bool = False
    delete_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`state`: active, disabled or deleted; None: the account stays as it is. `makes`: an account
    is made where there is none. `next_at`: when time alone changes the answer."""

    state: AccountState | None
    reason: str
    makes: bool = False
    next_at: datetime | None = None

    @property
    def is_of_entitled(self) -> bool:
        """Whether the person has access, or will have."""
        return self.state == AccountState.ACTIVE or self.reason == Lifecycle.PREHIRE


UNKNOWN = Wanted(state=None, reason=NO_SOURCE)
"""For persons of an HR source that is not configured, so that nobody knows what statuses mean."""


def wanted(
    standing: Standing,
    *,
    in_scope: bool | None,
    policy: Policy,
    account: Account | None,
    now: datetime,
    is_valid: bool = True,
) -> Wanted:
    """What the person should have. `in_scope`: None where the rule lacks data for an answer.
    `is_valid`: whether the status is one that entitles."""
    reason = standing.state.value
    if standing.state is Lifecycle.LEFT:
        return _of_leaver(standing, policy, account, now)
    if in_scope is None:
        return Wanted(state=None, reason=reason)
    if not in_scope:
        return Wanted(state=AccountState.DISABLED, reason=NOT_ENTITLED if is_valid else NOT_VALID)
    if standing.state is Lifecycle.PREHIRE:
        return _of_prehire(standing, policy, now)
    if standing.state is Lifecycle.LEAVE and not policy.leave_keeps:
        return Wanted(state=AccountState.DISABLED, reason=reason)
    return Wanted(state=AccountState.ACTIVE, reason=reason, makes=True)


def _of_leaver(
    standing: Standing, policy: Policy, account: Account | None, now: datetime
) -> Wanted:
    """A leaver is looked at again at a later date only where there is an account to delete."""
    left = GONE_FROM_HR if standing.is_presumed else Lifecycle.LEFT.value
    if policy.leaver_keeps:
        return Wanted(state=None, reason=left)
    if policy.delete_after is None or account is None or account.state in GONE:
        return Wanted(state=AccountState.DISABLED, reason=left)
    since = _gone_since(standing, account) if account.state == AccountState.DISABLED else now
    if since is None or since > now:
        return Wanted(state=AccountState.DISABLED, reason=left, next_at=since)
    due = since + policy.delete_after
    if account.state == AccountState.DISABLED and due <= now:
        return Wanted(state=AccountState.DELETED, reason=RETENTION)
    return Wanted(state=AccountState.DISABLED, reason=left, next_at=due)


def _gone_since(standing: Standing, account: Account) -> datetime | None:
    """Since when the person has left and the account is disabled; None where nobody knows. The time
    of a disabling for another reason does not tell when the person left."""
    since, ended_at = account.since, standing.ended_at
    if since is None or (ended_at is None and account.disabled_reason not in HAS_LEFT):
        return None
    return max(since, ended_at or since)


def _of_prehire(standing: Standing, policy: Policy, now: datetime) -> Wanted:
    made_at = (standing.starts_at or now) - policy.prehire
    reason, too_early = Lifecycle.PREHIRE.value, made_at > now
    if too_early:
        return Wanted(state=AccountState.DISABLED, reason=reason, next_at=made_at)
    return Wanted(state=AccountState.DISABLED, reason=reason, makes=policy.prehire > timedelta(0))
