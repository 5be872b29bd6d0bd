"""Who did what. Append only."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Connection, text


class AuditAction(StrEnum):
    """What somebody did: a thing, and what was done to it. `details` says to which."""

    PLAN_APPROVED = "plan_approved"
    """What the guard held of a plan goes on, as far as it still holds."""
    PLAN_REJECTED = "plan_rejected"
    """What the guard held of a plan is cancelled."""
    PLAN_RECONSIDERED = "plan_reconsidered"
    """What was rejected or cancelled of a plan may be planned again."""
    DRY_RUN_RELEASED = "dry_run_released"
    """What a dry run had shown was planned."""
    FEED_APPROVED = "feed_approved"
    """A held feed of HR is merged."""
    FEED_REJECTED = "feed_rejected"
    """A held feed of HR is thrown away."""
    REJECT_CLOSED = "reject_closed"
    """A row of HR that cannot be used is asked about no more."""
    ABSENCE_TAKEN_FOR_LEAVING = "absence_taken_for_leaving"
    """Somebody whom HR's complete reads lack counts as a leaver."""
    TASK_RETRIED = "task_retried"
    """Tasks that had failed or needed a human are tried again."""
    TASK_CANCELLED = "task_cancelled"
    """Tasks that nobody had begun are given up."""
    TASK_HELD = "task_held"
    """Tasks are kept back until they are released."""
    TASK_RELEASED = "task_released"
    """Tasks that were kept back go on."""
    TASK_DONE = "task_done"
    """Somebody vouches that a task is done, and the store believes it."""
    ACCOUNT_REQUEST_SUBMITTED = "account_request_submitted"
    """Accounts were asked for."""
    ACCOUNT_REQUEST_CANCELLED = "account_request_cancelled"
    """Accounts are asked for no more."""
    MAPPING_IMPORTED = "mapping_imported"
    """A table of mappings was changed; `details` has every row, before and after."""
    NAME_OVERRIDDEN = "name_overridden"
    """One person is to have another reading or other names than the rules give."""
    NAME_READING_CHANGED = "name_reading_changed"
    """Characters are read otherwise from now on, for everybody."""
    NAME_RESERVED = "name_reserved"
    """A name is kept for nobody."""
    ACCOUNTS_ADOPTED = "accounts_adopted"
    """Accounts that a target had already became those of their persons."""
    CORRELATION_CASE_ADOPTED = "correlation_case_adopted"
    """Somebody said whose an account is."""
    CORRELATION_CASE_IGNORED = "correlation_case_ignored"
    """Somebody said that an account is nobody's of ours."""


FORMER_NAMES: Mapping[AuditAction, str] = {
    AuditAction.TASK_RETRIED: "task_retry",
    AuditAction.TASK_CANCELLED: "task_cancel",
    AuditAction.TASK_HELD: "task_hold",
    AuditAction.TASK_RELEASED: "task_release",
    AuditAction.MAPPING_IMPORTED: "mapping.import",
    AuditAction.NAME_OVERRIDDEN: "name.override",
    AuditAction.NAME_READING_CHANGED: "name.reading",
    AuditAction.NAME_RESERVED: "name.reserve",
}
"""Under which names older rows have these. Nobody may change such a row: who looks for an action
looks for both names."""

_RECORD = text("""
INSERT INTO accountsync.audit_event (actor, action, details)
VALUES (:actor, :action, CAST(:details AS jsonb))
""")


def record(
    connection: Connection, *, actor: str, action: AuditAction, details: Mapping[str, Any]
) -> None:
    """`details`: ids and what somebody said, never a person's data beyond employee numbers."""
    bound = {"actor": actor, "action": action, "details": orjson.dumps(details).decode()}
    connection.execute(_RECORD, bound)


def recorded_as(action: AuditAction) -> list[str]:
    """All names under which the trail has an action, the present one first."""
    former = FORMER_NAMES.get(action)
    return [action, former] if former else [action]
