"""A dry run over HTTP shows all requests of an operation, field by field, and sends none (I15)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

import pytest

from accountsync.domain.accounts.account import Account
from accountsync.errors import DryRunError, NeedsHumanError
from accountsync.settings.targets import HttpTarget, RestTarget, ScimTarget
from accountsync.targets import catalog, scim_dialects
from accountsync.testing import Act
from accountsync.wire.answer import Answer
from accountsync.wire.api import Api
from accountsync.wire.auth import authenticator
from accountsync.wire.request import Rendered, shown
from simulators.client import SimClient
from tests.connectors import scim_service
from tests.connectors.recorder import recording
from tests.connectors.subjects import connected, endpoint

PERSON: Mapping[str, Any] = {
    "externalId": "00100001",
    "userName": "z1",
    "displayName": "张三",
    "title": "工程师",
    "emails": [{"value": "z1@example.com", "primary": True}],
    "groups": ["staff"],
}
MOVED = {**PERSON, "userName": "z2", "displayName": "李四", "title": None}
SECRETS = ("00100001", "z1", "z2", "张三", "李四", "工程师", "example.com")
_DIALECTS = get_args(scim_dialects.Name)


class WatchedApi(Api):
    """A target that is really changed; each change is noted as a dry run shows it."""

    changes: list[str]

    async def change(self, request: Rendered) -> Answer:
        self.changes.append(f"{self.endpoint.conn_id} {shown(request)}")
        return await super().change(request)


def _sent(target: HttpTarget, url: str, act: Act) -> list[str]:
    async def run() -> list[str]:
        point = endpoint(target.conn_id, url)
        auth = authenticator(target.auth, point)
        async with WatchedApi(point, auth, rate=target.rate, timeout_s=5) as api:
            assert isinstance(api, WatchedApi)
            api.changes = []
            await act(catalog.connector(target, api))
            return api.changes

    return asyncio.run(run())


def _shown(target: HttpTarget, url: str, act: Act) -> list[str]:
    async def run() -> None:
        async with connected(target, endpoint(target.conn_id, url), dry_run=True) as connector:
            await act(connector)

    with pytest.raises(DryRunError, match="not sent, this is a dry run") as caught:
        asyncio.run(run())
    return list(caught.value.requests)


def _scim(dialect: str) -> ScimTarget:
    return ScimTarget.model_validate(
        {
            "kind": "scim",
            "conn_id": "scim",
            "auth": {"kind": "header", "value": "Bearer {{ conn.password }}"},
            "attributes": dict.fromkeys(PERSON, "x"),
            "dialect": dialect,
        }
    )


@pytest.fixture(scope="module")
def _service() -> Iterator[SimClient]:
    with scim_service.running() as service:
        yield service


@pytest.fixture
def service(_service: SimClient) -> SimClient:
    _service.reset()
    for name in ("staff", "sales"):
        scim_service.make(_service.url, "/Groups", {"displayName": name})
    return _service


def _content(service: SimClient) -> list[Any]:
    accounts: list[Any] = service.call("GET", "/_sim/accounts")["accounts"]
    return accounts


def _account(service: SimClient, target: ScimTarget, *, enabled: bool = False) -> Account:
    _sent(target, service.url, lambda c: c.create(PERSON, enabled=enabled))
    (user,) = [one for one in _content(service) if "userName" in one]
    return Account(state="disabled", identifier="z1", remote_id=user["id"], attributes=PERSON)


_SCIM: dict[str, Callable[[Account], Act]] = {
    "update": lambda account: lambda c: c.update(account, MOVED),
    "update and another group": lambda account: (
        lambda c: c.update(account, {**MOVED, "groups": ["staff", "sales"]})
    ),
    "rename": lambda account: lambda c: c.rename(account, MOVED),
    "enable": lambda account: lambda c: c.enable(account, MOVED),
    "disable": lambda account: lambda c: c.disable(account, PERSON),
    "delete": lambda account: lambda c: c.delete(account),
}


@pytest.mark.parametrize("dialect", _DIALECTS)
@pytest.mark.parametrize("what", _SCIM)
def test_a_dry_change_of_a_scim_user_shows_what_the_next_run_sends(
    service: SimClient, what: str, dialect: str
) -> None:
    """Group changes and second requests among it."""
    target = _scim(dialect)
    act = _SCIM[what](_account(service, target, enabled=what == "disable"))
    before = _content(service)
    requests = _shown(target, service.url, act)
    assert _content(service) == before
    assert requests == _sent(target, service.url, act)
    assert not [secret for secret in SECRETS if secret in "".join(requests)]


@pytest.mark.parametrize("dialect", _DIALECTS)
def test_a_dry_create_of_a_scim_user_shows_the_groups_it_joins(
    service: SimClient, dialect: str
) -> None:
    target, before = _scim(dialect), _content(service)
    requests = _shown(target, service.url, lambda c: c.create(PERSON))
    assert _content(service) == before
    assert requests == _sent(target, service.url, lambda c: c.create(PERSON))
    user, group = requests
    assert user.startswith('scim POST /Users {"schemas":["urn:ietf:params:scim:schemas:core:2.0')
    assert '"displayName":"***"' in user
    assert group.startswith('scim PATCH /Groups displayName eq "staff" {"schemas":[')
    assert '"path":"members"' in group


def test_a_dry_patch_names_what_it_changes_and_what_it_takes_away(service: SimClient) -> None:
    """Also where a dialect writes one path an operation."""
    target = _scim("entra")
    account = _account(service, target)
    (patch,) = _shown(target, service.url, lambda c: c.update(account, MOVED))
    assert patch.startswith("scim PATCH /Users/*** ")
    assert '{"op":"Replace","path":"displayName","value":"***"}' in patch
    assert '{"op":"Remove","path":"title"}' in patch


REST = {
    "kind": "rest",
    "conn_id": "api",
    "key": "number",
    "identifier": "login",
    "attributes": {"number": "person.employee_number", "login": "names.l"},
    "create": {
        "request": {"method": "POST", "path": "/new", "body": {"login": "attributes.login"}},
        "remote_id": "body.id",
    },
    "update": {
        "request": {
            "method": "POST",
            "path": "/users/{{ account.remote_id }}",
            "query": {"login": "{{ attributes.login }}"},
        }
    },
    "enable": {"request": {"method": "PUT", "path": "/users/{{ account.remote_id }}/lock"}},
    "disable": {"request": {"method": "DELETE", "path": "/users/{{ account.remote_id }}"}},
    "manual": {"rename": "Please rename it."},
}
OLD = Account(
    state="disabled", identifier="z1", remote_id="7", attributes={"number": "1", "login": "z1"}
)
NEW = {"number": "1", "login": "z2"}


@pytest.mark.parametrize(
    ("act", "requests"),
    [
        (
            lambda c: c.create(NEW, enabled=False),
            ['api POST /new {"login":"***"}', "api DELETE /users/*** without a body"],
        ),
        (
            lambda c: c.enable(OLD, NEW),
            [
                'api POST /users/*** with the query {"login":"***"} without a body',
                "api PUT /users/***/lock without a body",
            ],
        ),
        (lambda c: c.disable(OLD, NEW), ["api DELETE /users/*** without a body"]),
    ],
    ids=["made, then disabled", "changed, then enabled", "one request"],
)
def test_a_dry_run_of_a_declared_target_shows_every_request(act: Act, requests: list[str]) -> None:
    target = RestTarget.model_validate(REST)
    with recording({}) as untouched:
        assert _shown(target, untouched.url, act) == requests
    assert untouched.requests == []
    answers = {path: (200, {"id": 7}) for path in ("/new", "/users/7", "/users/7/lock")}
    with recording(answers) as recorder:
        assert _sent(target, recorder.url, act) == requests
    assert len(recorder.requests) == len(requests)


def test_what_a_human_has_to_do_after_a_request_is_shown_behind_it() -> None:
    by_hand = {**REST, "enable": None, "manual": {"rename": "It.", "enable": "Unlock it."}}
    target = RestTarget.model_validate(by_hand)
    with recording({}) as untouched:
        change, human = _shown(target, untouched.url, lambda c: c.enable(OLD, NEW))
    assert change.startswith("api POST ")
    assert human == f"{NeedsHumanError.__name__}: by hand: Unlock it."
    assert untouched.requests == []
