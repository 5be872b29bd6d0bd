"""How requests prove who they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from accountsync.errors import ConfigurationError, TargetDownError
from accountsync.settings.parts import (
    Auth,
    BasicAuth,
    HeaderAuth,
    NoAuth,
    OAuth2Auth,
    QueryAuth,
    TokenAuth,
)
from accountsync.wire.answer import Answer
from accountsync.wire.auth import Credentials, Send, TokenFlow, authenticator
from accountsync.wire.endpoint import Endpoint
from accountsync.wire.request import Rendered

POINT = Endpoint(conn_id="idaas", base_url="http://h", login="me", password="s3cret:ü", extra={})


async def no_send(_: Rendered) -> Answer:
    raise AssertionError("nothing is to be fetched")


@pytest.mark.parametrize(
    ("auth", "headers"),
    [
        (NoAuth(), {}),
        (BasicAuth(kind="basic"), {"Authorization": "Basic bWU6czNjcmV0OsO8"}),
        (
            HeaderAuth(kind="header", value="Bearer {{ conn.password }}"),
            {"Authorization": "Bearer s3cret:ü"},
        ),
        (
            HeaderAuth(kind="header", name="X-Key", value="{{ conn.login }}"),
            {"X-Key": "me"},
        ),
    ],
)
def test_fixed_headers_come_from_the_connection(auth: Auth, headers: dict[str, str]) -> None:
    assert asyncio.run(authenticator(auth, POINT).credentials(no_send)) == Credentials(
        headers=headers
    )
    assert "s3cret" not in repr(authenticator(auth, POINT))


def a_token(**more: Any) -> TokenAuth:
    body = {"account": "{{ conn.login }}", "secret": "{{ conn.password }}"}
    document = {
        "kind": "token",
        "request": {"method": "POST", "path": "/token", "body": body},
        "success": "body.code == '201'",
        "expires_in": "body.expires_in",
    }
    return TokenAuth.model_validate(document | more)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Issuer:
    """Gives t1, t2, …; remembers what it was asked."""

    def __init__(self, *, code: str = "201", **body: Any) -> None:
        self.body = {"code": code} | body
        self.asked: list[Rendered] = []

    async def __call__(self, request: Rendered) -> Answer:
        self.asked.append(request)
        await asyncio.sleep(0)
        token = {"access_token": f"t{len(self.asked)}"}
        return Answer(status=200, headers={}, body=token | self.body)


def test_a_token_is_fetched_with_the_credentials_and_sent_as_declared() -> None:
    issuer = Issuer(expires_in=7200)
    flow = TokenFlow(a_token(header="x-wlk-Authorization", value="{{ token }}!"), POINT)
    assert asyncio.run(flow.credentials(issuer)) == Credentials(
        headers={"x-wlk-Authorization": "t1!"}
    )
    (asked,) = issuer.asked
    assert (asked.method, asked.path) == ("POST", "/token")
    assert asked.body == {"account": "me", "secret": "s3cret:ü"}


@pytest.mark.parametrize(
    ("expires_in", "good_for"),
    [
        (7200, 7139),
        ("7200", 7139),
        (100, 49),
        (2, 0.9),
        (None, 10**9),
        ("soon", 10**9),
        ([], 10**9),
        (0, 10**9),
        (-1, 10**9),
    ],
)
def test_a_token_is_renewed_before_it_expires(expires_in: Any, good_for: float) -> None:
    """A minute early, or at half-time; without a usable time, at a 401 only."""
    clock, issuer = Clock(), Issuer(expires_in=expires_in)
    flow = TokenFlow(a_token(), POINT, clock=clock)

    async def scenario() -> list[Credentials]:
        first = await flow.credentials(issuer)
        clock.now += good_for
        same = await flow.credentials(issuer)
        clock.now += 1 + good_for
        return [first, same, await flow.credentials(issuer)]

    first, same, later = asyncio.run(scenario())
    assert first == same == Credentials(headers={"Authorization": "t1"})
    renewed = good_for < 10**9
    assert later == Credentials(headers={"Authorization": "t2" if renewed else "t1"})


def test_many_callers_wait_for_one_fetch() -> None:
    issuer = Issuer()
    flow = TokenFlow(a_token(), POINT)

    async def scenario() -> list[Credentials]:
        return await asyncio.gather(*(flow.credentials(issuer) for _ in range(50)))

    assert asyncio.run(scenario()) == [Credentials(headers={"Authorization": "t1"})] * 50
    assert len(issuer.asked) == 1


def test_a_refused_token_is_fetched_again_once_and_only_if_it_is_still_the_current_one() -> None:
    issuer = Issuer()
    flow = TokenFlow(a_token(), POINT)

    async def scenario() -> list[Credentials]:
        old = await flow.credentials(issuer)
        again = await asyncio.gather(*(flow.credentials(issuer, refused=old) for _ in range(9)))
        return [
            *again,
            await flow.credentials(issuer, refused=Credentials(headers={"Authorization": "t0"})),
        ]

    assert asyncio.run(scenario()) == [Credentials(headers={"Authorization": "t2"})] * 10
    assert len(issuer.asked) == 2


def test_a_failed_fetch_is_shared_by_those_who_wait_and_tried_again_by_those_who_come() -> None:
    failing = True
    issuer = Issuer()
    asked = 0

    async def send(request: Rendered) -> Answer:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        if failing:
            raise TargetDownError("no token to be had")
        return await issuer(request)

    flow = TokenFlow(a_token(), POINT)

    async def scenario() -> Credentials:
        nonlocal failing
        failed = await asyncio.gather(
            *(flow.credentials(send) for _ in range(20)), return_exceptions=True
        )
        assert {type(error) for error in failed} == {TargetDownError}
        assert asked == 1
        failing = False
        return await flow.credentials(send)

    assert asyncio.run(scenario()) == Credentials(headers={"Authorization": "t1"})


def answering(status: int, body: Any) -> Send:
    async def send(_: Rendered) -> Answer:
        return Answer(status=status, headers={}, body=body)

    return send


@pytest.mark.parametrize(
    ("send", "said"),
    [
        (answering(401, None), "no token (HTTP 401)"),
        (answering(200, {"code": "500", "access_token": "t"}), "no token (HTTP 200)"),
        (answering(200, {"code": "201"}), "no token (HTTP 200)"),
        (answering(200, {"code": "201", "access_token": ""}), "no token (HTTP 200)"),
        (answering(200, []), "no token (HTTP 200)"),
    ],
)
def test_an_answer_without_a_token_says_where_to_look_and_quotes_nothing(
    send: Send, said: str
) -> None:
    """PREDECESSOR fault 14: token responses were printed."""
    with pytest.raises(ConfigurationError) as raised:
        asyncio.run(TokenFlow(a_token(), POINT).credentials(send))
    assert str(raised.value) == f"idaas: {said}; check login, password and extra of the Connection"


@pytest.mark.parametrize("path", ["/{{ conn.extra.project }}/token", "/{{ conn.project }}"])
def test_what_the_connection_lacks_is_named(path: str) -> None:
    flow = TokenFlow(a_token(request={"path": path}), POINT)
    with pytest.raises(ConfigurationError, match="Connection 'idaas'.* has no 'project'"):
        asyncio.run(flow.credentials(no_send))


@pytest.mark.parametrize(
    ("client", "check"),
    [
        ("basic", lambda asked: asked.headers["Authorization"].startswith("Basic ")),
        ("body", lambda asked: asked.body["client_secret"] == "s3cret:ü"),
    ],
)
def test_oauth2_is_a_token_flow_of_its_own_form(
    client: Any, check: Callable[[Rendered], bool]
) -> None:
    """RFC 6749 §4.4."""
    issuer = Issuer()
    auth = OAuth2Auth(kind="oauth2", token_path="/oauth/token", client=client)
    headers = asyncio.run(authenticator(auth, POINT).credentials(issuer))
    assert headers == Credentials(headers={"Authorization": "Bearer t1"})
    (asked,) = issuer.asked
    assert asked.form
    assert asked.body["grant_type"] == "client_credentials"
    assert check(asked)


def test_a_key_may_go_into_the_query() -> None:
    auth = QueryAuth(kind="query", name="key", value="{{ conn.password }}")
    made = asyncio.run(authenticator(auth, POINT).credentials(no_send))
    assert made == Credentials(query={"key": "s3cret:ü"})
    assert "s3cret" not in repr(made)


def test_a_token_may_go_into_the_query_and_be_refused_in_an_answer() -> None:
    """WeCom and DingTalk answer an old token with HTTP 200."""
    flow = TokenFlow(a_token(query="access_token", refused="body.errcode == 42001"), POINT)
    made = asyncio.run(flow.credentials(Issuer()))
    assert made == Credentials(query={"access_token": "t1"})
    assert flow.is_refusal(Answer(status=200, headers={}, body={"errcode": 42001}))
    assert flow.is_refusal(Answer(status=401, headers={}, body=None))
    assert not flow.is_refusal(Answer(status=200, headers={}, body={"errcode": 0}))


@pytest.mark.parametrize("field", ["login", "password"])
@pytest.mark.parametrize(
    "auth",
    [
        NoAuth(),
        BasicAuth(kind="basic"),
        HeaderAuth(kind="header", value="{{ conn.password }}{{ conn.login }}"),
        a_token(),
    ],
    ids=lambda auth: auth.kind,
)
def test_a_line_break_pasted_with_a_secret_is_said(auth: Auth, field: str) -> None:
    """It was a bare ValueError at the first call, and `target check` had said that all works."""
    facts = {"login": "me", "password": "s3cret"} | {field: "s3cret\n"}
    point = Endpoint(conn_id="idaas", base_url="http://h", **facts)
    with pytest.raises(ConfigurationError, match=f"idaas: the {field} of the Connection") as raised:
        authenticator(auth, point)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("secret", ["s3cret\r\n", "\ud800"])
def test_what_no_header_can_carry_is_a_matter_of_the_connection(secret: str) -> None:
    """I13: it would be every person's failure."""
    point = Endpoint(conn_id="idaas", base_url="http://h", extra={"key": secret})
    auth = HeaderAuth(kind="header", value="{{ conn.extra.key }}")
    with pytest.raises(ConfigurationError, match="idaas: `auth` cannot be made") as raised:
        authenticator(auth, point)
    assert "s3cret" not in str(raised.value)
    flow = TokenFlow(
        a_token(request={"path": "/t", "headers": {"K": "{{ conn.extra.key }}"}}), point
    )
    with pytest.raises(ConfigurationError, match="idaas: `auth` cannot be made"):
        asyncio.run(flow.credentials(no_send))


def test_a_token_that_no_header_can_carry_is_a_matter_of_configuration() -> None:
    with pytest.raises(ConfigurationError, match="idaas: `auth` cannot be made"):
        asyncio.run(TokenFlow(a_token(), POINT).credentials(Issuer(access_token="t\n")))
