"""A server of the standard library, served on a thread while a test needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer
from threading import Thread


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """However the test ends, the thread ends before the socket is closed: one that waits for a
    closed socket turns for ever, and everything after it is slow."""
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    with server:
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
