"""Authentication of requests. Tokens are kept in memory only and are never logged (I15)."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from accountsync.domain.mapping.values import compile_value
from accountsync.errors import AccountSyncError, ConfigurationError, RecordError
from accountsync.settings.parts import (
    REQUEST_ROOTS,
    TOKEN_ROOTS,
    Auth,
    BasicAuth,
    HeaderAuth,
    NoAuth,
    OAuth2Auth,
    QueryAuth,
    TokenAuth,
)
from accountsync.wire.answer import Answer, answer_condition, answer_value
from accountsync.wire.endpoint import Endpoint
from accountsync.wire.request import Rendered, RequestTemplate, encoded, header


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What goes with every request. `query`: parameters, which no message may hold (I15)."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)


Send = Callable[[Rendered], Awaitable[Answer]]
_RENEW_EARLY_S = 60.0
_UNAUTHORIZED = 401


class Authenticator(Protocol):
    async def credentials(self, send: Send, *, refused: Credentials | None = None) -> Credentials:
        """What to send. `refused`: credentials that were just answered with a refusal."""
        ...

    def is_refusal(self, answer: Answer) -> bool:
        """Whether the answer says that the credentials are no good, and that nothing was done."""
        ...


class FixedCredentials:
    """Basic auth, an API key, or nothing."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def credentials(self, send: Send, *, refused: Credentials | None = None) -> Credentials:
        return self._credentials

    def is_refusal(self, answer: Answer) -> bool:
        return answer.status == _UNAUTHORIZED


class TokenFlow:
    """Fetches a token when none is valid. Many callers wait for one fetch, and fail with it."""

    def __init__(
        self, auth: TokenAuth, endpoint: Endpoint, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._endpoint = endpoint
        self._header, self._query = auth.header, auth.query
        self._refused = answer_condition(auth.refused or "false")
        self._request = RequestTemplate(auth.request, roots=REQUEST_ROOTS)
        self._success = answer_condition(auth.success)
        self._token = answer_value(auth.token)
        self._expires_in = answer_value(auth.expires_in) if auth.expires_in else None
        self._value = compile_value(auth.value, roots=TOKEN_ROOTS)
        self._clock = clock
        self._lock = asyncio.Lock()
        self._current: Credentials | None = None
        self._renew_at = 0.0
        self._fetches = 0
        self._failure: AccountSyncError | None = None

    def is_refusal(self, answer: Answer) -> bool:
        return answer.status == _UNAUTHORIZED or self._refused(answer)

    async def credentials(self, send: Send, *, refused: Credentials | None = None) -> Credentials:
        fetches = self._fetches
        async with self._lock:
            if self._failure and self._fetches > fetches:
                raise self._failure
            if refused is not None and self._current == refused:
                self._current = None
            if self._current is None or self._clock() >= self._renew_at:
                self._current = await self._fetch_once(send)
            return self._current

    async def _fetch_once(self, send: Send) -> Credentials:
        self._failure = None
        try:
            return await self._fetch(send)
        except AccountSyncError as error:
            self._failure = error
            raise
        finally:
            self._fetches += 1

    async def _fetch(self, send: Send) -> Credentials:
        context: dict[str, Any] = {"conn": self._endpoint.as_context()}
        with _about_nobody(self._endpoint):
            request = self._request.render(context)
            encoded(request)
        answer = await send(request)
        token = self._token(answer)
        if not self._success(answer) or not token:
            raise ConfigurationError(
                f"{self._endpoint.conn_id}: no token (HTTP {answer.status});"
                " check login, password and extra of the Connection"
            )
        self._renew_at = self._clock() + self._lifetime(answer)
        with _about_nobody(self._endpoint):
            value = header(self._value(context | {"token": token}))
        if self._query:
            return Credentials(query={self._query: value})
        return Credentials(headers={self._header: value})

    def _lifetime(self, answer: Answer) -> float:
        """Seconds until the next fetch. Without a usable time a token serves until a 401."""
        try:
            seconds = float(self._expires_in(answer)) if self._expires_in else 0.0
        except (TypeError, ValueError, OverflowError):
            seconds = 0.0
        return max(seconds - _RENEW_EARLY_S, seconds / 2) if seconds > 0 else float("inf")


def authenticator(auth: Auth, endpoint: Endpoint) -> Authenticator:
    """Raises ConfigurationError where the Connection holds what no request can carry."""
    _require_one_line(endpoint)
    match auth:
        case NoAuth():
            return FixedCredentials(Credentials())
        case BasicAuth():
            with _about_nobody(endpoint):
                pair = header(f"{endpoint.login}:{endpoint.password}").encode()
            basic = f"Basic {b64encode(pair).decode()}"
            return FixedCredentials(Credentials(headers={"Authorization": basic}))
        case HeaderAuth():
            return FixedCredentials(Credentials(headers={auth.name: _fixed(auth.value, endpoint)}))
        case QueryAuth():
            return FixedCredentials(Credentials(query={auth.name: _fixed(auth.value, endpoint)}))
        case TokenAuth():
            return TokenFlow(auth, endpoint)
        case OAuth2Auth():
            return TokenFlow(auth.as_token(), endpoint)


def _fixed(text: str, endpoint: Endpoint) -> str:
    value = compile_value(text, roots=REQUEST_ROOTS)
    with _about_nobody(endpoint):
        return header(value({"conn": endpoint.as_context()}))


@contextmanager
def _about_nobody(endpoint: Endpoint) -> Iterator[None]:
    """What credentials are made of is no person's fault, whoever is waiting for them."""
    try:
        yield
    except RecordError as error:
        raise ConfigurationError(
            f"{endpoint.conn_id}: `auth` cannot be made of the Connection: {error}"
        ) from None


def _require_one_line(endpoint: Endpoint) -> None:
    for name, text in (("login", endpoint.login), ("password", endpoint.password)):
        if any(character < " " or character == "\x7f" for character in text):
            raise ConfigurationError(
                f"{endpoint.conn_id}: the {name} of the Connection holds a line break or another"
                " control character, perhaps pasted with it: enter it again without"
            )
