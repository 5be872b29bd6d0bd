"""Access ends (I17): judged by what the targets contain, never by the store."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from typer.testing import CliRunner

from accountsync.__main__ import app
from accountsync.errors import AccountSyncError
from accountsync.jobs.plans import held_plans
from accountsync.jobs.tasks import open_access, task_commands
from accountsync.store.engine import database_time
from accountsync.store.plans.guarded_tasks import EVERYTHING, Selection
from accountsync.store.tasks.task_commands import TaskFilter
from tests.integration.tasks.access_world import (
    LEFT,
    TARGETS,
    account,
    adopt,
    an_hour_passes,
    change,
    edited,
    enabled,
    newest,
    somebody,
    told,
)
from tests.integration.tasks.targets_world import TargetsWorld


def lose_a_disable(world: TargetsWorld, number: str) -> None:
    """The person leaves; WeLink disables the account, and neither its answer nor a look says so."""
    change(world, number, leave_date=LEFT)
    world.plan()
    world.sims.welink.faults(
        {"kind": "drop_after", "path": "/user/disable$", "times": 1},
        {"kind": "status", "code": 500, "path": "/user/detail$", "skip": 1},
    )
    for _ in range(14):
        world.drain()
        world.execute("UPDATE accountsync.account_task SET next_attempt_at = now()")
    assert newest(world, "welink", number)["state"] == "needs_human"
    assert not enabled(world, "welink", number)
    world.sims.welink.heal()


@pytest.mark.parametrize(
    ("operation", "state"),
    [
        *(("update", state) for state in ("needs_human", "unknown", "ready", "held", "needs_data")),
        ("rename", "needs_human"),
        ("enable", "unknown"),
    ],
)
def test_nothing_that_waits_keeps_a_leaver_in(
    made: TargetsWorld, state: str, operation: str
) -> None:
    """I17: a phone that could not be changed is no reason."""
    number = somebody(made)
    made.ask("welink", operation, persons=1)
    made.execute(
        f"UPDATE accountsync.account_task SET state = '{state}', next_attempt_at = now() +"
        " interval '5 hours' WHERE state = 'ready'"
    )
    change(made, number, leave_date=LEFT)
    made.plan()
    made.drain()
    assert [enabled(made, target, number) for target in TARGETS] == [False, False, False]
    assert open_access.list_open(engine=made.engine) == []


def test_a_call_that_is_under_way_is_awaited_and_then_followed(made: TargetsWorld) -> None:
    """I6, I17."""
    number = somebody(made)
    made.ask("welink", "update", persons=1)
    made.execute(
        "UPDATE accountsync.account_task SET state = 'running', lease_until = now() + interval"
        " '1 hour' WHERE state = 'ready'"
    )
    change(made, number, leave_date=LEFT)
    made.plan()
    assert newest(made, "welink", number)["operation"] == "update"
    made.let_leases_run_out()
    made.drain()
    made.plan()
    made.drain()
    assert not enabled(made, "welink", number)


@pytest.mark.parametrize("mends", ["", "employee_number = 'E' || employee_number, "])
def test_an_account_that_a_lost_create_made_is_looked_for_and_disabled(
    planned: TargetsWorld, mends: str
) -> None:
    """I9, I17: nobody knows of it, but it is open; also under a number that HR has mended since."""
    planned.sims.idaas.fault("drop_after", path="/user/onboarding")
    planned.sims.idaas.fault("status", code=500, path="/user$")
    with suppress(AccountSyncError):
        planned.process("idaas")
    planned.execute(
        "UPDATE accountsync.account_task SET state = 'needs_human' WHERE state = 'unknown'"
    )
    planned.sims.idaas.heal()
    there = planned.sims.idaas.accounts()
    assert {one["enabled"] for one in there} == {True}
    planned.execute(
        f"UPDATE accountsync.person SET {mends} leave_date = :left, hire_date = NULL,"
        " revision = revision + 1", left=LEFT,
    )  # fmt: skip
    plan = planned.plan()
    if plan.held:
        decided(planned, held_plans.approve, plan.plan_id)
    planned.drain()
    assert len(planned.sims.idaas.accounts()) == len(there)
    assert {one["enabled"] for one in planned.sims.idaas.accounts()} == {False}
    assert planned.known("idaas") == {"disabled": len(there)}


def test_a_refused_disable_is_told_at_once_and_asked_again_until_it_is_seen_done(
    made: TargetsWorld,
) -> None:
    number = somebody(made)
    change(made, number, leave_date=LEFT)
    made.plan()
    made.sims.welink.fault("ok_with_error", code="47001", message="busy", path="/user/disable")
    made.drain()
    task = newest(made, "welink", number)
    assert (task["state"], task["operation"], task["attempts"]) == ("needs_human", "disable", 1)
    assert not enabled(made, "idaas", number)  # the order is a courtesy
    assert (told(made) or "").startswith("access has not ended: 1 leavers (1 refused")
    assert told(made) is None  # once a day
    assert "1 of them leavers" in CliRunner().invoke(app, ["access", "list"]).output
    for _ in range(3):
        made.plan()
        an_hour_passes(made)
        made.drain()
    assert newest(made, "welink", number)["id"] == task["id"]
    assert enabled(made, "welink", number)
    made.execute("UPDATE accountsync.account_task SET alerted_at = alerted_at - interval '2 days'")
    assert number in (told(made) or "")
    made.sims.welink.heal()
    an_hour_passes(made)
    made.drain()
    assert not enabled(made, "welink", number)
    assert open_access.list_open(engine=made.engine) == []
    assert told(made) is None


def test_a_target_that_is_down_keeps_nobody_in_elsewhere_for_longer_than_an_hour(
    made: TargetsWorld,
) -> None:
    """I12, I17: the order is a courtesy."""
    number = somebody(made)
    change(made, number, leave_date=LEFT)
    made.plan()
    made.sims.exchange.fault("status", code=503)
    made.sims.welink.fault("drop_before")
    made.drain(rounds=2)
    assert enabled(made, "idaas", number)
    an_hour_passes(made)
    made.drain(rounds=2)
    assert not enabled(made, "idaas", number)
    assert enabled(made, "email", number)
    made.plan()
    assert newest(made, "idaas", number)["state"] == "succeeded"


def test_an_enable_of_which_nobody_knows_the_outcome_keeps_no_leaver_in(
    made: TargetsWorld,
) -> None:
    """I17: the account is known as disabled, and may be open."""
    number = somebody(made)
    for day in (LEFT, None):
        change(made, number, leave_date=day)
        made.plan()
        if day:
            made.drain()
    made.sims.idaas.fault("drop_after", path=r"/user/\d+/enable$")
    made.process("idaas")
    made.execute(
        "UPDATE accountsync.account_task SET state = 'needs_human' WHERE state = 'unknown'"
    )
    made.sims.idaas.heal()
    assert enabled(made, "idaas", number)
    change(made, number, leave_date=LEFT)
    made.plan()
    made.plan()
    made.drain()
    assert not enabled(made, "idaas", number)
    assert newest(made, "idaas", number)["state"] == "succeeded"


@pytest.mark.parametrize("is_back", [False, True])
def test_what_our_lost_disable_did_is_known_as_ours_by_a_look_at_all_accounts(
    made: TargetsWorld, is_back: bool
) -> None:
    """I11: `adopt run` finds it disabled before the task does; who returns is let in."""
    number = somebody(made)
    lose_a_disable(made, number)
    if is_back:
        change(made, number, leave_date=None)
        made.plan()
    adopt(made, "welink")
    assert account(made, "welink", number)["disabled_by"] == "accountsync"
    change(made, number, leave_date=None)
    made.plan()
    made.drain()
    assert [enabled(made, target, number) for target in TARGETS] == [True, True, True]


@pytest.mark.parametrize("state", ["needs_human", "ready"])
def test_a_disable_of_which_nobody_knows_the_outcome_is_undone_for_who_comes_back(
    made: TargetsWorld, state: str
) -> None:
    """I17: the account is known as active, and may be shut; also while it is being asked again."""
    number = somebody(made)
    lose_a_disable(made, number)
    made.execute(
        f"UPDATE accountsync.account_task SET state = '{state}' WHERE state = 'needs_human'"
    )
    change(made, number, leave_date=None)
    for _ in range(2):
        made.plan()
        made.execute("UPDATE accountsync.person SET planned_revision = 0")
    made.plan()
    made.drain()
    assert enabled(made, "welink", number)


def test_what_a_command_tries_again_is_due_by_what_is_known_now(planned: TargetsWorld) -> None:
    """I17: an account that was refused is not made for somebody who has left since."""
    number = min(planned.entitled())
    planned.sims.idaas.fault("ok_with_error", path="onboarding")
    planned.drain()
    planned.sims.idaas.heal()
    change(planned, number, leave_date=LEFT)
    planned.plan()
    task_commands.carry_out(
        engine=planned.engine, settings=planned.settings, command="retry",
        chosen=TaskFilter(state="failed"), actor="mia", comment="it is well again",
    )  # fmt: skip
    planned.process("idaas")
    assert planned.there("idaas") == {}
    planned.plan()
    planned.drain()
    assert set(planned.there("idaas")) == set(planned.entitled()) - {number}


def test_no_value_of_others_begins_a_line_of_the_lists(made: TargetsWorld) -> None:
    """I15, I20: as in every other list, HR's values are text on a terminal."""
    number = somebody(made)
    change(made, number, leave_date=LEFT)
    made.plan()
    made.sims.welink.fault("ok_with_error", path="/user/disable")
    made.drain()
    change(made, number, employee_number="7\n0 accounts\x1b[2J")
    for command in (["access", "list"], ["status"]):
        printed = CliRunner().invoke(app, command).output
        assert "1 of them leavers" in printed
        assert "\x1b" not in printed
        assert not [line for line in printed.splitlines() if line.startswith("0 accounts")]


def test_who_comes_back_while_a_disable_is_refused_has_access(made: TargetsWorld) -> None:
    """I17: the refused one is asked no more; whatever it did is undone."""
    number = somebody(made)
    change(made, number, leave_date=LEFT)
    made.plan()
    made.sims.welink.fault("ok_with_error", path="/user/disable")
    made.drain()
    made.sims.welink.heal()
    change(made, number, leave_date=None)
    made.plan()
    an_hour_passes(made)
    made.drain()
    assert [enabled(made, target, number) for target in TARGETS] == [True, True, True]
    assert newest(made, "welink", number)["state"] == "succeeded"


def test_an_account_that_somebody_else_disabled_is_surely_off_when_the_person_leaves(
    made: TargetsWorld,
) -> None:
    """I11, I17: adopted as disabled, enabled by the help desk, and then the person leaves."""
    number = somebody(made)
    made.execute(
        "UPDATE accountsync.account SET state = 'disabled', provenance = 'adopted', closed = 'seen'"
        " WHERE system = 'welink' AND person_id = (SELECT id FROM accountsync.person"
        " WHERE employee_number = :number)", number=number,
    )  # fmt: skip
    change(made, number, phone="139")
    made.plan()  # entitled: what was known of the account does not count any more
    change(made, number, leave_date=LEFT)
    made.plan()
    made.drain()
    assert not enabled(made, "welink", number)
    found = account(made, "welink", number)
    assert (found["disabled_by"], found["closed"]) == ("accountsync", "seen")


@pytest.mark.parametrize("provenance", ["created", "adopted"])
def test_what_security_disabled_is_not_enabled_by_a_return(
    made: TargetsWorld, provenance: str
) -> None:
    """I11: before our own disable, what the target shows is read."""
    number = somebody(made)
    made.execute("UPDATE accountsync.account SET provenance = :p", p=provenance)
    edited(made, "welink", "corpUserId", number, enabled=False)
    change(made, number, leave_date=LEFT)
    made.plan()
    made.drain()
    found = account(made, "welink", number)
    assert (found["state"], found["disabled_by"], found["closed"]) == ("disabled", None, "seen")
    change(made, number, leave_date=None)
    made.plan()
    made.drain()
    assert not enabled(made, "welink", number)
    assert enabled(made, "idaas", number)


def test_a_disable_whose_outcome_nobody_knew_for_long_was_ours(made: TargetsWorld) -> None:
    """I11: the target is found disabled when it is asked once more; who returns is let in."""
    number = somebody(made)
    lose_a_disable(made, number)
    made.drain()
    assert newest(made, "welink", number)["state"] == "succeeded"
    assert account(made, "welink", number)["disabled_by"] == "accountsync"
    change(made, number, leave_date=None)
    made.plan()
    made.drain()
    assert [enabled(made, target, number) for target in TARGETS] == [True, True, True]


def test_nothing_is_given_to_whom_hr_lacks(planned: TargetsWorld) -> None:
    """I19: neither a new account nor an old one; what waits says why, and goes on with HR."""
    planned.process("idaas")
    numbers = planned.entitled()
    planned.execute(
        "INSERT INTO accountsync.snapshot (source, run_id, rows) SELECT source, max(id), 0"
        " FROM accountsync.sync_run GROUP BY source"
    )
    planned.execute("UPDATE accountsync.person SET absent_since_snapshot = 1")
    planned.drain()  # no plan was made yet
    assert planned.sims.welink.accounts() == []
    planned.execute("UPDATE accountsync.person SET planned_revision = 0")
    planned.plan()
    assert planned.states("welink", "create") == {"needs_data": len(numbers)}
    kinds = planned.rows("SELECT DISTINCT cause_kind FROM accountsync.account_task WHERE"
                         " state = 'needs_data'")  # fmt: skip
    assert [row["cause_kind"] for row in kinds] == ["absent_from_hr"]
    planned.sync("full")
    planned.plan()
    planned.drain()
    assert len(planned.sims.welink.accounts()) == len(numbers)


def test_a_hire_that_may_have_been_called_off_waits_for_a_human(planned: TargetsWorld) -> None:
    """I19."""
    planned.execute(
        "UPDATE accountsync.person SET hire_date = '2026-06-01', leave_date = '2024-01-31',"
        " revision = revision + 1"
    )
    planned.plan()
    assert set(planned.states("idaas", "create")) == {"needs_human"}
    planned.drain()
    assert planned.sims.idaas.accounts() == []
    task_commands.carry_out(
        engine=planned.engine, settings=planned.settings, command="retry",
        chosen=TaskFilter(target="idaas"), actor="mia", comment="a rehire",
    )  # fmt: skip
    planned.plan()
    planned.drain()
    assert len(planned.sims.idaas.accounts()) == len(planned.entitled())


def test_a_leavers_account_that_has_gone_is_looked_for_twice_and_closed(
    made: TargetsWorld,
) -> None:
    number = somebody(made)
    made.execute(
        "UPDATE accountsync.account SET state = 'absent', lost_id = remote_id, remote_id = NULL"
        " WHERE person_id = (SELECT id FROM accountsync.person WHERE employee_number = :number)",
        number=number,
    )  # fmt: skip
    change(made, number, leave_date=LEFT)
    made.plan()
    made.drain()
    assert [enabled(made, target, number) for target in TARGETS] == [False, False, False]


def decided(
    world: TargetsWorld, decide: Any, plan: int, *, once_more: bool = False, **chosen: Any
) -> int:
    with world.engine.connect() as connection:
        now = database_time(connection)
    extra: dict[str, Any] = {"settings": world.settings}
    if decide is held_plans.reject:
        extra = {"once_more": once_more}
    done: int = decide(
        engine=world.engine, plan=plan, actor="mia", comment="c", now=now,
        chosen=Selection(**chosen) if chosen else EVERYTHING, **extra,
    )  # fmt: skip
    return done


@pytest.fixture
def mistaken(made: TargetsWorld) -> tuple[TargetsWorld, int, list[str]]:
    """A plan that holds ten by a mistake, and two real leavers among them."""
    made.execute(
        "UPDATE accountsync.person SET status = '9', revision = revision + 1 WHERE id IN"
        " (SELECT DISTINCT person_id FROM accountsync.account ORDER BY 1 LIMIT 10)"
    )
    leavers = [somebody(made, nth=n) for n in (1, 2)]
    for number in leavers:
        change(made, number, leave_date=LEFT)
    return made, made.plan().plan_id, leavers


def test_a_rejection_asks_about_leavers_once_more(
    mistaken: tuple[TargetsWorld, int, list[str]],
) -> None:
    """I17: who is swept up in a mistake does not keep access by its rejection."""
    world, plan, leavers = mistaken
    assert decided(world, held_plans.reject, plan) == 24
    view = held_plans.describe(engine=world.engine, plan=plan)
    assert (view.state, view.held) == ("held", 6)
    assert decided(world, held_plans.approve, plan) == 6
    world.drain()
    for number in leavers:
        assert not enabled(world, "welink", number)
    assert open_access.kept_by_rejection(engine=world.engine) == {}


def test_leavers_who_keep_access_by_a_rejection_are_told_of_every_day(
    mistaken: tuple[TargetsWorld, int, list[str]],
) -> None:
    world, plan, leavers = mistaken
    decided(world, held_plans.reject, plan)
    assert decided(world, held_plans.reject, plan, once_more=True) == 6
    assert held_plans.describe(engine=world.engine, plan=plan).state == "rejected"
    world.execute("UPDATE accountsync.person SET status = '1', revision = revision + 1")
    later = world.plan()
    assert (later.kept, later.held) == ({"mia": 2}, 0)
    assert told(world) is None
    world.execute(
        "UPDATE accountsync.account_task SET finished_at = finished_at - interval '2 days'"
    )
    assert "2 leavers" in (told(world) or "")
    status = CliRunner().invoke(app, ["status"]).output
    assert "2 leavers keep access by a rejection of mia" in status
    held_plans.reconsider(engine=world.engine, plan=plan, actor="mia", comment="c")
    again = world.plan()
    if again.held:
        decided(world, held_plans.approve, again.plan_id)
    world.drain()
    for number in leavers:
        assert not enabled(world, "welink", number)
    assert told(world) is None


def test_a_decision_may_be_about_a_reason_or_a_person(
    mistaken: tuple[TargetsWorld, int, list[str]],
) -> None:
    world, plan, leavers = mistaken
    assert decided(world, held_plans.approve, plan, numbers=leavers[:1]) == 3
    assert decided(world, held_plans.reject, plan, reasons=["status_not_valid"]) == 24
    assert decided(world, held_plans.approve, plan, reasons=["left"]) == 3
    assert held_plans.describe(engine=world.engine, plan=plan).state == "approved"
    with suppress(AccountSyncError):
        world.drain()
    assert [enabled(world, "idaas", number) for number in leavers] == [False, False]
