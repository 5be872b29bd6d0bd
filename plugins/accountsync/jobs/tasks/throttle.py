"""Decides whether the next call to a target may go out (I13)."""

from __future__ import annotations

import asyncio
import time

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0


class Throttle:
    """Lets all calls go, or one at a time, or none for a while. With `trial`, as after each pause,
    one call goes at a time until the first proper answer.

    When the target refuses many calls that are under way together, that counts as one refusal;
    pauses grow with each trial that fails.
    """

    def __init__(self, *, trial: bool = False) -> None:
        self.on_trial = trial
        self._trying = False
        self._pauses = 0
        self._until = 0.0
        self._changed = asyncio.Event()
        self._closed = False

    async def enter(self) -> bool:
        """Waits until the call may go. Returns False where nothing goes out any more."""
        while not self._closed:
            self._changed.clear()
            if (wait := self._until - time.monotonic()) > 0:
                await self._change(wait)
            elif not self.on_trial:
                return True
            elif not self._trying:
                self._trying = True
                return True
            else:
                await self._changed.wait()
        return False

    async def _change(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def answered(self) -> None:
        """Notes a proper answer, whatever it says."""
        if self._until > time.monotonic():  # the call was under way when the pause began
            return
        self.on_trial = self._trying = False
        self._pauses = 0
        self._changed.set()

    def unanswered(self) -> None:
        self._trying = False
        self._changed.set()

    def pause(self, asked_s: float | None) -> float:
        """Lets nothing go out for as long as the target asked for, or for a growing time. Returns
        the seconds from now."""
        now = time.monotonic()
        if self._until <= now:
            self._pauses += 1
        seconds = min(_FIRST_PAUSE_S * 2 ** (self._pauses - 1), _LONGEST_PAUSE_S)
        self._until = max(self._until, now + (seconds if asked_s is None else asked_s))
        self.on_trial, self._trying = True, False
        self._changed.set()
        return self._until - now

    @property
    def pause_left_s(self) -> float:
        return max(0.0, self._until - time.monotonic())

    def close(self) -> None:
        self._closed = True
        self._changed.set()
