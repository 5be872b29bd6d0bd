"""SCIM as it is spoken: against scim2-server, and to the byte (RFC 7644 §3.5; RFC 9865)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args
from urllib.parse import parse_qs

import pytest
from scim2_models import EnterpriseUser, PatchOp, ServiceProviderConfig, User

from accountsync.domain.accounts.account import Account, RemoteAccount
from accountsync.domain.accounts.likeness import as_found
from accountsync.errors import (
    AccountMissingError,
    IncompleteReadError,
    RejectedByTargetError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.settings.targets import ScimTarget
from accountsync.targets import scim_dialects
from accountsync.targets.connector import Connector
from accountsync.testing import Act
from simulators.client import SimClient
from tests.connectors import scim_service
from tests.connectors.recorder import Answer, Recorder, recording
from tests.connectors.subjects import connected, endpoint

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PERSON: Mapping[str, Any] = {
    "externalId": "00100001",
    "userName": "z1",
    "displayName": "张三",
    "title": "工程师",
    "name": {"familyName": "张", "givenName": "三"},
    "emails": [{"value": "z1@example.com", "primary": True}],
    ENTERPRISE: {"employeeNumber": "00100001", "department": "研发"},
}
MOVED = {
    **PERSON,
    "userName": "z2",
    "title": None,
    "name": {"familyName": "李", "givenName": None},
    ENTERPRISE: {"employeeNumber": "00100001", "department": "销售"},
}
NAMES = get_args(scim_dialects.Name)


def _target(dialect: str = "auto", **options: Any) -> ScimTarget:
    auth = {"kind": "header", "value": "Bearer {{ conn.password }}"}
    attributes = dict.fromkeys([*PERSON, "password"], "x") | {"groups": "person.groups"}
    return ScimTarget.model_validate(
        {
            "kind": "scim",
            "conn_id": "scim",
            "auth": auth,
            "attributes": attributes,
            "dialect": dialect,
            **options,
        }
    )


def _do(url: str, act: Act, *, dialect: str = "auto", **options: Any) -> Any:
    async def run() -> Any:
        async with connected(_target(dialect, **options), endpoint("scim", url)) as connector:
            return await act(connector)

    return asyncio.run(run())


def _account(made: RemoteAccount, attributes: Mapping[str, Any] = PERSON) -> Account:
    return Account(
        state="active",
        identifier=made.identifier,
        remote_id=made.remote_id,
        attributes=attributes,
    )


@pytest.fixture(scope="module")
def _service() -> Iterator[SimClient]:
    with scim_service.running(cursors=True) as service:
        yield service


@pytest.fixture
def service(_service: SimClient) -> SimClient:
    _service.reset()
    return _service


def _raw(service: SimClient, method: str, path: str, body: Any = None) -> Any:
    headers = {
        "Authorization": f"Bearer {scim_service.TOKEN}",
        "Content-Type": "application/scim+json",
    }
    return scim_service.asked(service.url, method, path, body, headers)


@pytest.mark.parametrize("dialect", NAMES)
def test_every_dialect_keeps_an_account_on_a_real_server(
    service: SimClient, dialect: scim_dialects.Name
) -> None:
    """Leaving a group as Entra and AWS say it is refused by one that keeps to the standard."""
    can_leave = "path" in scim_dialects.DIALECTS[dialect].removals
    for name in ("staff", "sales"):
        _raw(service, "POST", "/Groups", {"schemas": [_GROUP], "displayName": name})

    async def act(connector: Connector) -> None:
        joined = {**PERSON, "groups": ["staff", None]}
        made = await connector.create(joined, enabled=False)
        assert made.enabled is False
        account = _account(made, joined)
        assert (await connector.enable(account, joined)).enabled is True
        moved = {**MOVED, "groups": ["sales"] if can_leave else ["staff", "sales"]}
        renamed = await connector.rename(account, moved)
        assert (renamed.identifier, renamed.remote_id) == ("z2", made.remote_id)
        assert [one.identifier async for one in connector.list()] == ["z2"]
        assert (await connector.disable(_account(renamed, moved), moved)).enabled is False
        found = await connector.find(moved)
        assert found == RemoteAccount(
            identifier="z2", remote_id=made.remote_id, ours=True, enabled=False
        )
        assert found.attributes["displayName"] == "张三"

    _do(service.url, act, dialect=dialect)
    (user,) = _raw(service, "GET", "/Users")["Resources"]
    assert user["externalId"] == "00100001"
    assert "title" not in user
    assert user["name"] == {"familyName": "李"}
    assert user[ENTERPRISE]["department"] == "销售"
    members = {
        group["displayName"]: [member["value"] for member in group.get("members", [])]
        for group in _raw(service, "GET", "/Groups")["Resources"]
    }
    assert members == {"staff": [] if can_leave else [user["id"]], "sales": [user["id"]]}


_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


def test_a_group_that_is_not_there_is_said_before_anything_is_sent(service: SimClient) -> None:
    with pytest.raises(RejectedByTargetError, match="no group 'staff'") as caught:
        _do(service.url, lambda c: c.create({**PERSON, "groups": ["staff"]}))
    assert caught.value.code == "no_group"
    assert _raw(service, "GET", "/Users")["totalResults"] == 0


def test_made_but_in_no_group_is_an_unknown_outcome(service: SimClient) -> None:
    """I9: the account is there, not all that was asked for."""
    _raw(service, "POST", "/Groups", {"schemas": [_GROUP], "displayName": "staff"})
    service.fault("status", path="/Groups/", code=500)
    with pytest.raises(UnknownOutcomeError, match="created, but not yet as wanted"):
        _do(service.url, lambda c: c.create({**PERSON, "groups": ["staff"]}))
    service.heal()
    assert _raw(service, "GET", "/Users")["totalResults"] == 1


def test_a_group_that_was_refused_is_seen_to_be_missing_and_joined_by_the_update(
    service: SimClient,
) -> None:
    """I9: the account is known as it was found, not as it was wanted."""
    _raw(service, "POST", "/Groups", {"schemas": [_GROUP], "displayName": "staff"})
    wanted = {**PERSON, "groups": ["staff"]}
    service.fault("status", path="/Groups/", code=403)
    with pytest.raises(UnknownOutcomeError) as raised:
        _do(service.url, lambda c: c.create(wanted))
    assert isinstance(raised.value.__cause__, RejectedByTargetError)
    service.heal()
    found = _do(service.url, lambda c: c.find(wanted))
    assert found.ours
    assert as_found(wanted, found.attributes) == wanted | {"groups": []}
    _do(service.url, lambda c: c.update(_account(found, PERSON), wanted))
    (group,) = _raw(service, "GET", "/Groups")["Resources"]
    assert [member["value"] for member in group["members"]] == [found.remote_id]


def test_what_a_user_lacks_is_seen_but_for_what_no_provider_tells(service: SimClient) -> None:
    """I9: what is not set is left out of an answer (RFC 7643 §2.5), and so is a password."""
    wanted = {**PERSON, "password": "x"}
    _do(service.url, lambda c: c.create({**wanted, "title": None}))
    found = _do(service.url, lambda c: c.find(wanted))
    assert as_found(wanted, found.attributes) == wanted | {"title": ""}


ALL = ["staff", "vpn"]


def _groups(*names: str) -> Answer:
    groups = [{"id": f"g-{name}", "displayName": name} for name in names]
    return 200, {"totalResults": len(groups), "Resources": groups}


@pytest.mark.parametrize(
    ("shown", "joined"),
    [
        ({"groups": [{"display": "STAFF"}, {"display": "vpn"}, {"display": "theirs"}]}, ALL),
        ({"groups": [{"value": "g1", "display": "vpn"}]}, ["vpn"]),
        ({"groups": [{"value": "g-vpn"}]}, ["vpn"]),
        ({"groups": ["staff"]}, ["staff"]),
        ({"groups": [{"display": "staff", "type": "indirect"}]}, []),
        ({"groups": []}, ["vpn"]),
        ({}, ["vpn"]),
    ],
)
def test_of_the_declared_groups_those_that_a_user_is_in_are_seen(
    shown: dict[str, Any], joined: list[str]
) -> None:
    """Others are nobody's business here. A user that shows none is looked for in the groups."""
    answers: dict[str, Any] = {
        "/Users": (200, {"totalResults": 1, "Resources": [THERE | shown]}),
        "/Groups": _groups("staff", "vpn"),
        "/Groups/g-staff": (200, {"id": "g-staff"}),
        "/Groups/g-vpn": (200, {"id": "g-vpn", "members": [{"value": "7"}]}),
    }
    with recording(answers) as recorder:
        found = _do(recorder.url, lambda c: c.find({**PERSON, "groups": ALL}))
    assert found.attributes["groups"] == joined


def test_entra_and_aws_name_the_member_that_leaves_as_a_value() -> None:
    account = _account(
        RemoteAccount(identifier="z1", remote_id="7", ours=True), {**PERSON, "groups": ["staff"]}
    )
    there = THERE | {"groups": [{"value": "g-staff", "display": "staff"}]}
    for dialect, op in (("entra", "Remove"), ("aws", "remove")):
        answers: dict[str, Any] = {
            "/Users/7": (200, there),
            "/Groups": lambda query: _groups(*(() if "members" in query else ("staff",))),
            "/Groups/g-staff": (200, {"id": "g-staff"}),
        }
        with recording(answers) as recorder:
            _do(recorder.url, lambda c: c.update(account, PERSON), dialect=dialect)
        (body,) = _bodies(recorder, "PATCH")
        assert body["Operations"] == [{"op": op, "path": "members", "value": [{"value": "7"}]}]


def test_a_list_is_read_over_many_pages_by_cursor(service: SimClient) -> None:
    config = ServiceProviderConfig.model_validate(_raw(service, "GET", "/ServiceProviderConfig"))
    assert config.pagination is not None
    assert config.pagination.cursor

    async def act(connector: Connector) -> list[str]:
        people = [{"externalId": str(n), "userName": f"u{n}"} for n in range(105)]
        await asyncio.gather(*(connector.create(person) for person in people))
        return [one.identifier async for one in connector.list()]

    assert sorted(_do(service.url, act)) == sorted(f"u{n}" for n in range(105))
    gets = [n for route, n in service.state()["requests"].items() if route.startswith("GET")]
    assert sum(gets) == 1 + 1 + 3, "twice the configuration, three pages of fifty"


# what is sent

THERE = {**PERSON, "id": "7", "active": True, "nickName": "theirs", "meta": {"version": 'W/"1"'}}
ACCOUNT = Account(state="active", identifier="z1", remote_id="7", attributes=PERSON)


def _sent(
    act: Act,
    *,
    config: Mapping[str, Any],
    dialect: str = "auto",
    there: Mapping[str, Any] | None = None,
) -> tuple[Any, Recorder]:
    user = THERE if there is None else there
    answers: dict[str, Answer] = {"/ServiceProviderConfig": (200, config), "/Users/7": (200, user)}
    with recording(answers) as recorder:
        return _do(recorder.url, act, dialect=dialect), recorder


def _bodies(recorder: Recorder, method: str) -> list[Any]:
    return [json.loads(one.body) for one in recorder.requests if one.method == method]


PATCH = {"patch": {"supported": True}}
NO_PATCH = {"patch": {"supported": "false"}, "etag": {"supported": "true"}}


def test_a_standard_patch_is_one_replace_and_a_remove_for_what_has_gone() -> None:
    """What is there already is not sent."""
    _, recorder = _sent(lambda c: c.update(ACCOUNT, MOVED), config=PATCH, dialect="standard")
    (body,) = _bodies(recorder, "PATCH")
    replaced = {
        "userName": "z2",
        "name": {"familyName": "李"},
        ENTERPRISE: {"department": "销售"},
    }
    assert body["Operations"] == [
        {"op": "replace", "value": replaced},
        {"op": "remove", "path": "title"},
        {"op": "remove", "path": "name.givenName"},
    ]
    assert PatchOp[User[EnterpriseUser]].model_validate(body)


def test_entra_speaks_of_one_path_at_a_time_and_writes_booleans_as_texts() -> None:
    off = {**THERE, "active": False}
    _, recorder = _sent(
        lambda c: c.enable(ACCOUNT, MOVED), config=PATCH, dialect="entra", there=off
    )
    (body,) = _bodies(recorder, "PATCH")
    operations = {one["path"]: (one["op"], one.get("value")) for one in body["Operations"]}
    assert operations["active"] == ("Replace", "True")
    assert operations["name.familyName"] == ("Replace", "李")
    assert operations[f"{ENTERPRISE}:department"] == ("Replace", "销售")
    assert operations["title"] == ("Remove", None)


def test_okta_puts_attributes_and_patches_the_state() -> None:
    off = {**THERE, "active": False}
    _, recorder = _sent(lambda c: c.enable(ACCOUNT, MOVED), config=PATCH, dialect="okta", there=off)
    (state,) = _bodies(recorder, "PATCH")
    assert state["Operations"] == [{"op": "replace", "value": {"active": True}}]
    (whole,) = _bodies(recorder, "PUT")
    assert whole["userName"] == "z2"
    assert whole["active"] is True
    _, recorder = _sent(lambda c: c.disable(ACCOUNT, MOVED), config=PATCH, dialect="okta")
    assert [one.method for one in recorder.requests if one.method != "GET"] == ["PATCH"]


def test_a_put_keeps_what_is_not_ours_and_names_the_version_it_read() -> None:
    """RFC 7644 §3.14: nobody else's change in between is undone."""
    config = NO_PATCH
    answers: dict[str, Answer] = {"/ServiceProviderConfig": (200, config), "/Users/7": (200, THERE)}
    with recording(answers, headers={"ETag": 'W/"1"'}) as recorder:
        _do(recorder.url, lambda c: c.update(ACCOUNT, MOVED))
    (put,) = [one for one in recorder.requests if one.method == "PUT"]
    assert put.headers["If-Match"] == 'W/"1"'
    body = json.loads(put.body)
    assert body["nickName"] == "theirs"
    assert body["active"] is True
    assert body["name"] == {"familyName": "李"}
    assert body["schemas"] == ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE]
    assert {"title", "id", "meta"}.isdisjoint(body)


@pytest.mark.parametrize("status", [405, 501])
def test_a_provider_that_announces_patch_and_does_not_know_it_gets_a_put(status: int) -> None:
    """django-scim2, for most attributes."""
    answers: dict[str, Any] = {"/ServiceProviderConfig": (200, PATCH), "/Users/7": (200, THERE)}
    with recording(answers, refused={"PATCH": status}) as recorder:
        changed = _do(recorder.url, lambda c: c.update(ACCOUNT, MOVED))
    assert changed.ours
    changes = [one.method for one in recorder.requests if one.method != "GET"]
    assert changes == ["PATCH", "PUT"]


def test_somebody_elses_change_in_between_is_read_anew_later() -> None:
    answers: dict[str, Answer] = {
        "/ServiceProviderConfig": (200, PATCH),
        "/Users/7": (200, THERE),
    }
    refused = {"PATCH": 412}
    with (
        recording(answers, refused=refused) as recorder,
        pytest.raises(TransientError, match="somebody else"),
    ):
        _do(recorder.url, lambda c: c.update(ACCOUNT, MOVED))


def test_a_put_to_an_account_that_has_gone_says_so() -> None:
    nobody: Answer = (200, {"totalResults": 0})
    answers: dict[str, Answer] = {"/ServiceProviderConfig": (200, NO_PATCH), "/Users": nobody}
    with recording(answers) as recorder, pytest.raises(AccountMissingError):
        _do(recorder.url, lambda c: c.disable(ACCOUNT, MOVED))


def test_a_provider_that_hides_its_configuration_is_taken_for_a_standard_one() -> None:
    with recording({"/Users/7": (200, THERE)}) as recorder:
        _do(recorder.url, lambda c: c.disable(ACCOUNT, PERSON), dialect="standard")
    assert len(_bodies(recorder, "PATCH")) == 1


@pytest.mark.parametrize(("said", "enabled"), [("True", True), ("false", False), ("maybe", None)])
def test_booleans_may_come_as_texts(said: str, enabled: bool | None) -> None:
    found = {"totalResults": 1, "Resources": [THERE | {"active": said}]}
    with recording({"/Users": (200, found)}) as recorder:
        account = _do(recorder.url, lambda c: c.find(PERSON))
    assert account.enabled is enabled


# lists


async def _listed(connector: Connector) -> list[str]:
    return [one.identifier async for one in connector.list()]


def _users(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": str(n), "externalId": str(n), "userName": f"u{n}"} for n in numbers]


def _by_cursor(pages: Mapping[str, tuple[list[int], str, int | None] | Answer]) -> Any:
    def answer(query: str) -> Answer:
        page = pages[parse_qs(query, keep_blank_values=True)["cursor"][0]]
        if len(page) == 2:
            return page
        numbers, following, total = page
        declared = {} if total is None else {"totalResults": total}
        return 200, {"Resources": _users(*numbers), "nextCursor": following} | declared

    return answer


def test_without_a_total_the_last_page_is_the_one_that_names_no_next() -> None:
    """AWS leaves the total out."""
    pages = {"": ([1, 2], "a", None), "a": ([], "b", None), "b": ([3], "", None)}
    with recording({"/Users": _by_cursor(pages)}) as recorder:
        assert _do(recorder.url, _listed, dialect="aws") == ["u1", "u2", "u3"]


CURSOR_FAULTS: Mapping[str, Mapping[str, Any]] = {
    "expired": {"": ([1], "a", None), "a": (400, {"scimType": "expiredCursor"})},
    "a circle": {"": ([1], "a", None), "a": ([2], "a", None)},
    "a user twice": {"": ([1], "a", None), "a": ([1], "", None)},
    "another total": {"": ([1], "a", 2), "a": ([2], "", 3)},
    "too few": {"": ([1], "a", 3), "a": ([2], "", 3)},
}


@pytest.mark.parametrize("pages", CURSOR_FAULTS.values(), ids=CURSOR_FAULTS)
def test_a_list_by_cursor_that_is_not_whole_is_thrown_away(pages: Any) -> None:
    """I2, RFC 9865."""
    with (
        recording({"/Users": _by_cursor(pages)}) as recorder,
        pytest.raises(IncompleteReadError),
    ):
        _do(recorder.url, _listed, dialect="aws")


def _by_index(*pages: tuple[list[int], int]) -> Any:
    starts = {}
    start = 1
    for numbers, total in pages:
        starts[start] = (numbers, total)
        start += max(len(numbers), 1)

    def answer(query: str) -> Answer:
        numbers, total = starts[int(parse_qs(query)["startIndex"][0])]
        return 200, {"totalResults": total, "Resources": _users(*numbers)}

    return answer


def test_a_list_by_index_takes_pages_of_any_size() -> None:
    with recording({"/Users": _by_index(([1, 2, 3], 5), ([4], 5), ([5], 5))}) as recorder:
        assert _do(recorder.url, _listed) == ["u1", "u2", "u3", "u4", "u5"]


@pytest.mark.parametrize(
    "pages",
    [(([1, 2], 4), ([2, 3], 4)), (([1, 2], 4), ([], 4)), (([1, 2], 4), ([3], 5))],
    ids=["a user twice", "nothing more", "another total"],
)
def test_a_list_by_index_that_moves_is_thrown_away(pages: Any) -> None:
    with recording({"/Users": _by_index(*pages)}) as recorder, pytest.raises(IncompleteReadError):
        _do(recorder.url, _listed)


def test_pages_are_no_longer_than_the_provider_allows() -> None:
    config = {"filter": {"supported": True, "maxResults": 20}}
    answers: dict[str, Any] = {
        "/ServiceProviderConfig": (200, config),
        "/Users": _by_index(([1], 1)),
    }
    with recording(answers) as recorder:
        _do(recorder.url, _listed)
    assert recorder.to("/Users").target.endswith("count=20")
