"""Tests of what a dry run shows and leaves alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from accountsync.domain.accounts.account import AccountState
from accountsync.errors import DryRunError
from accountsync.testing.subject import (
    NUMBER,
    Subject,
    changing,
    create_account,
    find_account,
    list_accounts,
    perform,
)


class DryRunContract:
    """In a dry run the wire refuses every change, below everything that could forget to ask. What
    is shown tells nothing about anybody (I15)."""

    @pytest.mark.parametrize(
        "operation", ["create", "update", "rename", "enable", "disable", "delete"]
    )
    def test_a_dry_run_shows_a_change_and_sends_none(
        self, subject: Subject, operation: str
    ) -> None:
        """The account really differs, since a connector may first look whether it does."""
        if operation == "rename" and subject.rename is None:
            pytest.skip("it has no rename")
        account = create_account(subject, enabled=operation != "enable")
        change: Any = subject.rename if operation == "rename" else subject.change
        act = changing(operation, account, subject.person(NUMBER) | change)
        if operation == "create":
            act = lambda c: c.create(subject.person("20002"))  # noqa: E731
        before, shown_before = subject.accounts(), find_account(subject, subject.person(NUMBER))
        with pytest.raises(DryRunError, match="dry run") as refused:
            perform(subject, act, dry_run=True)
        assert subject.accounts() == before
        assert not [secret for secret in subject.secrets if secret in str(refused.value)]
        shown = find_account(subject, subject.person(NUMBER), dry_run=True)
        assert shown is not None
        assert shown_before is not None
        assert shown == shown_before
        assert shown.attributes == shown_before.attributes

    def test_a_dry_run_looks_lists_and_checks(self, subject: Subject) -> None:
        account = replace(create_account(subject), state=AccountState.ACTIVE)
        before = subject.accounts()
        assert find_account(subject, dict(account.attributes), dry_run=True) is not None
        assert len(list_accounts(subject, dry_run=True)) == 1
        assert perform(subject, lambda c: c.check(), dry_run=True)
        assert subject.accounts() == before
