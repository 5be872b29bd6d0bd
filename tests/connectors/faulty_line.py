"""A TCP line that can be cut or held at one request. It knows no protocol: TLS passes through."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread
from typing import Literal

Fault = Literal["cut before", "cut after", "hold before", "hold after"]
"""Before: the request never arrives. After: it arrives, its answer does not. Cut: the line breaks;
hold: it stays open, and silent."""


class FaultyLine:
    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._fault: Fault | None = None
        self._pass = 0
        self._lock = Lock()
        self.hit = Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._open: list[socket.socket] = [self._server]
        self._is_closed = False
        self.connections = 0

    def break_at(self, fault: Fault, *, request: int = 1) -> None:
        """The n-th request from now on, once."""
        with self._lock:
            self._fault, self._pass = fault, request - 1
            self.hit.clear()

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self._kept(self._server.accept()[0])
                far = self._kept(socket.create_connection(self._to, 5))
                far.settimeout(None)
                self.connections += 1
                line = _Line(self, near, far)
                for way in (line.there, line.back):
                    Thread(target=way, daemon=True).start()

    def _kept(self, one: socket.socket) -> socket.socket:
        """To be closed with the line, or at once, where that was closed meanwhile."""
        with self._lock:
            if not self._is_closed:
                self._open.append(one)
                return one
        one.close()
        raise OSError

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def due(self) -> Fault | None:
        """Asked at each request."""
        with self._lock:
            if self._fault is None:
                return None
            if self._pass:
                self._pass -= 1
                return None
            fault, self._fault = self._fault, None
            self.hit.set()
            return fault


class _Line:
    def __init__(self, switch: FaultyLine, near: socket.socket, far: socket.socket) -> None:
        self._switch, self._near, self._far = switch, near, far
        self._silent: Fault | None = None

    def there(self) -> None:
        with suppress(OSError):
            while data := self._near.recv(65536):
                self._silent = self._silent or self._switch.due()
                if self._silent == "cut before":
                    break
                if self._silent != "hold before":
                    self._far.sendall(data)
        self._hang_up(self._far)
        if self._silent == "cut before":
            self._hang_up(self._near)

    def back(self) -> None:
        with suppress(OSError):
            while data := self._far.recv(65536):
                if self._silent == "cut after":
                    break
                if self._silent is None:
                    self._near.sendall(data)
        self._hang_up(self._near)

    def _hang_up(self, side: socket.socket) -> None:
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


@contextmanager
def faulty_line(host: str, port: int) -> Iterator[FaultyLine]:
    line = FaultyLine(host, port)
    listening = Thread(target=line.accept, daemon=True)
    listening.start()
    try:
        yield line
    finally:
        line.close()
        listening.join(5)
