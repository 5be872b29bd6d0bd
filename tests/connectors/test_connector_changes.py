"""What every connector does to an account that is there (DESIGN §7; I9, I10, I11)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from accountsync.domain.accounts.account import Account, Operation, RemoteAccount
from accountsync.errors import AccountMissingError, UnknownOutcomeError
from accountsync.targets.connector import Connector
from tests.connectors.subjects import Act, HttpSubject, Subject, do

NUMBER = "20001"


def _made(subject: Subject, number: str = NUMBER, *, enabled: bool = True) -> Account:
    """As the store keeps it after a create."""
    person = subject.person(number)
    made = do(subject, lambda c: c.create(person, enabled=enabled))
    state = "active" if enabled else "disabled"
    return Account(
        state=state, identifier=made.identifier, remote_id=made.remote_id, attributes=person
    )


def _find(subject: Subject, person: dict[str, Any]) -> RemoteAccount | None:
    found: RemoteAccount | None = do(subject, lambda c: c.find(person))
    return found


def _moved(subject: Subject) -> dict[str, Any]:
    return subject.person(NUMBER) | subject.change


def test_it_offers_every_operation_it_declares(subject: Subject) -> None:
    offered = do(subject, _offered)
    assert offered | ({"rename"} if subject.rename is None else set()) == set(Operation)


async def _offered(connector: Connector) -> set[str]:
    assert connector.can_find
    assert connector.can_list
    return set(connector.operations)


def test_an_account_made_before_the_hire_date_cannot_be_used(subject: Subject) -> None:
    account = _made(subject, enabled=False)
    found = _find(subject, dict(account.attributes))
    assert found is not None
    assert found.enabled is False
    assert subject.accounts() == 1


def test_a_change_is_there_and_nothing_else_has_changed(subject: Subject) -> None:
    account = _made(subject)
    moved = _moved(subject)
    for _ in range(2):
        changed = do(subject, lambda c: c.update(account, moved))
        assert (changed.identifier, changed.remote_id) == (account.identifier, account.remote_id)
    found = _find(subject, moved)
    assert found is not None
    assert found.enabled is True
    shown = {name: found.attributes[name] for name in subject.change}
    assert shown == subject.change
    assert subject.accounts() == 1


def test_a_new_name_is_the_same_account(subject: Subject) -> None:
    if subject.rename is None:
        pytest.skip("its identifier is the employee number, which never changes")
    account = _made(subject)
    renamed = subject.person(NUMBER) | subject.rename
    changed = do(subject, lambda c: c.rename(account, renamed))
    assert changed.identifier == renamed[subject.target.identifier] != account.identifier
    assert changed.remote_id == account.remote_id
    found = _find(subject, renamed)
    assert found == replace(changed, enabled=True)
    assert subject.accounts() == 1


def test_a_leaver_is_disabled_and_a_rehire_enabled_however_often_it_is_said(
    subject: Subject,
) -> None:
    account = _made(subject)
    for operation, enabled in (("disable", False), ("enable", True)):
        for _ in range(2):
            changed = do(subject, _act(operation, account))
            assert changed.enabled is enabled
            assert changed.identifier == account.identifier
            found = _find(subject, dict(account.attributes))
            assert found is not None
            assert found.enabled is enabled
            assert found.ours


def test_a_rehire_comes_back_with_what_has_changed_meanwhile(subject: Subject) -> None:
    account = _made(subject)
    do(subject, _act("disable", account))
    moved = _moved(subject)
    do(subject, lambda c: c.enable(account, moved))
    found = _find(subject, moved)
    assert found is not None
    assert found.enabled is True
    assert {name: found.attributes[name] for name in subject.change} == subject.change


def test_a_deleted_account_is_gone_and_a_second_time_missing(subject: Subject) -> None:
    account = _made(subject)
    do(subject, lambda c: c.delete(account))
    assert _find(subject, dict(account.attributes)) is None
    with pytest.raises(AccountMissingError):
        do(subject, lambda c: c.delete(account))
    assert subject.accounts() == 0


@pytest.mark.parametrize("operation", ["update", "rename", "enable", "disable", "delete"])
def test_an_account_that_has_gone_is_said_to_be_missing(subject: Subject, operation: str) -> None:
    """For disable and delete that is a success, for the others it is not: the caller decides."""
    if operation == "rename" and subject.rename is None:
        pytest.skip("it has no rename")
    account = _made(subject)
    do(subject, lambda c: c.delete(account))
    with pytest.raises(AccountMissingError):
        do(subject, _act(operation, account))


def test_an_account_known_without_the_targets_own_id_is_found_by_its_key(subject: Subject) -> None:
    """Adopted ones may be."""
    account = replace(_made(subject), remote_id=None)
    do(subject, _act("disable", account))
    found = _find(subject, dict(account.attributes))
    assert found is not None
    assert found.enabled is False


def test_a_change_without_an_answer_is_an_unknown_outcome(http: HttpSubject) -> None:
    """I9: whether it was made or not; the account is there in any case."""
    account = _made(http)
    for kind, done in (("drop_before", False), ("drop_after", True)):
        http.server.faults({"kind": kind, "path": http.kind.disable_path, "times": 1})
        with pytest.raises(UnknownOutcomeError):
            do(http, _act("disable", account))
        found = _find(http, dict(account.attributes))
        assert found is not None
        assert found.enabled is not done


def test_everybody_is_listed_once(subject: Subject) -> None:
    accounts = [_made(subject, str(number)) for number in range(30_001, 30_006)]
    do(subject, _act("disable", accounts[0]))
    listed: list[RemoteAccount] = do(subject, _listed)
    key = subject.target.key
    assert {one.attributes[key]: one.enabled for one in listed} == {
        account.attributes[key]: n > 0 for n, account in enumerate(accounts)
    }
    assert {(one.identifier, one.remote_id, one.ours) for one in listed} == {
        (account.identifier, account.remote_id, True) for account in accounts
    }


def test_a_target_without_accounts_lists_none(subject: Subject) -> None:
    assert do(subject, _listed) == []


async def _listed(connector: Connector) -> list[RemoteAccount]:
    return [one async for one in connector.list()]


def test_a_connection_test_says_what_answered(subject: Subject) -> None:
    _made(subject)
    assert do(subject, lambda c: c.check())


def _act(operation: str, account: Account) -> Act:
    async def act(connector: Connector) -> Any:
        if operation == "delete":
            return await connector.delete(account)
        return await getattr(connector, operation)(account, account.attributes)

    return act
