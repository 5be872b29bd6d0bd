"""What a person should have in one target: lifecycle × rule × policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from accountsync.domain.accounts.account import Account
from accountsync.domain.persons.lifecycle import Lifecycle, Standing
from accountsync.domain.plans.entitlement import Policy, Wanted, wanted

NOW = datetime(2026, 5, 10, tzinfo=UTC)
DAY = timedelta(days=1)
FIRST = NOW + 5 * DAY
PLAIN = Policy()
EARLY, STRICT, LAX = (
    Policy(prehire=7 * DAY),
    Policy(leave_keeps=False),
    Policy(leaver_keeps=True),
)
ENDING = Policy(delete_after=30 * DAY)
NOTHING_SAID = None


def of(
    state: str, in_scope: bool | None, policy: Policy, since: datetime | None = None
) -> tuple[str | None, str, bool]:
    found = want(state, in_scope, policy, account("disabled", since) if since else None)
    return (found.state, found.reason, found.makes)


def want(
    state: str, in_scope: bool | None, policy: Policy, account: Account | None = None
) -> Wanted:
    starts = FIRST if state == "prehire" else None
    stands = Standing(state=Lifecycle(state), starts_at=starts)
    return wanted(stands, in_scope=in_scope, policy=policy, account=account, now=NOW)


def account(state: str, since: datetime = NOW) -> Account:
    return Account(
        state=state, identifier="z1", remote_id=None, attributes={}, since=since,
        disabled_reason="left",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "in_scope", "policy", "expected"),
    [
        ("active", True, PLAIN, ("active", "active", True)),
        ("active", False, PLAIN, ("disabled", "not_entitled", False)),
        ("active", None, PLAIN, (None, "active", False)),
        ("prehire", True, PLAIN, ("disabled", "prehire", False)),
        ("prehire", True, EARLY, ("disabled", "prehire", True)),
        ("prehire", True, Policy(prehire=4 * DAY), ("disabled", "prehire", False)),
        ("prehire", False, EARLY, ("disabled", "not_entitled", False)),
        ("prehire", None, EARLY, (None, "prehire", False)),
        ("leave", True, PLAIN, ("active", "leave", True)),
        ("leave", True, STRICT, ("disabled", "leave", False)),
        ("leave", False, PLAIN, ("disabled", "not_entitled", False)),
        ("leave", None, STRICT, (None, "leave", False)),
        *(("left", scope, PLAIN, ("disabled", "left", False)) for scope in (True, False, None)),
        *(("left", scope, LAX, (None, "left", False)) for scope in (True, False, None)),
        *(("left", scope, ENDING, ("disabled", "left", False)) for scope in (True, False, None)),
    ],
)
def test_lifecycle_rule_and_policy_decide(
    state: str,
    in_scope: bool | None,
    policy: Policy,
    expected: tuple[str | None, str, bool],
) -> None:
    assert of(state, in_scope, policy) == expected


def test_a_leavers_account_is_deleted_only_after_the_declared_retention() -> None:
    """I11."""
    assert of("left", True, ENDING, NOW - 29 * DAY) == ("disabled", "left", False)
    assert of("left", True, ENDING, NOW - 30 * DAY) == ("deleted", "retention", False)
    assert of("left", True, PLAIN, NOW - 999 * DAY) == ("disabled", "left", False)


@pytest.mark.parametrize(
    ("disabled", "why", "ended", "expected"),  # days ago; when it is due, or looked at again
    [
        (40, "left", None, "deleted"),  # by the status alone
        (40, "left", 41, "deleted"),
        (40, "leave", 35, "deleted"),
        (20, "left", 40, NOW + 10 * DAY),  # disabled late
        (100, "leave", 1, NOW + 29 * DAY),  # not to be deleted the day after leaving
        (100, "not_entitled", 0, NOW + 30 * DAY),
        (100, "left", -5, NOW + 5 * DAY),  # a status says so before the last working day
        (100, "leave", None, None),  # nothing says when: never too early
        (100, None, None, None),
    ],
)
def test_retention_runs_from_leaving_or_disabling_whichever_was_later(
    disabled: int, why: str | None, ended: int | None, expected: datetime | str | None
) -> None:
    """I11."""
    stands = Standing(state=Lifecycle.LEFT, ended_at=None if ended is None else NOW - ended * DAY)
    there = replace(account("disabled", NOW - disabled * DAY), disabled_reason=why)
    found = wanted(stands, in_scope=None, policy=ENDING, account=there, now=NOW)
    assert (found.next_at if found.state == "disabled" else found.state) == expected


def test_who_is_merely_not_entitled_any_more_is_never_deleted() -> None:
    assert of("active", False, ENDING, NOW - 999 * DAY) == ("disabled", "not_entitled", False)


def test_dates_that_time_alone_reaches_are_said() -> None:
    assert want("prehire", True, Policy(prehire=4 * DAY)).next_at == FIRST - 4 * DAY
    disabled = account("disabled", NOW - 10 * DAY)
    assert want("left", True, ENDING, account("active", NOW - 10 * DAY)).next_at == NOW + 30 * DAY
    assert want("left", True, ENDING, disabled).next_at == NOW + 20 * DAY
    assert want("left", True, PLAIN, disabled).next_at is None


def test_no_date_brings_back_a_leaver_who_has_nothing_to_delete() -> None:
    for gone in (None, account("absent"), account("deleted")):
        assert want("left", True, ENDING, gone) == Wanted(state="disabled", reason="left")
