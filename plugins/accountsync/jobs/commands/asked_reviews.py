"""The runs of `review_held_changes` that we started: what each asks, who answered it, and that the
answer is carried out once (I20).

What Airflow's users may write (parameters, XComs, states of tasks, runs of their own making)
decides nothing here. A run is ours where the store says so; an answer is what Airflow recorded of
the user who gave it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from sqlalchemy import Connection, Engine

from accountsync.clock import Clock
from accountsync.errors import SafetyStopError
from accountsync.jobs.commands import reviews
from accountsync.jobs.commands.reviews import Decision, Kind, Review
from accountsync.jobs.plans import held_plans
from accountsync.settings import Settings
from accountsync.store import audit, locks, review_runs
from accountsync.store.audit import AuditAction
from accountsync.store.review_runs import AskedReview

log = logging.getLogger(__name__)

_PATIENCE = "30 minutes"
"""A question is shown within seconds, unless its DAG is paused or no worker is free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A run that asks about one plan or feed."""

    run_id: str
    kind: Kind
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """As Airflow recorded it. `user_id` is what its auth manager knows the user by; None: it was
    no user."""

    approved: bool
    user_id: str | None
    user_name: str
    answered_at: datetime
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What stands. `is_this_answer`: whether it is the answer that was given now; another one may
    have been recorded before it. `planned_anew`: approved tasks that do not go on, because
    something about their persons changed since they were shown. `still_held`: rejected tasks of
    leavers, who are asked about once more."""

    kind: Kind
    number: int
    approved: bool
    actor: str
    is_this_answer: bool = True
    planned_anew: int = 0
    still_held: int = 0


def ask(
    *,
    engine: Engine,
    is_asking: Callable[[Sequence[str]], bool],
    start: Callable[[Question], None],
    new_id: Callable[[], str],
) -> list[Question]:
    """Asks about everything that is held and about which no run of ours asks. Returns what it
    asked.

    `is_asking` says whether one of these runs asks now; `new_id` makes what nobody can guess. A run
    that could not be started asks nothing, so the next call asks again.
    """
    with locks.held(engine, "reviews"):
        return [
            _ask(engine, pending, start=start, new_id=new_id)
            for pending in reviews.pending(engine=engine)
            if not _is_asked(engine, pending, is_asking)
        ]


def _is_asked(
    engine: Engine, pending: reviews.Pending, is_asking: Callable[[Sequence[str]], bool]
) -> bool:
    numbers = [pending.number, *pending.in_place_of]
    with engine.connect() as connection:
        runs = review_runs.runs_about(
            connection, kind=pending.kind, numbers=numbers, reviewed=pending.reviewed
        )
    return bool(runs) and is_asking(runs)


def _ask(
    engine: Engine,
    pending: reviews.Pending,
    *,
    start: Callable[[Question], None],
    new_id: Callable[[], str],
) -> Question:
    run_id = f"{pending.kind}-{pending.number}-{new_id()}"
    question = Question(run_id=run_id, kind=pending.kind, number=pending.number)
    with engine.begin() as connection:
        review_runs.add(connection, run_id=run_id, kind=question.kind, number=question.number)
    start(question)
    log.info("event=review_asked run=%s", run_id)
    return question


def missed(*, engine: Engine) -> list[str]:
    """The runs whose question is shown to nobody although they were started a while ago, each once
    a day."""
    with engine.begin() as connection:
        runs = [
            run
            for pending in reviews.pending(engine=engine)
            for run in review_runs.runs_about(
                connection, kind=pending.kind, numbers=[pending.number]
            )[:1]
        ]
        return review_runs.missed(connection, run_ids=runs, patience=_PATIENCE)


def question(*, engine: Engine, run_id: str) -> Review | None:
    """What a run has to show; None: somebody has answered already, so that only the answer is to be
    carried out.

    Raises SafetyStopError where the run is not one of ours, where a later run asks about the same,
    or where nothing waits for a decision any more.
    """
    with engine.begin() as connection:
        asked = _ours(connection, run_id)
        if asked.answer is not None:
            return None
        if review_runs.has_newer(connection, run_id=run_id):
            raise SafetyStopError(
                f"{asked.kind} {asked.number} is asked about in a later run by now; this one"
                " decides nothing"
            )
    return reviews.describe(engine=engine, kind=_kind(asked), number=asked.number)


def show(*, engine: Engine, run_id: str, reviewed: str) -> None:
    """Keeps what exactly is shown. `reviewed` is its hash."""
    with engine.begin() as connection:
        review_runs.show(connection, run_id=run_id, reviewed=reviewed)


def answer(
    *,
    engine: Engine,
    settings: Settings,
    run_id: str,
    answer: Answer,
    users: Collection[str],
    clock: Clock,
) -> Decided:
    """Records an answer, and carries out the one that was recorded first.

    `users` are the ids of those who may decide; none: every user whom Airflow lets answer. Raises
    SafetyStopError, and changes nothing, where the answer is no such user's, or the run is not
    ours or has shown nothing.
    """
    by = _checked(answer, users)
    with engine.begin() as connection:
        asked = _ours(connection, run_id)
        if asked.reviewed is None:
            raise SafetyStopError(f"run {run_id} has shown nothing that could be decided about")
        is_first = review_runs.answer(
            connection,
            run_id=run_id,
            answer="approved" if answer.approved else "rejected",
            by=by,
            name=answer.user_name,
            at=answer.answered_at,
            comment=answer.comment,
        )
        if is_first:
            _audit(connection, asked, answer)
    decided = carry_out(engine=engine, settings=settings, run_id=run_id, clock=clock)
    assert decided is not None
    if is_first:
        return decided
    log.warning("event=answer_came_second run=%s by=%s", run_id, by)
    return replace(decided, is_this_answer=False)


def carry_out(*, engine: Engine, settings: Settings, run_id: str, clock: Clock) -> Decided | None:
    """Carries out the answer that was recorded, unless that was done already. None: there is none.

    Raises SafetyStopError, and changes nothing, where it is not what was shown any more.
    """
    with engine.begin() as connection:
        asked = _ours(connection, run_id)
    if asked.answer is None or asked.reviewed is None:
        return None
    decided = _decided(asked)
    if asked.carried_out_at is not None:
        return decided
    waited = _held(engine, decided)
    done = reviews.decide(
        engine=engine,
        settings=settings,
        kind=decided.kind,
        number=decided.number,
        decision=Decision(
            approved=decided.approved,
            actor=decided.actor,
            comment=asked.comment or "",
            reviewed=asked.reviewed,
        ),
        clock=clock,
    )
    with engine.begin() as connection:
        review_runs.carried_out(connection, run_id=run_id)
    if decided.kind == "feed":
        return decided
    if not decided.approved:
        return replace(decided, still_held=_held(engine, decided))
    return replace(decided, planned_anew=max(0, waited - done))


def _held(engine: Engine, decided: Decided) -> int:
    """The tasks that wait for a decision about this plan."""
    if decided.kind == "feed":
        return 0
    return held_plans.describe(engine=engine, plan=decided.number).held


def decided(*, engine: Engine, run_id: str) -> Decided | None:
    """What was decided in a run and carried out; None: nothing. It asks the store, not Airflow."""
    with engine.begin() as connection:
        asked = review_runs.find(connection, run_id=run_id)
    return _decided(asked) if asked and asked.carried_out_at else None


def _checked(answer: Answer, users: Collection[str]) -> str:
    """The id of the user who answered. Raises SafetyStopError where that user may not decide."""
    if not answer.user_id:
        raise SafetyStopError("Airflow recorded no user for this answer, so it decides nothing")
    if users and answer.user_id not in users:
        raise SafetyStopError(
            f"{answer.user_id!r} is not among `reviews.users` of the configuration, so this answer"
            " decides nothing"
        )
    return answer.user_id


def _ours(connection: Connection, run_id: str) -> AskedReview:
    asked = review_runs.find(connection, run_id=run_id)
    if asked is None:
        raise SafetyStopError(
            "this run was not started by AccountSync, so it asks nothing and decides nothing. What"
            " is held is asked about in runs that create_account_tasks and sync_hr_persons start"
        )
    return asked


def _kind(asked: AskedReview) -> Kind:
    return cast("Kind", asked.kind)


def _decided(asked: AskedReview) -> Decided:
    by, name = asked.answered_by or "", asked.answered_as or ""
    return Decided(
        kind=_kind(asked),
        number=asked.number,
        approved=asked.answer == "approved",
        actor=by if name in ("", by) else f"{name} ({by})",
    )


def _audit(connection: Connection, asked: AskedReview, answer: Answer) -> None:
    details = {
        asked.kind: asked.number,
        "run": asked.airflow_run_id,
        "hash": asked.reviewed,
        "answer": "approved" if answer.approved else "rejected",
        "name": answer.user_name,
        "answered_at": answer.answered_at.isoformat(),
        "comment": answer.comment,
    }
    actor = str(answer.user_id)
    audit.record(connection, actor=actor, action=AuditAction.REVIEW_ANSWERED, details=details)
