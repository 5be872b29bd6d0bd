"""What the presets make of a value that a person has no more, and of an answer (I18)."""

from __future__ import annotations

import pytest

from accountsync.testing.subject import (
    NUMBER,
    changing,
    create_account,
    find_account,
    only_account,
    perform,
)
from tests.connectors.subjects import HTTP


@pytest.mark.parametrize(("name", "attribute"), [("idaas", "mobile"), ("welink", "mobileNumber")])
@pytest.mark.parametrize("operation", ["update", "enable"])
def test_a_value_that_a_person_has_no_more_is_cleared(
    name: str, attribute: str, operation: str
) -> None:
    """240 tasks succeeded, and the old phone numbers stayed."""
    with HTTP[name]() as subject:
        account = create_account(subject)
        cleared = subject.person(NUMBER) | {attribute: None}
        perform(subject, changing(operation, account, cleared))
        assert only_account(subject).attributes[attribute] is None
        shown = find_account(subject, cleared)
        assert shown is not None
        assert shown.attributes[attribute] is None


@pytest.mark.parametrize("name", ["idaas", "email"])
def test_the_answer_to_a_change_shows_the_account(name: str) -> None:
    """No look is needed to know what became of it."""
    with HTTP[name]() as subject:
        account = create_account(subject)
        for operation, enabled in (("disable", False), ("enable", True)):
            changed = perform(subject, changing(operation, account))
            assert changed.enabled is enabled
            key = subject.target.key
            assert changed.attributes[key] == account.attributes[key]
