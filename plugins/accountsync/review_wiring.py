"""Gives the jobs about reviews the engine, the ids and the clock that they work with."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from accountsync.connections import open_store
from accountsync.jobs.commands import asked_reviews
from accountsync.jobs.commands.asked_reviews import Answer, Decided, Question
from accountsync.jobs.commands.reviews import Review
from accountsync.settings import Settings
from accountsync.wiring import store_time


def ask_for_decisions(
    settings: Settings,
    *,
    is_asking: Callable[[Sequence[str]], bool],
    start: Callable[[Question], None],
) -> list[str]:
    """Asks about everything that is held and about which no run of ours asks. Returns the runs that
    were started, whose ids nobody can guess."""
    asked = asked_reviews.ask(
        engine=open_store(settings),
        is_asking=is_asking,
        start=start,
        new_id=partial(secrets.token_hex, 8),
    )
    return [question.run_id for question in asked]


def missed_questions(settings: Settings) -> list[str]:
    """The runs whose question is shown to nobody although it was asked a while ago."""
    return asked_reviews.missed(engine=open_store(settings))


def question_of(settings: Settings, run_id: str) -> Review | None:
    """See `asked_reviews.question`."""
    return asked_reviews.question(engine=open_store(settings), run_id=run_id)


def show_question(settings: Settings, run_id: str, *, reviewed: str) -> None:
    asked_reviews.show(engine=open_store(settings), run_id=run_id, reviewed=reviewed)


def answer_question(settings: Settings, run_id: str, recorded: Mapping[str, Any]) -> Decided:
    """Records an answer, whose fields are those of `Answer`, and carries out the one that was
    recorded first."""
    return asked_reviews.answer(
        engine=open_store(settings),
        settings=settings,
        run_id=run_id,
        answer=Answer(**recorded),
        users=settings.reviews.users,
        clock=partial(store_time, settings),
    )


def carry_out_answer(settings: Settings, run_id: str) -> Decided | None:
    """Carries out the recorded answer, unless that was done already."""
    return asked_reviews.carry_out(
        engine=open_store(settings),
        settings=settings,
        run_id=run_id,
        clock=partial(store_time, settings),
    )


def decided_in(settings: Settings, run_id: str) -> Decided | None:
    """What was decided in a run and carried out."""
    return asked_reviews.decided(engine=open_store(settings), run_id=run_id)
