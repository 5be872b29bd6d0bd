"""Whether anything of a task has left for its target: if nothing has, the task is given back unsent
(I9).

The processor watches a call, and the wire reports what it sends. Only changes count, because a look
leaves nothing in doubt.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Departure:
    """`has_left`: whether a change has left; of a connector that may send by other ways than the
    wire, true until the wire reports otherwise. `is_begun`: one change was made already, and the
    next step began."""

    def __init__(self, *, is_watched: bool) -> None:
        self.has_left = not is_watched
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
def watched(*, is_watched: bool) -> Iterator[Departure]:
    """Watches the calls that this coroutine makes in the block. `is_watched`: see `Connector`."""
    departure = Departure(is_watched=is_watched)
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
    """A change leaves now; nobody knows yet whether it arrives."""
    if departure := _WATCHED.get():
        departure.send()


def made() -> None:
    """The target accepted a change; the connector judges the body of the answer."""
    if departure := _WATCHED.get():
        departure.make()
