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
from accountsync.store.plans import guarded_tasks
from accountsync.store.plans.guarded_tasks import EVERYTHING, Selection
from accountsync.store.plans.plan_view import PlanView
from accountsync.store.tasks import dependants

log = logging.getLogger(__name__)


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
    was reviewed.
    """
    with locks.held(engine, "plan"), engine.begin() as connection:
        view = _find_held(connection, plan, reviewed)
        ids = guarded_tasks.releasable(connection, plan_id=plan, chosen=chosen)
        guarded_tasks.let_through(connection, ids=ids, candidates=settings.order.table(), now=now)
        let_go = guarded_tasks.persons_of(connection, ids=ids)
        dependants.release_satisfied(connection, now=now, persons=let_go)
        outdated = guarded_tasks.leave_to_next_plan(
            connection, plan_id=plan, now=now, chosen=chosen
        )
        _close(connection, plan, "approved", actor=actor, comment=comment, now=now)
        details = _details(view, chosen, len(ids), comment)
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
) -> int:
    """Cancels exactly the held tasks, or those that were chosen. The same ones are not planned
    again until something about them changes, or somebody reconsiders. Returns how many.

    The first time, leavers stay held: they are asked about once more, since they would keep their
    access (I17). Raises SafetyStopError as `approve` does.
    """
    with locks.held(engine, "plan"), engine.begin() as connection:
        view = _find_held(connection, plan, reviewed)
        is_first = view.leavers_asked_at is None
        leavers = guarded_tasks.leavers(connection, plan_id=plan, chosen=chosen)
        refused = guarded_tasks.reject(
            connection, plan_id=plan, now=now, chosen=chosen, leavers=not is_first
        )
        cancelled = len(refused)
        dependants.release_satisfied(connection, now=now, persons=refused)
        if leavers and is_first:
            guarded_tasks.ask_about_leavers(connection, plan_id=plan, now=now)
        _close(connection, plan, "rejected", actor=actor, comment=comment, now=now)
        details = _details(view, chosen, cancelled, comment)
        audit.record(connection, actor=actor, action=AuditAction.PLAN_REJECTED, details=details)
    log.info("event=plan_rejected plan=%s tasks=%s", plan, cancelled)
    return cancelled


def _close(
    connection: Connection, plan: int, state: str, *, actor: str, comment: str, now: datetime
) -> None:
    """The plan is decided about once it holds nothing any more."""
    view = _find(connection, plan)
    if not view.held:
        guarded_tasks.close(
            connection, plan_id=plan, state=state, actor=actor, comment=comment, now=now
        )


def _details(view: PlanView, chosen: Selection, tasks: int, comment: str) -> dict[str, object]:
    details: dict[str, object] = {
        "plan": view.id, "hash": view.held_hash, "tasks": tasks, "comment": comment,
    }  # fmt: skip
    if chosen != EVERYTHING:
        details |= {"reasons": chosen.reasons, "numbers": chosen.numbers}
    return details


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


def _find_held(connection: Connection, plan: int, reviewed: str | None) -> PlanView:
    view = _find(connection, plan, lock=True)
    if view.state != "held":
        raise SafetyStopError(f"plan {plan} is not held: it is {view.state}")
    if not view.held:
        raise SafetyStopError(
            f"plan {plan} holds nothing any more: what it held was superseded or cancelled"
        )
    present = guarded_tasks.held_hash(connection, plan_id=plan)
    if present != view.held_hash or reviewed not in (None, present):
        raise SafetyStopError(f"plan {plan} is not what was reviewed; look at it again")
    return view
