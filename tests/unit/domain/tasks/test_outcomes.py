"""What becomes of a task: every error, as a call and as a probe, early and at the last attempt."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accountsync.domain.accounts.account import Account, Operation, RemoteAccount
from accountsync.domain.tasks.outcomes import (
    LOOKS_AT_MOST,
    ClaimedTask,
    Outcome,
    Result,
    Rules,
    failed,
    manual,
    succeeded,
)
from accountsync.domain.tasks.probe import changed, existing, made, probed, unfindable
from accountsync.domain.tasks.removals import asked_again
from accountsync.domain.tasks.retry import RetryRule
from accountsync.domain.tasks.unfinished import interrupted, not_sent
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    ConfigurationError,
    DryRunError,
    ForeignAccountError,
    IncompleteReadError,
    InvalidPersonError,
    NeedsDataError,
    NeedsHumanError,
    RecordError,
    RejectedByTargetError,
    SafetyStopError,
    TargetDownError,
    ThrottledError,
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
            "account_state": "active",
            "account": None,
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
    (ThrottledError("e"), CALL, FIRST, "retry", "ready", timedelta(seconds=15)),
    (ThrottledError("e", retry_after=90), CALL, LAST, "retry", "ready", timedelta(seconds=90)),
    (ThrottledError("e"), CALL, BEYOND, "retry", "ready", timedelta(seconds=15)),
    (ThrottledError("e"), PROBE, LAST, "retry", "unknown", GAP),
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
    (ForeignAccountError("e"), CALL, LAST, "not_sent", "needs_human", None),
    (ForeignAccountError("e"), PROBE, FIRST, "not_sent", "needs_human", None),
    *[
        (error, probe, attempts, "failed", "needs_human" if probe else "failed", None)
        for error in (
            ConfigurationError("e"),
            SafetyStopError("e"),
            DryRunError("e"),
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
    assert result.account_state is None
    unburnt = isinstance(
        error, TargetDownError | ThrottledError | NeedsHumanError | ForeignAccountError
    )
    assert result.burnt is not unburnt or (probe and isinstance(error, ThrottledError))


@pytest.mark.parametrize("error", [TransientError("e", retry_after=7), UnknownOutcomeError("e")])
def test_look_ups_without_an_answer_come_at_longer_intervals_and_end_with_a_human(
    error: AccountSyncError,
) -> None:
    """I9, I13: as long as nobody knows, it neither fails nor is sent; but it does not go on."""
    task, waits = a_task(probe=PROBE), []
    while (result := failed(task, error, rules=RULES, now=NOW, jitter=0)).state == "unknown":
        assert result.next_attempt_at
        waits.append((result.next_attempt_at - NOW).total_seconds())
        task = replace(task, unanswered=result.unanswered)
    assert waits == [40, 40, 60, 120, 240, 480, 960, 1920, 3840]
    assert (result.state, result.outcome) == ("needs_human", "failed")
    assert result.message == "10 look-ups in a row without an answer; the last: e"


@pytest.mark.parametrize("kind", [NeedsDataError, InvalidPersonError, NeedsHumanError])
def test_what_is_found_out_before_the_target_is_asked_burns_no_attempt(
    kind: type[RecordError],
) -> None:
    """I13: a code is what the target said."""
    assert not after(kind("e")).burnt
    assert after(kind("e", code="c")).burnt is (kind is not NeedsHumanError)


def test_look_ups_that_were_put_off_or_not_sent_are_not_counted() -> None:
    """I13."""
    task = a_task(probe=PROBE, unanswered=LOOKS_AT_MOST - 1)
    for left in (
        failed(task, ThrottledError("e"), rules=RULES, now=NOW, jitter=0),
        failed(task, TargetDownError("e"), rules=RULES, now=NOW, jitter=0),
        not_sent(task, at=NOW, message="e"),
        interrupted(task, at=NOW),
    ):
        assert (left.state, left.unanswered) == ("unknown", LOOKS_AT_MOST - 1)
    assert probed(task, None, rules=RULES, now=NOW).unanswered == 0


def every_error() -> set[type[AccountSyncError]]:
    found = {AccountSyncError}
    while (more := {sub for kind in found for sub in kind.__subclasses__()} | found) != found:
        found = more
    return {kind for kind in found if kind.__module__ == "accountsync.errors"}


def test_the_table_is_complete() -> None:
    no_task_raises = (
        "AccountSyncError", "RecordError", "InvalidRequestError", "InvalidRunRequestError",
        "SilentSourceError",
    )  # fmt: skip
    roots = {kind for kind in every_error() if kind.__name__ in no_task_raises}
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
    assert (result.outcome, result.state) == (Outcome.NOT_SENT, "needs_human")
    assert "declares no `find`" in (result.message or "")


@pytest.mark.parametrize(("adopted", "outcome"), [(False, "succeeded"), (True, "adopted")])
def test_success_is_created_or_adopted(adopted: bool, outcome: str) -> None:
    result = succeeded(a_task(), OURS, adopted=adopted)
    assert (result.outcome, result.state, result.account) == (outcome, "succeeded", OURS)
    assert result.error_kind is None


CHANGES = tuple(name for name in Operation if name != "create")
KNOWN = Account(state="active", identifier="z1", remote_id="r1", attributes={"userName": "z0"})
STATE = {"disable": "disabled", "delete": "deleted"}


def a_change(operation: str, **facts: Any) -> ClaimedTask:
    state = STATE.get(operation, "active")
    return a_task(operation=operation, account=KNOWN, account_state=state, **facts)


def remote(*, enabled: bool | None = None, **attributes: Any) -> RemoteAccount:
    return replace(OURS, enabled=enabled, attributes=attributes)


AS_WANTED, NOT_YET = ("succeeded", "succeeded"), ("retry", "ready")


@pytest.mark.parametrize(
    ("operation", "found", "expected"),
    [
        ("update", remote(userName="z1"), AS_WANTED),
        ("update", remote(userName="z1", enabled=False), AS_WANTED),
        ("update", remote(userName="z0"), NOT_YET),
        ("update", remote(), NOT_YET),
        ("rename", remote(userName="z1"), AS_WANTED),
        ("rename", remote(userName="z0"), NOT_YET),
        ("enable", remote(userName="z1", enabled=True), AS_WANTED),
        ("enable", remote(userName="z0", enabled=True), NOT_YET),
        ("enable", remote(userName="z1", enabled=False), NOT_YET),
        ("enable", remote(userName="z1", enabled=None), NOT_YET),
        ("disable", remote(userName="z0", enabled=False), AS_WANTED),
        ("disable", remote(enabled=True), NOT_YET),
        ("disable", remote(enabled=None), NOT_YET),
        ("delete", remote(enabled=False), NOT_YET),
    ],
)
def test_a_change_whose_outcome_is_unknown_is_done_again_unless_a_look_shows_it_done(
    operation: str, found: RemoteAccount, expected: tuple[str, str]
) -> None:
    """I9: what a target does not show is not known to be done."""
    result = probed(a_change(operation, probe=PROBE, attempts=2), found, rules=RULES, now=NOW)
    assert (result.outcome, result.state) == expected
    done = expected is AS_WANTED
    assert result.account_state == (a_change(operation).account_state if done else None)


@pytest.mark.parametrize("operation", CHANGES)
def test_a_change_that_never_shows_ends_with_its_attempts(operation: str) -> None:
    """I13."""
    task = a_change(operation, probe=PROBE, attempts=LAST)
    result = probed(task, remote(), rules=RULES, now=NOW)
    assert (result.state, result.error_kind) == ("failed", "NotAsWanted")
    assert result.account_state == "active"
    for at, attempts in ((timedelta(minutes=1), 1), (timedelta(hours=1), 20)):
        last = replace(result, task=replace(task, attempts=attempts))
        again = asked_again(last, rules=RULES, now=NOW, jitter=0)
        if operation in ("disable", "delete"):  # I17
            assert (again.state, again.next_attempt_at) == ("needs_human", NOW + at)
        else:
            assert again is last


GONE = {
    "disable": ("succeeded", "absent"),
    "delete": ("succeeded", "deleted"),
    "update": ("failed", "absent"),
    "rename": ("failed", "absent"),
    "enable": ("failed", "absent"),
}


@pytest.mark.parametrize("operation", CHANGES)
def test_an_account_that_has_gone_is_what_taking_away_wants_and_nothing_else(
    operation: str,
) -> None:
    """I9, I11: said by the target or seen, twice; then the planner looks at the person again."""
    missing = AccountMissingError("e", code="404")
    first = failed(a_change(operation), missing, rules=RULES, now=NOW, jitter=0)
    assert (first.state, first.absences, first.code) == ("unknown", 1, "404")
    said = failed(a_change(operation, absences=1), missing, rules=RULES, now=NOW, jitter=0)
    assert said.code == "404"
    task = a_change(operation, probe=PROBE, absences=1)
    seen = probed(task, None, rules=RULES, now=NOW)
    takes_away = operation in ("disable", "delete")
    for result in [seen] if takes_away else [said, seen]:
        assert (result.state, result.account_state) == GONE[operation]
        assert result.replan is (result.state == "failed")
        assert result.closed == ("absent" if takes_away else None)
    if takes_away:  # only a look asks for all that the account may carry (I17)
        assert (said.state, said.closed) == ("unknown", None)
    once = probed(a_change(operation, probe=PROBE), None, rules=RULES, now=NOW)
    assert (once.state, once.absences, once.account_state) == ("unknown", 1, None)


@pytest.mark.parametrize("operation", CHANGES)
def test_a_change_never_touches_somebody_elses_account(operation: str) -> None:
    """I10, I11."""
    result = probed(a_change(operation, probe=PROBE), FOREIGN, rules=RULES, now=NOW)
    assert (result.state, result.account_state) == ("needs_human", None)
    taken = AccountExistsError("e", code="409")
    result = failed(a_change(operation), taken, rules=RULES, now=NOW, jitter=0)
    assert (result.state, result.account_state) == ("needs_human", None)


def test_an_account_that_somebody_disabled_is_not_adopted_as_usable() -> None:
    """I11: only our own disables are undone."""
    found = remote(enabled=False)
    for result in (
        existing(a_task(), found, AccountExistsError("e")),
        probed(a_task(probe=PROBE), found, rules=RULES, now=NOW),
    ):
        assert (result.state, result.account_state) == ("needs_human", None)
        assert "disabled by somebody else" in (result.message or "")


def test_an_account_that_should_be_disabled_and_is_not_is_recorded_as_it_is() -> None:
    """Made before the first day, with the second call of two unanswered: planned again."""
    task = a_task(probe=PROBE, account_state="disabled")
    result = probed(task, remote(enabled=True), rules=RULES, now=NOW)
    assert (result.state, result.account_state, result.replan) == ("succeeded", "active", True)
    result = probed(task, remote(enabled=False), rules=RULES, now=NOW)
    assert (result.state, result.account_state, result.replan) == ("succeeded", "disabled", False)


WANTED = {"userName": "z1", "displayName": "Zhang San", "groups": ["staff", "vpn"], "secret": "x"}


@pytest.mark.parametrize(
    ("shown", "otherwise"),
    [
        ({}, None),
        (WANTED, None),
        ({"userName": "Z1", "displayName": "zhang san", "groups": ["vpn", "staff"]}, None),
        ({"displayName": None, "nickName": "theirs"}, None),
        ({"displayName": "Li Si"}, {"displayName": "Li Si"}),
        ({"userName": "z2", "groups": []}, {"userName": "z2", "groups": []}),
    ],
)
def test_an_account_that_was_found_is_known_as_it_was_found(
    shown: dict[str, Any], otherwise: dict[str, Any] | None
) -> None:
    """I9, I10: what it lacks is planned; what is only spelt otherwise, or not shown, is not."""
    task, found = a_task(attributes=WANTED, probe=PROBE), remote(enabled=True, **shown)
    exists = existing(replace(task, probe=CALL), found, AccountExistsError("e", code="409"))
    for result in (probed(task, found, rules=RULES, now=NOW), exists):
        assert (result.state, result.account_state) == ("succeeded", "active")
        assert result.applied == (None if otherwise is None else WANTED | otherwise)
        assert result.replan is (otherwise is not None)
        named = ", ".join(name for name in WANTED if name in (otherwise or {}))
        assert (f"another {named} than" in (result.message or "")) is bool(named)


def test_a_target_that_shows_what_it_says_it_has_not_is_not_asked_in_circles() -> None:
    """I6: created, found, updated, "no such account", created …; a leaver is disabled all the
    same."""
    found, before = remote(displayName="Li Si"), WANTED | {"displayName": "Li Si"}
    for state, attributes, replan in (
        ("absent", before, False),
        ("absent", WANTED, True),
        ("deleted", before, True),
    ):
        account = replace(KNOWN, state=state, attributes=attributes)
        task = a_task(attributes=WANTED, account=account)
        result = existing(task, found, AccountExistsError("e"))
        assert (result.state, result.account_state) == ("succeeded", "active")
        assert (result.applied, result.replan) == (before, replan)


@pytest.mark.parametrize("operation", Operation)
def test_what_a_target_does_not_offer_waits_for_a_human_who_is_told_what_to_do(
    operation: str,
) -> None:
    result = manual(a_task(operation=operation))
    assert (result.outcome, result.state, result.burnt) == ("not_sent", "needs_human", False)
    assert f"no '{operation}': do it there by hand" in (result.message or "")


@pytest.mark.parametrize("probe", [CALL, PROBE])
def test_what_was_claimed_is_given_back_or_unknown(probe: bool) -> None:
    """I9: when a run is ended from outside."""
    task = a_task(probe=probe, absences=1)
    unsent = not_sent(task, at=NOW, message="the run ended")
    assert (unsent.state, unsent.burnt) == ("unknown" if probe else "ready", False)
    sent = interrupted(task, at=NOW)
    assert (sent.state, sent.burnt, sent.absences) == ("unknown", True, 1)


RULES_BY_KEY = replace(RULES, key="employeeNumber")
SEEN = {"userName": "z1", "employeeNumber": "E1"}


@pytest.mark.parametrize(
    ("operation", "shown", "unlike"),
    [
        ("disable", remote(enabled=False), None),
        ("disable", remote(enabled=None), None),
        ("disable", remote(enabled=True), "state"),
        ("enable", remote(enabled=False, **SEEN), "state"),
        ("enable", remote(enabled=True, userName="Z1"), None),
        ("update", remote(userName="z0"), "userName"),
        ("update", remote(), None),
        ("rename", remote(userName="z0", enabled=False), "userName"),
    ],
)
def test_an_answer_that_shows_otherwise_is_not_taken_for_done(
    operation: str, shown: RemoteAccount, unlike: str | None
) -> None:
    """I18: what is not shown is no contradiction; a replica may lag, so it is looked at again."""
    result = changed(a_change(operation), shown, rules=RULES, now=NOW)
    if unlike is None:
        assert result.state == "succeeded"
        return
    assert (result.state, result.outcome, result.error_kind) == (
        "unknown", "unknown", "NotAsWanted",
    )  # fmt: skip
    assert (result.code, result.account_state) == (unlike, None)
    assert result.next_attempt_at == NOW + GAP


def test_a_key_that_the_target_cannot_carry_is_a_case_of_its_own() -> None:
    """I18: everything else counts as applied; the key stays the one that the account carries."""
    wanted = {"userName": "z1", "employeeNumber": "E777"}
    known = replace(KNOWN, attributes={"userName": "z0", "employeeNumber": "1001"})
    task = replace(a_change("update"), attributes=wanted, account=known)
    shown = remote(employeeNumber="1001")
    for result in (
        changed(task, shown, rules=RULES_BY_KEY, now=NOW),
        probed(
            replace(task, probe=PROBE), remote(**wanted | {"employeeNumber": "1001"}),
            rules=RULES_BY_KEY, now=NOW,
        ),
    ):  # fmt: skip
        assert (result.state, result.error_kind) == ("needs_human", "KeyNotCarried")
        assert result.applied == {"userName": "z1", "employeeNumber": "1001"}
        assert result.account_state == "active"
        assert "task done --task 1" in (result.message or "")


def test_taking_away_keeps_what_was_applied_and_the_key_that_is_seen() -> None:
    """I18: a disable sends no attribute, so the key that it was planned with counts for nothing."""
    known = replace(KNOWN, attributes={"userName": "z0", "employeeNumber": "1001"})
    task = replace(a_change("disable"), account=known, attributes={"employeeNumber": "E777"})
    result = succeeded(task, remote(enabled=False))
    assert (result.applied, result.closed) == (known.attributes, "seen")
    shown = remote(enabled=False, employeeNumber="1002")
    assert succeeded(task, shown).applied == {"userName": "z0", "employeeNumber": "1002"}


@pytest.mark.parametrize(
    ("wanted", "enabled", "state"),
    [("disabled", True, "active"), ("active", False, "disabled"), ("disabled", None, "disabled")],
)
def test_an_account_made_in_another_state_is_known_as_it_is(
    wanted: str, enabled: bool | None, state: str
) -> None:
    """I18: a service that ignores `active` on a create; the planner sends what is missing."""
    result = made(a_task(account_state=wanted), remote(enabled=enabled))
    assert (result.state, result.account_state) == ("succeeded", state)
    assert result.replan is (enabled is not None)
