"""Tests of what a connector says of accounts that are there or not, and of how it makes one."""

from __future__ import annotations

from typing import Any

import pytest

from accountsync.errors import AccountExistsError, NeedsDataError, TargetDownError
from accountsync.testing.subject import (
    NUMBER,
    Subject,
    create_account,
    find_account,
    only_account,
    perform,
)


class LookUpContract:
    """Absent means surely absent. The key tells accounts apart (I9, I10). A target that is down
    costs no attempt (I13)."""

    def test_what_is_not_there_is_not_found(self, subject: Subject) -> None:
        assert find_account(subject, subject.person(NUMBER)) is None
        create_account(subject, "20002")
        assert find_account(subject, subject.person(NUMBER)) is None

    def test_what_was_created_is_there_and_found_as_ours(self, subject: Subject) -> None:
        person, target = subject.person(NUMBER), subject.target
        made = perform(subject, lambda c: c.create(person))
        account = find_account(subject, person)
        assert account is not None
        assert account.ours
        assert (made.identifier, made.remote_id) == (account.identifier, account.remote_id)
        assert made.enabled in (None, True)
        in_target = only_account(subject)
        assert in_target.enabled
        for name in (target.key, target.identifier, *subject.change):
            assert in_target.attributes[name] == person[name]

    def test_creating_twice_says_that_it_exists(self, subject: Subject) -> None:
        """I10."""
        create_account(subject)
        with pytest.raises(AccountExistsError):
            create_account(subject)
        only_account(subject)

    def test_an_account_that_an_administrator_made_is_found_and_not_made_again(
        self, subject: Subject
    ) -> None:
        """I9, I10: the key decides, not who made it."""
        person = subject.person(NUMBER)
        subject.make(person)
        account = find_account(subject, person)
        assert account is not None
        assert account.ours
        assert account.enabled is not False
        before = subject.accounts()
        with pytest.raises(AccountExistsError):
            create_account(subject)
        assert subject.accounts() == before

    def test_somebody_elses_account_with_the_same_names_is_not_ours(self, subject: Subject) -> None:
        """I10: the name is taken, by an account with another key."""
        if subject.change_key is None:
            pytest.skip("this target knows its accounts by their key alone")
        subject.make(subject.person(NUMBER) | subject.change_key)
        before = subject.accounts()
        with pytest.raises(AccountExistsError):
            create_account(subject)
        account = find_account(subject, subject.person(NUMBER))
        assert account is None or not account.ours
        assert subject.accounts() == before

    @pytest.mark.parametrize("operation", ["create", "find"])
    def test_a_task_without_the_key_is_refused_before_anything_is_sent(
        self, subject: Subject, operation: str
    ) -> None:
        """Such a task was planned before the configuration asked for the key."""
        key = subject.target.key
        person = subject.person(NUMBER)
        del person[key]
        with pytest.raises(NeedsDataError, match=key):
            perform(subject, lambda c: getattr(c, operation)(person))
        assert len(subject.accounts()) == 0

    @pytest.mark.parametrize("operation", ["create", "find"])
    def test_nothing_is_sent_to_a_target_that_is_down(
        self, subject: Subject, operation: str
    ) -> None:
        """I13: the failure costs no attempt."""
        person: Any = subject.person(NUMBER)
        with pytest.raises(TargetDownError, match="cannot connect"):
            perform(subject, lambda c: getattr(c, operation)(person), reachable=False)
        assert len(subject.accounts()) == 0

    def test_a_connection_test_says_what_answered(self, subject: Subject) -> None:
        create_account(subject)
        before = subject.accounts()
        assert perform(subject, lambda c: c.check())
        assert subject.accounts() == before
