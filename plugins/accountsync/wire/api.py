"""A remote API, called through one pooled session, at its rate and with its token.

Errors of HTTP become ours here and nowhere else:

| what happened                                   | a read           | a change            |
|-------------------------------------------------|------------------|---------------------|
| could not connect, no token to be had           | TargetDownError  | TargetDownError     |
| sent, then no answer (timeout, cut, endless)    | TransientError   | UnknownOutcomeError |
| 5xx but 501 and 503; a 2xx that is not JSON     | TransientError   | UnknownOutcomeError |
| 429 (with Retry-After), and 503 to a token      | ThrottledError   | ThrottledError      |
| 408, 425, 503 (with Retry-After)                | TransientError   | TransientError      |
| 3xx                                             | TransientError   | TransientError      |
| 401, with a new token too; no HTTP address      | ConfigurationError                     ||
| a body that JSON cannot carry: nothing was sent | InvalidPersonError                     ||
| anything else                                   | the Answer, for the caller to judge    ||
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any

import aiohttp
import orjson
from aiolimiter import AsyncLimiter
from yarl import URL

from accountsync.clock import Clock, utc_now
from accountsync.domain.tasks import departure
from accountsync.errors import (
    ConfigurationError,
    TargetDownError,
    ThrottledError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.settings.parts import Rate
from accountsync.wire.answer import Answer, as_utf8, retry_after
from accountsync.wire.auth import Authenticator, Credentials
from accountsync.wire.dry_run import refused
from accountsync.wire.endpoint import Endpoint, tls_context
from accountsync.wire.request import Rendered, encoded, shown

LONGEST_ANSWER = 256 * 2**20
"""In bytes."""
_LATER = frozenset({408, 425, 429, 503})
_TOO_MANY = 429
_NOT_IMPLEMENTED = 501
_NO_ADDRESS = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)
_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
)
_CUT_OFF = (aiohttp.ClientError, TimeoutError)
_REPEATED_BY_AIOHTTP = frozenset({"PUT", "DELETE"})


class Api:
    """Use as an async context manager. `now` serves Retry-After dates only.

    `dry_run`: a change is refused here, below everything that could forget to ask.
    `is_only_way`: the caller changes the target by this Api alone, so that the calls counted here
    are all that have left.
    `parse`: raises json.JSONDecodeError for a body that is no JSON.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        auth: Authenticator,
        *,
        rate: Rate,
        timeout_s: float,
        dry_run: bool = False,
        is_only_way: bool = True,
        now: Clock = utc_now,
        parse: Callable[[bytes], Any] = orjson.loads,
        longest_answer: int = LONGEST_ANSWER,
    ) -> None:
        self.endpoint = endpoint
        self._auth = auth
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=min(timeout_s / 2, 10))
        self._ssl = _ssl(endpoint)
        self._in_flight = asyncio.Semaphore(rate.concurrency)
        self._limiter = limiter(rate.per_second)
        self._concurrency = rate.concurrency
        self.dry_run = dry_run
        self._is_only_way = is_only_way
        self._now = now
        self._parse = parse
        self._longest_answer = longest_answer
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Api:
        connector = aiohttp.TCPConnector(limit=self._concurrency + 1)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session:
            await self._session.close()

    async def connect(self) -> None:
        """Asks the Connection's host for nothing, and takes any answer: somebody listens there,
        with a certificate that we trust. Raises TargetDownError where nobody does."""
        nothing = Rendered(method="HEAD", path="/", headers={}, query={}, body=None)
        await self._received(nothing, Credentials(), encoded(nothing), change=False)

    async def authenticate(self) -> None:
        """Gets a token where one is needed. Raises ConfigurationError where none is given."""
        await self._auth.credentials(self._token_read)

    async def read(self, request: Rendered) -> Answer:
        return await self._authenticated(request, change=False)

    async def change(self, request: Rendered) -> Answer:
        """Raises DryRunError in a dry run, InvalidPersonError where JSON cannot carry the body."""
        if self.dry_run:
            encoded(request)
            raise refused(f"{self.endpoint.conn_id} {shown(request)}")
        return await self._authenticated(request, change=True)

    async def _authenticated(self, request: Rendered, *, change: bool) -> Answer:
        """A 401 says that nothing was done: the request is repeated once, with a new token."""
        if self._is_only_way:
            departure.prepared()
        used = await self._auth.credentials(self._token_read)
        answer = await self._send(request, used, change=change)
        if self._auth.is_refusal(answer):
            renewed = await self._auth.credentials(self._token_read, refused=used)
            if renewed != used:
                answer = await self._send(request, renewed, change=change)
        if self._auth.is_refusal(answer):
            raise ConfigurationError(
                f"{self.endpoint.conn_id}: HTTP {answer.status} even with fresh credentials;"
                " check login and password of the Connection"
            )
        if change and answer.status < 400:
            departure.made()
        return answer

    async def _token_read(self, request: Rendered) -> Answer:
        """Nothing is sent without a token, so for the caller the target is down, or wants all to
        wait."""
        try:
            return await self._send(request, Credentials(), change=False)
        except TransientError as error:
            if isinstance(error, ThrottledError) or error.retry_after is not None:
                raise ThrottledError(
                    f"no token yet: {error}", retry_after=error.retry_after
                ) from error
            raise TargetDownError(f"no token to be had: {error}") from error

    async def _send(self, request: Rendered, credentials: Credentials, *, change: bool) -> Answer:
        content = encoded(request)
        received = await self._received(request, credentials, content, change=change)
        return self._judge(request, *received, change=change)

    async def _received(
        self,
        request: Rendered,
        credentials: Credentials,
        content: tuple[str, bytes | None],
        *,
        change: bool,
    ) -> tuple[int, Any, bytes]:
        """`from None`: aiohttp's errors quote the query, which may be about a person."""
        async with self._in_flight:
            if self._limiter:
                await self._limiter.acquire()
            if change:
                departure.sent()
            try:
                return await self._exchange(request, credentials, content)
            except _NO_ADDRESS:
                raise ConfigurationError(
                    f"{self.endpoint.conn_id}: the host of the Connection makes no HTTP address"
                ) from None
            except _NEVER_SENT as error:
                raise TargetDownError(f"{self._place(request)}: {_reason(error)}") from None
            except _CUT_OFF as error:
                raise self._in_doubt(request, _reason(error), change=change) from None

    async def _exchange(
        self, request: Rendered, credentials: Credentials, content: tuple[str, bytes | None]
    ) -> tuple[int, Any, bytes]:
        if self._session is None:
            raise RuntimeError("Api is used outside its context")
        content_type, data = content
        async with self._session.request(
            request.method,
            self._whole_address(request, credentials),
            params={**request.query, **credentials.query},
            data=data,
            headers={"Content-Type": content_type, **request.headers, **credentials.headers},
            allow_redirects=False,
            ssl=self._ssl,
            proxy=self.endpoint.proxy,
            middlewares=(_once,) if request.method in _REPEATED_BY_AIOHTTP else None,
        ) as response:
            return response.status, response.headers, await self._whole(response)

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        """Returns the unpacked body. An endless answer must not fill the memory of this process."""
        parts, size = [], 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > self._longest_answer:
                raise _BrokenOffError(f"an answer of more than {self._longest_answer} bytes")
            parts.append(part)
        return b"".join(parts)

    def address(self, path: str) -> str:
        """A path of the Connection's host; only the configuration may name another one."""
        is_whole = path.startswith(("https://", "http://"))
        return path if is_whole else self.endpoint.base_url + path

    def _whole_address(self, request: Rendered, credentials: Credentials) -> str | URL:
        """A next page's address may repeat credentials, which may be old by now."""
        address = self.address(request.path)
        if not credentials.query:
            return address
        try:
            return URL(address).without_query_params(*credentials.query)
        except ValueError:
            raise aiohttp.InvalidURL(address) from None

    def _judge(
        self, request: Rendered, status: int, headers: Any, raw: bytes, *, change: bool
    ) -> Answer:
        if status in _LATER:
            kind = ThrottledError if status == _TOO_MANY else TransientError
            raise kind(
                f"{self._place(request)}: HTTP {status}",
                retry_after=retry_after(headers, now=self._now()),
            )
        if status >= 500 and status != _NOT_IMPLEMENTED:
            raise self._in_doubt(request, f"HTTP {status}", change=change, code=str(status))
        if 300 <= status < 400:
            raise TransientError(f"{self._place(request)}: HTTP {status}, redirects are refused")
        try:
            body = self._parse(as_utf8(raw, headers)) if raw else None
        except json.JSONDecodeError as error:
            if status >= 400:
                return Answer(status=status, headers=headers, body=None)
            kind = headers.get("Content-Type", "no content type").partition(";")[0]
            raise self._in_doubt(
                request, f"HTTP {status}, {kind} instead of JSON", change=change
            ) from error
        return Answer(status=status, headers=headers, body=body)

    def _in_doubt(
        self, request: Rendered, reason: str, *, change: bool, code: str | None = None
    ) -> TransientError | UnknownOutcomeError:
        message = f"{self._place(request)}: {reason}"
        return UnknownOutcomeError(message, code=code) if change else TransientError(message)

    def _place(self, request: Rendered) -> str:
        """Path, query and body may be about a person and are left out."""
        return f"{self.endpoint.conn_id} {request.method}"


class _BrokenOffError(aiohttp.ClientError):
    """An exchange that broke off. Its text is the name of aiohttp's error, or our own reason."""


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keeps aiohttp from sending again what broke off, since it may have arrived (I9)."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _BrokenOffError(type(error).__name__) from None


def limiter(per_second: float | None) -> AsyncLimiter | None:
    """At most a tenth of a second's calls leave at once, because APIs punish bursts."""
    if per_second is None:
        return None
    burst = max(1.0, per_second / 10)
    return AsyncLimiter(burst, burst / per_second)


def _ssl(endpoint: Endpoint) -> bool | ssl.SSLContext:
    """It is made once for all requests, because aiohttp pools connections by their context."""
    if isinstance(endpoint.verify, bool) and endpoint.cert is None:
        return endpoint.verify
    context = tls_context(endpoint)
    if endpoint.cert is not None:
        _show_certificate(context, endpoint.cert, endpoint)
    return context


def _show_certificate(context: ssl.SSLContext, cert: str, endpoint: Endpoint) -> None:
    try:
        context.load_cert_chain(cert, endpoint.key)
    except OSError as error:
        raise ConfigurationError(
            f"{endpoint.conn_id}: `cert` and `key` in the Connection's extra are no certificate and"
            f" its key, in PEM ({type(error).__name__})"
        ) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        refused = getattr(error.certificate_error, "verify_message", "certificate verify failed")
        return (
            f"cannot connect: the server's certificate is refused ({refused}); set `verify` in the"
            " Connection's extra to the file of its CA certificates"
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect ({error.os_error.strerror or type(error.os_error).__name__})"
    return str(error) if isinstance(error, _BrokenOffError) else type(error).__name__
