"""An LDAP directory, called over one connection, several requests at once, at its rate.

Errors of the connection and result codes (RFC 4511, appendix A) become ours here only:

| what happened                                      | a read              | a change              |
|----------------------------------------------------|---------------------|-----------------------|
| could not connect, bind without an answer          | TargetDownError     | TargetDownError       |
| certificate, StartTLS or bind refused              | ConfigurationError  | ConfigurationError    |
| sent, then no answer (timeout, dropped, cut)       | TransientError      | UnknownOutcomeError   |
| 1 operationsError, 51 busy, 16: changed meanwhile  | TransientError      | TransientError        |
| 52 unavailable                                     | TargetDownError     | TargetDownError       |
| 3 timeLimitExceeded, 80 other                      | TransientError      | UnknownOutcomeError   |
| 4 sizeLimitExceeded, 11 adminLimitExceeded         | IncompleteReadError | TransientError        |
| 7, 8, 12, 13, 48, 49, 54: our set-up; 10 referral  | ConfigurationError  | ConfigurationError    |
| 32 noSuchObject                                    | ConfigurationError  | AccountMissingError   |
| 68 entryAlreadyExists, 19 by a uniqueness rule     | –                   | AccountExistsError    |
| 50 insufficientAccessRights                        | ConfigurationError  | RejectedByTargetError |
| anything else                                      | TransientError      | RejectedByTargetError |
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from urllib.parse import urlsplit

from accountsync.domain.tasks import departure
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    ConfigurationError,
    IncompleteReadError,
    RejectedByTargetError,
    TargetDownError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.settings.parts import Rate
from accountsync.wire import ldap_messages
from accountsync.wire.api import limiter
from accountsync.wire.dry_run import refused
from accountsync.wire.endpoint import Endpoint, tls_context
from accountsync.wire.ldap_link import (
    Address,
    Link,
    LinkLostError,
    Rows,
    StartTlsRefusedError,
    connect,
)
from accountsync.wire.ldap_messages import Entry, Request, Result, Scope
from accountsync.wire.ldap_shown import shown

_MISSING, _EXISTS, _CONSTRAINT, _NO_RIGHT, _UNAVAILABLE = 32, 68, 19, 50, 52
_INVALID_CREDENTIALS = 49
_LATER, _IN_DOUBT, _CUT_SHORT = frozenset({1, 16, 51}), frozenset({3, 80}), frozenset({4, 11})
_OUR_SET_UP = frozenset({7, 8, 10, 12, 13, 48, 49, 54})
_PORTS = {"ldaps": 636, "start_tls": 389, "none": 389}
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_NOT_UNIQUE = re.compile(r"not unique|non-unique|000021C[78]")
_AD_REASON = re.compile(r"^([0-9A-F]{8}):")
_AD_BIND_REASON = re.compile(r"\bdata ([0-9a-f]{3})\b")
_HINTS = {
    8: "the server wants an encrypted connection: set `tls` in the Connection's extra",
    10: "this server does not hold the base, or takes no changes: name one that does",
    13: "the server wants an encrypted connection: set `tls` in the Connection's extra",
    49: "check login (the bind DN) and password of the Connection",
}


class Directory:
    """Use as an async context manager. It reconnects by itself and repeats no request.

    `dry_run`: a change is refused here, below everything that could forget to ask. `configured`:
    distinguished names of the configuration, which a dry run may show.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        rate: Rate,
        timeout_s: float,
        dry_run: bool = False,
        configured: Sequence[str] = (),
    ) -> None:
        self.endpoint = endpoint
        self._dry_run = dry_run
        self._configured = configured
        self._address = _address(endpoint)
        self._timeout_s = timeout_s
        self._in_flight = asyncio.Semaphore(rate.concurrency)
        self._limiter = limiter(rate.per_second)
        self._opening = asyncio.Lock()
        self._link: Link | None = None
        self._retired: list[Link] = []

    @property
    def is_encrypted(self) -> bool:
        return self._address.tls is not None

    @property
    def server_name(self) -> str:
        """The name that the server's certificate has to have."""
        return self._address.server_name

    async def __aenter__(self) -> Directory:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for link in [*self._retired, *([self._link] if self._link else [])]:
            await link.close()

    async def search(
        self,
        base: str,
        *,
        scope: Scope,
        tests: Mapping[str, bytes | None],
        attributes: Sequence[str],
        size_limit: int = 0,
    ) -> list[Entry]:
        """All entries at once, where there are few."""
        request = ldap_messages.search(
            base, scope=scope, tests=tests, attributes=attributes, size_limit=size_limit
        )
        rows, _ = await self._asked(request, change=False)
        return [row for row in rows if isinstance(row, Entry)]

    async def pages(
        self,
        base: str,
        *,
        tests: Mapping[str, bytes | None],
        attributes: Sequence[str],
        page_size: int,
    ) -> AsyncIterator[Rows]:
        """All entries below `base`, page by page (RFC 2696). Raises IncompleteReadError."""
        request = ldap_messages.search(base, scope="subtree", tests=tests, attributes=attributes)
        cookie, link = b"", None
        while True:
            link = await self._same_link(link)
            page = (page_size, cookie)
            rows, result = await self._asked(request, change=False, page=page)
            yield rows
            cookie = result.cookie
            if not cookie:
                return

    async def _same_link(self, link: Link | None) -> Link:
        """A cookie is valid only on the connection that it came by."""
        current = await self._ready()
        if link is not None and current is not link:
            raise IncompleteReadError(f"{self._place}: the connection was lost between two pages")
        return current

    async def change(self, request: Request) -> None:
        """Raises DryRunError in a dry run."""
        if self._dry_run:
            raise refused(f"{self._place} {shown(request, configured=self._configured)}")
        await self._asked(request, change=True)

    async def _asked(
        self, request: Request, *, change: bool, page: tuple[int, bytes] | None = None
    ) -> tuple[Rows, Result]:
        departure.prepared()
        async with self._in_flight:
            if self._limiter:
                await self._limiter.acquire()
            rows, result = await self._answered(request, change=change, page=page)
        if result.code:
            raise self._refusal(result, change=change)
        if change:
            departure.made()
        return rows, result

    async def _answered(
        self, request: Request, *, change: bool, page: tuple[int, bytes] | None
    ) -> tuple[Rows, Result]:
        """`from None`: what is in the request may be about a person."""
        link = await self._ready()
        if change:
            departure.sent()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await link.ask(request, page=page)
        except TimeoutError:
            self._retire(link)
            raise self._doubt("no answer in time", change=change) from None
        except LinkLostError as error:
            raise self._doubt(f"connection lost ({error})", change=change) from None

    def _retire(self, link: Link) -> None:
        """The link may be dead. Requests that are under way on it wait until their time is over."""
        if self._link is link:
            self._link = None
            self._retired.append(link)

    async def _ready(self) -> Link:
        async with self._opening:
            if self._link is None or self._link.is_lost:
                if self._link:
                    await self._link.close()
                self._link = await self._bound()
            return self._link

    async def _bound(self) -> Link:
        login, password = self.endpoint.login, self.endpoint.password
        if not (login and password):
            raise ConfigurationError(
                f"{self._place}: the Connection needs login (the bind DN) and password;"
                " without a password a server would take us for anybody"
            )
        link = await self._connected()
        try:
            async with asyncio.timeout(self._timeout_s):
                _, result = await link.ask(ldap_messages.bind(login, password))
            if result.code:
                raise self._bind_refusal(result)
        except (LinkLostError, TimeoutError) as error:
            await link.close()
            raise TargetDownError(f"{self._place}: no answer to bind ({_kind(error)})") from None
        except BaseException:
            await link.close()
            raise
        return link

    async def _connected(self) -> Link:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await connect(self._address)
        except ssl.SSLCertVerificationError as error:
            raise ConfigurationError(
                f"{self._place}: the server's certificate is refused ({error.verify_message});"
                " set `verify` in the Connection's extra to the file of its CA certificates"
            ) from None
        except StartTlsRefusedError as error:
            raise ConfigurationError(f"{self._place}: {error}; use LDAPS") from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise TargetDownError(f"{self._place}: cannot connect ({reason})") from None

    def _bind_refusal(self, result: Result) -> AccountSyncError:
        message = f"{self._place}: bind: {_code(result)}"
        if result.code in (_UNAVAILABLE, *_LATER):
            return TargetDownError(message)
        return ConfigurationError(f"{message}; {_HINTS.get(result.code, _HINTS[49])}")

    def _refusal(self, result: Result, *, change: bool) -> AccountSyncError:
        message = f"{self._place}: {_code(result)}"
        code = result.code
        if code in _LATER or (code in _CUT_SHORT and change):
            return TransientError(message)
        if code == _UNAVAILABLE:
            return TargetDownError(message)
        if code in _OUR_SET_UP:
            return ConfigurationError(f"{message}; {_HINTS.get(code, 'see RFC 4511, appendix A')}")
        if code in _IN_DOUBT:
            return self._doubt(_code(result), change=change)
        return _change_refusal(message, result) if change else _read_refusal(message, result)

    def _doubt(self, reason: str, *, change: bool) -> TransientError | UnknownOutcomeError:
        kind = UnknownOutcomeError if change else TransientError
        return kind(f"{self._place}: {reason}")

    @property
    def _place(self) -> str:
        return f"{self.endpoint.conn_id} LDAP"


def _read_refusal(message: str, result: Result) -> AccountSyncError:
    if result.code in _CUT_SHORT:
        return IncompleteReadError(message)
    if result.code == _MISSING:
        return ConfigurationError(f"{message}; the base is not there, or hidden from our login")
    if result.code == _NO_RIGHT:
        return ConfigurationError(f"{message}; our login may not read below the base")
    return TransientError(message)


def _change_refusal(message: str, result: Result) -> AccountSyncError:
    code = _code(result)
    is_unique = result.code == _CONSTRAINT and _NOT_UNIQUE.search(result.diagnostic)
    if result.code == _EXISTS or is_unique:
        return AccountExistsError(message, code=code)
    if result.code == _MISSING:
        return AccountMissingError(message, code=code)
    return RejectedByTargetError(message, code=code)


def _code(result: Result) -> str:
    """The result code, and what Active Directory adds to it in hexadecimal."""
    reason = _AD_BIND_REASON if result.code == _INVALID_CREDENTIALS else _AD_REASON
    match = reason.search(result.diagnostic)
    return f"{result.code}/{match[1]}" if match else str(result.code)


def _kind(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _address(endpoint: Endpoint) -> Address:
    """The Connection has host and port. Its extra says how they are called: `tls` (ldaps, the
    default; start_tls; none, on this machine only) and `server_name` (in the certificate)."""
    parts, tls = urlsplit(endpoint.base_url), endpoint.extra.get("tls") or "ldaps"
    host = parts.hostname or ""
    if tls not in _PORTS:
        raise ConfigurationError(
            f"{endpoint.conn_id}: `tls` in the Connection's extra is {tls!r}; use"
            f" {', '.join(_PORTS)}"
        )
    if tls == "none" and host not in _THIS_MACHINE:
        raise ConfigurationError(
            f"{endpoint.conn_id}: without TLS the password could be read on its way to {host}; set"
            " `tls` in the Connection's extra to ldaps or start_tls"
        )
    return Address(
        host=host,
        port=parts.port or _PORTS[tls],
        tls=None if tls == "none" else tls_context(endpoint),
        start_tls=tls == "start_tls",
        server_name=str(endpoint.extra.get("server_name") or host),
    )
