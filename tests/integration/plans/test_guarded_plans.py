"""What may go wrong for many at once is held, whatever operation does it, and decided about like
disables (I7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accountsync.domain.reasons import Kind
from accountsync.jobs.commands import review_page
from accountsync.jobs.plans import held_plans
from accountsync.jobs.plans.create_account_tasks import PlanSummary
from accountsync.jobs.tasks import task_commands
from accountsync.settings.guard import AtMost, Guard, RiskLimits
from accountsync.store.plans.plan_view import PlanLine
from accountsync.store.tasks.task_commands import TaskFilter
from tests.installation import example_settings
from tests.integration.plans.planned_people import People

NOW = datetime(2026, 6, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
PEOPLE, SOME = 40, 12
"""So many have accounts for long; to so many of them something happens at once, which is more than
20 %."""

_APPLIED = """
WITH done AS (
  UPDATE accountsync.account_task SET state = 'succeeded', finished_at = now()
  WHERE state = 'ready' RETURNING *
)
INSERT INTO accountsync.account AS a (person_id, system, state, identifier, attributes, provenance,
  created_at)
SELECT person_id, system, account_state, person_id, desired, 'created', '2026-01-05'
FROM done
ON CONFLICT (person_id, system) DO UPDATE
SET state = excluded.state, attributes = excluded.attributes,
  disabled_by = CASE WHEN excluded.state = 'disabled' THEN 'accountsync' END
"""


def settings(
    groups: str = "staff", domain: str = "example.com", scope: str = "person.status == '1'"
) -> Any:
    """`app` needs an account in `corp`."""
    corp = {
        "kind": "scim",
        "conn_id": "corp",
        "scope": scope,
        "attributes": {
            "userName": "names.email",
            "externalId": "person.employee_number",
            "groups": [groups],
            "title": "person.phone",
        },
    }
    attributes = {"userName": "person.employee_number", "externalId": "person.employee_number"}
    app = {
        "kind": "scim", "conn_id": "app", "depends_on": ["corp"], "attributes": attributes,
        "scope": "person.status == '1' and person.department_code == 'D1110'",
    }  # fmt: skip
    email = {
        "value": f"{{{{ person.employee_number }}}}@{domain}",
        "on_rename": "follow",
        "number": "own",
    }
    return example_settings(names={"email": email}, targets={"corp": corp, "app": app})


@pytest.fixture
def company(people: People) -> People:
    """Everybody has what the rules give."""
    people.settings = settings()
    for n in range(PEOPLE):
        people.add(f"E{n:03}", "王芳")
    people.execute("UPDATE accountsync.person SET phone = '1'")
    plan(people)
    apply(people)
    assert plan(people).counts == {}
    return people


def plan(people: People, *, now: datetime = NOW, **options: Any) -> PlanSummary:
    return people.plan(now=now, **options)


def apply(people: People) -> None:
    """What a processor records, until nothing is ready."""
    while people.rows("SELECT FROM accountsync.account_task WHERE state = 'ready' LIMIT 1"):
        people.execute(_APPLIED)
        people.execute(
            "UPDATE accountsync.account_task SET state = 'ready', waits_for = '{}'"
            " WHERE state = 'waiting'"
        )


def some(people: People, persons: int, **fields: Any) -> None:
    """As HR would: of the first so many."""
    for n in range(persons):
        people.change(f"E{n:03}", **fields)


def tasks(people: People) -> Counter[tuple[str, str, str]]:
    rows = people.rows(
        "SELECT system, operation, state FROM accountsync.account_task"
        " WHERE state NOT IN ('succeeded', 'superseded', 'cancelled', 'failed')"
    )
    return Counter((row["system"], row["operation"], row["state"]) for row in rows)


def decide(people: People, verdict: str, of: int, *, now: datetime = NOW) -> int:
    facts = {"engine": people.engine, "plan": of, "actor": "ann", "comment": "seen"}
    if verdict == "approve":
        facts |= {"settings": people.settings}
    done: int = getattr(held_plans, verdict)(now=now, **facts)
    return done


def reconsider(people: People, of: int) -> int:
    return held_plans.reconsider(engine=people.engine, plan=of, actor="ann", comment="a slip")


# What happens to some, and what takes it back.


def _leave_and_return(people: People) -> None:
    some(people, SOME, status="9")
    held = plan(people).plan_id
    decide(people, "approve", held)
    people.execute("UPDATE accountsync.account_task SET state = 'ready', waits_for = '{}'"
                   " WHERE state = 'waiting'")  # fmt: skip
    apply(people)
    some(people, SOME, status="1")


def _leave_again(people: People) -> None:
    some(people, SOME, status="9")


def _another_domain(people: People) -> None:
    people.settings = settings(domain="example.net")


def _another_group(people: People) -> None:
    people.settings = settings(groups="staff-{{ person.employee_number }}")


def _as_before(people: People) -> None:
    people.settings = settings()


def _no_phone(people: People) -> None:
    some(people, SOME, phone=None)


def _a_phone(people: People) -> None:
    some(people, SOME, phone="1")


def _spelt_otherwise(people: People) -> None:
    """A column of keys that somebody's program took for numbers."""
    for n in range(SOME):
        people.add(f"{n + 1}", "王芳")


def _gone_again(people: People) -> None:
    people.execute("UPDATE accountsync.person SET status = '9', revision = revision + 1"
                   " WHERE employee_number NOT LIKE 'E%'")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`operation` in target corp, for so many."""

    risk: str
    operation: str
    happens: Callable[[People], None]
    is_taken_back: Callable[[People], None]
    persons: int = SOME


CASES = {
    case.risk: case
    for case in (
        Case(
            risk="enable", operation="enable", happens=_leave_and_return,
            is_taken_back=_leave_again,
        ),
        Case(
            risk="rename", operation="rename", happens=_another_domain, is_taken_back=_as_before,
            persons=PEOPLE,
        ),
        Case(
            risk="lost_membership", operation="update", happens=_another_group,
            is_taken_back=_as_before, persons=PEOPLE,
        ),
        Case(
            risk="emptied_attribute", operation="update", happens=_no_phone,
            is_taken_back=_a_phone,
        ),
        Case(
            risk="create", operation="create", happens=_spelt_otherwise,
            is_taken_back=_gone_again,
        ),
    )
}  # fmt: skip
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def line_of(found: PlanSummary, case: Case) -> PlanLine:
    (line,) = [
        line for line in found.lines if (line.target, line.operation) == ("corp", case.operation)
    ]
    return line


def known(people: People, case: Case) -> dict[tuple[str, str, str], int]:
    """Tasks of the case in corp."""
    return {key: n for key, n in tasks(people).items() if key[:2] == ("corp", case.operation)}


@every_case
def test_much_at_once_is_held_and_told_with_numbers(company: People, case: Case) -> None:
    case.happens(company)
    found = plan(company)
    line = line_of(found, case)
    assert (line.tasks, line.held) == (case.persons, case.persons)
    first = line.held_because[0]
    assert first.facts["risk"] == case.risk
    assert first.facts["asked"] == case.persons
    assert {reason.kind for reason in line.held_because} <= {
        Kind.MORE_AT_ONCE, Kind.MORE_THAN_SHARE, Kind.MORE_IN_24_HOURS,
    }  # fmt: skip
    assert known(company, case) == {("corp", case.operation, "held"): case.persons}
    assert plan(company).counts == {}  # nothing is written twice
    lines = held_plans.held_lines(engine=company.engine, plan=found.plan_id)
    shown = review_page.of_plan(found.plan_id, lines)
    assert line.examples[0] in shown
    assert f"| {case.persons} |" in shown
    text = company.command("plan", "show", str(found.plan_id)).output
    assert f"{case.persons} held:" in text


@every_case
def test_few_go_on(company: People, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """I7: in a company of forty, a fifth."""
    if case.persons == PEOPLE:
        pytest.skip("a rule is for everybody")
    monkeypatch.setattr(f"{__name__}.SOME", 6)
    company.settings = settings()
    if case.risk == "enable":
        some(company, 6, status="9")
        plan(company)
        apply(company)
        some(company, 6, status="1")
    else:
        case.happens(company)
    assert plan(company).held == 0
    assert known(company, case) == {("corp", case.operation, "ready"): 6}


@every_case
def test_an_approval_lets_it_go_and_is_not_asked_for_again(company: People, case: Case) -> None:
    case.happens(company)
    held = plan(company)
    assert decide(company, "approve", held.plan_id) == held.held
    assert known(company, case) == {("corp", case.operation, "ready"): case.persons}
    assert plan(company).counts == {}
    apply(company)
    assert plan(company).counts == {}
    times = company.rows(
        "SELECT DISTINCT approved_at, let_through_at FROM accountsync.account_task"
        " WHERE operation = :operation AND risks IS NOT NULL",
        operation=case.operation,
    )
    assert [(row["approved_at"], row["let_through_at"]) for row in times] == [(NOW, None)]


@every_case
def test_what_was_rejected_is_not_asked_again_until_somebody_reconsiders(
    company: People, case: Case
) -> None:
    case.happens(company)
    held = plan(company)
    assert decide(company, "reject", held.plan_id) == held.held
    assert known(company, case) == {}
    company.execute("UPDATE accountsync.person SET revision = revision + 1")
    plan(company)
    assert known(company, case) == {}
    assert reconsider(company, held.plan_id) == held.held
    plan(company)
    assert known(company, case) == {("corp", case.operation, "held"): case.persons}


@every_case
def test_what_is_taken_back_is_held_no_more_and_a_refusal_lapses(
    company: People, case: Case
) -> None:
    """I6."""
    case.happens(company)
    held = plan(company).plan_id
    case.is_taken_back(company)
    plan(company)
    assert known(company, case) == {}
    states = company.rows(
        "SELECT DISTINCT state FROM accountsync.account_task WHERE plan_id = :held", held=held
    )
    assert [row["state"] for row in states] == ["superseded"]


@every_case
def test_who_leaves_loses_access_whatever_is_held(company: People, case: Case) -> None:
    """I17: one person's leaving does not wait for what many are held for."""
    case.happens(company)
    plan(company)
    number = "1" if case.risk == "create" else "E000"
    company.change(number, status="9")
    plan(company)
    left = company.rows(
        "SELECT operation, state FROM accountsync.account_task t JOIN accountsync.person p"
        " ON p.id = t.person_id WHERE employee_number = :number AND system = 'corp'"
        " AND state NOT IN ('succeeded', 'superseded')",
        number=number,
    )
    gone = case.risk in ("create", "enable")
    assert [tuple(row.values()) for row in left] == ([] if gone else [("disable", "waiting")])


@every_case
def test_an_approval_leaves_out_who_changed_meanwhile(company: People, case: Case) -> None:
    """I6: the next plan judges them anew."""
    case.happens(company)
    held = plan(company)
    number = "1" if case.risk == "create" else "E000"
    company.change(number, full_name="张伟")
    gone = decide(company, "approve", held.plan_id)
    in_corp = known(company, case)
    assert gone < held.held
    assert in_corp == {("corp", case.operation, "ready"): case.persons - 1}
    assert plan(company).held == 0
    assert known(company, case) == {("corp", case.operation, "ready"): case.persons}


@every_case
def test_the_guard_holds_and_an_operator_keeps_back_apart(company: People, case: Case) -> None:
    case.happens(company)
    held = plan(company).plan_id
    order = {"engine": company.engine, "settings": company.settings, "actor": "mia"}
    chosen = TaskFilter(target="corp", operation=case.operation)

    def command(name: str) -> int:
        done = task_commands.carry_out(command=name, chosen=chosen, comment="-", **order)
        return sum(done.changed.values()) if hasattr(done, "changed") else len(known(company, case))

    command("hold")
    command("release")
    assert known(company, case) == {("corp", case.operation, "held"): case.persons}
    decide(company, "approve", held)
    command("hold")
    assert known(company, case) == {("corp", case.operation, "held"): case.persons}
    assert plan(company).counts == {}
    command("release")
    assert known(company, case) == {("corp", case.operation, "ready"): case.persons}


# Who is expected, who waits, and what is counted when.


def test_the_first_plan_of_an_installation_or_of_a_target_is_not_held(people: People) -> None:
    """I7: everybody gets an account there."""
    people.settings = settings().model_copy(
        update={"targets": {"corp": settings().targets["corp"]}}
    )
    for n in range(PEOPLE):
        people.add(f"E{n:03}", "王芳")
    plan(people, only="E000")
    assert plan(people).held == 0
    apply(people)
    people.settings = settings()
    assert plan(people).counts == {"app": {"ready": PEOPLE}}
    assert people.rows("SELECT FROM accountsync.account_task WHERE risks IS NOT NULL") == []


def test_joiners_go_on_however_many_they_are(company: People) -> None:
    """I7: also those whose row came late, and those who begin later."""
    for n in range(SOME):
        company.add(f"N{n}", "王芳")
    company.execute(
        "UPDATE accountsync.person SET hire_date = CAST('2026-06-01' AS date)"
        " - CAST(substr(employee_number, 2) AS int) * 3 WHERE employee_number LIKE 'N%'"
    )
    found = plan(company)
    assert (found.held, known(company, CASES["create"])) == (
        0, {("corp", "create", "ready"): SOME},
    )  # fmt: skip


def test_those_that_need_a_held_account_wait_for_it(company: People) -> None:
    """I12: approved or rejected."""
    _spelt_otherwise(company)
    company.execute(
        "UPDATE accountsync.person SET department_code = 'D1120' WHERE employee_number"
        " NOT LIKE 'E%' AND employee_number NOT IN ('1', '2', '3')"
    )
    held = plan(company)
    both = {("corp", "create", "held"): SOME, ("app", "create", "waiting"): 3}
    assert (held.held, tasks(company)) == (SOME, both)
    decide(company, "reject", held.plan_id)
    company.execute("UPDATE accountsync.person SET revision = revision + 1")
    plan(company)
    assert tasks(company) == {("app", "create", "waiting"): 3}
    reconsider(company, held.plan_id)
    again = plan(company)
    assert tasks(company) == both
    decide(company, "approve", again.plan_id)
    assert tasks(company) == {("corp", "create", "ready"): SOME, ("app", "create", "waiting"): 3}


def test_a_task_that_is_held_for_two_risks_tells_both(company: People) -> None:
    company.settings = settings(groups="others")
    some(company, SOME, phone=None)
    line = next(line for line in plan(company).lines if line.held)
    assert line.held == PEOPLE
    assert {(reason.facts["risk"], reason.facts["asked"]) for reason in line.held_because} == {
        ("emptied_attribute", SOME), ("lost_membership", PEOPLE),
    }  # fmt: skip


def test_an_update_is_held_alone_and_others_of_its_operation_go_on(company: People) -> None:
    company.settings = settings()
    some(company, SOME, phone=None)
    company.execute(
        "UPDATE accountsync.person SET phone = '2', revision = revision + 1"
        " WHERE employee_number >= :number", number=f"E{SOME:03}",
    )  # fmt: skip
    found = plan(company)
    assert [(line.tasks, line.held) for line in found.lines] == [
        (SOME, SOME), (PEOPLE - SOME, 0),
    ]  # fmt: skip
    assert decide(company, "approve", found.plan_id) == SOME


def test_slices_however_small_take_no_company_apart(company: People) -> None:
    """I7: five every ten minutes, until the day, the week and the month have let eight go; nobody
    answers, and HR takes back what was held."""
    now, gone = NOW, 0
    for n in range(0, PEOPLE, 5):
        now += timedelta(minutes=10)
        _slice(company, n, status="9")
        if plan(company, now=now).held:
            _slice(company, n, status="1")
            plan(company, now=now)
        else:
            gone += 5
        company.execute("UPDATE accountsync.account_task SET state = 'ready', waits_for = '{}'"
                        " WHERE state = 'waiting'")  # fmt: skip
        apply(company)
    assert gone == 5
    for days in (2, 8, 29):
        _slice(company, 10, status="9")
        assert plan(company, now=NOW + days * DAY).held == 10
        _slice(company, 10, status="1")
        plan(company, now=NOW + days * DAY)
    _slice(company, 10, status="9")
    assert plan(company, now=NOW + 31 * DAY).held == 0


def _slice(people: People, first: int, **fields: Any) -> None:
    for n in range(first, first + 5):
        people.change(f"E{n:03}", **fields)


def test_what_counts_is_when_a_task_was_let_through(company: People) -> None:
    """I7: not when it was written: some were revised for weeks."""
    some(company, 5, status="9")
    plan(company)
    company.execute(
        "UPDATE accountsync.account_task SET created_at = created_at - interval '90 days'"
        " WHERE operation = 'disable'"
    )
    _slice(company, 5, status="9")
    line = next(line for line in plan(company, now=NOW + 20 * DAY).lines if line.held)
    assert [(reason.kind, reason.facts["asked"]) for reason in line.held_because] == [
        (Kind.MORE_IN_30_DAYS, 10),
    ]  # fmt: skip


@pytest.mark.parametrize("is_approved", [False, True])
def test_what_failed_and_is_asked_for_again_is_neither_judged_nor_counted_twice(
    company: People, is_approved: bool
) -> None:
    """I7, I17: a removal that a target refuses is asked for again by every plan."""
    leavers = SOME if is_approved else 8
    some(company, leavers, status="9")
    held = plan(company)
    if is_approved:
        decide(company, "approve", held.plan_id)
    for n in range(3):
        company.execute(
            "UPDATE accountsync.account_task SET state = 'failed', waits_for = '{}',"
            " finished_at = :now WHERE operation = 'disable' AND state <> 'failed'",
            now=NOW + n * DAY,
        )
        some(company, leavers, phone=str(n))
        assert plan(company, now=NOW + n * DAY).held == 0
    open_ones = {key[1:]: n for key, n in tasks(company).items() if key[0] == "app"}
    assert open_ones == {("disable", "ready"): leavers}
    _slice(company, SOME, status="9")
    line = next(line for line in plan(company, now=NOW + 3 * DAY).lines if line.target == "app")
    expected = [] if is_approved else [(Kind.MORE_IN_7_DAYS, 13)]
    assert [(reason.kind, reason.facts["asked"]) for reason in line.held_because] == expected


def test_an_account_that_was_explained_and_lacked_data_is_not_held_later(people: People) -> None:
    """I7: at a first installation a mapping may be missing for many."""
    people.settings = settings(groups="{{ person.type.email_domain }}")
    for n in range(PEOPLE):
        people.add(f"E{n:03}", "王芳", person_type="10" if n < 20 else "77")
    plan(people)
    apply(people)
    people.execute("UPDATE accountsync.person SET person_type = '10', revision = revision + 1"
                   " WHERE person_type = '77'")  # fmt: skip
    assert plan(people).held == 0
    assert known(people, CASES["create"]) == {("corp", "create", "ready"): 20}


def test_a_target_with_adopted_accounts_is_not_new(company: People) -> None:
    """I7: whoever has no account beside thousands that were adopted was perhaps not recognised."""
    company.execute("UPDATE accountsync.account SET provenance = 'adopted'")
    company.execute("DELETE FROM accountsync.planned_rules")
    _spelt_otherwise(company)
    assert plan(company).held == 2 * SOME
    company.execute("UPDATE accountsync.account SET provenance = 'created'")
    company.execute("UPDATE accountsync.planned_rules SET fingerprint = ''")
    for n in range(100, 120):
        company.add(f"X{n}", "王芳")
    plan(company)
    assert known(company, CASES["create"]).get(("corp", "create", "ready"), 0) == 20


def test_a_held_task_that_an_operator_cancels_is_refused_until_it_is_reconsidered(
    company: People,
) -> None:
    """I7: as one that was rejected with its plan."""
    _spelt_otherwise(company)
    held = plan(company).plan_id
    task_commands.carry_out(
        engine=company.engine, settings=company.settings, command="cancel", actor="mia",
        chosen=TaskFilter(person="1", target="corp"), comment="a double",
    )  # fmt: skip
    company.execute("UPDATE accountsync.person SET revision = revision + 1")
    plan(company)
    assert known(company, CASES["create"]) == {("corp", "create", "held"): SOME - 1}
    assert reconsider(company, held) == 1
    plan(company)
    assert known(company, CASES["create"]) == {("corp", "create", "held"): SOME}


def test_what_only_comes_after_a_rejected_task_goes_on(company: People) -> None:
    """I12: at once, not when somebody looks for what was overlooked."""
    company.settings = _app_after_corp()
    plan(company)
    company.execute("UPDATE accountsync.account SET state = 'absent' WHERE system = 'app'")
    company.execute("UPDATE accountsync.person SET phone = NULL, revision = revision + 1")
    held = plan(company)
    found = tasks(company)
    assert found["corp", "update", "held"] == PEOPLE
    assert found["app", "create", "waiting"] == PEOPLE
    assert decide(company, "reject", held.plan_id) == PEOPLE
    assert tasks(company) == {("app", "create", "ready"): PEOPLE}


def _app_after_corp() -> Any:
    both = settings()
    many = AtMost(count=1_000, percent=100)
    unlimited = RiskLimits(
        count=1_000, percent=100, hard_percent=100,
        budget_24h=many, budget_7d=many, budget_30d=many,
    )  # fmt: skip
    app = both.targets["app"].model_copy(
        update={"depends_on": [], "after": ["corp"], "guard": Guard(create=unlimited)}
    )
    return both.model_copy(update={"targets": both.targets | {"app": app}})
