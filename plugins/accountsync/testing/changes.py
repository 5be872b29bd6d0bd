"""Tests of what a connector does to an account that is there, seen in the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from accountsync.domain.accounts.account import Operation
from accountsync.errors import AccountMissingError, NeedsHumanError
from accountsync.targets.connector import Connector
from accountsync.testing.subject import (
    NUMBER,
    Subject,
    changing,
    create_account,
    find_account,
    only_account,
    perform,
)


async def _offered(connector: Connector) -> set[str]:
    assert connector.can_find
    assert connector.can_list
    return set(connector.operations)


class ChangeContract:
    """A change sets a state and may be repeated (I9), touches nothing else, and is seen in the
    target (I18). An account that is gone is reported as missing. Disabled means disabled (I17)."""

    def test_it_offers_every_operation_it_declares(self, subject: Subject) -> None:
        offered: set[str] = perform(subject, _offered)
        assert offered | ({"rename"} if subject.rename is None else set()) == set(Operation)

    def test_an_account_made_before_the_hire_date_cannot_be_used(self, subject: Subject) -> None:
        account = create_account(subject, enabled=False)
        shown = find_account(subject, dict(account.attributes))
        assert shown is not None
        assert shown.enabled is False
        assert only_account(subject).enabled is False

    def test_a_change_is_there_and_nothing_else_has_changed(self, subject: Subject) -> None:
        account = create_account(subject)
        before = only_account(subject)
        moved = subject.person(NUMBER) | subject.change
        for _ in range(2):
            changed = perform(subject, changing("update", account, moved))
            assert changed.identifier == account.identifier
            assert changed.remote_id == account.remote_id
        shown = find_account(subject, moved)
        assert shown is not None
        assert shown.enabled is True
        assert {name: shown.attributes[name] for name in subject.change} == subject.change
        _require_change(before.attributes, only_account(subject).attributes, subject.change)
        assert only_account(subject).enabled

    def test_a_new_name_is_the_same_account(self, subject: Subject) -> None:
        """I8: it is renamed, not made anew."""
        if subject.rename is None:
            pytest.skip("its identifier is the employee number, which never changes")
        account = create_account(subject)
        renamed = subject.person(NUMBER) | subject.rename
        changed = perform(subject, changing("rename", account, renamed))
        assert changed.identifier == renamed[subject.target.identifier] != account.identifier
        assert changed.remote_id == account.remote_id
        shown = find_account(subject, renamed)
        assert shown is not None
        assert (shown.identifier, shown.remote_id, shown.ours) == (
            changed.identifier, changed.remote_id, True
        )  # fmt: skip
        in_target = only_account(subject).attributes
        assert {name: in_target[name] for name in subject.rename} == subject.rename
        assert in_target[subject.target.key] == renamed[subject.target.key]

    def test_a_leaver_is_disabled_and_a_rehire_enabled_however_often_it_is_said(
        self, subject: Subject
    ) -> None:
        """I17: it is so in the target, and a look-up shows it."""
        account = create_account(subject)
        for operation, enabled in (("disable", False), ("enable", True)):
            for _ in range(2):
                changed = perform(subject, changing(operation, account))
                assert changed.enabled in (None, enabled)
                assert changed.identifier == account.identifier
                shown = find_account(subject, dict(account.attributes))
                assert shown is not None
                assert shown.enabled is enabled
                assert shown.ours
                assert only_account(subject).enabled is enabled

    def test_a_leaver_keeps_what_the_account_holds(self, subject: Subject) -> None:
        """Disabling changes the state and nothing else."""
        account = create_account(subject)
        before = only_account(subject)
        perform(subject, changing("disable", account, subject.person(NUMBER) | subject.change))
        names = [subject.target.key, subject.target.identifier, *subject.change]
        after = only_account(subject)
        assert [after.attributes[name] for name in names] == [
            before.attributes[name] for name in names
        ]

    def test_a_rehire_comes_back_with_what_has_changed_meanwhile(self, subject: Subject) -> None:
        account = create_account(subject)
        perform(subject, changing("disable", account))
        moved = subject.person(NUMBER) | subject.change
        perform(subject, changing("enable", account, moved))
        shown = find_account(subject, moved)
        assert shown is not None
        assert shown.enabled is True
        assert {name: shown.attributes[name] for name in subject.change} == subject.change
        in_target = only_account(subject)
        assert in_target.enabled
        assert {name: in_target.attributes[name] for name in subject.change} == subject.change

    def test_a_deleted_account_is_gone_and_a_second_time_missing(self, subject: Subject) -> None:
        account = create_account(subject)
        perform(subject, changing("delete", account))
        assert find_account(subject, dict(account.attributes)) is None
        with pytest.raises(AccountMissingError):
            perform(subject, changing("delete", account))
        assert len(subject.accounts()) == 0

    def test_other_peoples_accounts_are_left_alone(self, subject: Subject) -> None:
        """I9: whatever is done to one account, its neighbour stays as it is."""
        create_account(subject, "20002")
        neighbour = only_account(subject)
        account = create_account(subject)
        moved = subject.person(NUMBER) | subject.change
        for operation in ("update", "disable", "enable", "delete"):
            perform(subject, changing(operation, account, moved))
            assert neighbour in subject.accounts()
        assert only_account(subject) == neighbour

    @pytest.mark.parametrize("operation", ["update", "rename", "enable", "disable", "delete"])
    def test_an_account_that_has_gone_is_said_to_be_missing(
        self, subject: Subject, operation: str
    ) -> None:
        """The caller decides what that means. An account that is not shown may be where our login
        may not look, so that a disable may ask for a human (I17)."""
        if operation == "rename" and subject.rename is None:
            pytest.skip("it has no rename")
        account = create_account(subject)
        perform(subject, changing("delete", account))
        hidden = (NeedsHumanError,) if operation == "disable" else ()
        with pytest.raises((AccountMissingError, *hidden)):
            perform(subject, changing(operation, account))
        assert len(subject.accounts()) == 0

    def test_an_account_known_without_the_targets_own_id_is_found_by_its_key(
        self, subject: Subject
    ) -> None:
        """Adopted accounts may be without it."""
        account = replace(create_account(subject), remote_id=None)
        perform(subject, changing("disable", account))
        shown = find_account(subject, dict(account.attributes))
        assert shown is not None
        assert shown.enabled is False
        assert only_account(subject).enabled is False


def _require_change(
    before: Mapping[str, object], after: Mapping[str, object], change: Mapping[str, object]
) -> None:
    """`change` is there, and no attribute that is both before and after has another value."""
    assert {name: after[name] for name in change} == change
    others = [name for name in before if name in after and name not in change]
    assert {name: after[name] for name in others} == {name: before[name] for name in others}
