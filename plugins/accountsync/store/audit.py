"""The audit trail: who did what. Rows are only ever added."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Connection, text


class AuditAction(StrEnum):
    """What somebody did. A name is a thing and what was done to it; `details` says to which one."""

    PLAN_APPROVED = "plan_approved"
    """The tasks of a plan that the guard holds go on, where nothing new is known of the person."""
    PLAN_REJECTED = "plan_rejected"
    """The tasks of a plan that the guard holds are cancelled."""
    PLAN_RECONSIDERED = "plan_reconsidered"
    """Tasks of a plan that were rejected or cancelled may be planned again."""
    DRY_RUN_RELEASED = "dry_run_released"
    """The plan that a dry run had shown was made."""
    FEED_APPROVED = "feed_approved"
    """A held feed of HR is merged."""
    FEED_REJECTED = "feed_rejected"
    """A held feed of HR is thrown away."""
    REVIEW_ANSWERED = "review_answered"
    """Airflow recorded a user's answer about a held plan or feed; it is carried out next."""
    REJECT_CLOSED = "reject_closed"
    """A row of HR that cannot be used is asked about no more."""
    ABSENCE_TAKEN_FOR_LEAVING = "absence_taken_for_leaving"
    """Somebody whom HR's complete reads lack counts as a leaver."""
    PERSON_LINKED = "person_linked"
    """A record of HR is that of the person who had its number."""
    NUMBER_REASSIGNED = "number_reassigned"
    """A number is another person's from now on, and who had it keeps the accounts without it."""
    PERSONS_MERGED = "persons_merged"
    """Two persons are one from now on."""
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
    """Characters are read in another way from now on, for everybody."""
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
"""The names that these have in older rows, which nobody may change. A search for an action takes
both names."""

_RECORD = text("""
INSERT INTO accountsync.audit_event (actor, action, details)
VALUES (:actor, :action, CAST(:details AS jsonb))
""")


def record(
    connection: Connection, *, actor: str, action: AuditAction, details: Mapping[str, Any]
) -> None:
    """Adds a row. `details`: ids and somebody's comment; of a person, employee numbers only."""
    bound = {"actor": actor, "action": action, "details": orjson.dumps(details).decode()}
    connection.execute(_RECORD, bound)


def recorded_as(action: AuditAction) -> list[str]:
    """All names under which the trail has an action, the present one first."""
    former = FORMER_NAMES.get(action)
    return [action, former] if former else [action]
