"""The one place where wire errors become ours: its table, row by row, against a real server."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import accountsync.wire.api
from accountsync.errors import (
    AccountSyncError,
    ConfigurationError,
    TargetDownError,
    ThrottledError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.settings.parts import BasicAuth, QueryAuth, Rate, TokenAuth
from accountsync.wire.answer import Answer
from accountsync.wire.auth import authenticator
from tests.unit.wire.server import (
    Handler,
    Server,
    after,
    api,
    cut,
    drop,
    endless,
    endpoint,
    json,
    request,
    serving,
    status,
)

PERSON = "zhangsan"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


async def _exchange(
    handler: Handler, *, change: bool, timeout_s: float = 5, method: str = "POST"
) -> tuple[Answer | AccountSyncError, Server]:
    async with (
        serving({"/": handler}) as server,
        api(
            endpoint(server.url), timeout_s=timeout_s, now=lambda: NOW, longest_answer=9000
        ) as client,
    ):
        call = client.change if change else client.read
        try:
            return await call(request(method=method)), server
        except AccountSyncError as error:
            return error, server


def outcome(handler: Handler, **how: Any) -> Answer | AccountSyncError:
    found, server = asyncio.run(_exchange(handler, **how))
    assert len(server.calls) == 1, "nothing is sent twice"
    return found


HTML = "<html>Sign in</html>"
IN_DOUBT = (TransientError, UnknownOutcomeError)
LATER = (TransientError, TransientError)


@pytest.mark.parametrize("change", [False, True], ids=["read", "change"])
@pytest.mark.parametrize(
    ("handler", "kinds", "said"),
    [
        (drop, IN_DOUBT, "ServerDisconnectedError"),
        (cut, IN_DOUBT, "ClientPayloadError"),
        (endless, IN_DOUBT, "an answer of more than 9000 bytes"),
        (after(5, json({})), IN_DOUBT, "TimeoutError"),
        (status(500), IN_DOUBT, "HTTP 500"),
        (status(502), IN_DOUBT, "HTTP 502"),
        (status(504, text="{}"), IN_DOUBT, "HTTP 504"),
        (status(507), IN_DOUBT, "HTTP 507"),
        (status(524, text=HTML, kind="text/html"), IN_DOUBT, "HTTP 524"),
        (status(200, text=HTML, kind="text/html"), IN_DOUBT, "HTTP 200, text/html instead of JSON"),
        (status(201, text="{"), IN_DOUBT, "HTTP 201, application/json instead of JSON"),
        (status(408), LATER, "HTTP 408"),
        (status(425), LATER, "HTTP 425"),
        (status(429, text=HTML), (ThrottledError, ThrottledError), "HTTP 429"),
        (status(503, text="{}"), LATER, "HTTP 503"),
        (status(301, Location="/other"), LATER, "HTTP 301, redirects are refused"),
        (status(302, Location="http://127.0.0.1:9/"), LATER, "HTTP 302, redirects are refused"),
        (status(307, Location="/other"), LATER, "HTTP 307, redirects are refused"),
        (status(401), (ConfigurationError, ConfigurationError), "HTTP 401 even with fresh"),
    ],
)
def test_what_went_wrong_becomes_our_error(
    handler: Handler, kinds: tuple[type[Exception], type[Exception]], said: str, change: bool
) -> None:
    """I9, I2: a redirect is not followed; PREDECESSOR fault 1."""
    found = outcome(handler, change=change, timeout_s=1.5)
    assert type(found) is kinds[change]
    assert str(found).startswith("target")
    assert said in str(found)


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_a_change_without_an_answer_is_sent_once_whatever_its_method(method: str) -> None:
    """I9: aiohttp would repeat a PUT or DELETE by itself, and, should the target have gone by then,
    say that it was never sent."""
    found = outcome(drop, change=True, method=method)
    assert type(found) is UnknownOutcomeError
    assert "ServerDisconnectedError" in str(found)


@pytest.mark.parametrize("change", [False, True], ids=["read", "change"])
@pytest.mark.parametrize(
    ("handler", "code", "body"),
    [
        (json({"code": 1}), 200, {"code": 1}),
        (json([]), 200, []),
        (status(200), 200, None),
        (status(204), 204, None),
        (json({"e": 1}, code=400), 400, {"e": 1}),
        (status(403, text=HTML, kind="text/html"), 403, None),
        (json({"scimType": "uniqueness"}, code=409), 409, {"scimType": "uniqueness"}),
        (status(404), 404, None),
        (status(501, text=HTML), 501, None),
    ],
)
def test_anything_else_is_the_callers_to_judge(
    handler: Handler, code: int, body: Any, change: bool
) -> None:
    found = outcome(handler, change=change)
    assert isinstance(found, Answer)
    assert (found.status, found.body) == (code, body)


@pytest.mark.parametrize("code", [408, 425, 429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (format_datetime(NOW + timedelta(minutes=2), usegmt=True), 120),
        (format_datetime(NOW - timedelta(minutes=2), usegmt=True), 0),
        ("soon", None),
    ],
)
def test_the_time_the_target_asks_for_comes_with_the_error(
    code: int, header: str, seconds: float | None
) -> None:
    """I13."""
    found = outcome(status(code, Retry_After=header), change=True)
    assert isinstance(found, TransientError)
    assert found.retry_after == seconds


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _unreachable(url: str, *, change: bool, **facts: Any) -> AccountSyncError:
    async with api(endpoint(url, **facts), timeout_s=1) as client:
        with pytest.raises(AccountSyncError) as raised:
            await (client.change if change else client.read)(request(query={"q": PERSON}))
    return raised.value


@pytest.mark.parametrize("change", [False, True], ids=["read", "change"])
@pytest.mark.parametrize(
    ("url", "facts", "said"),
    [
        ("http://127.0.0.1:{port}", {}, "cannot connect (Connect call failed"),
        ("http://127.0.0.1", {"proxy": "http://127.0.0.1:{port}"}, "cannot connect ("),
    ],
    ids=["refused", "no proxy"],
)
def test_what_cannot_be_reached_is_down(
    url: str, facts: dict[str, str], said: str, change: bool
) -> None:
    """I13: nothing was sent."""
    port = free_port()
    given = {name: text.format(port=port) for name, text in facts.items()}
    error = asyncio.run(_unreachable(url.format(port=port), change=change, **given))
    assert type(error) is TargetDownError
    assert str(error).startswith("target POST: ")
    assert said in str(error)


@pytest.mark.parametrize("answer", ["407 Proxy Authentication Required", "502 Bad Gateway"])
def test_a_proxy_that_makes_no_way_is_a_target_that_is_down(answer: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def scenario() -> AccountSyncError:
        proxy = await asyncio.start_server(refuse, "127.0.0.1", 0)
        async with proxy:
            host, port = proxy.sockets[0].getsockname()
            return await _unreachable(
                "https://127.0.0.1", change=True, proxy=f"http://{host}:{port}"
            )

    error = asyncio.run(scenario())
    assert type(error) is TargetDownError
    assert "ClientHttpProxyError" in str(error)


@pytest.fixture
def deaf() -> Iterator[str]:
    """A host with a full backlog: a connection is neither accepted nor refused."""
    with ExitStack() as stack:
        host, *waiting = [stack.enter_context(socket.socket()) for _ in range(5)]
        host.bind(("127.0.0.1", 0))
        host.listen(0)
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(host.getsockname())
        yield f"http://127.0.0.1:{host.getsockname()[1]}"


@pytest.mark.parametrize("change", [False, True], ids=["read", "change"])
def test_a_host_that_never_lets_us_in_is_down_and_the_query_is_not_quoted(
    deaf: str, change: bool
) -> None:
    """I15: aiohttp's own message holds the address with the query."""
    error = asyncio.run(_unreachable(deaf, change=change))
    assert type(error) is TargetDownError
    assert "ConnectionTimeoutError" in str(error)
    assert PERSON not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("url", ["http://", "target", "ftp://127.0.0.1"])
def test_a_host_that_is_no_address_is_the_configurations_fault(url: str) -> None:
    """Never an unknown outcome: it would be probed for ever."""
    error = asyncio.run(_unreachable(url, change=True))
    assert type(error) is ConfigurationError
    assert str(error) == "target: the host of the Connection makes no HTTP address"


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


async def _over_tls(
    certificate: Path,
    verify: bool | str,
    calls: int = 1,
    *,
    of_clients: ssl.VerifyMode = ssl.CERT_NONE,
    **shown: str,
) -> int:
    """How many connections the calls took. `of_clients`: whether they need a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = of_clients
    async with (
        serving(tls=context) as server,
        api(endpoint(server.url, verify=verify, **shown)) as client,
    ):
        for _ in range(calls):
            await client.change(request())
        peers = [call.transport.get_extra_info("peername") for call in server.calls]
        return len(set(peers))


def test_a_certificate_nobody_vouches_for_is_a_target_that_is_down(certificate: Path) -> None:
    with pytest.raises(TargetDownError, match="certificate is refused .*set `verify` in the"):
        asyncio.run(_over_tls(certificate, verify=True))


def test_a_ca_file_of_the_connection_is_trusted_and_connections_are_reused(
    certificate: Path,
) -> None:
    assert asyncio.run(_over_tls(certificate, verify=str(certificate), calls=3)) == 1


def test_verification_can_be_switched_off(certificate: Path) -> None:
    assert asyncio.run(_over_tls(certificate, verify=False)) == 1


@pytest.mark.parametrize("verify", ["false", "/nowhere/ca.pem"])
def test_a_ca_file_that_is_not_there_is_the_configurations_fault(verify: str) -> None:
    with pytest.raises(ConfigurationError, match="`verify` in the Connection's extra"):
        api(endpoint("https://127.0.0.1", verify=verify))


@pytest.mark.parametrize("verified", [True, False])
def test_a_client_certificate_is_shown(certificate: Path, verified: bool) -> None:
    both = str(certificate)
    asked = _over_tls(
        certificate, both if verified else False, of_clients=ssl.CERT_REQUIRED, cert=both, key=both
    )
    assert asyncio.run(asked) == 1


def test_who_shows_no_certificate_where_one_is_needed_gets_no_answer(certificate: Path) -> None:
    asked = _over_tls(certificate, str(certificate), of_clients=ssl.CERT_REQUIRED)
    with pytest.raises((TargetDownError, UnknownOutcomeError)):
        asyncio.run(asked)


@pytest.mark.parametrize("file", ["/nowhere/client.pem", __file__])
def test_a_client_certificate_that_is_none_is_the_configurations_fault(file: str) -> None:
    with pytest.raises(ConfigurationError, match="`cert` and `key` in the Connection's extra"):
        api(endpoint("https://127.0.0.1", cert=file))


# tokens


def token_auth(**more: Any) -> TokenAuth:
    return TokenAuth.model_validate(
        {
            "kind": "token",
            "request": {"method": "POST", "path": "/token", "body": {"s": "{{ conn.password }}"}},
        }
        | more
    )


def guarded(valid: Callable[[], str]) -> Handler:
    """401 unless the valid token is sent."""

    async def answer(request: web.Request) -> web.StreamResponse:
        known = request.headers.get("Authorization") == valid()
        return web.json_response({}, status=200 if known else 401)

    return answer


def tokens(*names: str) -> Handler:
    """One after the other; the last one again and again."""
    left = list(names)

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"access_token": left.pop(0) if len(left) > 1 else left[0]})

    return answer


async def _with_token(
    handlers: dict[str, Handler], *, calls: int = 1, auth: TokenAuth | None = None
) -> tuple[list[Any], Server]:
    async with serving(handlers) as server:
        point = endpoint(server.url, password="pw-7f3a")
        async with api(point, auth=authenticator(auth or token_auth(), point)) as client:
            done = [client.change(request("/do")) for _ in range(calls)]
            found = await asyncio.gather(*done, return_exceptions=True)
    return found, server


def test_many_callers_fetch_one_token() -> None:
    handlers = {"/token": after(0.05, tokens("t1")), "/do": guarded(lambda: "t1")}
    found, server = asyncio.run(_with_token(handlers, calls=20))
    assert [answer.status for answer in found] == [200] * 20
    assert server.count("/token") == 1


def test_a_refused_token_is_renewed_once_for_all_and_each_call_repeated_once() -> None:
    """It expired in a long run."""
    handlers = {"/token": tokens("old", "new"), "/do": guarded(lambda: "new")}
    found, server = asyncio.run(_with_token(handlers, calls=8))
    assert [answer.status for answer in found] == [200] * 8
    assert server.count("/token") == 2
    assert server.count("/do") == 16


def test_a_new_token_that_is_refused_too_ends_it() -> None:
    handlers = {"/token": tokens("a", "b", "c"), "/do": guarded(lambda: "never")}
    (error,), server = asyncio.run(_with_token(handlers))
    assert isinstance(error, ConfigurationError)
    assert (server.count("/token"), server.count("/do")) == (2, 2)


def test_credentials_that_cannot_change_are_not_sent_again() -> None:
    """A second wrong password brings an account closer to its lock."""

    async def scenario() -> Server:
        async with serving({"/do": status(401)}) as server:
            point = endpoint(server.url, login="me", password="wrong")
            async with api(point, auth=authenticator(BasicAuth(kind="basic"), point)) as client:
                with pytest.raises(ConfigurationError, match="HTTP 401"):
                    await client.change(request("/do"))
        return server

    assert len(asyncio.run(scenario()).calls) == 1


@pytest.mark.parametrize(
    ("handler", "kind", "said"),
    [
        (status(500), TargetDownError, "no token to be had: target POST: HTTP 500"),
        (
            status(503, Retry_After="9"),
            ThrottledError,
            "no token yet: target POST: HTTP 503",
        ),
        (status(302, Location="/"), TargetDownError, "no token to be had"),
        (drop, TargetDownError, "no token to be had"),
        (status(401), ConfigurationError, "no token (HTTP 401)"),
        (json({"code": "500"}), ConfigurationError, "no token (HTTP 200)"),
        (json({"access_token": ""}), ConfigurationError, "no token (HTTP 200)"),
    ],
)
def test_without_a_token_nothing_is_sent_and_nobody_burns_an_attempt(
    handler: Handler, kind: type[Exception], said: str
) -> None:
    """I13: a token endpoint that is out of order would use up the attempts of the whole queue."""
    (error,), server = asyncio.run(_with_token({"/token": handler}))
    assert type(error) is kind
    assert said in str(error)
    assert server.count("/do") == 0


def test_callers_who_wait_for_a_token_fail_together() -> None:
    """Not one after the other, each after a time-out of its own."""
    handlers = {"/token": after(0.1, status(503))}
    found, server = asyncio.run(_with_token(handlers, calls=30))
    assert {type(error) for error in found} == {TargetDownError}
    assert server.count("/token") == 1


# what is sent


def test_a_request_is_sent_as_rendered() -> None:
    async def scenario() -> None:
        async with (
            serving({"/a%20b": json({})}) as server,
            api(endpoint(server.url + "/base")) as client,
        ):
            await client.change(
                request(
                    "/users/%2E%2F",
                    "PUT",
                    query={"q": "a&b=c"},
                    headers={"X-A": "单"},
                    body={"n": "单"},
                )
            )
            (call,) = server.calls
            assert (call.method, call.raw_path) == ("PUT", "/base/users/.%2F?q=a%26b%3Dc")
            assert call.headers["X-A"] == "单"
            assert call.content_type == "application/json"
            assert await call.json() == {"n": "单"}

    asyncio.run(scenario())


def test_only_the_beginning_of_a_path_makes_it_an_address() -> None:
    async def scenario() -> None:
        async with serving() as server, api(endpoint(server.url)) as client:
            await client.read(request("/go?to=http://127.0.0.1:9/", "GET"))
            (call,) = server.calls
            assert call.path == "/go"

    asyncio.run(scenario())


def test_nothing_is_sent_outside_of_the_context() -> None:
    client = api(endpoint("http://127.0.0.1:9"))
    with pytest.raises(RuntimeError, match="outside its context"):
        asyncio.run(client.read(request()))


def test_cookies_are_not_kept() -> None:
    async def scenario() -> None:
        async with (
            serving({"/": status(200, Set_Cookie="session=abc")}) as server,
            api(endpoint(server.url.replace("127.0.0.1", "localhost"))) as client,
        ):
            for _ in range(2):
                await client.read(request())
            assert all("Cookie" not in call.headers for call in server.calls)

    asyncio.run(scenario())


# rate and concurrency


async def _timed(rate: Rate, *, calls: int, latency: float) -> tuple[float, Server]:
    async with (
        serving({"/": after(latency, json({}))}) as server,
        api(endpoint(server.url), rate=rate) as client,
    ):
        started = time.perf_counter()
        await asyncio.gather(*(client.change(request()) for _ in range(calls)))
        return time.perf_counter() - started, server


def test_a_limit_on_the_rate_does_not_serialise_the_waiting() -> None:
    """10 calls of 0.3 s at 50 a second: 0.5 s, where one after the other would take 3 s."""
    took, server = asyncio.run(_timed(Rate(per_second=50), calls=8, latency=0.3))
    assert server.most_in_flight > 4
    assert took < 1.5


def test_the_rate_is_kept_without_a_burst() -> None:
    took, _ = asyncio.run(_timed(Rate(per_second=20), calls=8, latency=0))
    assert took >= 5 / 20


def test_no_more_calls_are_in_flight_than_allowed() -> None:
    _, server = asyncio.run(_timed(Rate(concurrency=3), calls=12, latency=0.02))
    assert server.most_in_flight == 3


def test_one_call_at_a_time_is_enough_for_call_and_token() -> None:
    async def scenario() -> None:
        async with serving({"/token": tokens("t")}) as server:
            point = endpoint(server.url)
            auth = authenticator(token_auth(), point)
            async with api(point, auth=auth, rate=Rate(concurrency=1)) as client:
                await asyncio.wait_for(client.change(request("/do")), timeout=5)

    asyncio.run(scenario())


# secrets and persons

SECRETS = ("pw-7f3a", "tok-91bc", PERSON, "单小明", "q=")
ABOUT = {"query": {"q": PERSON}, "body": {"name": "单小明"}}


@pytest.mark.parametrize(
    "handler",
    [drop, cut, status(500), status(429), status(302, Location="/?q=zhangsan"),
     status(200, text="<zhangsan>"), after(3, json({})), guarded(lambda: "never")],
)  # fmt: skip
def test_neither_secrets_nor_persons_are_in_errors_and_logs(
    handler: Handler, caplog: pytest.LogCaptureFixture
) -> None:
    """I15: the whole chain of causes counts, a log shows it."""

    async def scenario() -> AccountSyncError:
        handlers = {"/token": json({"access_token": "tok-91bc"}), "/do": handler}
        async with serving(handlers) as server:
            point = endpoint(server.url, password="pw-7f3a")
            auth = authenticator(token_auth(), point)
            async with api(point, auth=auth, timeout_s=0.4) as client:
                with pytest.raises(AccountSyncError) as raised:
                    await client.change(request("/do", **ABOUT))
        return raised.value

    with caplog.at_level(logging.DEBUG):
        error = asyncio.run(scenario())
    shown = "".join(traceback.format_exception(error)) + repr(error) + caplog.text
    assert [secret for secret in SECRETS if secret in shown] == []


def test_what_is_shown_of_requests_answers_and_endpoints_holds_no_secret() -> None:
    point = endpoint("http://h", password="pw-7f3a", extra={"k": "tok-91bc"}, proxy="u:pw-7f3a@p")
    sent = request("/zhangsan", query={"q": "zhangsan"}, headers={"A": "tok-91bc"}, body="单小明")
    got = Answer(status=200, headers={"Set-Cookie": "tok-91bc"}, body={"t": "tok-91bc"})
    shown = f"{point!r}{sent!r}{got!r}{api(point)!r}"
    assert [secret for secret in SECRETS if secret in shown] == []


def test_the_table_in_the_module_names_every_error_it_raises() -> None:
    table = accountsync.wire.api.__doc__ or ""
    named = set(re.findall(r"\w+Error", table))
    assert named == {
        "TargetDownError",
        "ThrottledError",
        "TransientError",
        "UnknownOutcomeError",
    } | {"ConfigurationError", "InvalidPersonError"}


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b'\xef\xbb\xbf{"name": "\xe5\xbc\xa0"}', "application/json"),
        ('{"name": "张"}'.encode("gbk"), "application/json; charset=GBK"),
        ('{"name": "张"}'.encode("gb18030"), 'application/json; charset="gb2312"'),
        ('{"name": "张"}'.encode("utf-16"), "application/json; charset=utf-16"),
        ('{"name": "张"}'.encode(), "application/json; charset=latin1"),
    ],
)
def test_json_is_read_in_the_charset_that_it_is_in(raw: bytes, kind: str) -> None:
    """.NET sends a byte order mark; what was created was looked up in vain ten times."""
    found = outcome(_raw(raw, kind), change=False)
    assert isinstance(found, Answer)
    assert found.body == {"name": "张"}


@pytest.mark.parametrize(
    "kind", ["application/json; charset=klingon", "application/json; charset=hex"]
)
def test_a_charset_that_nobody_knows_is_not_guessed(kind: str) -> None:
    found = outcome(_raw('{"name": "张"}'.encode("gbk"), kind), change=False)
    assert isinstance(found, TransientError)


def _raw(raw: bytes, kind: str) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=raw, headers={"Content-Type": kind})

    return answer


def test_credentials_in_the_query_go_with_every_request_and_stay_out_of_everything_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """I15. A next page's address may repeat an older token."""
    caplog.set_level(logging.DEBUG)

    async def go() -> tuple[Server, list[str]]:
        said = []
        async with serving({"/down": status(500), "/old": old_token}) as server:
            point = endpoint(server.url, password="s3cret")
            auth = authenticator(
                QueryAuth(kind="query", name="key", value="{{ conn.password }}"), point
            )
            async with api(point, auth=auth) as client:
                await client.read(request(method="GET"))
                await client.read(
                    replace(request(method="GET"), path=f"{server.url}/?key=old&page=2")
                )
                for path in ("/down", "/old"):
                    try:
                        await client.change(replace(request(), path=path))
                    except AccountSyncError as error:
                        said += traceback.format_exception(error)
        return server, said

    async def old_token(_: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=401)

    server, said = asyncio.run(go())
    assert [dict(call.query) for call in server.calls[:2]] == [
        {"key": "s3cret"},
        {"key": "s3cret", "page": "2"},
    ]
    everything = "".join(
        [
            *said,
            *(
                record.getMessage()
                for record in caplog.records
                if not record.name.startswith("aiohttp")
            ),
        ]
    )
    assert "HTTP 401" in everything
    assert "s3cret" not in everything


def test_a_token_that_an_answer_refuses_is_renewed_and_the_call_made_once_more() -> None:
    tokens = iter(range(1, 9))

    async def token(_: web.Request) -> web.StreamResponse:
        return web.json_response({"access_token": f"t{next(tokens)}"})

    async def act(call: web.Request) -> web.StreamResponse:
        return web.json_response({"errcode": 0 if call.query["access_token"] == "t2" else 42001})

    async def go() -> tuple[Answer, Server]:
        auth = TokenAuth.model_validate(
            {
                "kind": "token",
                "request": {"path": "/token"},
                "query": "access_token",
                "refused": "body.errcode == 42001",
            }
        )
        async with serving({"/": act, "/token": token}) as server:
            point = endpoint(server.url)
            async with api(point, auth=authenticator(auth, point)) as client:
                return await client.change(request()), server

    answer, server = asyncio.run(go())
    assert answer.body == {"errcode": 0}
    assert (server.count("/"), server.count("/token")) == (2, 2)


@pytest.mark.parametrize(
    "handler", [status(200), status(404), status(401), status(503), status(302)]
)
def test_whoever_answers_at_all_can_be_connected_to(handler: Handler) -> None:
    async def go() -> None:
        async with serving({"/": handler}) as server, api(endpoint(server.url)) as client:
            await client.connect()
            assert [call.method for call in server.calls] == ["HEAD"]

    asyncio.run(go())


def test_where_nobody_listens_nothing_can_be_connected_to() -> None:
    async def go() -> None:
        async with api(endpoint("http://127.0.0.1:9")) as client:
            await client.connect()

    with pytest.raises(TargetDownError, match="cannot connect"):
        asyncio.run(go())
