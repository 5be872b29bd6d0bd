"""Tests of whose account a connector touches: by the target's own id, and by the key last seen."""

from __future__ import annotations

from contextlib import suppress

import pytest

from accountsync.errors import (
    AccountMissingError,
    ForeignAccountError,
    NeedsHumanError,
    RecordError,
)
from accountsync.testing.subject import (
    NUMBER,
    Subject,
    changing,
    create_account,
    key_of,
    look_at,
    perform,
    seen_with,
    with_key,
)

_CHANGES = ("update", "rename", "enable", "disable", "delete")
_OTHER, _THIRD = "20002", "20003"


class OwnershipContract:
    """An account that is known is looked at before it is touched. It is addressed by the target's
    own id, and without one by the key that it was last seen to carry. One that carries another
    person's key is nobody's to touch (I18)."""

    def test_a_known_account_is_shown_as_it_is(self, subject: Subject) -> None:
        for enabled in (True, False):
            account = create_account(subject, NUMBER if enabled else _OTHER, enabled=enabled)
            shown = look_at(subject, account, dict(account.attributes))
            assert shown is not None
            assert shown.ours
            assert shown.enabled is enabled
            assert shown.identifier == account.identifier
            assert shown.remote_id == account.remote_id

    def test_an_account_that_has_gone_is_not_shown(self, subject: Subject) -> None:
        account = create_account(subject)
        create_account(subject, _OTHER)
        perform(subject, changing("delete", account))
        with suppress(NeedsHumanError):  # it may only be hidden from our login
            assert look_at(subject, account, dict(account.attributes)) is None

    def test_an_account_renamed_by_hand_is_shown_under_its_new_name(self, subject: Subject) -> None:
        if subject.rename is None:
            pytest.skip("its identifier is the key")
        account = create_account(subject)
        subject.edit(key_of(subject, NUMBER), subject.rename)
        shown = look_at(subject, account, dict(account.attributes))
        assert shown is not None
        assert shown.ours
        assert shown.remote_id == account.remote_id
        assert shown.identifier == subject.rename[subject.target.identifier]

    def test_an_account_with_another_persons_key_is_not_ours(self, subject: Subject) -> None:
        account = create_account(subject)
        subject.edit(key_of(subject, NUMBER), {subject.target.key: key_of(subject, _OTHER)})
        shown = look_at(subject, account, dict(account.attributes))
        if account.remote_id is None:
            assert shown is None or not shown.ours
        else:
            assert shown is not None
            assert not shown.ours

    def test_an_account_that_got_its_new_key_by_hand_is_ours(self, subject: Subject) -> None:
        """Without an id of the target's own only the key tells accounts apart."""
        account = create_account(subject)
        if account.remote_id is None:
            pytest.skip("its accounts are known by their key alone")
        key = key_of(subject, _OTHER)
        subject.edit(key_of(subject, NUMBER), {subject.target.key: key})
        shown = look_at(subject, account, with_key(subject, key))
        assert shown is not None
        assert shown.ours
        assert shown.attributes[subject.target.key] == key

    @pytest.mark.parametrize("operation", _CHANGES)
    def test_what_has_become_another_persons_is_left_alone(
        self, subject: Subject, operation: str
    ) -> None:
        """Somebody gave the account to another person, by hand. Where a target has no id of its
        own, the account is missing."""
        account = create_account(subject)
        key = key_of(subject, _OTHER)
        subject.edit(key_of(subject, NUMBER), {subject.target.key: key})
        before = subject.accounts()
        expected = ForeignAccountError if account.remote_id else AccountMissingError
        wanted = subject.person(NUMBER) | subject.change
        if operation == "rename" and subject.rename is not None:
            wanted |= subject.rename
        elif operation == "rename":
            pytest.skip("it has no rename")
        with pytest.raises(expected):
            perform(subject, changing(operation, account, wanted))
        assert subject.accounts() == before

    @pytest.mark.parametrize("operation", _CHANGES)
    def test_what_got_the_old_key_since_is_left_alone(
        self, subject: Subject, operation: str
    ) -> None:
        """By hand the account got another key, and somebody else's account got its old one."""
        if operation == "rename" and subject.rename is None:
            pytest.skip("it has no rename")
        account = create_account(subject)
        if account.remote_id is None:
            pytest.skip("its accounts are known by their key alone")
        create_account(subject, _OTHER)
        name, own, other = subject.target.key, key_of(subject, NUMBER), key_of(subject, _OTHER)
        subject.edit(own, {name: key_of(subject, _THIRD)})
        subject.edit(other, {name: own})
        before = subject.accounts()
        wanted = subject.person(NUMBER) | subject.change
        with pytest.raises(ForeignAccountError):
            perform(subject, changing(operation, account, wanted))
        assert subject.accounts() == before

    def test_a_changed_key_is_carried_or_shown_as_it_was(self, subject: Subject) -> None:
        """The caller compares: a target that cannot carry a changed key is a human's case."""
        account = create_account(subject)
        key = key_of(subject, _OTHER)
        wanted = with_key(subject, key) | subject.change
        changed = perform(subject, changing("update", account, wanted))
        (seen,) = subject.accounts()
        assert changed.attributes[subject.target.key] == seen.attributes[subject.target.key]
        assert changed.remote_id == account.remote_id
        assert {name: seen.attributes[name] for name in subject.change} == subject.change
        assert seen.enabled

    @pytest.mark.parametrize("operation", ["update", "enable", "disable", "delete"])
    def test_a_swap_of_two_persons_keys_touches_only_the_own_account(
        self, subject: Subject, operation: str
    ) -> None:
        """HR corrects two numbers that were mixed up. A change that would take the other's key may
        be refused."""
        account = create_account(subject, enabled=operation != "enable")
        create_account(subject, _OTHER)
        own, other = key_of(subject, NUMBER), key_of(subject, _OTHER)
        neighbour = seen_with(subject, other)
        wanted = with_key(subject, other) | subject.change
        if operation == "delete":
            perform(subject, changing(operation, account))
        elif operation == "disable":
            assert perform(subject, changing(operation, account, wanted)).enabled is not True
            assert seen_with(subject, own).enabled is False
        else:
            with suppress(RecordError):
                perform(subject, changing(operation, account, wanted))
        assert neighbour in subject.accounts()

    def test_the_state_before_a_change_is_told(self, subject: Subject) -> None:
        """Whether it was us who disabled the account follows from it."""
        account = create_account(subject)
        steps = [("update", True), ("disable", True), ("disable", False), ("enable", False)]
        for operation, before in steps:
            wanted = subject.person(NUMBER) | subject.change
            assert perform(subject, changing(operation, account, wanted)).was_enabled is before

    def test_what_a_change_returns_is_what_the_target_shows(self, subject: Subject) -> None:
        """What was only wished for is not in it."""
        person = subject.person(NUMBER) | subject.change
        account = create_account(subject)
        for operation in ("update", "disable", "enable"):
            changed = perform(subject, changing(operation, account, person))
            (seen,) = subject.accounts()
            assert changed.ours
            assert changed.enabled in (None, seen.enabled)
            shown = {name: changed.attributes[name] for name in changed.attributes}
            known = {name: seen.attributes[name] for name in shown if name in seen.attributes}
            assert {name: shown[name] for name in known} == known
