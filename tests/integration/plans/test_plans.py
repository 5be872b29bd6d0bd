"""Plans on a real store: held, reviewed, superseded, brought back by dates and by rules."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accountsync.domain.reasons import Kind
from accountsync.errors import SafetyStopError
from accountsync.jobs.plans import held_plans
from accountsync.jobs.plans.create_account_tasks import PlanSummary
from accountsync.jobs.tasks import task_commands
from accountsync.store.plans.plan_view import PlanLine
from accountsync.store.tasks.task_commands import TaskFilter
from tests.installation import example_settings
from tests.integration.plans.planned_people import People
from tests.integration.tasks.targets_world import TargetsWorld

LATER = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
YESTERDAY = (datetime.now(UTC) - DAY).date()


@pytest.fixture
def settled(planned: TargetsWorld) -> TargetsWorld:
    """As if every task had succeeded: desired is applied."""
    apply(planned)
    return planned


def apply(world: TargetsWorld) -> None:
    """What a processor records of the tasks that are ready, until none is."""
    while world.scalar("SELECT count(*) FROM accountsync.account_task WHERE state = 'ready'"):
        world.execute(_APPLY)
        world.execute(
            "UPDATE accountsync.account_task SET state = 'ready', waits_for = '{}'"
            " WHERE state = 'waiting'"
        )


_APPLY = """
WITH done AS (
  UPDATE accountsync.account_task SET state = 'succeeded', finished_at = now()
  WHERE state = 'ready' RETURNING *
)
INSERT INTO accountsync.account AS a (person_id, system, state, identifier, attributes, provenance,
  disabled_by, disabled_reason)
SELECT d.person_id, d.system, d.account_state, d.system || d.person_id,
  d.desired || CASE WHEN d.late_bound = '{}' THEN '{}'::jsonb
    ELSE jsonb_build_object('SAMAccountName', 'idaas' || d.person_id) END, 'created',
  CASE WHEN d.account_state = 'disabled' THEN 'accountsync' END,
  CASE WHEN d.account_state = 'disabled' THEN d.reason END
FROM done d
ON CONFLICT (person_id, system) DO UPDATE SET state = excluded.state,
  attributes = excluded.attributes, disabled_by = excluded.disabled_by,
  disabled_reason = excluded.disabled_reason, updated_at = now()
"""


def open_tasks(world: TargetsWorld) -> Counter[tuple[str, str, str]]:
    rows = world.rows(
        "SELECT system, operation, state, count(*) AS n FROM accountsync.account_task"
        " WHERE state NOT IN ('succeeded', 'superseded', 'cancelled') GROUP BY 1, 2, 3"
    )
    return Counter({(row["system"], row["operation"], row["state"]): row["n"] for row in rows})


def change(world: TargetsWorld, persons: int, **fields: Any) -> None:
    """As a sync would: of the first so many who are entitled."""
    sets = ", ".join(f"{name} = :{name}" for name in fields)
    world.execute(
        f"UPDATE accountsync.person SET {sets}, revision = revision + 1 WHERE id IN"
        " (SELECT person_id FROM accountsync.account WHERE system = 'idaas'"
        "  ORDER BY person_id LIMIT :persons)",
        persons=persons,
        **fields,
    )


def decide(world: TargetsWorld, verdict: str, plan: int, **options: Any) -> int:
    facts = {"engine": world.engine, "plan": plan, "actor": "ann", "comment": "seen"}
    if verdict == "approve":
        facts["settings"] = world.settings
    done: int = getattr(held_plans, verdict)(now=LATER, **facts | options)
    return done


def test_applied_plans_leave_nothing_to_do(settled: TargetsWorld) -> None:
    again = settled.plan()
    assert (again.persons, again.counts) == (0, {})
    settled.execute("UPDATE accountsync.person SET revision = revision + 1")
    again = settled.plan()
    assert (again.persons > 0, again.counts) == (True, {})


def test_a_leaver_loses_everything_in_reverse_order(settled: TargetsWorld) -> None:
    """I12: what depends on the directory account goes before it."""
    change(settled, 1, leave_date=datetime(2020, 1, 1, tzinfo=UTC))
    settled.execute("UPDATE accountsync.person SET hire_date = NULL, effective_date = NULL")
    settled.plan()
    assert open_tasks(settled) == {
        ("email", "disable", "ready"): 1,
        ("welink", "disable", "ready"): 1,
        ("idaas", "disable", "waiting"): 1,
    }
    reasons = settled.rows(
        "SELECT DISTINCT reason FROM accountsync.account_task WHERE operation = 'disable'"
    )
    assert [row["reason"] for row in reasons] == ["left"]


def test_a_rehire_gets_the_same_account_back_unless_security_took_it(settled: TargetsWorld) -> None:
    """I11."""
    change(settled, 2, status="9")
    settled.plan()
    apply(settled)
    settled.execute(
        "UPDATE accountsync.account SET disabled_by = 'security' WHERE state = 'disabled'"
        " AND person_id = (SELECT max(person_id) FROM accountsync.account WHERE state = 'disabled')"
    )
    change(settled, 2, status="1")
    settled.plan()
    assert Counter(op for _, op, _ in open_tasks(settled).elements()) == {"enable": 3}


def test_mass_disables_are_held_while_joiners_go_on(settled: TargetsWorld) -> None:
    """I7."""
    change(settled, 10, status="9")
    settled.execute(
        "INSERT INTO accountsync.person (source, source_key, employee_number, full_name, status,"
        " person_type, department_code, attributes, content_hash)"
        " SELECT source, 'new', 'N1', '王芳', '1', person_type, department_code, attributes,"
        " content_hash FROM accountsync.person"
        " WHERE status = '1' ORDER BY id DESC LIMIT 1"
    )
    plan = settled.plan()
    assert plan.held == 30
    found = open_tasks(settled)
    assert found["idaas", "disable", "held"] == found["email", "disable", "held"] == 10
    assert found["idaas", "create", "ready"] == 1
    line = line_of(plan, "idaas")
    assert (line.held, line.reasons) == (10, {"status_not_valid": 10})
    assert [reason.kind for reason in line.held_because] == [Kind.MORE_THAN_SHARE]
    assert {**line.held_because[0].facts} | {"active": 0} == {
        "risk": "disable", "asked": 10, "active": 0, "allowed": 20,
    }  # fmt: skip
    assert settled.plan().counts == {}  # nobody is planned twice for it


def line_of(plan: PlanSummary, target: str) -> PlanLine:
    """Of what it disables there."""
    (line,) = [one for one in plan.lines if (one.target, one.operation) == (target, "disable")]
    return line


def test_approving_lets_exactly_what_was_reviewed_go(settled: TargetsWorld) -> None:
    """I6: who came back meanwhile keeps the account."""
    change(settled, 10, status="9")
    plan = settled.plan()
    change(settled, 1, status="1")
    settled.plan()
    change(settled, 2, status="1")  # the second one: HR knows, no plan does yet
    with pytest.raises(SafetyStopError, match="not what was reviewed"):
        decide(settled, "approve", plan.plan_id, reviewed="something else")
    assert decide(settled, "approve", plan.plan_id) == 24
    settled.plan()
    found = open_tasks(settled)
    assert found["email", "disable", "ready"] == 8
    assert found["idaas", "disable", "waiting"] == 8
    assert sum(found.values()) == 24
    with pytest.raises(SafetyStopError, match="is not held: it is approved"):
        decide(settled, "approve", plan.plan_id)
    event = settled.rows("SELECT actor, action, details FROM accountsync.audit_event")[-1]
    assert (event["actor"], event["action"]) == ("ann", "plan_approved")
    assert event["details"]["comment"] == "seen"


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_an_answer_about_a_plan_leaves_alone_what_an_operator_holds(
    settled: TargetsWorld, verdict: str
) -> None:
    """I7, I12: a create that was kept back neither goes past what it depends on nor is given up."""
    settled.execute(
        "DELETE FROM accountsync.account WHERE person_id ="
        " (SELECT max(person_id) FROM accountsync.account)"
    )
    settled.execute("UPDATE accountsync.person SET revision = revision + 1")
    change(settled, 10, status="9")
    plan = settled.plan()
    hold(settled, operation="create")
    assert decide(settled, verdict, plan.plan_id) == plan.held == 30
    states = {state for _, operation, state in open_tasks(settled) if operation == "create"}
    assert states == {"held"}


def hold(world: TargetsWorld, **chosen: Any) -> None:
    task_commands.carry_out(
        engine=world.engine, settings=world.settings, command="hold", chosen=TaskFilter(**chosen),
        actor="mia", comment="wait",
    )  # fmt: skip


def test_an_approval_reaches_who_has_a_task_in_doubt_elsewhere(settled: TargetsWorld) -> None:
    """I7: but nobody about whom something is known that no plan has looked at."""
    settled.ask("welink", "update", persons=10)
    settled.execute(
        "UPDATE accountsync.account_task"
        " SET state = 'running', lease_until = now() + interval '1 hour' WHERE state = 'ready'"
    )
    change(settled, 10, status="9")
    plan = settled.plan()
    assert plan.held == 20
    change(settled, 1, status="1")
    settled.execute(  # as another mapping would
        "UPDATE accountsync.person SET planned_revision = 0 WHERE id ="
        " (SELECT max(person_id) FROM accountsync.account_task WHERE state = 'held')"
    )
    assert decide(settled, "approve", plan.plan_id) == 16
    settled.plan()
    found = open_tasks(settled)
    assert found["email", "disable", "ready"] == found["idaas", "disable", "waiting"] == 9


def test_what_was_rejected_does_not_come_back_until_something_changes(
    settled: TargetsWorld,
) -> None:
    change(settled, 10, status="9")
    plan = settled.plan()
    assert decide(settled, "reject", plan.plan_id) == 30
    assert open_tasks(settled) == {}
    settled.execute("UPDATE accountsync.person SET phone = '1', revision = revision + 1")
    settled.plan()
    assert not [one for one in open_tasks(settled) if one[1] == "disable"]
    change(settled, 10, presumed_left_at=LATER, absent_since_snapshot=1)  # another reason
    assert settled.plan().held == 30


def test_a_refusal_lapses_with_its_reason(settled: TargetsWorld) -> None:
    """I7: who came back, and leaves later for the same reason, is not forgotten."""
    change(settled, 10, status="9")
    decide(settled, "reject", settled.plan().plan_id)
    change(settled, 10, status="1")
    assert settled.plan().counts == {}
    change(settled, 10, status="9")
    assert settled.plan().held == 30


@pytest.mark.parametrize("meanwhile", ["another refusal", "an update that nobody needed"])
def test_a_refusal_that_lapsed_never_comes_back(settled: TargetsWorld, meanwhile: str) -> None:
    """I7."""
    change(settled, 10, status="9")
    decide(settled, "reject", settled.plan().plan_id)
    if meanwhile == "another refusal":
        change(settled, 10, leave_date=datetime(2026, 1, 31, tzinfo=UTC))
        decide(settled, "reject", settled.plan().plan_id)
        change(settled, 10, status="1", leave_date=None)
    else:
        change(settled, 10, status="1", department_code="D1120")
        settled.plan()
        change(settled, 10, department_code="D1110")
    settled.plan()
    change(settled, 10, status="9")
    assert settled.plan().held == 30


def test_what_was_rejected_by_mistake_is_reconsidered(settled: TargetsWorld) -> None:
    """I7: and judged by the guard as before, once."""
    change(settled, 10, status="9")
    plan = settled.plan().plan_id
    with pytest.raises(SafetyStopError, match="nothing of plan"):
        reconsider(settled, plan)
    decide(settled, "reject", plan)
    change(settled, 1, status="1")
    settled.plan()
    assert reconsider(settled, plan) == 27
    with pytest.raises(SafetyStopError, match="nothing of plan"):
        reconsider(settled, plan)
    again = settled.plan()
    assert (again.held, again.plan_id == plan) == (27, False)
    event = settled.rows("SELECT actor, action, details FROM accountsync.audit_event")[-1]
    assert (event["actor"], event["action"]) == ("ann", "plan_reconsidered")
    assert event["details"] == {"plan": plan, "tasks": 27, "comment": "a slip"}


def reconsider(world: TargetsWorld, plan: int) -> int:
    return held_plans.reconsider(engine=world.engine, plan=plan, actor="ann", comment="a slip")


def test_a_slow_leak_is_held_by_the_days_budget(settled: TargetsWorld) -> None:
    """I7: five at a time are few enough, forty-one in a day are not."""
    settled.execute(
        "INSERT INTO accountsync.account_task (plan_id, person_id, system, operation, desired,"
        " state, finished_at) SELECT 1, person_id, 'idaas', 'disable', '{}', 'succeeded', now()"
        " FROM accountsync.account, generate_series(1, 2) WHERE system = 'idaas' LIMIT 38"
    )
    change(settled, 3, status="9")
    plan = settled.plan()
    line = line_of(plan, "idaas")
    assert (line.held, [reason.kind for reason in line.held_because]) == (
        3, [Kind.MORE_IN_24_HOURS],
    )  # fmt: skip
    assert line_of(plan, "email").held == 0


def test_a_date_that_passes_brings_the_person_back(settled: TargetsWorld) -> None:
    """No change in HR: the last working day simply ends."""
    settled.execute("UPDATE accountsync.person SET hire_date = NULL, effective_date = NULL")
    change(settled, 1, leave_date=LATER.date(), time_zone="Asia/Shanghai")
    ends = LATER + timedelta(hours=16)
    assert settled.plan(now=ends - DAY).counts == {}
    assert settled.plan(now=ends - timedelta(seconds=1)).persons == 0
    assert settled.plan(now=ends).counts.keys() == {"idaas", "welink", "email"}


def test_another_rule_is_planned_for_everybody_and_passes_the_guard(settled: TargetsWorld) -> None:
    """I7: a configuration change is as dangerous as bad data."""
    changed = TargetsWorld(
        engine=settled.engine,
        sims=settled.sims,
        changes={"welink": {"scope": "person.status == 'nobody'"}},
    )
    plan = changed.plan()
    assert plan.persons == settled.scalar("SELECT count(*) FROM accountsync.person")
    assert open_tasks(changed).keys() == {("welink", "disable", "held")}
    settled.plan()
    assert open_tasks(settled) == {}  # taken back before anybody decided
    with pytest.raises(SafetyStopError, match="holds nothing any more"):
        decide(settled, "approve", plan.plan_id)


def test_a_target_that_was_taken_out_has_no_tasks_and_is_planned_for_everybody_if_it_comes_back(
    people: People,
) -> None:
    """I6, I9: what may have happened there stays in doubt."""

    def states(target: str) -> set[str]:
        query = "SELECT state FROM accountsync.account_task WHERE system = :target"
        return {row["state"] for row in people.rows(query, target=target)}

    both = {name: {"preset": name, "conn_id": name} for name in ("idaas", "welink")}
    people.settings = example_settings(targets=both)
    people.add("E0", "王芳")
    people.add("E1", "张伟")
    people.plan()
    people.execute("UPDATE accountsync.account_task SET state = 'needs_human' WHERE person_id ="
                   " (SELECT id FROM accountsync.person WHERE employee_number = 'E0')"
                   " AND system = 'welink'")  # fmt: skip
    people.settings = example_settings(targets={"idaas": both["idaas"]})
    people.plan(dry_run=True)
    people.plan(only="E1")
    assert states("welink") == {"ready", "needs_human"}
    people.plan()
    assert states("welink") == {"superseded", "needs_human"}
    assert states("idaas") == {"ready"}
    people.add("E2", "李娜")
    people.plan()
    people.settings = example_settings(targets=both)
    assert people.plan().counts["welink"] == {"ready": 2}


@pytest.mark.parametrize(
    ("why", "facts", "days", "expected"),
    [
        ("leave", {"leave_date": YESTERDAY}, 0, []),
        ("leave", {"leave_date": YESTERDAY}, 31, ["delete"]),
        ("left", {"status": "7"}, 0, ["delete"]),
        ("leave", {"status": "7"}, 900, []),  # nothing says since when
    ],
)
def test_an_account_disabled_long_ago_is_not_deleted_the_day_its_person_leaves(
    people: People, why: str, facts: dict[str, Any], days: int, expected: list[str]
) -> None:
    """I11."""
    target = {"preset": "idaas", "conn_id": "idaas", "delete_after": "720h"}
    source = {"name": "hieds", "preset": "hieds", "conn_id": "hr_api", "left_statuses": ["7"]}
    people.settings = example_settings(targets={"idaas": target}, hr=[source])
    person = people.add("E1", "张伟")
    people.execute(
        "INSERT INTO accountsync.account (person_id, system, state, identifier, attributes,"
        " provenance, disabled_by, disabled_reason, updated_at) VALUES (:person, 'idaas',"
        " 'disabled', 'z1', '{}', 'created', 'accountsync', :why, now() - interval '100 days')",
        person=person, why=why,
    )  # fmt: skip
    people.change("E1", **facts)
    people.plan(now=datetime.now(UTC) + days * DAY)
    tasks = people.rows("SELECT operation FROM accountsync.account_task")
    assert [row["operation"] for row in tasks] == expected


def test_a_dry_run_is_released_as_it_is_or_not_at_all(settled: TargetsWorld) -> None:
    """I6."""
    change(settled, 1, status="9")
    dry = settled.plan(dry_run=True)
    assert (dry.released, open_tasks(settled)) == (2, {})
    facts = {"engine": settled.engine, "settings": settled.settings, "actor": "ann"}
    change(settled, 2, status="9")
    now = datetime.now(UTC)
    with pytest.raises(SafetyStopError, match="another plan comes out"):
        held_plans.release_dry_run(plan=dry.plan_id, now=now, **facts)  # type: ignore[arg-type]
    assert open_tasks(settled) == {}
    dry = settled.plan(dry_run=True)
    done = held_plans.release_dry_run(plan=dry.plan_id, now=now, **facts)  # type: ignore[arg-type]
    assert (done.counts, done.content_hash) == (dry.counts, dry.content_hash)


def test_two_planners_at_once_plan_everybody_once(settled: TargetsWorld) -> None:
    change(settled, 3, status="9")
    with ThreadPoolExecutor(2) as pool:
        plans = list(pool.map(lambda _: settled.plan(), range(2)))
    assert sorted(plan.persons for plan in plans) == [0, 3]
    assert sum(open_tasks(settled).values()) == 9
