"""I20: which run asks about what is held, whose answer counts, and that it counts once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from accountsync.__main__ import app
from accountsync.clock import utc_now
from accountsync.errors import SafetyStopError
from accountsync.jobs.commands import asked_reviews, reviews
from accountsync.jobs.commands.asked_reviews import Answer, Decided, Question
from tests.integration.tasks.targets_world import TargetsWorld
from tests.integration.world import REPOSITORY

AT = datetime(2026, 11, 30, 10, tzinfo=UTC)


class Airflow:
    """The runs that are open there, as the task that asks sees them."""

    def __init__(self, world: TargetsWorld) -> None:
        self._world = world
        self.open: set[str] = set()
        self._ids = iter(f"{number:04x}" for number in range(1000))

    def ask(self, start: Callable[[Question], None] | None = None) -> list[str]:
        asked = asked_reviews.ask(
            engine=self._world.engine,
            is_asking=lambda runs: bool(self.open.intersection(runs)),
            start=start or (lambda question: self.open.add(question.run_id)),
            new_id=lambda: next(self._ids),
        )
        return [question.run_id for question in asked]


@pytest.fixture
def held(planned: TargetsWorld) -> TargetsWorld:
    """Ten leavers, whose disables the guard holds."""
    planned.drain()
    _leave(planned, 10)
    planned.plan()
    return planned


def _leave(world: TargetsWorld, persons: int) -> None:
    world.execute(
        "UPDATE accountsync.person SET status = '9', revision = revision + 1 WHERE id IN"
        " (SELECT person_id FROM accountsync.account WHERE system = 'idaas'"
        "  ORDER BY person_id LIMIT :persons)",
        persons=persons,
    )


def _shown(world: TargetsWorld, run_id: str) -> str:
    review = asked_reviews.question(engine=world.engine, run_id=run_id)
    assert review is not None
    asked_reviews.show(engine=world.engine, run_id=run_id, reviewed=review.reviewed)
    return review.body


def _answered(
    world: TargetsWorld,
    run_id: str,
    *,
    approved: bool = True,
    user: str | None = "ann",
    name: str = "Ann",
    users: Sequence[str] = (),
) -> Decided:
    answer = Answer(
        approved=approved, user_id=user, user_name=name, answered_at=AT, comment="HR says so"
    )
    return asked_reviews.answer(
        engine=world.engine,
        settings=world.settings,
        run_id=run_id,
        answer=answer,
        users=users,
        clock=utc_now,
    )


def _audit(world: TargetsWorld) -> list[tuple[Any, ...]]:
    events = world.rows(
        "SELECT actor, action FROM accountsync.audit_event"
        " WHERE action LIKE 'review_%' OR action LIKE 'plan_%' ORDER BY id"
    )
    return [(event["actor"], event["action"]) for event in events]


def _held(world: TargetsWorld) -> int:
    return int(world.scalar("SELECT count(*) FROM accountsync.account_task WHERE state = 'held'"))


def test_what_is_held_is_asked_about_once_while_the_question_is_open(held: TargetsWorld) -> None:
    airflow = Airflow(held)
    (run,) = airflow.ask()
    plan = held.scalar("SELECT max(id) FROM accountsync.plan")
    assert run == f"plan-{plan}-0000"
    assert airflow.ask() == []


def test_a_run_that_is_over_or_gone_is_no_question(held: TargetsWorld) -> None:
    """It failed, was deleted, its state was set by hand, or nobody answered in time."""
    airflow = Airflow(held)
    (first,) = airflow.ask()
    airflow.open.clear()
    (second,) = airflow.ask()
    assert second != first


def test_a_run_of_somebody_elses_making_silences_nobody(held: TargetsWorld) -> None:
    airflow = Airflow(held)
    plan = held.scalar("SELECT max(id) FROM accountsync.plan")
    airflow.open |= {f"plan-{number}" for number in range(plan + 40)}
    assert len(airflow.ask()) == 1


def test_a_run_that_could_not_be_started_is_no_question(held: TargetsWorld) -> None:
    airflow = Airflow(held)

    def fail(question: Question) -> None:
        raise ConnectionError(question.run_id)

    with pytest.raises(ConnectionError):
        airflow.ask(fail)
    assert len(airflow.ask()) == 1


def test_two_who_ask_at_the_same_time_ask_once(held: TargetsWorld) -> None:
    airflow = Airflow(held)
    with ThreadPoolExecutor(4) as together:
        asked = [run for runs in together.map(lambda _: airflow.ask(), range(4)) for run in runs]
    assert len(asked) == 1


def test_a_run_that_we_did_not_start_asks_nothing_and_decides_nothing(held: TargetsWorld) -> None:
    plan, before = held.scalar("SELECT max(id) FROM accountsync.plan"), _held(held)
    for run in (f"plan-{plan}", f"plan-{plan}-0000", "manual__2026"):
        with pytest.raises(SafetyStopError, match="was not started by AccountSync"):
            _shown(held, run)
        with pytest.raises(SafetyStopError, match="was not started by AccountSync"):
            _answered(held, run)
    assert (_held(held), _audit(held)) == (before, [])


def test_an_answer_counts_that_was_given_by_somebody_who_may(held: TargetsWorld) -> None:
    (run,) = Airflow(held).ask()
    _shown(held, run)
    before = _held(held)
    with pytest.raises(SafetyStopError, match="'eve' is not among `reviews.users`"):
        _answered(held, run, user="eve", name="ann", users=["ann"])
    for nobody in (None, ""):
        with pytest.raises(SafetyStopError, match="recorded no user"):
            _answered(held, run, user=nobody)
    assert (_held(held), _audit(held)) == (before, [])
    decided = _answered(held, run, user="7", name="Ann Lee", users=["7"])
    assert (decided.approved, decided.actor, decided.is_this_answer) == (True, "Ann Lee (7)", True)
    assert _held(held) == 0
    assert _audit(held) == [("7", "review_answered"), ("Ann Lee (7)", "plan_approved")]


def test_nothing_is_decided_that_was_not_shown(held: TargetsWorld) -> None:
    (run,) = Airflow(held).ask()
    with pytest.raises(SafetyStopError, match="has shown nothing"):
        _answered(held, run)


def test_what_was_not_shown_goes_on_with_no_answer(held: TargetsWorld) -> None:
    """I6: between question and answer one of the ten comes back, so it is another plan."""
    (run,) = Airflow(held).ask()
    _shown(held, run)
    held.execute("UPDATE accountsync.account_task SET reason = 'left' WHERE state = 'held'")
    before = _held(held)
    with pytest.raises(SafetyStopError, match="is not what was reviewed"):
        _answered(held, run)
    assert _held(held) == before
    assert asked_reviews.decided(engine=held.engine, run_id=run) is None


@pytest.mark.parametrize("first", [True, False])
def test_of_several_answers_the_first_recorded_stands(held: TargetsWorld, first: bool) -> None:
    (run,) = Airflow(held).ask()
    _shown(held, run)
    assert _answered(held, run, approved=first, user="ann").approved is first
    later = _answered(held, run, approved=not first, user="ben", name="ben")
    assert (later.approved, later.actor, later.is_this_answer) == (first, "Ann (ann)", False)
    verb = "plan_approved" if first else "plan_rejected"
    assert _audit(held) == [("ann", "review_answered"), ("Ann (ann)", verb)]


def test_answers_at_the_same_moment_are_carried_out_once(held: TargetsWorld) -> None:
    (run,) = Airflow(held).ask()
    _shown(held, run)

    def give(number: int) -> str:
        try:
            return _answered(held, run, approved=number % 2 == 0, user=f"u{number}").actor
        except SafetyStopError as error:
            return str(error)

    with ThreadPoolExecutor(4) as together:
        said = set(together.map(give, range(4)))
    actions = [action for _, action in _audit(held)]
    assert len(actions) == 2
    assert actions[0] == "review_answered"
    assert any(text.startswith("Ann (u") for text in said)


def test_a_worker_that_died_before_it_carried_the_answer_out_does_so_later(
    held: TargetsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is tried again from its beginning; nobody has to answer again."""
    (run,) = Airflow(held).ask()
    _shown(held, run)
    with monkeypatch.context() as patch:
        patch.setattr(reviews, "decide", _dies)
        with pytest.raises(KeyboardInterrupt):
            _answered(held, run)
    assert _held(held) > 0
    assert asked_reviews.question(engine=held.engine, run_id=run) is None
    facts: Any = {"engine": held.engine, "settings": held.settings, "run_id": run}
    for _ in range(2):  # carried out once
        decided = asked_reviews.carry_out(**facts, clock=utc_now)
        assert decided is not None
        assert decided.approved
    assert _held(held) == 0
    assert [action for _, action in _audit(held)] == ["review_answered", "plan_approved"]


def _dies(**_: Any) -> int:
    raise KeyboardInterrupt


def test_an_older_run_that_is_cleared_asks_no_more(held: TargetsWorld) -> None:
    airflow = Airflow(held)
    (first,) = airflow.ask()
    airflow.open.clear()
    (second,) = airflow.ask()
    with pytest.raises(SafetyStopError, match="asked about in a later run"):
        _shown(held, first)
    assert _shown(held, second)


def test_a_question_that_nobody_sees_is_told_once_a_day(held: TargetsWorld) -> None:
    """A DAG that is paused, or many runs of somebody's in front."""
    (run,) = Airflow(held).ask()
    assert asked_reviews.missed(engine=held.engine) == []
    earlier = "UPDATE accountsync.review SET {} = {} - interval '31 minutes'"
    held.execute(earlier.format("asked_at", "asked_at"))
    assert asked_reviews.missed(engine=held.engine) == [run]
    assert asked_reviews.missed(engine=held.engine) == []
    held.execute("UPDATE accountsync.review SET missed_at = now() - interval '25 hours'")
    assert asked_reviews.missed(engine=held.engine) == [run]
    held.execute("UPDATE accountsync.review SET missed_at = NULL")
    _shown(held, run)
    assert asked_reviews.missed(engine=held.engine) == []


def test_leavers_are_told_from_movers(held: TargetsWorld) -> None:
    """Whose status is none that works has left, whatever `left_statuses` says."""
    persons = "SELECT DISTINCT person_id FROM accountsync.account_task WHERE state = 'held'"
    held.execute(
        "UPDATE accountsync.person SET leave_date = '2026-01-31'"
        f" WHERE id IN ({persons} ORDER BY 1 LIMIT 2)"
    )
    (run,) = Airflow(held).ask()
    assert (
        "| idaas | disable 禁用 | 10 | leaver: status no longer valid 离职：状态不再有效: 10"
        " (2 with a last day 其中 2 人有最后工作日) |"
    ) in _shown(held, run)


def test_who_approves_what_is_planned_anew_is_told(held: TargetsWorld) -> None:
    """An import of mappings has everybody planned again: nothing goes on, and it is said why."""
    (run,) = Airflow(held).ask()
    _shown(held, run)
    tasks = _held(held)
    held.execute("UPDATE accountsync.person SET planned_revision = 0")
    assert _answered(held, run).planned_anew == tasks


def test_the_command_says_why_nothing_goes_on_and_what_is_asked_next(
    held: TargetsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = held.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("ACCOUNTSYNC_DATABASE_URL", url)
    monkeypatch.setenv("ACCOUNTSYNC_CONFIG", str(REPOSITORY / "config" / "accountsync.yaml"))
    plan, tasks = held.scalar("SELECT max(id) FROM accountsync.plan"), _held(held)
    held.execute("UPDATE accountsync.person SET planned_revision = 0")
    words = ["plan", "approve", str(plan), "--comment", "they left", "--actor", "ann"]
    said = CliRunner().invoke(app, words).output.splitlines()
    assert said[0] == f"plan {plan} approved: 0 tasks go on"
    assert said[1].startswith(f"{tasks} do not: something about their persons changed since")
    assert said[2].startswith("next: create_account_tasks plans them")
