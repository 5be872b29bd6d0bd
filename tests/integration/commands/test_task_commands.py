"""The operator's commands, as they are typed: previewed, dependency-respecting, audited."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from accountsync.__main__ import app, main
from accountsync.errors import ConfigurationError
from accountsync.jobs.commands.provision import Doing, provision
from accountsync.jobs.tasks.process_account_tasks import ProcessSummary
from accountsync.store import locks
from tests.installation import connections
from tests.integration.tasks.targets_world import TargetsWorld
from tests.integration.world import REPOSITORY

ONBOARDING = "/user/onboarding"
WHY = ("--comment", "ticket 7", "--actor", "mia")


class Shell:
    def __init__(self) -> None:
        self._runner = CliRunner()

    def run(self, *words: str) -> Any:
        return self._runner.invoke(app, list(words))

    def __call__(self, *words: str) -> str:
        done = self.run(*words)
        assert done.exception is None, done.output
        return str(done.output)


@pytest.fixture
def shell(planned: TargetsWorld, monkeypatch: pytest.MonkeyPatch) -> Shell:
    url = planned.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("ACCOUNTSYNC_DATABASE_URL", url)
    monkeypatch.setenv("ACCOUNTSYNC_CONFIG", str(REPOSITORY / "config" / "accountsync.yaml"))
    for name, value in connections(planned.sims).items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(value))
    return Shell()


@pytest.fixture
def refused(planned: TargetsWorld) -> TargetsWorld:
    """IDaaS refused everybody, and what depends on it failed with it."""
    planned.sims.idaas.fault("ok_with_error", path=ONBOARDING, code=4711)
    planned.drain()
    planned.sims.idaas.heal()
    return planned


def _all_failed(world: TargetsWorld) -> bool:
    everybody = len(world.entitled())
    return all(
        world.states(target, "create") == {"failed": everybody}
        for target in ("idaas", "welink", "email")
    )


def test_failures_are_grouped_by_what_went_wrong(refused: TargetsWorld, shell: Shell) -> None:
    everybody = len(refused.entitled())
    said = shell("task", "failures")
    assert f"{everybody:6d}  idaas create failed  RejectedByTargetError code 4711" in said
    assert f"{everybody:6d}  welink create failed  DependencyFailed: idaas failed for good" in said
    assert len(said.splitlines()) == 3
    assert shell("task", "failures", "--target", "email").count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("failures", "--target", "idass"), "there is no target idass; known are idaas, welink"),
        (("list", "--person", "99999999"), "there is no employee number 99999999"),
        (("list", "--request", "99"), "there is no request 99"),
        (("list", "--task", "999999"), "there is no task 999999"),
        (("hold", "--target", "idass", "--yes", *WHY), "there is no target idass"),
        (("retry", "--task", "999999", *WHY), "there is no task 999999"),
        (("done", "--task", "999999", *WHY), "there is no task 999999"),
    ],
)
def test_what_does_not_exist_is_no_all_clear(
    shell: Shell, words: tuple[str, ...], said: str
) -> None:
    """Not "nothing failed", nor "changed 0 tasks"."""
    done = shell.run("task", *words)
    assert isinstance(done.exception, ConfigurationError)
    assert said in str(done.exception)


def test_a_login_that_may_only_read_is_told_so_in_a_line(
    planned: TargetsWorld,
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """I15: no statement, and none of its values."""
    planned.execute("DROP ROLE IF EXISTS just_a_reader")
    planned.execute(f"CREATE ROLE just_a_reader LOGIN PASSWORD '{planned.engine.url.password}'")
    planned.execute("GRANT USAGE ON SCHEMA accountsync TO just_a_reader")
    planned.execute("GRANT SELECT ON ALL TABLES IN SCHEMA accountsync TO just_a_reader")
    url = planned.engine.url.set(username="just_a_reader")
    monkeypatch.setenv("ACCOUNTSYNC_DATABASE_URL", url.render_as_string(hide_password=False))
    words = ["task", "hold", "--target", "idaas", "--yes", *WHY]
    try:
        with pytest.raises(SystemExit) as ended:
            main(lambda: app(words, standalone_mode=False))
    finally:
        planned.execute("DROP OWNED BY just_a_reader")
        planned.execute("DROP ROLE just_a_reader")
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("the login of Connection `database.conn_id` may not do that")
    assert said.count("\n") == 1


def test_what_the_store_breaks_off_is_told_by_its_kind(
    planned: TargetsWorld,
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """I15: not as the server words it, and not as a store that is down."""
    url = planned.engine.url.update_query_dict({"options": "-c statement_timeout=1ms"})
    monkeypatch.setenv("ACCOUNTSYNC_DATABASE_URL", url.render_as_string(hide_password=False))
    with planned.engine.begin() as connection:
        connection.execute(text("LOCK TABLE accountsync.account_task"))
        with pytest.raises(SystemExit):
            main(lambda: app(["task", "failures"], standalone_mode=False))
    assert capsys.readouterr().err.startswith("the store refused: QueryCanceled; nothing was")


_DECIDED = "accountsync.audit_event WHERE action <> 'accounts_adopted'"


def test_without_yes_a_command_only_counts(refused: TargetsWorld, shell: Shell) -> None:
    said = shell("task", "retry", "--target", "idaas", *WHY)
    everybody = len(refused.entitled())
    assert f"would change {3 * everybody} tasks, {2 * everybody} of them because" in said
    assert _all_failed(refused)
    assert refused.scalar(f"SELECT count(*) FROM {_DECIDED}") == 0


def test_a_retry_takes_along_what_failed_because_of_it(refused: TargetsWorld, shell: Shell) -> None:
    """I12: dependants wait again for what they depend on."""
    shell("task", "retry", "--error", "RejectedByTargetError", "--yes", *WHY)
    everybody = len(refused.entitled())
    assert refused.states("idaas", "create") == {"ready": everybody}
    assert refused.states("welink", "create") == {"waiting": everybody}
    refused.plan()
    refused.drain()
    for target in ("idaas", "welink", "email"):
        assert refused.states(target, "create") == {"succeeded": everybody}
    event = refused.rows(f"SELECT * FROM {_DECIDED}")[0]
    assert (event["actor"], event["action"]) == ("mia", "task_retried")
    assert event["details"]["filter"] == {"error_kind": "RejectedByTargetError"}
    assert event["details"]["tasks"] == 3 * everybody
    assert event["details"]["comment"] == "ticket 7"


def test_a_dependant_that_is_retried_alone_waits_for_what_it_depends_on(
    refused: TargetsWorld, shell: Shell
) -> None:
    """I12."""
    number = min(refused.entitled())
    shell("task", "retry", "--target", "welink", "--person", number, "--yes", *WHY)
    assert refused.states("welink", "create")["waiting"] == 1
    assert "welink" not in refused.due()


def test_an_old_failure_is_not_retried_beside_its_successor(
    refused: TargetsWorld, shell: Shell
) -> None:
    refused.execute("UPDATE accountsync.person SET planned_revision = 0")
    refused.plan()
    said = shell("task", "retry", "--target", "idaas", "--yes", *WHY)
    assert "retry changed 0 tasks" in said


def test_what_nobody_would_carry_out_is_not_retried(refused: TargetsWorld, shell: Shell) -> None:
    """Its target was taken out of the configuration: it would be open for ever."""
    refused.execute("UPDATE accountsync.account_task SET system = 'old' WHERE system = 'email'")
    everybody = len(refused.entitled())
    for yes in ((), ("--yes",)):
        said = shell("task", "retry", "--state", "failed", *yes, *WHY)
        assert f"{everybody} tasks of targets that are not configured any more: left alone" in said
    assert refused.states("old", "create") == {"failed": everybody}
    assert refused.states("welink", "create") == {"waiting": everybody}


def test_an_unknown_outcome_is_never_retried_blindly(planned: TargetsWorld, shell: Shell) -> None:
    """I9: it is looked up first, also where a human asks."""
    planned.sims.idaas.fault("drop_after", path=ONBOARDING, times=3)
    planned.execute("UPDATE accountsync.account_task SET attempts = 0")
    planned.process("idaas", max_tasks=3)
    planned.execute(
        "UPDATE accountsync.account_task SET state = 'needs_human', error_kind ="
        " 'UnknownOutcomeError' WHERE state = 'unknown'"
    )
    shell("task", "retry", "--state", "needs_human", "--yes", *WHY)
    assert planned.states("idaas", "create")["unknown"] == 3
    planned.drain()
    assert planned.requests("idaas")[0] == len(planned.entitled())


def test_a_cancelled_task_takes_along_who_waits_for_it(planned: TargetsWorld, shell: Shell) -> None:
    """I12."""
    number = min(planned.entitled())
    said = shell("task", "cancel", "--person", number, "--target", "idaas", "--yes", *WHY)
    assert "changed 3 tasks, 2 of them because they depend" in said
    planned.drain()
    assert number not in planned.there("idaas")
    assert planned.states("welink", "create")["cancelled"] == 1


def test_what_is_under_way_or_unknown_cannot_be_cancelled(
    planned: TargetsWorld, shell: Shell
) -> None:
    """I9: nobody knows whether the account is there."""
    planned.execute("UPDATE accountsync.account_task SET state = 'unknown' WHERE system = 'idaas'")
    said = shell("task", "cancel", "--target", "idaas", "--yes", *WHY)
    assert "changed 0 tasks" in said


def test_held_tasks_stay_until_they_are_released(planned: TargetsWorld, shell: Shell) -> None:
    everybody = len(planned.entitled())
    shell("task", "hold", "--target", "welink", "--yes", *WHY)
    planned.drain()
    assert planned.states("welink", "create") == {"held": everybody}
    said = shell("task", "release", "--target", "welink", "--yes", *WHY)
    assert f"release changed {everybody} tasks" in said
    assert planned.states("welink", "create") == {"ready": everybody}
    planned.drain()
    assert planned.states("welink", "create") == {"succeeded": everybody}


def test_what_an_operator_holds_stays_held_whatever_hr_changes(
    planned: TargetsWorld, shell: Shell
) -> None:
    """I6, I12: released, it waits again for what it depends on, and sends what is right by then."""
    everybody = len(planned.entitled())
    shell("task", "hold", "--target", "idaas", "--yes", *WHY)
    shell("task", "hold", "--target", "welink", "--yes", *WHY)
    for department in ("nobody's", "D1120"):  # in between data is missing
        planned.execute(
            "UPDATE accountsync.person SET department_code = :d, revision = revision + 1"
            " WHERE id IN (SELECT person_id FROM accountsync.account_task)",
            d=department,
        )
        planned.plan()
    assert planned.states("idaas", "create") == {"held": everybody}
    assert planned.states("welink", "create") == {"held": everybody}
    shell("task", "release", "--target", "welink", "--yes", *WHY)
    assert planned.states("welink", "create") == {"waiting": everybody}
    shell("task", "release", "--target", "idaas", "--yes", *WHY)
    planned.drain()
    assert planned.states("welink", "create") == {"succeeded": everybody}
    planned.plan()
    planned.drain()
    planned.execute("UPDATE accountsync.person SET revision = revision + 1")
    assert planned.plan().counts == {}


def test_what_the_guard_holds_no_command_releases(planned: TargetsWorld, shell: Shell) -> None:
    """I7."""
    planned.execute(
        "UPDATE accountsync.account_task SET state = 'held', waits_for = '{}'"
        " WHERE system = 'welink'"
    )
    assert "changed 0 tasks" in shell("task", "release", "--target", "welink", "--yes", *WHY)


def test_a_command_without_a_filter_moves_nothing(refused: TargetsWorld, shell: Shell) -> None:
    done = shell.run("task", "retry", "--yes", *WHY)
    assert isinstance(done.exception, ConfigurationError)
    assert _all_failed(refused)


def test_a_human_says_that_it_is_done(planned: TargetsWorld, shell: Shell) -> None:
    """What no look-up can show: the store takes a human's word, and keeps whose it was."""
    planned.drain()
    planned.ask("idaas", "disable", reason="left", persons=1)
    planned.execute(
        "UPDATE accountsync.account_task SET state = 'needs_human', cause = 'by hand'"
        " WHERE operation = 'disable'"
    )
    task = planned.scalar("SELECT id FROM accountsync.account_task WHERE operation = 'disable'")
    shell("task", "done", "--task", str(task), *WHY)
    assert planned.states("idaas", "disable") == {"succeeded": 1}
    account = planned.rows("SELECT * FROM accountsync.account WHERE state = 'disabled'")[0]
    assert (account["disabled_by"], account["disabled_reason"]) == ("accountsync", "left")
    assert account["identifier"]
    again = shell.run("task", "done", "--task", str(task), *WHY)
    assert isinstance(again.exception, ConfigurationError)


def test_tasks_are_listed_with_what_they_wait_for(planned: TargetsWorld, shell: Shell) -> None:
    number = min(planned.entitled())
    said = shell("task", "list", "--person", number)
    assert f"{number}  idaas  create  ready" in said
    assert f"{number}  welink  create  waiting    for idaas" in said
    assert "3 tasks" in said


def test_one_person_is_provisioned_now_and_every_step_explained(
    planned: TargetsWorld, shell: Shell
) -> None:
    """A person HR has just hired, through to every target."""
    planned.sims.hr.events(join=1)
    joiner = planned.sims.hr.persons()[-1]
    said = shell("provision", joiner["employeeNumber"], "--actor", "mia")
    said = re.sub(r" \(\d+\.\d s\)", " (… s)", said)
    assert "✓ read (… s): hieds: 1 read, 1 new" in said
    assert re.search(r"✓ plan \(… s\): plan \d+: create in email \(active\), create in idaas", said)
    for target in ("idaas", "welink", "email"):
        assert f"✓ process {target} (… s): 1 succeeded" in said
        assert f"✓ in {target}: account active; create succeeded" in said
    assert set(planned.there("idaas")) == {joiner["employeeNumber"]}
    assert joiner["fullName"] not in said
    assert re.search(r"^after \d+\.\d s$", said, re.MULTILINE)


def test_provisioning_plans_nobody_else(planned: TargetsWorld, shell: Shell) -> None:
    planned.sims.hr.events(join=2)
    one, other = planned.sims.hr.persons()[-2:]
    planned.sync()
    shell("provision", one["employeeNumber"])
    assert planned.scalar("SELECT max(persons) FROM accountsync.plan WHERE id > 1") == 1
    waiting = planned.rows(
        "SELECT employee_number FROM accountsync.person WHERE revision > planned_revision"
    )
    assert [row["employee_number"] for row in waiting] == [other["employeeNumber"]]
    assert planned.plan().persons == 1


def test_what_the_guard_holds_is_not_let_go_by_provisioning(
    planned: TargetsWorld, shell: Shell
) -> None:
    """I7: one of many who are to lose their accounts stays one of them."""
    planned.drain()
    planned.execute("UPDATE accountsync.person SET status = '0', revision = revision + 1")
    held = planned.plan().held
    assert held == 3 * len(planned.entitled())
    number = min(planned.entitled())
    planned.execute(
        "UPDATE accountsync.person SET leave_date = '2026-01-31', revision = revision + 1"
        " WHERE employee_number = :number",
        number=number,
    )
    assert planned.plan(only=number).released == 0
    assert planned.states("idaas", "disable")["held"] == len(planned.entitled())


def test_taking_away_one_by_one_uses_the_guards_budget_up(planned: TargetsWorld) -> None:
    """I7: plans of one person each are no way around it."""
    planned.drain()
    budget = {"count": 2, "percent": 0}
    world = replace(planned, changes={"settings": {"guard": {"budget_24h": budget}}})
    leavers = sorted(world.entitled())[:3]
    world.execute("UPDATE accountsync.person SET status = '0', revision = revision + 1")
    plans = [world.plan(only=number) for number in leavers]
    assert [plan.held for plan in plans] == [0, 0, 3]


def test_provisioning_says_what_stands_in_the_way(planned: TargetsWorld, shell: Shell) -> None:
    number = min(planned.entitled())
    planned.sims.idaas.fault("ok_with_error", path=ONBOARDING, code=4711)
    done = shell.run("provision", number)
    assert done.exit_code == 1
    assert "✗ in idaas: no account; create failed: HTTP 200, code 4711" in done.output
    assert "✗ in welink: no account; create failed: idaas failed for good" in done.output


def test_provisioning_keeps_the_pause_that_a_target_asked_for_and_says_until_when(
    planned: TargetsWorld, shell: Shell
) -> None:
    """I13: also a pause that was asked for by the last call of a run that was over then."""
    one, other = sorted(planned.entitled())[:2]
    planned.sims.idaas.fault("too_many_requests", path=ONBOARDING, retry_after=15, times=1)
    assert planned.process("idaas", employee_numbers=[one]).breaker == "paused"
    said = shell.run("provision", other).output
    left_alone = r"process idaas \(.* s\): left alone until \d\d:\d\d:\d\d UTC: the target asked"
    assert len(re.findall(left_alone, said)) == 1
    assert "✗ in idaas: no account; create ready" in said
    assert planned.requests("idaas")[0] == 1


def test_provisioning_says_what_it_waits_for(planned: TargetsWorld) -> None:
    doing = Doing(sync=lambda: "", plan=lambda: "", process=lambda *_: ProcessSummary(target="x"))
    number = min(planned.entitled())
    run = partial(
        provision, engine=planned.engine, settings=planned.settings, employee_number=number,
        doing=doing,
    )  # fmt: skip
    with (
        locks.held_or_not(planned.engine, "hr/hieds"),
        locks.held_or_not(planned.engine, "plan"),
    ):
        said = [step.message for step in run() if step.name == "wait"]
    assert said == [
        "hieds is being read by another run; this goes on after it",
        "a plan is being written by another run; this goes on after it",
    ]
    assert [step for step in run() if step.name == "wait"] == []


def test_provisioning_a_stranger_fails_and_says_where_to_look(
    planned: TargetsWorld, shell: Shell
) -> None:
    """I14: a typing error in the number is no success, and leaves no plan behind."""
    plans = planned.scalar("SELECT count(*) FROM accountsync.plan")
    done = shell.run("provision", "no-such-number")
    assert done.exit_code == 1
    assert (
        "\n✗ person: nobody has the employee number 'no-such-number'; is it in a row of HR that is"
        " rejected? bin/accountsync reject list\n"
    ) in done.output
    assert "in idaas" not in done.output
    assert planned.scalar("SELECT count(*) FROM accountsync.plan") == plans


def test_provisioning_whom_no_rule_gives_anything_says_so(
    planned: TargetsWorld, shell: Shell
) -> None:
    known = {row["employeeNumber"] for row in planned.sims.hr.persons()}
    done = shell.run("provision", min(known - planned.entitled()))
    assert done.exit_code == 0
    assert "✓ in idaas: no account: no rule gives one today\n" in done.output
