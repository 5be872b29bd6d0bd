"""An LDAP directory, called over one connection, several requests at once, at its rate.

What errors of the connection and result codes become: `wire.ldap_refusals`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from types import TracebackType
from urllib.parse import urlsplit

from accountsync.domain.tasks import departure
from accountsync.errors import (
    ConfigurationError,
    IncompleteReadError,
    TargetDownError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.settings.parts import Rate
from accountsync.wire import ldap_controls, ldap_messages, ldap_refusals
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
from accountsync.wire.ldap_messages import Control, Entry, Request, Result, Scope
from accountsync.wire.ldap_shown import shown

_PORTS = {"ldaps": 636, "start_tls": 389, "none": 389}
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_MISSING, _SIZE_LIMIT, _ADMIN_LIMIT, _NO_RIGHT = 32, 4, 11, 50
_SMALLEST_PAGE = 10

Tests = Mapping[str, bytes | None]
"""Attribute → the value that it must have; None: any."""


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
        tests: Tests,
        attributes: Sequence[str],
        size_limit: int = 0,
    ) -> list[Entry]:
        """All entries at once, where there are few. `size_limit`: no more are asked for."""
        request = ldap_messages.search(
            base, scope=scope, tests=tests, attributes=attributes, size_limit=size_limit
        )
        rows, result = await self._asked(request, change=False, spared={_SIZE_LIMIT})
        entries = [row for row in rows if isinstance(row, Entry)]
        if result.code and not 0 < size_limit <= len(entries):
            raise ldap_refusals.refusal(self._place, request, result, change=False)
        return entries[:size_limit] if size_limit else entries

    async def search_if_readable(
        self,
        base: str,
        *,
        tests: Tests,
        attributes: Sequence[str],
        size_limit: int,
        scope: Scope = "subtree",
    ) -> list[Entry] | None:
        """The entries below `base`. None: it is not there, or our login may not read it."""
        request = ldap_messages.search(
            base, scope=scope, tests=tests, attributes=attributes, size_limit=size_limit
        )
        spared = {_MISSING, _NO_RIGHT, _SIZE_LIMIT, _ADMIN_LIMIT}
        rows, result = await self._asked(request, change=False, spared=spared)
        entries = [row for row in rows if isinstance(row, Entry)]
        is_answered = not result.code or (result.code == _SIZE_LIMIT and len(entries) >= size_limit)
        return entries[:size_limit] if is_answered else None

    async def read(
        self,
        dn: str,
        *,
        attributes: Sequence[str],
        tests: Tests | None = None,
        controls: Sequence[Control] = (),
    ) -> Entry | None:
        """One entry by its name. None: our login sees none, or it does not pass the tests."""
        request = ldap_messages.search(
            dn, scope="entry", tests=tests or {"objectClass": None}, attributes=attributes
        )
        rows, _ = await self._asked(request, change=False, controls=controls, spared={_MISSING})
        return next((row for row in rows if isinstance(row, Entry)), None)

    async def pages(
        self, base: str, *, tests: Tests, attributes: Sequence[str], page_size: int
    ) -> AsyncIterator[Rows]:
        """All entries below `base`, page by page (RFC 2696). A server that gives no pages so long
        is asked for shorter ones. Raises IncompleteReadError."""
        request = ldap_messages.search(base, scope="subtree", tests=tests, attributes=attributes)
        cookie, link, size = b"", None, page_size
        while True:
            link = await self._same_link(link)
            may_shorten = not cookie and size > _SMALLEST_PAGE
            spared = {_SIZE_LIMIT, _ADMIN_LIMIT} if may_shorten else set()
            page = [ldap_controls.page(size, cookie)]
            rows, result = await self._asked(request, change=False, controls=page, spared=spared)
            if result.code:
                size = max(_SMALLEST_PAGE, size // 2)
                continue
            yield rows
            if not (cookie := ldap_controls.cookie(result)):
                return

    async def _same_link(self, link: Link | None) -> Link:
        """A cookie is valid only on the connection that it came by."""
        current = await self._ready()
        if link is not None and current is not link:
            raise IncompleteReadError(f"{self._place}: the connection was lost between two pages")
        return current

    async def change(self, request: Request, *, controls: Sequence[Control] = ()) -> None:
        """Raises DryRunError in a dry run."""
        if self._dry_run:
            raise refused(f"{self._place} {shown(request, configured=self._configured)}")
        await self._asked(request, change=True, controls=controls)

    async def bind_answer(self, dn: str, password: str) -> Result:
        """What the server answers to a login of somebody else, on a connection of its own."""
        async with self._in_flight:
            if self._limiter:
                await self._limiter.acquire()
            link = await self._connected()
            try:
                async with asyncio.timeout(self._timeout_s):
                    request = ldap_messages.bind(dn, password)
                    _, result = await link.ask(request, controls=[ldap_controls.ASK_FOR_POLICY])
                    return result
            except (LinkLostError, TimeoutError) as error:
                raise self._doubt(f"no answer to bind ({_kind(error)})", change=False) from None
            finally:
                await link.close()

    async def _asked(
        self,
        request: Request,
        *,
        change: bool,
        controls: Sequence[Control] = (),
        spared: Collection[int] = (),
    ) -> tuple[Rows, Result]:
        """`spared`: result codes that are answers here, not errors."""
        departure.prepared()
        async with self._in_flight:
            if self._limiter:
                await self._limiter.acquire()
            rows, result = await self._answered(request, change=change, controls=controls)
        if result.code and result.code not in spared:
            raise ldap_refusals.refusal(self._place, request, result, change=change)
        if change:
            departure.made()
        return rows, result

    async def _answered(
        self, request: Request, *, change: bool, controls: Sequence[Control]
    ) -> tuple[Rows, Result]:
        """`from None`: what is in the request may be about a person."""
        link = await self._ready()
        if change:
            departure.sent()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await link.ask(request, controls=controls)
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
                raise ldap_refusals.bind_refusal(self._place, result)
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

    def _doubt(self, reason: str, *, change: bool) -> TransientError | UnknownOutcomeError:
        return ldap_refusals.doubt(f"{self._place}: {reason}", change=change)

    @property
    def _place(self) -> str:
        return f"{self.endpoint.conn_id} LDAP"


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
