"""An account that is there when it is to be made: known as it was found, then brought in order."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from accountsync.errors import AccountSyncError
from tests.integration.tasks.targets_world import TargetsWorld

BY_HAND = {"update": None, "manual": {"update": "tell the help desk"}}


@pytest.fixture
def found(planned: TargetsWorld) -> TargetsWorld:
    """All but the first account of IDaaS are in order, two are spelt otherwise, and the store knows
    of none."""
    planned.process("idaas")
    first, second, third, *others = planned.sims.idaas.accounts()
    planned.sims.idaas.reset()
    planned.sims.idaas.seed(
        first | {"name": "Somebody Else"},
        second | {"email": second["email"].upper()},
        third | {"mobile": f" {third['mobile']}"},
        *others,
    )
    planned.execute("TRUNCATE accountsync.account_task, accountsync.account CASCADE")
    planned.execute("UPDATE accountsync.person SET planned_revision = 0")
    planned.plan()
    return planned


def _open(world: TargetsWorld) -> list[Any]:
    return world.rows(
        "SELECT operation, state, error_kind FROM accountsync.account_task WHERE system = 'idaas'"
        " AND state NOT IN ('succeeded', 'superseded')"
    )


def test_what_an_adopted_account_lacks_is_sent_once_and_then_nothing(found: TargetsWorld) -> None:
    """I6, I9, I10: a fixpoint; what is only spelt otherwise is no difference."""
    adopted = found.process("idaas").outcomes
    assert set(adopted) == {"adopted"}
    found.plan()
    assert found.states("idaas", "update") == {"ready": 1}
    found.drain()
    assert set(found.there("idaas").values()) == {1}
    assert "Somebody Else" not in {account["name"] for account in found.sims.idaas.accounts()}
    found.execute("UPDATE accountsync.person SET planned_revision = 0")
    assert "idaas" not in found.plan().counts
    assert found.states("idaas", "update") == {"succeeded": 1}


def test_names_that_an_account_found_at_its_create_shows_are_the_persons(
    planned: TargetsWorld,
) -> None:
    """I8, I18: nobody's login is renamed because the account was met late; other targets get the
    name that the person has."""
    planned.process("idaas")
    first, *others = planned.sims.idaas.accounts()
    planned.sims.idaas.reset()
    planned.sims.idaas.seed(first | {"userName": "kmueller", "email": "k@example.com"}, *others)
    planned.execute("TRUNCATE accountsync.account_task, accountsync.account CASCADE")
    planned.execute("UPDATE accountsync.person SET planned_revision = 0")
    planned.plan()
    planned.process("idaas")
    assert "idaas" not in planned.plan().counts
    planned.drain()
    assert "kmueller" in {account["userName"] for account in planned.sims.idaas.accounts()}
    assert "k@example.com" in {user["userEmail"] for user in planned.sims.welink.accounts()}
    planned.execute("UPDATE accountsync.person SET planned_revision = 0")
    assert "idaas" not in planned.plan().counts
    names = planned.rows(
        "SELECT value, current, person_id FROM accountsync.name_registry"
        " WHERE namespace = 'username' AND person_id = (SELECT person_id FROM"
        " accountsync.name_registry WHERE folded = 'kmueller') ORDER BY current"
    )
    assert [(row["value"], row["current"]) for row in names] == [
        (first["userName"], False),
        ("kmueller", True),
    ]


def test_where_only_a_human_can_change_accounts_one_is_asked_once(found: TargetsWorld) -> None:
    """I6: neither plans nor runs go round in circles."""
    world = replace(found, changes={"idaas": BY_HAND})
    world.process("idaas")
    for _ in range(3):
        world.execute("UPDATE accountsync.person SET planned_revision = 0")
        world.plan()
        world.drain()
    assert _open(world) == [
        {"operation": "update", "state": "needs_human", "error_kind": "NeedsHumanError"}
    ]


def test_a_create_without_an_answer_is_known_as_the_look_shows_it(planned: TargetsWorld) -> None:
    """I9: made, the answer lost, and changed by somebody before the look."""
    planned.sims.idaas.fault("drop_after", path="onboarding$", times=1)
    planned.process("idaas", max_tasks=1)
    (made,) = planned.sims.idaas.accounts()
    planned.sims.idaas.reset()
    planned.sims.idaas.seed(made | {"name": "Somebody Else"})
    planned.drain()
    planned.plan()
    assert planned.states("idaas", "update") == {"ready": 1}
    planned.drain()
    assert "Somebody Else" not in {account["name"] for account in planned.sims.idaas.accounts()}
    planned.execute("UPDATE accountsync.person SET planned_revision = 0")
    assert planned.plan().counts == {}


def test_a_target_that_contradicts_itself_is_not_asked_for_ever(found: TargetsWorld) -> None:
    """I6: it shows an account, and says "no such account" whenever that is changed."""
    everybody = len(found.sims.idaas.accounts())
    found.sims.idaas.fault("ok_with_error", code=404, path="/user/(?!onboarding)[^/]+$")
    for _ in range(6):
        while "idaas" in found.due():
            with suppress(AccountSyncError):
                found.process("idaas")
        found.plan()
    assert found.states("idaas", "update") == {"failed": 1}
    assert found.states("idaas", "create") == {"succeeded": everybody}
    assert found.known("idaas") == {"active": everybody}


def test_a_mailbox_whose_address_a_policy_made_is_known_by_it_and_renamed(
    planned: TargetsWorld,
) -> None:
    """I8, I10: the domain is the person type's; the service knows only its own."""

    def addresses() -> tuple[list[str], list[str]]:
        known = planned.rows("SELECT identifier FROM accountsync.account WHERE system = 'email'")
        there = [box["EmailAddress"] for box in planned.sims.exchange.accounts()]
        return sorted(row["identifier"] for row in known), sorted(there)

    planned.drain()
    known, there = addresses()
    assert known == there
    wanted = planned.rows(
        "SELECT DISTINCT desired->>'EmailAddress' AS address FROM accountsync.account_task"
        " WHERE system = 'email' ORDER BY 1"
    )
    assert there != [row["address"] for row in wanted]
    seen = planned.rows(
        "SELECT value FROM accountsync.name_registry WHERE namespace = 'email' AND NOT current"
        " AND person_id IS NOT NULL"
    )
    assert {row["value"] for row in seen} == {*there} - {row["address"] for row in wanted}
    planned.plan()
    planned.drain()
    known, there = addresses()
    assert known == there == sorted(row["address"] for row in wanted)
    planned.execute("UPDATE accountsync.person SET planned_revision = 0")
    assert planned.plan().counts == {}
