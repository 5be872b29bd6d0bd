"""Carries out one claimed task through a connector, by a call or by a probe."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from accountsync.domain.accounts.account import Account, AccountState, Operation, RemoteAccount
from accountsync.domain.mapping.values import compile_tree
from accountsync.domain.plans.desired import sendable
from accountsync.domain.tasks import outcomes, probe
from accountsync.domain.tasks.outcomes import ClaimedTask, Result, Rules
from accountsync.errors import (
    AccountExistsError,
    AccountSyncError,
    NeedsDataError,
    RecordError,
    UnknownOutcomeError,
)
from accountsync.store.tasks.claimed_tasks import Claim
from accountsync.targets.connector import Connector


def with_late_bound(claim: Claim) -> dict[str, Any]:
    """The attributes to send. Late-bound ones are read from another account, which is there by
    now."""
    late = claim.row["late_bound"]
    desired: dict[str, Any] = claim.row["desired"]
    if not late:
        return desired
    value = compile_tree(late, roots={"accounts"})
    return sendable({**desired, **value({"accounts": claim.row["accounts"] or {}})})


async def carry_out(
    connector: Connector, task: ClaimedTask, *, rules: Rules, clock: Callable[[], datetime]
) -> Result:
    """Calls the target, or looks the account up where the task is to be probed. Raises the errors
    of the connector.

    A target that finds accounts by their name alone shows the old name if a rename was not made, so
    the probe looks for that, too.
    """
    if task.probe:
        if not connector.can_find:
            return probe.unfindable(task)
        remote = await connector.find(task.attributes)
        if remote is None and task.account is not None and task.account.attributes:
            remote = await connector.find({**task.attributes, **task.account.attributes})
        return probe.probed(task, remote, rules=rules, now=clock())
    return await call(connector, task)


async def call(connector: Connector, task: ClaimedTask) -> Result:
    """Makes the call of a task. Raises the errors of the connector."""
    if task.operation not in connector.operations:
        return outcomes.manual(task)
    if task.operation == Operation.CREATE:
        return await _create(connector, task)
    if task.account is None:
        raise NeedsDataError("no account of this person is known here")
    return outcomes.succeeded(task, await _change(connector, task, task.account))


async def _create(connector: Connector, task: ClaimedTask) -> Result:
    enabled = task.account_state != AccountState.DISABLED
    try:
        account = await connector.create(task.attributes, enabled=enabled)
    except AccountExistsError as error:
        return await _look_up(connector, task, error)
    return probe.made(task, account)


async def _change(
    connector: Connector, task: ClaimedTask, account: Account
) -> RemoteAccount | None:
    match task.operation:
        case Operation.UPDATE:
            return await connector.update(account, task.attributes)
        case Operation.RENAME:
            return await connector.rename(account, task.attributes)
        case Operation.ENABLE:
            return await connector.enable(account, task.attributes)
        case Operation.DISABLE:
            return await connector.disable(account, task.attributes)
        case Operation.DELETE:
            await connector.delete(account)
            return None
    raise AssertionError(f"the store knows no operation {task.operation!r}")


async def _look_up(connector: Connector, task: ClaimedTask, exists: AccountExistsError) -> Result:
    """Looks an account up that exists already. If the look-up fails, UnknownOutcomeError is raised,
    so that a probe looks again later."""
    if not connector.can_find:
        return probe.existing(task, None, exists)
    try:
        remote = await connector.find(task.attributes)
    except RecordError:
        remote = None
    except AccountSyncError as error:
        raise UnknownOutcomeError(f"exists, but the look-up failed: {error}") from error
    return probe.existing(task, remote, exists)
