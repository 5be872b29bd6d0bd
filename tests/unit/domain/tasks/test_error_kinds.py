"""What an attempt met has a name: that of its error, or of what was no error of a call."""

from __future__ import annotations

import inspect

import pytest

from accountsync import errors
from accountsync.domain.tasks.error_kinds import NOTHING_DONE, ErrorKind, kind_of
from accountsync.errors import AccountSyncError, ConfigurationError, RejectedByTargetError

CLASSES = {
    name: one
    for name, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, AccountSyncError)
}
NO_CONNECTORS = {"InvalidRunRequestError", "InvalidRequestError", "SilentSourceError"}
"""What is raised about a run, a request or a read of HR."""


@pytest.mark.parametrize("name", sorted(CLASSES.keys() - NO_CONNECTORS))
def test_every_error_of_a_connector_is_a_kind_under_its_own_name(name: str) -> None:
    assert kind_of(CLASSES[name]) == name


@pytest.mark.parametrize("name", sorted(NO_CONNECTORS))
def test_every_other_error_is_of_the_kind_above_it(name: str) -> None:
    assert issubclass(CLASSES[name], CLASSES[kind_of(CLASSES[name])])


def test_an_error_of_somebodys_own_connector_is_of_the_kind_above_it() -> None:
    class TooLongError(RejectedByTargetError):
        pass

    assert kind_of(TooLongError("e")) is ErrorKind.REJECTED_BY_TARGET


def test_what_is_no_error_of_a_call_is_no_class() -> None:
    loose = {kind for kind in ErrorKind if kind not in CLASSES}
    assert loose == {
        "ManualOperation", "HeldByOperator", "DependencyFailed", "LeaseExpired", "Interrupted",
        "NotAsWanted", "KeyNotCarried", "UnexpectedError",
    }  # fmt: skip


def test_only_what_says_so_surely_did_nothing() -> None:
    """I9: a call that was refused by the configuration may have been a second one."""
    assert kind_of(ConfigurationError("e")) not in NOTHING_DONE
    assert set(NOTHING_DONE) == {
        "NeedsHumanError", "ManualOperation", "AccountExistsError", "ForeignAccountError",
        "KeyNotCarried",
    }  # fmt: skip
