"""Tests of what a connector lists: adoption and reconciliation need everybody in it."""

from __future__ import annotations

from accountsync.testing.subject import (
    NUMBER,
    Subject,
    changing,
    create_account,
    list_accounts,
    perform,
)


class ListContract:
    """A list names every account of the target once, whoever made it (I2, I18)."""

    def test_everybody_is_listed_once(self, subject: Subject) -> None:
        accounts = [create_account(subject, str(number)) for number in range(30_001, 30_006)]
        perform(subject, changing("disable", accounts[0]))
        shown, key = list_accounts(subject), subject.target.key
        assert {account.attributes[key]: account.enabled for account in shown} == {
            account.attributes[key]: n > 0 for n, account in enumerate(accounts)
        }
        assert {(account.identifier, account.remote_id, account.ours) for account in shown} == {
            (account.identifier, account.remote_id, True) for account in accounts
        }
        assert len(shown) == len(subject.accounts()) == len(accounts)

    def test_an_account_that_an_administrator_made_is_listed(self, subject: Subject) -> None:
        """Who is missing from a list would be taken for somebody without an account."""
        subject.make(subject.person(NUMBER))
        (account,), key = list_accounts(subject), subject.target.key
        assert account.attributes[key] == subject.person(NUMBER)[key]

    def test_a_target_without_accounts_lists_none(self, subject: Subject) -> None:
        assert list_accounts(subject) == []
