"""Authentication of requests. Tokens are kept in memory only and are never logged (I15)."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from accountsync.domain.mapping.values import compile_value
from accountsync.errors import AccountSyncError, ConfigurationError
from accountsync.settings.parts import (
    REQUEST_ROOTS,
    TOKEN_ROOTS,
    Auth,
    BasicAuth,
    HeaderAuth,
    NoAuth,
    OAuth2Auth,
    TokenAuth,
)
from accountsync.wire.answer import Answer, answer_condition, answer_value
from accountsync.wire.endpoint import Endpoint
from accountsync.wire.request import Rendered, RequestTemplate

Send = Callable[[Rendered], Awaitable[Answer]]
_RENEW_EARLY_S = 60.0


class Authenticator(Protocol):
    async def headers(self, send: Send, *, refused: dict[str, str] | None = None) -> dict[str, str]:
        """The headers to send. `refused`: headers that were just answered with 401."""
        ...


class FixedHeaders:
    """Basic auth, an API key, or nothing."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers

    async def headers(self, send: Send, *, refused: dict[str, str] | None = None) -> dict[str, str]:
        return self._headers


class TokenFlow:
    """Fetches a token when none is valid. Many callers wait for one fetch, and fail with it."""

    def __init__(
        self, auth: TokenAuth, endpoint: Endpoint, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._endpoint = endpoint
        self._header = auth.header
        self._request = RequestTemplate(auth.request, roots=REQUEST_ROOTS)
        self._success = answer_condition(auth.success)
        self._token = answer_value(auth.token)
        self._expires_in = answer_value(auth.expires_in) if auth.expires_in else None
        self._value = compile_value(auth.value, roots=TOKEN_ROOTS)
        self._clock = clock
        self._lock = asyncio.Lock()
        self._current: dict[str, str] | None = None
        self._renew_at = 0.0
        self._fetches = 0
        self._failure: AccountSyncError | None = None

    async def headers(self, send: Send, *, refused: dict[str, str] | None = None) -> dict[str, str]:
        fetches = self._fetches
        async with self._lock:
            if self._failure and self._fetches > fetches:
                raise self._failure
            if refused is not None and self._current == refused:
                self._current = None
            if self._current is None or self._clock() >= self._renew_at:
                self._current = await self._fetch_once(send)
            return self._current

    async def _fetch_once(self, send: Send) -> dict[str, str]:
        self._failure = None
        try:
            return await self._fetch(send)
        except AccountSyncError as error:
            self._failure = error
            raise
        finally:
            self._fetches += 1

    async def _fetch(self, send: Send) -> dict[str, str]:
        context: dict[str, Any] = {"conn": self._endpoint.as_context()}
        answer = await send(self._request.render(context))
        token = self._token(answer)
        if not self._success(answer) or not token:
            raise ConfigurationError(
                f"{self._endpoint.conn_id}: no token (HTTP {answer.status});"
                " check login, password and extra of the Connection"
            )
        self._renew_at = self._clock() + self._lifetime(answer)
        return {self._header: str(self._value(context | {"token": token}))}

    def _lifetime(self, answer: Answer) -> float:
        """Seconds until the next fetch. Without a usable time a token serves until a 401."""
        try:
            seconds = float(self._expires_in(answer)) if self._expires_in else 0.0
        except (TypeError, ValueError):
            seconds = 0.0
        return max(seconds - _RENEW_EARLY_S, seconds / 2) if seconds > 0 else float("inf")


def authenticator(auth: Auth, endpoint: Endpoint) -> Authenticator:
    match auth:
        case NoAuth():
            return FixedHeaders({})
        case BasicAuth():
            pair = f"{endpoint.login}:{endpoint.password}".encode()
            return FixedHeaders({"Authorization": f"Basic {b64encode(pair).decode()}"})
        case HeaderAuth():
            value = compile_value(auth.value, roots=REQUEST_ROOTS)
            return FixedHeaders({auth.name: str(value({"conn": endpoint.as_context()}))})
        case TokenAuth():
            return TokenFlow(auth, endpoint)
        case OAuth2Auth():
            return TokenFlow(auth.as_token(), endpoint)
