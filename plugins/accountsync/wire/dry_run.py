"""A dry run sends no change and shows all changes of an operation.

The wire raises DryRunError for each change. Where an operation makes several changes, its connector
collects those that were refused, goes on as if they had been made, and shows them together.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from accountsync.errors import AccountSyncError, DryRunError

Answer = TypeVar("Answer")


def refused(*requests: str) -> DryRunError:
    """`requests`: what would have been sent, in its order, every value masked."""
    shown = "; then ".join(requests)
    return DryRunError(f"not sent, this is a dry run: {shown}", requests=requests)


class Refusals:
    """The changes of one operation that a dry run refused, in their order. In any other run it
    stays empty and changes nothing. It is true once something was refused."""

    def __init__(self) -> None:
        self._requests: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._requests)

    async def of(self, change: Awaitable[Answer]) -> Answer | None:
        """What the change returns, or None where it was refused. An error after a refusal is shown
        as the next step: the first change would have been made before it."""
        try:
            return await change
        except DryRunError as error:
            self._requests += error.requests
        except AccountSyncError as error:
            if not self._requests:
                raise
            self._requests.append(f"{type(error).__name__}: {error}")
        return None

    def error(self) -> DryRunError:
        return refused(*self._requests)
