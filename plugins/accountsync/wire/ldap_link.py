"""A connection to an LDAP server. It carries many requests at once and interprets none."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from accountsync.wire import ldap_messages
from accountsync.wire.ldap_messages import (
    Answer,
    Control,
    Entry,
    MessageError,
    Reference,
    Request,
    Result,
)

_LONGEST_MESSAGE = 16 * 1024 * 1024
_CONNECT_S = 10.0
Rows = list[Entry | Reference]
Read = Callable[[int], Awaitable[bytes]]


class LinkLostError(Exception):
    """The connection ended before the answer. The text says why and quotes no data."""


class StartTlsRefusedError(Exception):
    """The server gave no TLS where the configuration asks for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """`tls`: the context of LDAPS, or of StartTLS if `start_tls`; None: all is sent in clear."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    start_tls: bool
    server_name: str


@dataclass(slots=True)
class _Pending:
    answer: asyncio.Future[tuple[Rows, Result]]
    rows: Rows = field(default_factory=list)


class Link:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._ids = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._lost: str | None = None
        self._listening = asyncio.create_task(self._listen())

    @property
    def is_lost(self) -> bool:
        return self._lost is not None

    async def ask(
        self, request: Request, *, controls: Sequence[Control] = ()
    ) -> tuple[Rows, Result]:
        """Raises LinkLostError. A request that is cancelled here may still be carried out."""
        if self._lost:
            raise LinkLostError(self._lost)
        number = next(self._ids)
        pending = _Pending(asyncio.get_running_loop().create_future())
        self._pending[number] = pending
        try:
            self._writer.write(ldap_messages.encode(number, request, controls=controls))
            await self._writer.drain()
            return await pending.answer
        except OSError as error:
            raise LinkLostError(type(error).__name__) from None
        finally:
            del self._pending[number]

    async def close(self) -> None:
        """Takes leave of the server and waits for no answer. Requests under way are given up."""
        self._listening.cancel()
        if not self._lost and not self._writer.is_closing():
            self._writer.write(ldap_messages.encode(next(self._ids), ldap_messages.unbind()))
        self._end("closed")
        self._writer.transport.abort()
        await asyncio.gather(self._listening, self._writer.wait_closed(), return_exceptions=True)

    async def _listen(self) -> None:
        try:
            while True:
                self._take(*ldap_messages.decode(await _frame(self._reader.readexactly)))
        except (OSError, EOFError) as error:
            self._end(type(error).__name__)
        except MessageError as error:
            self._end(str(error))
        self._writer.close()

    def _take(self, number: int, answer: Answer) -> None:
        """Number 0 is the notice that the server hangs up (RFC 4511 §4.4.1)."""
        if number == 0:
            raise MessageError("the server hung up")
        pending = self._pending.get(number)
        if pending is None or pending.answer.done():
            return  # whoever asked was cancelled
        if isinstance(answer, Result):
            pending.answer.set_result((pending.rows, answer))
        else:
            pending.rows.append(answer)

    def _end(self, reason: str) -> None:
        self._lost = self._lost or reason
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_exception(LinkLostError(self._lost))


async def connect(address: Address) -> Link:
    """Raises OSError (ssl.SSLError among them) and StartTlsRefusedError: nothing was asked yet."""
    place = (address.host, address.port)
    plain = await asyncio.to_thread(socket.create_connection, place, _CONNECT_S)
    try:
        plain.setblocking(False)
        if address.tls and address.start_tls:
            await _start_tls(plain)
        reader, writer = await asyncio.open_connection(
            sock=plain,
            ssl=address.tls,
            server_hostname=address.server_name if address.tls else None,
        )
    except BaseException:
        plain.close()
        raise
    return Link(reader, writer)


async def _start_tls(plain: socket.socket) -> None:
    """Reads no byte beyond the answer, so that nothing an attacker adds in clear is believed."""
    loop = asyncio.get_running_loop()

    async def read(count: int) -> bytes:
        received = b""
        while len(received) < count:
            part = await loop.sock_recv(plain, count - len(received))
            if not part:
                raise ConnectionResetError
            received += part
        return received

    await loop.sock_sendall(plain, ldap_messages.encode(1, ldap_messages.start_tls()))
    try:
        _, answer = ldap_messages.decode(await _frame(read))
    except MessageError:
        raise StartTlsRefusedError("not an LDAP server") from None
    if not isinstance(answer, Result) or answer.code:
        raise StartTlsRefusedError("the server offers no StartTLS")


async def _frame(read: Read) -> bytes:
    """One BER element; LDAP's are sequences with a definite length (RFC 4511 §5.1)."""
    head = await read(2)
    length = head[1]
    if length & 0x80:
        length_bytes = await read(length & 0x7F)
        head, length = head + length_bytes, int.from_bytes(length_bytes, "big")
    if head[0] != 0x30 or head[1] == 0x80 or length > _LONGEST_MESSAGE:
        raise MessageError("not an LDAP message")
    return head + await read(length)
