"""Carries out one claimed task through a connector, by a call or by a probe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from accountsync.domain.accounts.account import (
    GONE,
    TAKES_AWAY,
    Account,
    AccountState,
    Attributes,
    Operation,
    RemoteAccount,
)
from accountsync.domain.accounts.likeness import as_found
from accountsync.domain.mapping.values import compile_tree
from accountsync.domain.plans.desired import sendable
from accountsync.domain.tasks import outcomes, probe
from accountsync.domain.tasks.outcomes import ClaimedTask, Result, Rules
from accountsync.errors import (
    AccountExistsError,
    AccountSyncError,
    ForeignAccountError,
    NeedsDataError,
    NeedsHumanError,
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
    of the connector."""
    known = task.account
    if known is not None and known.key_taken and known.remote_id is None:
        raise ForeignAccountError("another person has an account with this key by now")
    if task.probe:
        if not connector.can_find:
            return probe.unfindable(task)
        return probe.probed(task, await _seen(connector, task), rules=rules, now=clock())
    return await call(connector, task, rules=rules, now=clock())


async def _seen(connector: Connector, task: ClaimedTask) -> RemoteAccount | None:
    """The account that a task is about. One that is known is looked for by the target's own id and
    by the key that it was last seen to carry, or that was sent. Whether a removal is done is asked
    of the person's present key, too: somebody may have made the account anew (I17)."""
    account = task.account
    if task.operation == Operation.CREATE:
        return await connector.find(task.attributes)
    remote = await _looked_at(connector, task, account) if account else None
    if remote is not None or task.operation not in TAKES_AWAY:
        return remote
    written = await _written(connector, task)
    return written[0] if written else await _anew(connector, task)


async def _written(
    connector: Connector, task: ClaimedTask
) -> tuple[RemoteAccount, Attributes] | None:
    """The account as a call has made or changed it of which nobody knows the outcome, and what was
    sent."""
    known = task.account.attributes if task.account else task.attributes
    for sent in task.sent:
        written = {**known, **sent}  # a run that was killed has not kept what it read late
        remote = await connector.find(written)
        if remote is not None and remote.ours and _may_be(remote, task.account):
            return remote, written
    return None


def _may_be(remote: RemoteAccount, account: Account | None) -> bool:
    known = account.remote_id if account and account.state not in GONE else None
    return known is None or remote.remote_id in (None, known)


async def _anew(connector: Connector, task: ClaimedTask) -> RemoteAccount | None:
    """The account under the person's present key. Where another one was known, only a human can say
    whether this is the same."""
    account = task.account
    if account is None:
        return await connector.find(task.attributes)
    if task.attributes == account.attributes or account.key_taken:
        return None
    other = await connector.find({**account.attributes, **task.attributes})
    if other is not None and other.ours:
        raise ForeignAccountError(
            "absent under the key that it was last seen to carry, and an account carries the"
            " person's present key: disable that one by hand where it is this person's"
        )
    return None


async def _looked_at(
    connector: Connector, task: ClaimedTask, account: Account
) -> RemoteAccount | None:
    """An account that may only be hidden from our login matters where access has to end. Whatever
    else is asked for ends as with one that is absent (I17)."""
    try:
        return await connector.look(account, task.attributes)
    except NeedsHumanError:
        if task.operation == Operation.DISABLE:
            raise
        return None


async def call(connector: Connector, task: ClaimedTask, *, rules: Rules, now: datetime) -> Result:
    """Makes the call of a task. Raises the errors of the connector."""
    if task.operation not in connector.operations:
        return outcomes.manual(task)
    if task.operation == Operation.CREATE:
        return await _create(connector, task, rules)
    account = await _present(connector, task)
    if account is None:
        return outcomes.not_found(task, rules=rules, now=now)
    task = replace(task, account=account)
    changed = await _change(connector, task, account)
    return probe.changed(
        task, await _shown(connector, task, account, changed), rules=rules, now=now
    )


async def _present(connector: Connector, task: ClaimedTask) -> Account | None:
    """The account that a task is about, as it has to be addressed. What is taken away may carry
    what a call has sent of which nobody knows the outcome (I17)."""
    known = task.account
    if known is None:
        return await _made_in_doubt(connector, task)
    if not task.sent or not connector.can_find or await _looked_at(connector, task, known):
        return known
    found = await _written(connector, task)
    if found is None:
        return known
    remote, written = found
    return replace(
        known, identifier=remote.identifier, remote_id=remote.remote_id, attributes=written
    )


async def _made_in_doubt(connector: Connector, task: ClaimedTask) -> Account | None:
    """The account that a create may have made whose outcome was never known, to take it away."""
    if task.operation not in TAKES_AWAY:
        raise NeedsDataError("no account of this person is known here")
    if not connector.can_find:
        raise NeedsHumanError("nobody knows whether the account was made: look there yourself")
    found = await _written(connector, task)
    remote, written = found or (await connector.find(task.attributes), task.attributes)
    if remote is None or not remote.ours:
        return None
    return Account(
        state=AccountState.ACTIVE,
        identifier=remote.identifier,
        remote_id=remote.remote_id,
        attributes=as_found(written, remote.attributes),
    )


async def _shown(
    connector: Connector, task: ClaimedTask, account: Account, changed: RemoteAccount | None
) -> RemoteAccount | None:
    """What the target shows after a change. Whether it can be used is looked up where the answer
    did not say (I18)."""
    looked_at = (Operation.ENABLE, Operation.DISABLE, Operation.DELETE)
    is_shown = changed is not None and changed.enabled is not None
    if is_shown or task.operation not in looked_at or not connector.can_find:
        return changed
    try:
        seen = await _looked_at(connector, task, account)
    except AccountSyncError as error:
        raise UnknownOutcomeError(f"done, but not seen: {error}") from error
    if (seen is None) is not (task.operation == Operation.DELETE):
        raise UnknownOutcomeError("answered as done, and a look does not show it")
    return replace(changed, enabled=seen.enabled) if changed and seen else changed


async def _create(connector: Connector, task: ClaimedTask, rules: Rules) -> Result:
    """Where the target may have accounts that nobody has looked for, a look comes first: not every
    target refuses a second one."""
    if rules.looks_first and connector.can_find:
        there = await connector.find(task.attributes)
        if there is not None:
            return probe.existing(task, there, AccountExistsError("seen before it was made"))
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
