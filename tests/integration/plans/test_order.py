"""The order of targets (I12), as the planner, the queue and its commands keep it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from accountsync.store.tasks import dependants
from tests.installation import example_settings
from tests.integration.commands.test_task_commands import WHY
from tests.integration.plans.planned_people import People
from tests.integration.world import REPOSITORY

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
_TARGETS: dict[str, dict[str, Any]] = {
    "idaas": {"preset": "idaas", "conn_id": "idaas"},
    "welink": {"preset": "welink", "conn_id": "welink"},
    "email": {"preset": "exchange_mailbox", "conn_id": "exchange", "depends_on": ["idaas"],
              "after": ["welink"]},
}  # fmt: skip


@pytest.fixture
def ordered(people: People, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> People:
    """Mailboxes need an account in IDaaS, and come after WeLink. One person, planned."""
    file = tmp_path / "accountsync.yaml"
    monkeypatch.setenv("ACCOUNTSYNC_CONFIG", str(file))
    document = yaml.safe_load((REPOSITORY / "config" / "accountsync.yaml").read_text("utf-8"))
    file.write_text(yaml.safe_dump(document | {"targets": _TARGETS}), encoding="utf-8")
    people.settings = example_settings(targets=_TARGETS)
    people.add("E1", "张伟")
    people.plan()
    return people


def state(people: People, target: str) -> tuple[str, list[str]]:
    (row,) = people.rows(
        "SELECT state, waits_for FROM accountsync.account_task WHERE system = :target"
        " AND state NOT IN ('superseded', 'cancelled')",
        target=target,
    )
    return row["state"], row["waits_for"]


def end(people: People, target: str, how: str) -> None:
    """As a processor records it."""
    people.execute(
        "UPDATE accountsync.account_task SET state = :how, waits_for = '{}', finished_at = now()"
        " WHERE system = :target",
        how=how, target=target,
    )  # fmt: skip
    people.execute(
        "INSERT INTO accountsync.account (person_id, system, state, identifier, attributes,"
        " provenance) SELECT person_id, system, 'active', system || person_id, desired, 'created'"
        " FROM accountsync.account_task WHERE state = 'succeeded'"
        " ON CONFLICT (person_id, system) DO NOTHING"
    )
    with people.engine.begin() as connection:
        dependants.release_satisfied(connection, now=NOW)


@pytest.mark.parametrize("how", ["succeeded", "failed", "cancelled"])
def test_a_target_that_only_comes_after_goes_on_however_the_other_ends(
    ordered: People, how: str
) -> None:
    assert state(ordered, "email") == ("waiting", ["idaas", "welink"])
    assert state(ordered, "welink") == ("ready", [])
    end(ordered, "idaas", "succeeded")
    assert state(ordered, "email") == ("waiting", ["welink"])
    end(ordered, "welink", how)
    assert state(ordered, "email") == ("ready", [])


def test_a_dry_run_of_another_order_is_another_plan(people: People) -> None:
    """I6: who waits for whom is part of what was looked at."""
    people.add("E1", "张伟")
    hashes = []
    for after in (["welink"], [], ["welink"]):
        email = _TARGETS["email"] | {"after": after}
        people.settings = example_settings(targets=_TARGETS | {"email": email})
        hashes.append(people.plan(dry_run=True).content_hash)
    assert hashes[0] == hashes[2] != hashes[1]


def test_a_target_that_is_wanted_for_nobody_is_not_waited_for(ordered: People) -> None:
    nobody = {**_TARGETS["welink"], "scope": "person.person_type == '11'"}
    ordered.settings = example_settings(targets=_TARGETS | {"welink": nobody})
    ordered.plan()
    assert state(ordered, "email") == ("waiting", ["idaas"])
    end(ordered, "idaas", "succeeded")
    assert state(ordered, "email") == ("ready", [])


@pytest.mark.parametrize("only", [None, "E1"])
def test_a_need_that_becomes_an_order_is_one_from_the_next_plan_on(
    ordered: People, only: str | None
) -> None:
    """I12: also where that plan is about one person; everybody else's follows."""
    end(ordered, "welink", "failed")
    attributes = {"SAMAccountName": "names.username", "Alias": "names.mail_alias",
                  "EmailAddress": "names.email"}  # fmt: skip
    email = {"preset": "exchange_mailbox", "conn_id": "exchange", "after": ["idaas"]}
    email["attributes"] = attributes
    ordered.settings = example_settings(targets=_TARGETS | {"email": email})
    ordered.plan(only=only)
    assert state(ordered, "email") == ("waiting", ["idaas"])
    end(ordered, "idaas", "failed")
    assert state(ordered, "email") == ("ready", [])
    assert [ordered.plan().persons for _ in range(2)] == [1 if only else 0, 0]


def test_taking_away_runs_backwards_in_either_kind_of_order(ordered: People) -> None:
    for target in ("idaas", "welink", "email"):
        end(ordered, target, "succeeded")
    ordered.change("E1", status="9")
    ordered.plan()
    disables = ordered.rows(
        "SELECT system, state, waits_for FROM accountsync.account_task"
        " WHERE operation = 'disable' ORDER BY system"
    )
    assert [(row["system"], row["state"], row["waits_for"]) for row in disables] == [
        ("email", "ready", []),
        ("idaas", "waiting", ["email"]),
        ("welink", "waiting", ["email"]),
    ]


def test_waiting_says_for_what_and_since_when(
    ordered: People,
) -> None:
    """Also where the person changed meanwhile, and one of two has come about."""
    ordered.execute("UPDATE accountsync.account_task SET next_attempt_at = :at"
                    " WHERE system = 'email'", at=NOW - timedelta(days=3))  # fmt: skip
    ordered.change("E1", person_type="11")
    ordered.plan()
    end(ordered, "idaas", "succeeded")
    (task,) = ordered.rows("SELECT id FROM accountsync.account_task WHERE system = 'email'")
    for command in (("explain", "E1"), ("task", "list"), ("task", "show", str(task["id"]))):
        said = ordered.command(*command).output
        assert "for welink since 2026-02-27 09:00 UTC" in said, said
    assert "comes after: welink" in ordered.command("explain", "E1").output


def test_a_command_takes_along_who_needs_the_account_not_who_only_comes_after(
    ordered: People,
) -> None:
    said = ordered.command("task", "cancel", "--target", "welink", "--yes", *WHY).output
    assert "changed 1 tasks, 0 of them" in said
    assert state(ordered, "email") == ("waiting", ["idaas"])
    said = ordered.command("task", "cancel", "--target", "idaas", "--yes", *WHY).output
    assert "changed 2 tasks, 1 of them" in said


def test_what_is_tried_again_waits_again_for_what_comes_first(
    ordered: People,
) -> None:
    end(ordered, "idaas", "succeeded")
    end(ordered, "email", "failed")
    ordered.command("task", "retry", "--target", "email", "--yes", *WHY)
    assert state(ordered, "email") == ("waiting", ["welink"])
