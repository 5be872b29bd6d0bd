"""A decision about a held plan is about what is still held, and was shown so (I6, I7, I17, I20)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from accountsync.clock import utc_now
from accountsync.errors import ConfigurationError, SafetyStopError
from accountsync.jobs.commands import asked_reviews, reviews
from accountsync.jobs.commands.asked_reviews import Answer, Decided, Question
from accountsync.jobs.commands.reviews import Review
from accountsync.jobs.plans import held_plans
from accountsync.jobs.tasks import open_access
from accountsync.store.plans.guarded_tasks import EVERYTHING, Selection
from tests.integration.plans.planned_people import People
from tests.integration.plans.test_guarded_plans import (
    CASES,
    NOW,
    company,
    plan,
    settings,
    some,
    tasks,
)

__all__ = ["company"]

LEFT = "2026-05-01"
LEAVERS, MOVERS = 4, 20


@pytest.fixture
def leaving(company: People) -> tuple[People, int]:
    """A plan that holds the disables of twelve leavers in corp and app."""
    some(company, 12, leave_date=LEFT)
    return company, plan(company).plan_id


@pytest.fixture
def mixed(company: People) -> tuple[People, int]:
    """A plan that holds in corp and app the disables of some leavers, and of more movers."""
    company.settings = settings(scope="person.status == '1' and person.department_code == 'D1110'")
    plan(company)
    some(company, LEAVERS, leave_date=LEFT)
    for n in range(LEAVERS, LEAVERS + MOVERS):
        company.change(f"E{n:03}", department_code="D1120")
    return company, plan(company).plan_id


def decide(people: People, verdict: str, of: int, **options: Any) -> int:
    """`numbers`, `reasons`: what is chosen."""
    chosen = {name: options.pop(name) for name in ("numbers", "reasons") if name in options}
    facts = {"engine": people.engine, "plan": of, "actor": "ann", "comment": "seen", "now": NOW}
    facts |= options
    if verdict == "approve":
        facts["settings"] = people.settings
    facts["chosen"] = Selection(**chosen) if chosen else EVERYTHING
    done: int = getattr(held_plans, verdict)(**facts)
    return done


def asked(people: People, of: int) -> Review:
    return reviews.describe(engine=people.engine, kind="plan", number=of)


def held(people: People) -> int:
    return sum(n for (_, _, state), n in tasks(people).items() if state == "held")


def audited(people: People) -> list[tuple[str, int]]:
    events = people.rows("SELECT action, details FROM accountsync.audit_event ORDER BY id")
    return [(event["action"], event["details"]["tasks"]) for event in events]


# What was let go is no part of what is asked.


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_who_changes_after_the_own_approval_keeps_nobody_else_undecided(
    company: People, verdict: str
) -> None:
    """I7, I17: a task that was let go and is revised by a later plan is no more what this holds."""
    CASES["lost_membership"].happens(company)
    some(company, 12, leave_date=LEFT)
    of = plan(company).plan_id
    assert decide(company, "approve", of, numbers=["E039"]) == 1
    company.change("E039", phone="777")
    plan(company)
    shown = asked(company, of)
    assert decide(company, verdict, of, reviewed=shown.reviewed) > 0


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_who_comes_back_keeps_the_question_about_the_others_open(
    leaving: tuple[People, int], verdict: str
) -> None:
    """I6: it is a decision about part of what was shown."""
    people, of = leaving
    shown = asked(people, of)
    people.change("E000", leave_date=None)
    plan(people)
    assert asked(people, of).reviewed == shown.reviewed
    done = decide(people, verdict, of, reviewed=shown.reviewed)
    assert done == (22 if verdict == "approve" else 0)


@pytest.mark.parametrize(
    "decision",
    [
        {"verdict": "approve", "numbers": ["E000"]},
        {"verdict": "reject", "numbers": ["E000"]},
        {"verdict": "reject"},
    ],
    ids=["approved in part", "a leaver rejected", "all rejected"],
)
def test_a_decision_makes_it_another_question(
    mixed: tuple[People, int], decision: dict[str, Any]
) -> None:
    """I20: whoever answers the old one is told so, and changes nothing."""
    people, of = mixed
    shown = asked(people, of)
    decide(people, of=of, **decision)
    before = tasks(people)
    for verdict in ("approve", "reject"):
        with pytest.raises(SafetyStopError, match=f"is not what was reviewed.*plan show {of}"):
            decide(people, verdict, of, reviewed=shown.reviewed)
    assert tasks(people) == before
    assert asked(people, of).reviewed != shown.reviewed


# Whether a leaver was asked about is a fact of the task.


def test_the_rejection_of_one_leaver_is_not_that_of_the_others(
    leaving: tuple[People, int],
) -> None:
    """I17: each is asked about twice."""
    people, of = leaving
    assert decide(people, "reject", of, numbers=["E000"]) == 0
    assert decide(people, "reject", of, once_more=True) == 2  # E000's
    assert held(people) == 22
    assert decide(people, "reject", of, once_more=True) == 22
    assert held_plans.describe(engine=people.engine, plan=of).state == "rejected"


def test_a_rejection_that_is_repeated_is_no_answer_to_the_second_question(
    leaving: tuple[People, int],
) -> None:
    """I17: two operators, or one who typed it twice."""
    people, of = leaving
    assert decide(people, "reject", of) == 0
    with pytest.raises(SafetyStopError, match="were rejected once.*--once-more"):
        decide(people, "reject", of)
    assert held(people) == 24
    assert audited(people) == [("plan_rejected", 0)]


def test_an_answer_to_the_first_question_is_none_to_the_second(
    leaving: tuple[People, int],
) -> None:
    """I17, I20: a worker that died before it recorded that an answer was carried out repeats it."""
    people, of = leaving
    shown = asked(people, of)
    assert decide(people, "reject", of, reviewed=shown.reviewed) == 0
    with pytest.raises(SafetyStopError, match="is not what was reviewed"):
        decide(people, "reject", of, reviewed=shown.reviewed)
    assert held(people) == 24
    again = asked(people, of)
    assert decide(people, "reject", of, reviewed=again.reviewed) == 24


def test_what_a_later_plan_asks_for_anew_is_asked_about_twice(
    leaving: tuple[People, int],
) -> None:
    """I17: another task, of which nobody was asked yet."""
    people, of = leaving
    decide(people, "reject", of)
    people.execute("UPDATE accountsync.person SET leave_date = NULL, revision = revision + 1")
    plan(people)
    some(people, 12, leave_date=LEFT)
    later = plan(people).plan_id
    assert decide(people, "reject", later, once_more=True) == 0
    assert held(people) == 24


def test_who_let_leavers_keep_their_access_is_told_whoever_decides_about_the_rest(
    mixed: tuple[People, int],
) -> None:
    """I17, I20: a plan may be decided about by several."""
    people, of = mixed
    decide(people, "reject", of, reasons=["left"], actor="mia")
    decide(people, "reject", of, reasons=["left"], actor="mia", once_more=True)
    assert open_access.kept_by_rejection(engine=people.engine) == {"mia": LEAVERS}
    decide(people, "approve", of, actor="ann")
    assert open_access.kept_by_rejection(engine=people.engine) == {"mia": LEAVERS}
    said = people.command("access", "list").output
    assert "refused: rejected by mia: seen" in said


# What is asked, and how.


def test_a_question_shows_what_is_still_held(mixed: tuple[People, int]) -> None:
    """I7, I20."""
    people, of = mixed
    assert decide(people, "approve", of, numbers=["E004"], reasons=["not_entitled"]) == 2
    shown = asked(people, of)
    assert shown.subject == f"Plan {of}: 46 account tasks are held"
    assert "mover: rule no longer holds 调动：不再符合授权规则: 19" in shown.body
    assert "E004" not in shown.body


def test_the_second_question_says_of_movers_that_they_are_movers(
    mixed: tuple[People, int],
) -> None:
    """I20: who decides reads why, of each."""
    people, of = mixed
    assert decide(people, "reject", of, reasons=["left"]) == 0
    first, again = asked(people, of).body.split("These tasks end the access of people who")
    assert "mover: rule no longer holds 调动：不再符合授权规则: 20" in first
    assert "left" not in first.split("Approve:")[0]
    assert "- corp, disable 禁用: 4 (left 已离职: 4); E000, E001, E002, E003" in again
    assert "mover" not in again
    assert "The answer is about both, the table and the list" in again


def test_a_question_about_leavers_alone_is_the_second_one(mixed: tuple[People, int]) -> None:
    """I17."""
    people, of = mixed
    assert decide(people, "reject", of) == 2 * MOVERS
    shown = asked(people, of)
    assert shown.subject == f"Plan {of}: {2 * LEAVERS} account tasks are held"
    assert shown.body.startswith("\nThese tasks end the access of people who **have left**.")
    assert "mover" not in shown.body
    assert "|" not in shown.body


def test_the_command_shows_what_is_still_held(mixed: tuple[People, int]) -> None:
    people, of = mixed
    said = people.command("plan", "show", str(of)).output
    assert "corp disable: 24 (left 4, not_entitled 20)" in said
    decide(people, "approve", of, reasons=["not_entitled"])
    decide(people, "reject", of)
    said = people.command("plan", "show", str(of)).output
    assert "corp disable: 4 (left 4)" in said
    assert "    4 held: " in said
    assert "rejected once, and asked about once more" in said
    assert "    20 more were held: decided since, or given up by a later plan" in said
    decide(people, "approve", of)
    said = people.command("plan", "show", str(of)).output
    assert "corp disable: 24 (left 4, not_entitled 20)" in said
    assert "    24 were held: " in said


# Which run asks.


class Airflow:
    def __init__(self, people: People) -> None:
        self._people, self.open, self._ids = people, list[str](), count()

    def ask(self) -> list[str]:
        def start(question: Question) -> None:
            self.open.append(question.run_id)

        found = asked_reviews.ask(
            engine=self._people.engine,
            is_asking=lambda runs: bool({*runs} & {*self.open}),
            start=start,
            new_id=lambda: str(next(self._ids)),
        )
        for question in found:
            review = asked_reviews.question(engine=self._people.engine, run_id=question.run_id)
            assert review is not None
            asked_reviews.show(
                engine=self._people.engine, run_id=question.run_id, reviewed=review.reviewed
            )
        return [question.run_id for question in found]

    def reject(self, run: str) -> Decided:
        answer = Answer(
            approved=False, user_id="ben", user_name="ben", answered_at=NOW, comment="no"
        )
        return asked_reviews.answer(
            engine=self._people.engine, settings=self._people.settings, run_id=run, answer=answer,
            users=(), clock=utc_now,
        )  # fmt: skip


def test_a_question_that_asks_something_else_by_now_keeps_nobody_from_being_asked(
    leaving: tuple[People, int],
) -> None:
    """I20: the command line rejects, while the first question is open in Airflow."""
    people, of = leaving
    airflow = Airflow(people)
    (first,) = airflow.ask()
    assert airflow.ask() == []
    decide(people, "reject", of)
    (second,) = airflow.ask()
    assert airflow.ask() == []
    with pytest.raises(SafetyStopError, match="is not what was reviewed"):
        airflow.reject(first)
    assert held(people) == 24
    airflow.reject(second)
    assert held(people) == 0


def test_whoever_rejects_is_told_that_leavers_are_asked_about_once_more(
    leaving: tuple[People, int],
) -> None:
    """I17: both answers in Airflow."""
    people, _ = leaving
    airflow = Airflow(people)
    (first,) = airflow.ask()
    assert airflow.reject(first).still_held == 24
    airflow.open.clear()
    (second,) = airflow.ask()
    assert airflow.reject(second).still_held == 0
    assert airflow.ask() == []


# What cannot be chosen.


WRONG = (
    (["--person", "NOBODY"], "of person 'NOBODY'; it does of person E000, E001"),
    (["--person", ""], "of person ''; "),
    (["--person", "e000"], "of person 'e000'; "),
    (["--person", "E030"], "of person 'E030'; "),
    (["--person", "E000", "--person", "E0"], "of person 'E0'; "),
    (["--reason", "Left"], "for the reason 'Left'; it does for the reason left, not_entitled"),
    (["--reason", "gone_from_hr"], "for the reason 'gone_from_hr'; "),
    (["--reason", "left", "--person", "E010"], "of these persons for these reasons"),
)


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_who_or_what_is_not_held_cannot_be_decided_about(
    mixed: tuple[People, int], verb: str
) -> None:
    """I7, I20: a slip is told, with what there is, and nothing is audited as decided."""
    people, of = mixed
    for chosen, said in WRONG:
        done = people.command("plan", verb, str(of), "--comment", "c", *chosen)
        assert done.exit_code != 0
        assert isinstance(done.exception, ConfigurationError)
        assert f"plan {of} holds nothing {said}" in str(done.exception)
    assert held(people) == 48
    assert audited(people) == []


def test_nobody_is_told_that_access_has_ended_in_a_target_that_is_none(
    leaving: tuple[People, int],
) -> None:
    """I17: a slip again."""
    people, _ = leaving
    assert "24 accounts of 12 people, 12 of them leavers" in people.command("access", "list").output
    done = people.command("access", "list", "--target", "crop")
    assert isinstance(done.exception, ConfigurationError)
    assert str(done.exception).startswith("there is no target crop; known are ")


def test_the_command_says_what_is_still_held_and_how_to_answer_it(
    leaving: tuple[People, int],
) -> None:
    people, of = leaving
    command: Callable[..., Any] = people.command
    said = command("plan", "reject", str(of), "--comment", "c").output
    assert f"24 tasks of plan {of} are still held\n24 of them end the access of people" in said
    assert command("plan", "reject", str(of), "--comment", "c").exit_code != 0
    said = command("plan", "reject", str(of), "--comment", "c", "--once-more").output
    assert said == f"plan {of} rejected: 24 tasks cancelled\n"
