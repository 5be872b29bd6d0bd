"""A process that dies between two steps, without a process: the n-th step raises what nobody
catches, so that nothing is cleaned up. What a dying process gives back by itself (its session's
locks, its open transaction) is given back here too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Engine, event


class Died(BaseException):
    pass


@contextmanager
def dying(engine: Engine, *, after: int) -> Iterator[None]:
    """The work in the block dies when it would send the statement or the commit after so many, or
    is done before."""
    left = after

    def step(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Died

    def statement(_: Any, __: Any, sql: str, *___: Any) -> None:
        if "pg_advisory_unlock" not in sql:
            step()

    event.listen(engine, "before_cursor_execute", statement)
    event.listen(engine, "commit", step)
    try:
        with suppress(Died):
            yield
    finally:
        event.remove(engine, "before_cursor_execute", statement)
        event.remove(engine, "commit", step)
