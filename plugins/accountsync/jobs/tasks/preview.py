"""Shows what a run would send to one target, without claiming or changing anything."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from sqlalchemy import Engine

from accountsync.clock import utc_now
from accountsync.domain.accounts.account import TAKES_AWAY
from accountsync.domain.tasks.outcomes import Outcome, Result, Rules
from accountsync.errors import (
    AccountMissingError,
    AccountSyncError,
    NeedsHumanError,
    SafetyStopError,
)
from accountsync.jobs.tasks.operations import call, with_late_bound
from accountsync.jobs.tasks.process_account_tasks import ProcessSummary
from accountsync.jobs.tasks.task_queue import Limits
from accountsync.store.engine import database_time
from accountsync.store.tasks import claimed_tasks
from accountsync.store.tasks.claimed_tasks import Claim
from accountsync.targets.connector import Connector

log = logging.getLogger(__name__)

_AT_MOST = 1000


def preview_account_tasks(
    *,
    engine: Engine,
    target: str,
    open_connector: Callable[[], AbstractAsyncContextManager[Connector]],
    rules: Rules,
    limits: Limits,
) -> ProcessSummary:
    """Logs what would happen to each due task, and counts it. The connector has to be one that
    refuses changes at the wire.

    `outcomes` of the summary has `would_<operation>` (a change would be sent),
    `would_change_nothing` (nothing has to be sent), `would_adopt`, `would_look` (after an unknown
    outcome), `would_need_a_human` and `would_fail`.
    """
    with engine.connect() as connection:
        claims = claimed_tasks.peek(
            connection,
            target=target,
            limit=min(limits.max_tasks or _AT_MOST, _AT_MOST),
            key=rules.key,
            now=database_time(connection),
            numbers=limits.employee_numbers,
        )
    shown = asyncio.run(_show(target, claims, open_connector, rules))
    log.info("event=dry_run target=%s %s", target, dict(shown))
    return ProcessSummary(target=target, outcomes=dict(shown))


async def _show(
    target: str,
    claims: list[Claim],
    open_connector: Callable[[], AbstractAsyncContextManager[Connector]],
    rules: Rules,
) -> Counter[str]:
    shown: Counter[str] = Counter()
    async with open_connector() as connector:
        for claim in claims:
            verdict, details = await _would(connector, claim, rules)
            shown[verdict] += 1
            log.info(
                "event=%s target=%s task=%s operation=%s employee_number=%s what=%r",
                verdict, target, claim.row["id"], claim.row["operation"],
                claim.row["employee_number"], details,
            )  # fmt: skip
    return shown


async def _would(connector: Connector, claim: Claim, rules: Rules) -> tuple[str, str]:
    if claim.probe:
        return "would_look", "the outcome of an earlier call is unknown"
    try:
        task = claim.as_task(with_late_bound(claim))
        return _without_a_change(await call(connector, task, rules=rules, now=utc_now()))
    except SafetyStopError as refused:
        return f"would_{claim.row['operation']}", str(refused)
    except AccountSyncError as error:
        return _without_success(error, claim.row["operation"])


def _without_a_change(result: Result) -> tuple[str, str]:
    """The verdict on a call that ended although no change can be sent."""
    if result.state == "needs_human":
        return "would_need_a_human", result.message or ""
    if result.outcome is Outcome.ADOPTED:
        return "would_adopt", "the target has this account already"
    return "would_change_nothing", "the target shows the account as it is wanted"


def _without_success(error: AccountSyncError, operation: str) -> tuple[str, str]:
    """The verdict on an error. It is no failure where a human has to act, or where the account to
    disable or delete is missing already."""
    if isinstance(error, NeedsHumanError):
        return "would_need_a_human", str(error)
    if isinstance(error, AccountMissingError) and operation in TAKES_AWAY:
        return "would_change_nothing", "the target has no such account any more"
    return "would_fail", f"{type(error).__name__}: {error}"
