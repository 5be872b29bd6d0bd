"""Judges from the calls of a run whether the target is well, down, or asks for a pause (I13)."""

from __future__ import annotations

from collections.abc import Callable

from accountsync.domain.tasks.breaker import BreakerRule, Passage
from accountsync.domain.tasks.outcomes import was_not_asked
from accountsync.errors import (
    AccountSyncError,
    ConfigurationError,
    RecordError,
    TargetDownError,
    ThrottledError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.jobs.tasks.throttle import Throttle


class TargetHealth:
    """`answers` counts proper answers, `seconds` is the time of all calls together. `stop` is
    called where nothing more is to be sent; `seconds_left` says how long the run may go on."""

    def __init__(
        self,
        rule: BreakerRule,
        *,
        concurrency: int,
        passage: Passage,
        stop: Callable[[AccountSyncError | None], None],
        seconds_left: Callable[[], float],
    ) -> None:
        self.throttle = Throttle(trial=passage is not Passage.GO)
        self._bad_at_most = max(rule.after, 2 * concurrency)
        self._is_suspect = passage is Passage.LOOK
        self._bad_in_a_row = 0
        self._stop = stop
        self._seconds_left = seconds_left
        self.answers = 0
        self.seconds = 0.0

    def took(self, *, answered: bool) -> None:
        """Notes a call that went well. One that ended before the target was asked does not
        count."""
        if answered:
            self.answers += 1
            self._bad_in_a_row = 0
            self.throttle.answered()
        else:
            self.throttle.unanswered()

    def judge(self, error: AccountSyncError) -> None:
        """Notes a call that failed. One that stopped halfway because the target refused it got a
        proper answer."""
        if isinstance(error, UnknownOutcomeError) and isinstance(error.__cause__, RecordError):
            error = error.__cause__
        if isinstance(error, ConfigurationError | TargetDownError):
            self._stop(error)
        elif isinstance(error, TransientError) and _wants_pause(error):
            if self.throttle.pause(error.retry_after) > self._seconds_left():
                self._stop(None)
        elif isinstance(error, TransientError | UnknownOutcomeError):
            self._took_badly(error)
        else:
            self.took(answered=not was_not_asked(error))

    def _took_badly(self, error: AccountSyncError) -> None:
        self._bad_in_a_row += 1
        self.throttle.unanswered()
        if self._bad_in_a_row >= self._bad_at_most or self._is_suspect and not self.answers:
            message = f"{self._bad_in_a_row} calls in a row got no proper answer; the last: {error}"
            self._stop(TargetDownError(message))


def _wants_pause(error: TransientError) -> bool:
    """Whether the target asks for a pause, by status 429 or by saying when to try again."""
    return error.retry_after is not None or isinstance(error, ThrottledError)
