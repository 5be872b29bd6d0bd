"""What becomes of a task: every error, as a call and as a probe, early and at the last attempt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accountsync.domain.account import RemoteAccount
from accountsync.domain.retry import RetryRule
from accountsync.domain.task import (
    ClaimedTask,
    Outcome,
    Result,
    Rules,
    existing,
    failed,
    probed,
    succeeded,
    unfindable,
)
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    ConfigurationError,
    IncompleteReadError,
    InvalidPersonError,
    NeedsDataError,
    NeedsHumanError,
    RejectedByTargetError,
    SafetyStopError,
    TargetDownError,
    TransientError,
    UnknownOutcomeError,
)

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
GAP = timedelta(seconds=40)
RULES = Rules(
    retry=RetryRule(max_attempts=5, base=timedelta(seconds=30), cap=timedelta(hours=6)),
    probe_gap=GAP,
)
FIRST, LAST, BEYOND = 1, 5, 6
CALL, PROBE = False, True

OURS = RemoteAccount(identifier="z1", remote_id="r1", ours=True)
FOREIGN = RemoteAccount(identifier="z1", remote_id="r9", ours=False)


def a_task(**facts: Any) -> ClaimedTask:
    return ClaimedTask(
        **{
            "id": 1,
            "attempt_id": 2,
            "person_id": 3,
            "employee_number": "E1",
            "operation": "create",
            "attributes": {"userName": "z1"},
            "attempts": FIRST,
            "absences": 0,
            "probe": CALL,
        }
        | facts
    )


def after(error: AccountSyncError, **facts: Any) -> Result:
    return failed(a_task(**facts), error, rules=RULES, now=NOW, jitter=0)


TABLE: list[tuple[AccountSyncError, bool, int, str, str, timedelta | None]] = [
    # error, probe, attempts → outcome, state, after
    (TransientError("e"), CALL, FIRST, "retry", "ready", timedelta(seconds=15)),
    (TransientError("e", retry_after=90), CALL, FIRST, "retry", "ready", timedelta(seconds=90)),
    (TransientError("e"), CALL, LAST - 1, "retry", "ready", timedelta(minutes=2)),
    (TransientError("e"), CALL, LAST, "failed", "failed", None),
    (TransientError("e"), CALL, BEYOND, "failed", "failed", None),
    (TransientError("e"), PROBE, FIRST, "retry", "unknown", GAP),
    (TransientError("e"), PROBE, LAST, "retry", "unknown", GAP),
    (TransientError("e"), PROBE, BEYOND, "retry", "unknown", GAP),
    (TransientError("e", retry_after=90), PROBE, FIRST, "retry", "unknown", timedelta(seconds=90)),
    (TransientError("e", retry_after=9), PROBE, FIRST, "retry", "unknown", GAP),
    (IncompleteReadError("e"), CALL, FIRST, "retry", "ready", timedelta(seconds=15)),
    (IncompleteReadError("e"), PROBE, LAST, "retry", "unknown", GAP),
    (UnknownOutcomeError("e"), CALL, FIRST, "unknown", "unknown", GAP),
    (UnknownOutcomeError("e"), CALL, LAST, "unknown", "unknown", GAP),
    (UnknownOutcomeError("e"), PROBE, FIRST, "retry", "unknown", GAP),
    (UnknownOutcomeError("e"), PROBE, LAST, "retry", "unknown", GAP),
    (TargetDownError("e"), CALL, FIRST, "not_sent", "ready", GAP),
    (TargetDownError("e"), CALL, LAST, "not_sent", "ready", GAP),
    (TargetDownError("e"), PROBE, FIRST, "not_sent", "unknown", GAP),
    (TargetDownError("e"), PROBE, LAST, "not_sent", "unknown", GAP),
    (NeedsHumanError("e", code="c"), CALL, LAST, "not_sent", "needs_human", None),
    (NeedsHumanError("e", code="c"), PROBE, FIRST, "not_sent", "needs_human", None),
    *[
        (error, probe, attempts, "failed", "needs_human" if probe else "failed", None)
        for error in (
            ConfigurationError("e"),
            SafetyStopError("e"),
            InvalidPersonError("e", code="c"),
            NeedsDataError("e", code="c"),
            RejectedByTargetError("e", code="c"),
            AccountExistsError("e", code="c"),
            AccountMissingError("e", code="c"),
        )
        for probe in (CALL, PROBE)
        for attempts in (FIRST, LAST, BEYOND)
    ],
]


@pytest.mark.parametrize(("error", "probe", "attempts", "outcome", "state", "wait"), TABLE)
def test_an_error_decides_what_follows(
    error: AccountSyncError,
    probe: bool,
    attempts: int,
    outcome: str,
    state: str,
    wait: timedelta | None,
) -> None:
    result = after(error, probe=probe, attempts=attempts, absences=1)
    assert (result.outcome, result.state) == (outcome, state)
    assert result.next_attempt_at == (None if wait is None else NOW + wait)
    assert result.error_kind == type(error).__name__
    assert result.code == getattr(error, "code", None)
    assert result.message == "e"
    assert result.absences == 1
    assert result.account is None


def every_error() -> set[type[AccountSyncError]]:
    found = {AccountSyncError}
    while (more := {sub for kind in found for sub in kind.__subclasses__()} | found) != found:
        found = more
    return {kind for kind in found if kind.__module__ == "accountsync.errors"}


def test_the_table_is_complete() -> None:
    roots = {kind for kind in every_error() if kind.__name__ in ("AccountSyncError", "RecordError")}
    for probe in (CALL, PROBE):
        listed = {type(error) for error, as_probe, *_ in TABLE if as_probe is probe}
        assert listed == every_error() - roots


@pytest.mark.parametrize(
    "error", [TransientError("e"), UnknownOutcomeError("e"), RejectedByTargetError("e")], ids=str
)
def test_while_it_is_unknown_whether_the_account_is_there_a_task_neither_fails_nor_is_sent(
    error: AccountSyncError,
) -> None:
    """I9: a failed task would be planned, and sent, again."""
    for attempts in range(1, 9):
        assert after(error, probe=PROBE, attempts=attempts).state in ("unknown", "needs_human")


@pytest.mark.parametrize(
    ("found", "attempts", "absences", "expected"),
    [
        # found, attempts, absences → outcome, state, absences, after
        (OURS, FIRST, 0, ("adopted", "succeeded", 0, None)),
        (OURS, BEYOND, 1, ("adopted", "succeeded", 0, None)),
        (FOREIGN, FIRST, 0, ("failed", "needs_human", 0, None)),
        (FOREIGN, LAST, 1, ("failed", "needs_human", 0, None)),
        (None, FIRST, 0, ("absent", "unknown", 1, GAP)),
        (None, LAST, 0, ("absent", "unknown", 1, GAP)),
        (None, FIRST, 1, ("absent", "ready", 0, timedelta())),
        (None, LAST - 1, 1, ("absent", "ready", 0, timedelta())),
        (None, LAST, 1, ("absent", "failed", 0, None)),
        (None, BEYOND, 1, ("absent", "failed", 0, None)),
    ],
)
def test_a_probe_decides_what_follows(
    found: RemoteAccount | None,
    attempts: int,
    absences: int,
    expected: tuple[str, str, int, timedelta | None],
) -> None:
    """I9: absent means absent twice, with a gap; I13: attempts end even if none was answered."""
    task = a_task(probe=PROBE, attempts=attempts, absences=absences)
    result = probed(task, found, rules=RULES, now=NOW)
    wait = None if result.next_attempt_at is None else result.next_attempt_at - NOW
    assert (result.outcome, result.state, result.absences, wait) == expected
    assert (result.account is OURS) == (found is OURS)


def test_giving_up_says_that_the_account_is_surely_absent() -> None:
    task = a_task(probe=PROBE, attempts=LAST, absences=1)
    result = probed(task, None, rules=RULES, now=NOW)
    assert result.error_kind == "UnknownOutcomeError"
    assert result.message == "5 attempts without an answer; the account is surely absent"


@pytest.mark.parametrize(
    ("found", "outcome", "state", "said"),
    [
        (OURS, Outcome.ADOPTED, "succeeded", None),
        (FOREIGN, Outcome.FAILED, "needs_human", "does not carry this person's key"),
        (None, Outcome.FAILED, "needs_human", "a look-up does not show it"),
    ],
    ids=["ours", "another's", "not shown"],
)
def test_an_account_that_exists_is_adopted_or_needs_a_human(
    found: RemoteAccount | None, outcome: Outcome, state: str, said: str | None
) -> None:
    """I10."""
    result = existing(a_task(), found, AccountExistsError("uniqueness", code="409"))
    assert (result.outcome, result.state) == (outcome, state)
    if said is None:
        assert result.account is found
    else:
        assert said in (result.message or "")
        assert (result.error_kind, result.code) == ("AccountExistsError", "409")


def test_without_a_look_up_only_a_human_can_tell() -> None:
    """I9."""
    result = unfindable(a_task(probe=PROBE))
    assert (result.outcome, result.state) == (Outcome.FAILED, "needs_human")
    assert "declares no `find`" in (result.message or "")


@pytest.mark.parametrize(("adopted", "outcome"), [(False, "succeeded"), (True, "adopted")])
def test_success_is_created_or_adopted(adopted: bool, outcome: str) -> None:
    result = succeeded(a_task(), OURS, adopted=adopted)
    assert (result.outcome, result.state, result.account) == (outcome, "succeeded", OURS)
    assert result.error_kind is None
