"""Shows held plans and dry runs, and carries out what a human decides about them (I7)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine

from accountsync.domain.reasons import Kind, Reason
from accountsync.errors import ConfigurationError, SafetyStopError
from accountsync.jobs.plans.create_account_tasks import PlanSummary, create_account_tasks
from accountsync.settings import Settings
from accountsync.store import audit, locks
from accountsync.store.audit import AuditAction
from accountsync.store.plans import guarded_tasks, plans
from accountsync.store.plans.guarded_tasks import EVERYTHING, Selection
from accountsync.store.plans.plan_view import PlanLine, PlanView
from accountsync.store.tasks import dependants

log = logging.getLogger(__name__)

_NAMED = 10
"""So many reasons or employee numbers are named where somebody chose another one."""
_ASKED_ALREADY = (
    "these tasks of plan {} end the access of people who have left, and were rejected once. Approve"
    " to end it; to let them keep it, reject with --once-more"
)


def list_held(*, engine: Engine) -> Sequence[PlanView]:
    with engine.connect() as connection:
        return guarded_tasks.held_plans(connection)


def list_recent(*, engine: Engine, limit: int = 20) -> Sequence[PlanView]:
    with engine.connect() as connection:
        return guarded_tasks.recent_plans(connection, limit=limit)


def describe(*, engine: Engine, plan: int) -> PlanView:
    """Raises ConfigurationError when there is no such plan."""
    with engine.connect() as connection:
        return _find(connection, plan)


def held_lines(*, engine: Engine, plan: int) -> Sequence[PlanLine]:
    """What of the plan still waits for a human, now."""
    with engine.connect() as connection:
        lines = plans.lines(connection, plan_id=plan)
    return [line for line in lines if line.held]


def held_hash(*, engine: Engine, plan: int) -> str | None:
    """The hash of what is asked about the plan now. Another decision makes it another one."""
    with engine.connect() as connection:
        return guarded_tasks.held_hash(connection, plan_id=plan)


def approve(
    *,
    engine: Engine,
    settings: Settings,
    plan: int,
    actor: str,
    comment: str,
    now: datetime,
    reviewed: str | None = None,
    chosen: Selection = EVERYTHING,
) -> int:
    """Releases exactly the held tasks that were reviewed, or those of them that were chosen, while
    the others stay held. Returns how many.

    `reviewed` is the hash that the reviewer saw. A later plan has superseded tasks that do not hold
    any more. A person who changed since then is left to the next plan, which the guard judges anew.
    Raises SafetyStopError, and changes nothing, where the plan holds nothing or is not the one that
    was reviewed; ConfigurationError where it holds nothing of what was chosen.
    """
    with locks.held(engine, "plan"), engine.begin() as connection:
        details = _decided_about(connection, plan, reviewed, chosen) | {"comment": comment}
        ids = guarded_tasks.releasable(connection, plan_id=plan, chosen=chosen)
        guarded_tasks.let_through(connection, ids=ids, candidates=settings.order.table(), now=now)
        let_go = guarded_tasks.persons_of(connection, ids=ids)
        dependants.release_satisfied(connection, now=now, persons=let_go)
        outdated = guarded_tasks.leave_to_next_plan(
            connection, plan_id=plan, now=now, chosen=chosen
        )
        _close(connection, plan, "approved", actor=actor, comment=comment, now=now)
        details["tasks"] = len(ids)
        audit.record(connection, actor=actor, action=AuditAction.PLAN_APPROVED, details=details)
    log.info("event=plan_approved plan=%s tasks=%s outdated=%s", plan, len(ids), outdated)
    return len(ids)


def reject(
    *,
    engine: Engine,
    plan: int,
    actor: str,
    comment: str,
    now: datetime,
    reviewed: str | None = None,
    chosen: Selection = EVERYTHING,
    once_more: bool = False,
) -> int:
    """Cancels exactly the held tasks, or those that were chosen. The same ones are not planned
    again until something about them changes, or somebody reconsiders. Returns how many.

    The first time, leavers stay held: they are asked about once more, since they would keep their
    access (I17). They are cancelled by the answer to that: `reviewed` is what it says, or
    `once_more` says that it is one. Raises errors as `approve` does, and SafetyStopError where only
    leavers are chosen who were asked about already, and this is no answer to that.
    """
    answers_again = once_more or reviewed is not None
    with locks.held(engine, "plan"), engine.begin() as connection:
        details = _decided_about(connection, plan, reviewed, chosen) | {"comment": comment}
        persons = guarded_tasks.reject(
            connection,
            plan_id=plan,
            now=now,
            cause=Reason.of(Kind.REJECTED, actor=actor, comment=comment),
            chosen=chosen,
            once_more=answers_again,
        )
        asked_again = guarded_tasks.ask_again(connection, plan_id=plan, now=now, chosen=chosen)
        if not persons and not asked_again:
            raise SafetyStopError(_ASKED_ALREADY.format(plan))
        dependants.release_satisfied(connection, now=now, persons=persons)
        _close(connection, plan, "rejected", actor=actor, comment=comment, now=now)
        details |= {"tasks": len(persons), "asked_again": asked_again}
        audit.record(connection, actor=actor, action=AuditAction.PLAN_REJECTED, details=details)
    log.info("event=plan_rejected plan=%s tasks=%s", plan, len(persons))
    return len(persons)


def _close(
    connection: Connection, plan: int, state: str, *, actor: str, comment: str, now: datetime
) -> None:
    """The plan is decided about once it holds nothing any more."""
    view = _find(connection, plan)
    if not view.held:
        guarded_tasks.close(
            connection, plan_id=plan, state=state, actor=actor, comment=comment, now=now
        )


def reconsider(*, engine: Engine, plan: int, actor: str, comment: str) -> int:
    """Takes back that a plan's tasks were rejected or cancelled. The next plan has them again where
    they still hold, and the guard judges them anew. Returns how many.

    Raises SafetyStopError where nothing of this plan is refused any more.
    """
    with locks.held(engine, "plan"), engine.begin() as connection:
        _find(connection, plan, lock=True)
        cause = Reason.of(Kind.COMMANDED, command="reconsider", actor=actor, comment=comment)
        tasks = guarded_tasks.reconsider(connection, plan_id=plan, cause=cause)
        if not tasks:
            raise SafetyStopError(f"nothing of plan {plan} is refused, or it lapsed since")
        details = {"plan": plan, "tasks": tasks, "comment": comment}
        audit.record(connection, actor=actor, action=AuditAction.PLAN_RECONSIDERED, details=details)
    log.info("event=plan_reconsidered plan=%s tasks=%s", plan, tasks)
    return tasks


def release_dry_run(
    *, engine: Engine, settings: Settings, plan: int, actor: str, now: datetime
) -> PlanSummary:
    """Makes a plan of what the dry run derived. The guard judges it like any plan.

    Raises SafetyStopError where the plan comes out differently by now, ConfigurationError where the
    plan is no dry run.
    """
    dry_run = describe(engine=engine, plan=plan)
    if dry_run.state != "dry_run":
        raise ConfigurationError(f"plan {plan} is no dry run: it is {dry_run.state}")
    summary = create_account_tasks(
        engine=engine,
        settings=settings,
        now=now,
        airflow_run_id=dry_run.airflow_run_id,
        expected=dry_run.content_hash,
    )
    with engine.begin() as connection:
        details = {"dry_run": plan, "plan": summary.plan_id}
        audit.record(connection, actor=actor, action=AuditAction.DRY_RUN_RELEASED, details=details)
    return summary


def _find(connection: Connection, plan: int, *, lock: bool = False) -> PlanView:
    view = guarded_tasks.plan(connection, plan_id=plan, lock=lock)
    if view is None:
        raise ConfigurationError(f"there is no plan {plan}; list them: bin/accountsync plan list")
    return view


def _decided_about(
    connection: Connection, plan: int, reviewed: str | None, chosen: Selection
) -> dict[str, object]:
    """What is decided about, for the audit trail. Raises errors as `approve` does."""
    view = _find(connection, plan, lock=True)
    if view.state != "held":
        raise SafetyStopError(f"plan {plan} is not held: it is {view.state}")
    if not view.held:
        raise SafetyStopError(
            f"plan {plan} holds nothing any more: what it held was superseded or cancelled"
        )
    present = guarded_tasks.held_hash(connection, plan_id=plan)
    if reviewed not in (None, present):
        raise SafetyStopError(
            f"plan {plan} is not what was reviewed: something was decided about it since; look at"
            f" it again: bin/accountsync plan show {plan}"
        )
    details: dict[str, object] = {"plan": plan, "hash": present}
    if chosen == EVERYTHING:
        return details
    _require_held(connection, plan, chosen)
    return details | {"reasons": chosen.reasons, "numbers": chosen.numbers}


def _require_held(connection: Connection, plan: int, chosen: Selection) -> None:
    """Raises ConfigurationError where one of the reasons or persons is none of the plan's held
    tasks, or where no task has both."""
    held = guarded_tasks.choice(connection, plan_id=plan)
    problems = [
        f"plan {plan} holds nothing {called} {', '.join(unknown)}; it does {called}"
        f" {_some(sorted(known or ()))}"
        for called, asked, known in (
            ("for the reason", chosen.reasons, held.reasons),
            ("of person", chosen.numbers, held.numbers),
        )
        if (unknown := sorted(repr(one) for one in {*(asked or ())} - {*(known or ())}))
    ]
    if not problems and not guarded_tasks.choice(connection, plan_id=plan, chosen=chosen).numbers:
        problems = [f"plan {plan} holds nothing of these persons for these reasons"]
    if problems:
        raise ConfigurationError("\n".join(problems))


def _some(values: Sequence[str]) -> str:
    more = len(values) - _NAMED
    return ", ".join(values[:_NAMED]) + (f" and {more} more" if more > 0 else "")
