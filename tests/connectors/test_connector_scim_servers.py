"""The SCIM connector on servers that nobody here wrote, by what their own stores hold then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from accountsync.domain.accounts.account import Account, RemoteAccount
from accountsync.errors import AccountExistsError, AccountMissingError, ForeignAccountError
from accountsync.targets.connector import Connector
from accountsync.testing import Act, known
from accountsync.testing.subject import changing
from tests.connectors import scim_service
from tests.connectors.scim_servers import SERVERS, ScimServer
from tests.connectors.scim_targets import acted

PERSON: Mapping[str, Any] = {
    "externalId": "1001",
    "userName": "zhang.san",
    "name": {"familyName": "Zhang", "givenName": "San"},
    "emails": [{"value": "zhang.san@example.com", "primary": True}],
    "groups": ["staff"],
}
MAIL = [{"value": "san@example.com", "primary": True}]


@pytest.fixture(scope="module")
def _opened() -> Iterator[Callable[[str], ScimServer]]:
    servers: dict[str, ScimServer] = {}
    with ExitStack() as stack:

        def opened(name: str) -> ScimServer:
            if name not in servers:
                servers[name] = stack.enter_context(SERVERS[name]())
            servers[name].reset()
            return servers[name]

        yield opened


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, _opened: Callable[[str], ScimServer]) -> ScimServer:
    found = _opened(request.param)
    for name in ("staff", "sales"):
        found.make_group(name)
    return found


def _do(server: ScimServer, act: Act) -> Any:
    """With a connector of its own, which knows nothing of the one before."""
    return acted(server.url, act, PERSON)


def _made(
    server: ScimServer, person: Mapping[str, Any] = PERSON, *, enabled: bool = True
) -> Account:
    made: RemoteAccount = _do(server, lambda c: c.create(person, enabled=enabled))
    assert made.enabled is enabled
    assert made.ours
    return known(made, person, enabled=enabled)


def _addresses(server: ScimServer) -> list[str]:
    return [one["value"] for one in server.user()["emails"]]


def test_an_account_is_made_with_its_groups_and_found_and_listed_alike(server: ScimServer) -> None:
    account = _made(server)
    user = server.user()
    assert (user["externalId"], user["userName"], user["active"]) == ("1001", "zhang.san", True)
    assert server.members() == {"staff": [user["id"]], "sales": []}
    found = _do(server, lambda c: c.find(PERSON))
    (listed,) = _do(server, _listed)
    looked = _do(server, lambda c: c.look(account, PERSON))
    assert found == listed == looked
    assert found.attributes == listed.attributes == looked.attributes
    assert found.attributes["groups"] == ["staff"]
    assert found.remote_id == account.remote_id


async def _listed(connector: Connector) -> list[RemoteAccount]:
    return [one async for one in connector.list()]


def test_two_updates_leave_one_address(server: ScimServer) -> None:
    """Some append what they shall replace."""
    account = _made(server)
    for address in ("san@example.com", "zs@example.com"):
        moved = {**PERSON, "emails": [{"value": address, "primary": True}]}
        changed = _do(server, changing("update", account, moved))
        assert changed.remote_id == account.remote_id
        assert [one["value"] for one in changed.attributes["emails"]] == [address]
        assert _addresses(server) == [address]
        account = replace(account, attributes=moved)
    assert server.members()["staff"] == [account.remote_id], "a member is added once"


def test_a_leaver_is_disabled_and_a_rehire_enabled(server: ScimServer) -> None:
    """I17: by what the store holds."""
    account = _made(server)
    gone = _do(server, lambda c: c.disable(account, PERSON))
    assert (gone.was_enabled, gone.enabled) == (True, False)
    assert server.user()["active"] is False
    again = _do(server, lambda c: c.disable(account, PERSON))
    assert (again.was_enabled, again.enabled) == (False, False)
    back = _do(server, lambda c: c.enable(account, {**PERSON, "emails": MAIL}))
    assert (back.was_enabled, back.enabled) == (False, True)
    assert server.user()["active"] is True
    assert _addresses(server) == ["san@example.com"]


def test_a_future_hire_cannot_log_in(server: ScimServer) -> None:
    _made(server, enabled=False)
    assert server.user()["active"] is False


def test_a_rename_keeps_the_account(server: ScimServer) -> None:
    account = _made(server)
    wanted = {**PERSON, "userName": "san", "name": {"familyName": "Li", "givenName": "San"}}
    renamed = _do(server, lambda c: c.rename(account, wanted))
    assert (renamed.identifier, renamed.remote_id) == ("san", account.remote_id)
    user = server.user()
    assert user["userName"] == "san"
    assert (user["name"]["familyName"], user["name"]["givenName"]) == ("Li", "San")


def test_a_new_number_is_the_same_account(server: ScimServer) -> None:
    """The account is reached by its id, although its own key changes."""
    account = _made(server)
    wanted = {**PERSON, "externalId": "E777"}
    changed = _do(server, lambda c: c.update(account, wanted))
    assert changed.ours
    assert changed.attributes["externalId"] == "E777"
    assert server.user()["externalId"] == "E777"
    # The store may not know it yet: the disable carries the old key and the new one.
    assert _do(server, lambda c: c.disable(account, wanted)).enabled is False


def test_two_numbers_that_are_swapped_hit_the_right_accounts(server: ScimServer) -> None:
    """A.5: the other person carries the number by now, and keeps the access."""
    first = _made(server)
    other = {**PERSON, "externalId": "1002", "userName": "li.si", "emails": MAIL}
    second = _made(server, other)
    swapped = {**other, "externalId": "1001"}
    _do(server, lambda c: c.update(second, swapped))
    assert (
        _do(server, lambda c: c.disable(first, {**PERSON, "externalId": "1002"})).enabled is False
    )
    active = {user["userName"]: user["active"] for user in server.content()["users"]}
    assert active == {"zhang.san": False, "li.si": True}


@pytest.mark.parametrize("operation", ["update", "rename", "enable", "disable", "delete"])
def test_an_account_that_was_handed_over_is_left_alone(server: ScimServer, operation: str) -> None:
    """I18: somebody gave it another externalId."""
    account = _made(server)
    handed = {**PERSON, "externalId": "7777", "userName": "wang.wu"}
    _do(server, lambda c: c.update(account, handed))
    before = server.content()
    with pytest.raises(ForeignAccountError):
        _do(server, changing(operation, account, {**PERSON, "emails": MAIL}))
    assert server.content() == before
    shown = _do(server, lambda c: c.look(account, PERSON))
    assert shown is not None
    assert not shown.ours


def test_groups_are_joined_and_left(server: ScimServer) -> None:
    account = _made(server)
    moved = {**PERSON, "groups": ["sales"]}
    changed = _do(server, lambda c: c.update(account, moved))
    assert changed.attributes["groups"] == ["sales"]
    assert server.members() == {"staff": [], "sales": [account.remote_id]}
    nothing = _do(
        server, lambda c: c.update(replace(account, attributes=moved), {**PERSON, "groups": []})
    )
    assert nothing.attributes["groups"] == []
    assert server.members() == {"staff": [], "sales": []}


def test_many_who_join_at_once_are_all_in_the_group(server: ScimServer) -> None:
    people = [
        {
            **PERSON,
            "externalId": str(n),
            "userName": f"u{n}",
            "emails": [{"value": f"u{n}@example.com"}],
        }
        for n in range(20)
    ]

    async def act(connector: Connector) -> list[RemoteAccount]:
        return await asyncio.gather(*(connector.create(person) for person in people))

    made = _do(server, act)
    assert sorted(server.members()["staff"]) == sorted(str(one.remote_id) for one in made)
    assert all(one.attributes["groups"] == ["staff"] for one in made)


def test_a_name_that_is_taken_is_said_to_be(server: ScimServer) -> None:
    account = _made(server)
    other = {**PERSON, "externalId": "1002"}
    with pytest.raises(AccountExistsError):
        _do(server, lambda c: c.create(other))
    second = _made(server, {**other, "userName": "li.si"})
    with pytest.raises(AccountExistsError):
        _do(server, lambda c: c.rename(second, other))
    assert len(server.users()) == 2
    assert _do(server, lambda c: c.look(account, PERSON)).identifier == "zhang.san"


def test_a_deleted_account_is_gone(server: ScimServer) -> None:
    account = _made(server)
    _do(server, lambda c: c.delete(account))
    assert server.content()["users"] == []
    assert _do(server, lambda c: c.find(PERSON)) is None
    assert _do(server, lambda c: c.look(account, PERSON)) is None
    with pytest.raises(AccountMissingError):
        _do(server, lambda c: c.disable(account, PERSON))


def test_an_account_that_was_made_again_by_hand_is_found_by_its_key(server: ScimServer) -> None:
    """Its id is another one, and its key the one last seen: whoever leaves is disabled."""
    account = _made(server)
    _do(server, lambda c: c.delete(account))
    user = {name: value for name, value in PERSON.items() if name != "groups"}
    scim_service.make(server.url, "/Users", {"active": True, **user})
    lost = replace(account, remote_id="999999")
    assert _do(server, lambda c: c.disable(lost, PERSON)).enabled is False
    assert server.user()["active"] is False


def test_a_key_that_another_person_has_by_now_finds_nobody(server: ScimServer) -> None:
    """I18: the number was issued again, and the account under it is the new person's."""
    account = _made(server)
    lost = replace(account, remote_id="999999", key_taken=True)
    with pytest.raises(AccountMissingError):
        _do(server, lambda c: c.disable(lost, PERSON))
    assert _do(server, lambda c: c.look(lost, PERSON)) is None
    assert server.user()["active"] is True


def test_a_check_says_how_it_is_spoken_to(server: ScimServer) -> None:
    said = _do(server, lambda c: c.check())
    assert said.startswith("answered as SCIM 2.0: PATCH")
    assert "finds by" in said
