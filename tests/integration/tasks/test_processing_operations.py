"""Every operation through a real connector, and what the store knows afterwards (I9-I12)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.integration.tasks.targets_world import TargetsWorld
from tests.integration.world import World


@pytest.fixture
def made(planned: TargetsWorld) -> TargetsWorld:
    """Everybody who should have an account has one, everywhere, as it should be."""
    planned.drain()
    planned.plan()
    planned.drain()
    return planned


def _enabled(world: TargetsWorld, target: str) -> set[bool]:
    return {bool(account["enabled"]) for account in world.target(target).accounts()}


def _one_account(world: World, target: str) -> Any:
    return world.rows(
        "SELECT * FROM accountsync.account WHERE system = :s ORDER BY person_id LIMIT 1", s=target
    )[0]


def test_disable_and_enable_are_carried_out_and_remembered(made: TargetsWorld) -> None:
    everybody = made.ask("idaas", "disable", reason="left")
    made.drain()
    assert _enabled(made, "idaas") == {False}
    assert made.known("idaas") == {"disabled": everybody}
    account = _one_account(made, "idaas")
    assert (account["disabled_by"], account["disabled_reason"]) == ("accountsync", "left")
    made.ask("idaas", "enable")
    made.drain()
    assert _enabled(made, "idaas") == {True}
    assert made.known("idaas") == {"active": everybody}
    account = _one_account(made, "idaas")
    assert (account["disabled_by"], account["disabled_reason"]) == (None, None)


def test_an_update_is_carried_out_and_becomes_what_was_last_applied(made: TargetsWorld) -> None:
    everybody = made.ask("idaas", "update", name="Somebody Else")
    made.drain()
    assert {account["name"] for account in made.sims.idaas.accounts()} == {"Somebody Else"}
    assert made.known("idaas") == {"active": everybody}
    assert _one_account(made, "idaas")["attributes"]["name"] == "Somebody Else"


def test_a_disabled_account_that_is_updated_stays_disabled_by_whom_it_was(
    made: TargetsWorld,
) -> None:
    """I11."""
    made.ask("idaas", "disable", reason="leave", persons=1)
    made.drain()
    made.ask("idaas", "update", persons=1, name="Somebody Else")
    made.drain()
    account = _one_account(made, "idaas")
    assert (account["state"], account["disabled_by"]) == ("disabled", "accountsync")
    assert account["disabled_reason"] == "leave"


def test_a_rename_gives_the_account_its_new_identifier_and_those_made_from_it_follow(
    made: TargetsWorld,
) -> None:
    """I9: of this person alone, and only where the mapping reads what changed."""
    made.ask("idaas", "update", mobile="139")
    made.drain()
    made.ask("idaas", "rename", persons=1, userName="renamed1")
    made.drain()
    assert _one_account(made, "idaas")["identifier"] == "renamed1"
    assert "renamed1" in {account["userName"] for account in made.sims.idaas.accounts()}
    again = "SELECT count(*) FROM accountsync.person WHERE revision > planned_revision"
    assert made.scalar(again) == 1
    made.plan()
    mailboxes = made.rows("SELECT desired->>'SAMAccountName' AS name FROM accountsync.account_task"
                          " WHERE system = 'email' AND state <> 'succeeded'")  # fmt: skip
    assert [row["name"] for row in mailboxes] == ["renamed1"]


def test_what_was_deleted_is_remembered_as_deleted(made: TargetsWorld) -> None:
    made.ask("idaas", "delete", persons=3)
    made.drain()
    assert made.known("idaas")["deleted"] == 3
    assert len(made.sims.idaas.accounts()) == made.known("idaas")["active"]
    assert _one_account(made, "idaas")["remote_id"] is None


def test_access_is_taken_away_in_reverse_order(made: TargetsWorld) -> None:
    """I12: what depends on an account goes first; the account follows in the same transaction."""
    everybody = made.ask("welink", "disable")
    made.ask("idaas", "disable", waits_for=["welink"])
    assert made.due() == ["welink"]
    made.process("welink", max_tasks=5)
    assert made.states("idaas", "disable") == {"ready": 5, "waiting": everybody - 5}
    made.drain()
    assert made.known("idaas") == made.known("welink") == {"disabled": everybody}


def test_a_leavers_access_ends_though_something_that_depends_on_it_cannot_be_disabled(
    made: TargetsWorld,
) -> None:
    """I12: the order is a courtesy, an open door is not."""
    everybody = made.ask("welink", "disable")
    made.ask("idaas", "disable", waits_for=["welink"])
    made.sims.welink.fault("ok_with_error", path="/user/disable")
    made.drain()
    assert made.states("welink", "disable") == {"needs_human": everybody}
    assert made.states("idaas", "disable") == {"succeeded": everybody}


def test_nothing_is_deleted_while_what_depends_on_it_is_there(made: TargetsWorld) -> None:
    """I11, I12: what is refused is asked again, and the other waits for it (I17)."""
    everybody = made.ask("welink", "delete")
    made.ask("idaas", "delete", waits_for=["welink"])
    made.sims.welink.fault("ok_with_error", path="/user/delete")
    made.drain()
    assert made.states("welink", "delete") == {"needs_human": everybody}
    assert made.states("idaas", "delete") == {"waiting": everybody}


@pytest.mark.parametrize(("operation", "state"), [("disable", "absent"), ("delete", "deleted")])
def test_what_has_gone_at_the_target_needs_no_taking_away(
    made: TargetsWorld, operation: str, state: str
) -> None:
    made.sims.idaas.reset()
    everybody = made.ask("idaas", operation)
    made.drain()
    assert made.states("idaas", operation) == {"succeeded": everybody}
    assert made.known("idaas") == {state: everybody}


@pytest.mark.parametrize("operation", ["update", "enable", "rename"])
def test_a_change_to_what_has_gone_fails_and_the_person_is_planned_anew(
    made: TargetsWorld, operation: str
) -> None:
    """I9: looked for twice, and then made anew."""
    everybody = len(made.sims.idaas.accounts())
    made.ask("idaas", operation, persons=2, name="Somebody Else")
    asked = (
        "SELECT a.remote_id FROM accountsync.account_task t JOIN accountsync.account a"
        " USING (person_id, system) WHERE t.state = 'ready'"
    )
    hidden = {row["remote_id"] for row in made.rows(asked)}
    for account in hidden:
        made.sims.idaas.remove(account)
    made.drain()
    assert len(hidden) == 2
    assert made.states("idaas", operation) == {"failed": 2}
    assert made.known("idaas")["absent"] == 2
    made.plan()
    made.drain()
    assert made.known("idaas") == {"active": everybody}
    assert set(made.there("idaas").values()) == {1}


@pytest.mark.parametrize(
    ("operation", "kind", "repeated"),
    [
        ("disable", "drop_before", 4),
        ("disable", "drop_after", 0),
        ("enable", "drop_before", 4),
        ("enable", "drop_after", 4),  # IDaaS does not show every attribute
    ],
)
def test_a_change_without_an_answer_is_looked_up_and_repeated_only_if_it_has_to_be(
    made: TargetsWorld, operation: str, kind: str, repeated: int
) -> None:
    """I9."""
    if operation == "enable":
        made.ask("idaas", "disable")
        made.drain()
    made.sims.idaas.fault(kind, path=f"/{operation}$", times=4)
    everybody = made.ask("idaas", operation)
    made.drain()
    assert made.states("idaas", operation) == {"succeeded": everybody}
    assert made.unexplained() == []
    assert _enabled(made, "idaas") == {operation == "enable"}
    calls = made.scalar(
        "SELECT count(*) FROM accountsync.task_attempt a JOIN accountsync.account_task t"
        " ON t.id = task_id WHERE kind = 'call' AND operation = :o",
        o=operation,
    )
    assert calls == everybody + repeated


def test_what_a_human_has_to_do_burns_nothing_and_says_what(made: TargetsWorld) -> None:
    by_hand = {"disable": None, "manual": {"disable": "ask the help desk"}}
    world = replace(made, changes={"idaas": by_hand})
    world.ask("idaas", "disable", persons=2)
    world.drain()
    rows = world.rows(
        "SELECT state, attempts, error_kind, cause FROM accountsync.account_task"
        " WHERE operation = 'disable'"
    )
    assert {(row["state"], row["attempts"]) for row in rows} == {("needs_human", 0)}
    assert {row["error_kind"] for row in rows} == {"NeedsHumanError"}
    assert all("ask the help desk" in row["cause"] for row in rows)
    assert _enabled(world, "idaas") == {True}


def test_a_leavers_disable_goes_before_everything_else(made: TargetsWorld) -> None:
    """I13: but for a few of the oldest, which nothing may starve."""
    everybody = made.ask("idaas", "update", persons=30, name="Somebody Else")
    made.execute("UPDATE accountsync.account SET state = 'disabled' WHERE system = 'welink'")
    made.ask("welink", "enable", persons=30)
    made.execute("UPDATE accountsync.account_task SET system = 'x' WHERE operation = 'update'")
    made.ask("idaas", "disable", persons=5)
    made.execute(
        "UPDATE accountsync.account_task t SET system = 'idaas', person_id = person_id"
        " WHERE operation = 'update' AND NOT EXISTS (SELECT FROM accountsync.account_task o"
        "  WHERE o.person_id = t.person_id AND o.system = 'idaas' AND o.state = 'ready')"
    )
    made.process("idaas", max_tasks=8)
    assert everybody == 30
    assert made.states("idaas", "disable") == {"succeeded": 5}
    assert made.states("idaas", "update")["succeeded"] == 3


def _changing(made: TargetsWorld) -> dict[str, int]:
    """What IDaaS was asked, but for looks and tokens."""
    requests = made.sims.idaas.state()["requests"].items()
    return {r: n for r, n in requests if not r.startswith("GET ") and not r.endswith("token")}


def test_a_dry_run_shows_what_it_would_send_and_changes_nothing(
    made: TargetsWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """I15: names of fields, no values."""
    caplog.set_level("INFO")
    made.ask("idaas", "update", persons=4, name="单小明")
    made.ask("welink", "update", persons=1, waits_for=["idaas"])
    before = made.rows("SELECT * FROM accountsync.account_task ORDER BY id")
    reached = _changing(made)
    assert made.due(dry_run=True) == ["idaas"]
    summary = made.process("idaas", dry_run=True)
    assert summary.outcomes == {"would_update": 4}
    assert made.rows("SELECT * FROM accountsync.account_task ORDER BY id") == before
    assert _changing(made) == reached
    assert "单小明" not in caplog.text
    assert '"name":"***"' in caplog.text


def test_a_dry_run_says_what_a_human_has_to_do_and_what_is_done_already(
    made: TargetsWorld,
) -> None:
    """An account that has gone needs no disabling; one that is there, a human."""
    by_hand = {"disable": None, "manual": {"disable": "ask the help desk"}}
    world = replace(made, changes={"idaas": by_hand})
    world.ask("idaas", "disable", persons=2)
    assert world.process("idaas", dry_run=True).outcomes == {"would_need_a_human": 2}
    world.sims.idaas.reset()
    assert world.process("idaas", dry_run=True).outcomes == {"would_change_nothing": 2}


def test_only_the_persons_asked_for_are_processed(planned: TargetsWorld) -> None:
    numbers = sorted(planned.entitled())[:3]
    planned.process("idaas", employee_numbers=numbers)
    assert set(planned.there("idaas")) == set(numbers)
