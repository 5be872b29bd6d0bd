"""Which tasks the guard judges, whatever was approved, taken out or spelt before (I7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from accountsync.jobs.tasks import task_commands
from accountsync.store.tasks.task_commands import TaskFilter
from tests.installation import example_settings
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


def test_what_changed_while_an_operator_held_it_is_judged_before_it_goes(company: People) -> None:
    """I7: an operator's release is about the task that was held."""
    order = {"engine": company.engine, "settings": company.settings, "actor": "mia", "comment": "-"}
    chosen = TaskFilter(target="corp")
    some(company, PEOPLE, phone="2")
    plan(company)
    task_commands.carry_out(command="hold", chosen=chosen, **order)
    company.settings = _with_group("evil.example")
    plan(company)
    assert tasks(company) == {("corp", "update", "held"): PEOPLE}
    task_commands.carry_out(command="release", chosen=chosen, **order)
    assert tasks(company) == {}
    assert plan(company).held == PEOPLE


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


# Values in the shapes that targets have.


def _with(attributes: Mapping[str, Any], app: Mapping[str, Any] | None = None) -> Any:
    """Two SCIM targets with these attributes, beside what is needed; the second needs the first."""
    needed = {"userName": "person.employee_number", "externalId": "person.employee_number"}
    common = {"kind": "scim", "scope": "True"}
    corp = common | {"conn_id": "corp", "attributes": needed | dict(attributes)}
    app_ = common | {"conn_id": "app", "depends_on": ["corp"]}
    app_ |= {"attributes": needed | dict(app or {})}
    email = {"value": "{{ person.employee_number }}@example.com", "number": "own"}
    return example_settings(names={"email": email}, targets={"corp": corp, "app": app_})


def _given(people: People, wanted: Any) -> None:
    """Everybody has what these rules give."""
    people.settings = wanted
    for n in range(SOME):
        people.add(f"E{n:03}", "王芳")
    for _ in range(2):  # what is made from another account is applied once that is there
        people.execute("UPDATE accountsync.person SET phone = '1', revision = revision + 1")
        plan(people)
        apply(people)
    assert plan(people).counts == {}


@pytest.mark.parametrize(
    ("attributes", "set_", "risk"),
    [
        (
            {"phoneNumbers": [{"value": "person.phone", "type": "work"}]},
            "phone = NULL",
            "emptied_attribute",
        ),
        (
            {"roles": [{"display": "person.department_code", "primary": True}]},
            "department_code = 'D1120'",
            "lost_membership",
        ),
    ],
)
def test_what_people_lose_in_a_list_of_objects_is_counted(
    people: People, attributes: Mapping[str, Any], set_: str, risk: str
) -> None:
    """I7."""
    _given(people, _with(attributes))
    people.execute(f"UPDATE accountsync.person SET {set_}, revision = revision + 1")
    (line,) = plan(people).lines
    assert (line.tasks, line.held) == (SOME, SOME)
    assert {reason.facts["risk"] for reason in line.held_because} == {risk}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{{ accounts.corp.identifier }}@example.com", "{{ accounts.corp.identifier }}@x.example"),
        ("accounts.corp.nickName", "{{ accounts.corp.nickName }}.example"),
        ("names.email", "{{ person.employee_number }}@x.example"),
    ],
)
def test_an_address_that_is_or_was_made_from_a_name_is_counted(
    people: People, before: str, after: str
) -> None:
    """I7: of the person or of another account, whatever it is to be made from now."""
    own = {"nickName": "names.email"}
    _given(people, _with(own, {"emails": [{"value": before, "type": "work"}]}))
    people.settings = _with(own, {"emails": [{"value": after, "type": "work"}]})
    (line,) = plan(people).lines
    assert (line.tasks, line.held) == (SOME, SOME)
    assert {reason.facts["risk"] for reason in line.held_because} == {"rename"}
