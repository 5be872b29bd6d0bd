"""What of a task could go wrong for many at once (I7)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from accountsync.domain.accounts.account import Account, AccountState, Operation
from accountsync.domain.plans.desired import TargetRule
from accountsync.domain.plans.risks import Risk, of_task
from accountsync.domain.plans.steps import OpenTask, PlannedTask, is_same, to_write
from accountsync.domain.task_states import TaskState

SINCE = date(2026, 5, 1)
NOW = datetime(2026, 7, 1, tzinfo=UTC)
RULE = TargetRule(
    name="corp",
    depends_on=[],
    in_scope=lambda _: True,
    attributes={},
    late={},
    memberships=frozenset({"groups"}),
    named=frozenset({"mail"}),
)


def person(**fields: Any) -> dict[str, Any]:
    return {"hire_date": None, "effective_date": None, "requested_systems": []} | fields


def of_change(
    applied: dict[str, Any],
    desired: dict[str, Any],
    operation: str = "update",
    made_at: datetime | None = None,
    names: Collection[str] = (),
) -> list[str]:
    account = Account(
        state=AccountState.ACTIVE, identifier="z1", remote_id=None, attributes=applied,
        made_at=made_at,
    )  # fmt: skip
    return list(
        of_task(
            RULE,
            Operation(operation),
            desired,
            account,
            person=person(),
            joined_since=SINCE,
            now=NOW,
            names=names,
        )
    )


@pytest.mark.parametrize(
    ("applied", "desired", "expected"),
    [
        ({"phone": "1"}, {"phone": "2"}, []),
        ({"phone": "1"}, {"phone": None}, ["emptied_attribute"]),
        ({"phone": "1"}, {"phone": ""}, ["emptied_attribute"]),
        ({"phone": None}, {"phone": ""}, []),
        ({"phone": "1"}, {}, []),  # not mapped any more: it stays as it is
        ({"active": True}, {"active": False}, []),
        ({"number": 0}, {"number": None}, ["emptied_attribute"]),
        ({"name": {"given": "A", "family": "B"}}, {"name": {"given": "A"}}, []),
        (
            {"name": {"given": "A", "family": "B"}},
            {"name": {"given": "A", "family": ""}},
            ["emptied_attribute"],
        ),
        ({"emails": [{"value": "a"}]}, {"emails": []}, ["emptied_attribute"]),
        ({"mail": "a@x"}, {"mail": "b@x"}, ["rename"]),
        ({"mail": None}, {"mail": "b@x"}, []),
        ({}, {"mail": "b@x"}, []),
        ({"mail": "a@x"}, {"mail": None}, ["rename", "emptied_attribute"]),
        ({"groups": ["a", "b"]}, {"groups": ["b", "a", "c"]}, []),
        ({"groups": ["CN=A"]}, {"groups": ["cn=a"]}, []),
        ({"groups": ["a", "b"]}, {"groups": ["b", "c"]}, ["lost_membership"]),
        ({"groups": ["a"]}, {"groups": []}, ["lost_membership"]),
        ({"groups": ["a"]}, {"groups": None}, ["lost_membership"]),
        ({"groups": ["a"]}, {}, ["lost_membership"]),  # what is not named is left
        ({"groups": "a"}, {"groups": ["a"]}, []),
        ({"groups": None}, {"groups": ["a"]}, []),
        ({"groups": [{"value": "a"}]}, {"groups": [{"value": "b"}]}, ["lost_membership"]),
        ({"groups": [{"value": "a"}]}, {"groups": [{"value": "a", "primary": True}]}, []),
    ],
)
def test_what_an_update_takes_away(
    applied: dict[str, Any], desired: dict[str, Any], expected: list[str]
) -> None:
    assert of_change(applied, desired) == expected


@pytest.mark.parametrize(
    ("applied", "desired", "expected"),
    [
        ({"alias": "Z1@x"}, {"alias": "z1@y"}, ["rename"]),  # the account's identifier
        ({"emails": [{"value": "wang@x"}]}, {"emails": [{"value": "7@y"}]}, ["rename"]),
        ({"emails": [{"value": "wang@x"}]}, {"emails": []}, ["rename", "emptied_attribute"]),
        ({"manager": "li@x"}, {"manager": "chen@x"}, []),
        ({"alias": "7@x"}, {"alias": "wang@x"}, []),
    ],
)
def test_what_held_a_name_is_renamed_whatever_it_is_made_from_now(
    applied: dict[str, Any], desired: dict[str, Any], expected: list[str]
) -> None:
    assert of_change(applied, desired, names=["wang@x"]) == expected


def test_a_rename_is_one_and_may_take_something_away() -> None:
    applied = {"uid": "a", "groups": ["a"], "phone": "1"}
    desired = {"uid": "b", "groups": [], "phone": None}
    assert of_change(applied, desired, "rename") == [
        "rename", "lost_membership", "emptied_attribute",
    ]  # fmt: skip


@pytest.mark.parametrize(("hours", "expected"), [(23, []), (25, ["rename"]), (None, ["rename"])])
def test_what_was_made_just_now_has_nothing_to_lose(hours: int | None, expected: list[str]) -> None:
    """A mail server may make another address than it was asked for; adopted accounts are old."""
    made_at = None if hours is None else NOW - timedelta(hours=hours)
    assert of_change({"mail": "a@x"}, {"mail": "b@x"}, "rename", made_at) == expected


@pytest.mark.parametrize("operation", ["create", "enable"])
@pytest.mark.parametrize(
    ("fields", "since", "is_plain"),
    [
        ({"hire_date": date(2026, 5, 1)}, SINCE, True),
        ({"hire_date": date(2027, 5, 1)}, SINCE, True),
        ({"hire_date": date(2026, 4, 30)}, SINCE, False),
        ({"effective_date": date(2026, 5, 1)}, SINCE, True),
        ({"hire_date": date(2020, 4, 30), "effective_date": date(2026, 5, 1)}, SINCE, False),
        ({}, SINCE, False),
        ({}, None, True),
        ({"hire_date": date(2020, 1, 1)}, None, True),
        ({"requested_systems": ["corp"]}, SINCE, True),
        ({"requested_systems": ["another"]}, SINCE, False),
    ],
)
def test_what_a_joiner_a_request_or_a_new_target_explains(
    operation: str, fields: dict[str, Any], since: date | None, is_plain: bool
) -> None:
    found = of_task(
        RULE, Operation(operation), {}, None, person=person(**fields), joined_since=since, now=NOW
    )
    assert list(found) == ([] if is_plain else [operation])


@pytest.mark.parametrize("operation", ["disable", "delete"])
def test_what_takes_access_away_is_a_risk_by_itself(operation: str) -> None:
    assert of_change({"groups": ["a"]}, {"groups": ["a"]}, operation) == []


def a_task(*risks: Risk, operation: str = "update", **fields: Any) -> PlannedTask:
    return PlannedTask(
        person_id=1, target="corp", operation=Operation(operation), desired={}, late_bound={},
        cause=None, risks=risks, **{"state": TaskState.READY, "waits_for": ()} | fields,
    )  # fmt: skip


def an_open_one(task: PlannedTask, state: str, **fields: Any) -> OpenTask:
    return OpenTask(
        id=1,
        operation=task.operation,
        state=TaskState(state),
        **{"risks": task.risks, "waits_for": task.waits_for} | fields,
    )


RISKY = a_task(Risk.RENAME, state=TaskState.WAITING, waits_for=("x",))


def test_what_has_a_risk_is_judged_first_and_waits_for_nothing_until_then() -> None:
    written = to_write(RISKY)
    assert (written.state, written.waits_for) == ("planned", ())
    assert to_write(a_task()) == a_task()
    lacking = a_task(Risk.CREATE, operation="create", state=TaskState.NEEDS_DATA)
    assert to_write(lacking) == lacking


@pytest.mark.parametrize(
    ("state", "before", "expected"),
    [
        ("ready", (Risk.RENAME,), "waiting"),
        ("waiting", (Risk.RENAME, Risk.EMPTIED_ATTRIBUTE), "waiting"),
        ("ready", (Risk.EMPTIED_ATTRIBUTE,), "planned"),
        ("ready", (), "planned"),
        ("needs_data", (Risk.RENAME,), "planned"),
        ("held", (Risk.RENAME,), "planned"),
    ],
)
def test_what_was_let_through_is_not_judged_again_for_the_same(
    state: str, before: tuple[Risk, ...], expected: str
) -> None:
    assert to_write(RISKY, an_open_one(RISKY, state, risks=before)).state == expected


@pytest.mark.parametrize("operation", ["create", "enable"])
def test_an_account_that_was_explained_when_it_was_asked_for_stays_so(operation: str) -> None:
    """Data came late, or the joiner waited so long that nobody would be called a joiner."""
    task = a_task(Risk(operation), operation=operation)
    assert to_write(task, an_open_one(task, "needs_data", risks=())).state == "ready"
    assert to_write(task, an_open_one(task, "needs_data")).state == "planned"
    plain = replace(task, risks=())
    assert to_write(plain, an_open_one(task, "needs_data")).state == "planned"


@pytest.mark.parametrize(
    ("state", "expected"), [("held", True), ("cancelled", True), ("ready", False)]
)
def test_what_is_held_or_refused_is_the_same_whatever_it_will_wait_for(
    state: str, expected: bool
) -> None:
    """I7: no plan writes it twice, and a refusal lasts."""
    held = an_open_one(RISKY, state, waits_for=())
    assert is_same(RISKY, held) is expected


@pytest.mark.parametrize("state", ["ready", "waiting"])
def test_what_was_let_through_is_judged_again_for_other_values(state: str) -> None:
    """I7, I20: while a target is down somebody edits the template."""
    before = an_open_one(RISKY, state, desired={"mail": "a@x"})
    assert to_write(RISKY, before).state == "planned"
    assert to_write(replace(RISKY, desired={"mail": "a@x"}), before).state == "waiting"


@pytest.mark.parametrize("operation", ["create", "enable"])
def test_what_gives_access_is_judged_once_whatever_its_values(operation: str) -> None:
    """What the guard counts is that it is given."""
    task = a_task(Risk(operation), operation=operation)
    assert to_write(task, an_open_one(task, "ready", desired={"mail": "a@x"})).state == "ready"
