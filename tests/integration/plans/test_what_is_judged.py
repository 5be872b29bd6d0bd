"""Which tasks the guard judges, whatever was approved, taken out or spelt before (I7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.plans.planned_people import People
from tests.integration.plans.test_guarded_plans import (
    CASES,
    DAY,
    NOW,
    PEOPLE,
    SOME,
    apply,
    company,
    decide,
    known,
    plan,
    settings,
    some,
    tasks,
)

__all__ = ["company"]


def _fails(people: People) -> None:
    """What the guard let go is refused by the target."""
    people.execute(
        "UPDATE accountsync.account_task SET state = 'failed', finished_at = :now,"
        " error_kind = 'RejectedByTargetError' WHERE state = 'ready'",
        now=NOW,
    )


def _waits(people: People) -> None:
    """The target is down, and nothing is sent."""


def _with_domain(to: str) -> Any:
    return settings(domain=to)


def _with_group(to: str) -> Any:
    return settings(groups=to)


@pytest.mark.parametrize("happens", [_fails, _waits])
@pytest.mark.parametrize(
    ("risk", "wanted"), [("rename", _with_domain), ("lost_membership", _with_group)]
)
def test_an_approval_is_for_the_values_that_were_approved(
    company: People, risk: str, wanted: Callable[[str], Any], happens: Callable[[People], None]
) -> None:
    """I7, I20: neither a failure nor a target that is down lets other values through."""
    company.settings = wanted("example.net")
    decide(company, "approve", plan(company).plan_id)
    happens(company)
    company.settings = wanted("evil.example")
    assert plan(company, now=NOW + DAY).held == PEOPLE
    case = CASES[risk]
    assert known(company, case) == {("corp", case.operation, "held"): PEOPLE}
    (row,) = company.rows(
        "SELECT count(approved_at) AS approved, count(let_through_at) AS let_through"
        " FROM accountsync.account_task WHERE state = 'held'"
    )
    assert (row["approved"], row["let_through"]) == (0, 0)


@pytest.mark.parametrize("happens", [_fails, _waits])
def test_the_same_values_are_not_asked_about_twice(
    company: People, happens: Callable[[People], None]
) -> None:
    """I7: also where something else is known of everybody."""
    company.settings = _with_domain("example.net")
    decide(company, "approve", plan(company).plan_id)
    happens(company)
    some(company, PEOPLE, time_zone="Europe/Berlin")
    assert plan(company, now=NOW + DAY).held == 0
    (row,) = company.rows(
        "SELECT count(*) AS tasks, count(approved_at) AS approved"
        " FROM accountsync.account_task WHERE state = 'ready'"
    )
    assert (row["tasks"], row["approved"]) == (PEOPLE, PEOPLE)


def _only(target: str, of: Any) -> Any:
    kept = of.targets[target].model_copy(update={"depends_on": []})
    return of.model_copy(update={"targets": {target: kept}})


@pytest.mark.parametrize("operation", ["create", "enable"])
@pytest.mark.parametrize("is_one_first", [False, True])
def test_a_target_that_was_taken_out_and_comes_back_is_not_new(
    company: People, operation: str, is_one_first: bool
) -> None:
    """I7: not even where one person is planned first."""
    if operation == "enable":
        some(company, SOME, status="9")
        decide(company, "approve", plan(company).plan_id)
        company.execute("UPDATE accountsync.account_task SET state = 'ready', waits_for = '{}'"
                        " WHERE state = 'waiting'")  # fmt: skip
        apply(company)
    company.settings = _only("app", settings())
    plan(company)
    if operation == "create":
        company.execute("UPDATE accountsync.account SET state = 'deleted' WHERE system = 'corp'")
    persons = SOME if operation == "enable" else PEOPLE
    company.settings = settings(scope="person.status in ('1', '9')")
    if is_one_first:
        plan(company, only=f"E{PEOPLE - 1:03}")
    plan(company)
    held = tasks(company)["corp", operation, "held"]
    assert held == persons - (operation == "create" and is_one_first)


def test_a_target_that_was_planned_for_single_persons_is_new(people: People) -> None:
    """I7: one person is tried first at a first installation, and may have an account."""
    people.settings = settings()
    for n in range(PEOPLE):
        people.add(f"E{n:03}", "王芳")
    plan(people, only="E000")
    apply(people)
    assert plan(people).held == 0
    assert tasks(people) == {
        ("corp", "create", "ready"): PEOPLE - 1,
        ("app", "create", "waiting"): PEOPLE - 1,
    }
