"""Whether anything of one task has left for its target: what has not is given back as unsent (I9).

The processor watches a call; the wire tells about it. Only changes count: a look leaves no doubt.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Departure:
    """`has_left`: true until the wire knows better, for a connector may have ways of its own.
    `is_begun`: one change was made already, and the next step began."""

    def __init__(self) -> None:
        self.has_left = True
        self.is_begun = False
        self._was_sent = self._was_made = False

    def prepare(self) -> None:
        self.has_left, self.is_begun = self._was_sent, self._was_made

    def send(self) -> None:
        self.has_left = self._was_sent = True

    def make(self) -> None:
        self._was_made = True


_WATCHED: ContextVar[Departure | None] = ContextVar("departure", default=None)


@contextmanager
def watched() -> Iterator[Departure]:
    """The calls of this block, as far as this coroutine makes them."""
    departure = Departure()
    token = _WATCHED.set(departure)
    try:
        yield departure
    finally:
        _WATCHED.reset(token)


def prepared() -> None:
    """A request waits for its turn at the wire: before the first change, nothing has left."""
    if departure := _WATCHED.get():
        departure.prepare()


def sent() -> None:
    """A change leaves now; whether it arrives is another matter."""
    if departure := _WATCHED.get():
        departure.send()


def made() -> None:
    """The target said yes to a change; what the body of its answer means, the connector judges."""
    if departure := _WATCHED.get():
        departure.make()
