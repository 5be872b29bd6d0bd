"""Access tokens of one simulated system: random, short-lived, forgotten on restart."""

from __future__ import annotations

import secrets
import time


class Tokens:
    """`problem` says why a token is no good: `missing`, `unknown`, `expired`, or None."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._expiry: dict[str, float] = {}

    def issue(self) -> str:
        token = secrets.token_hex(24)
        self._expiry[token] = time.monotonic() + self.seconds
        return token

    def problem(self, token: str | None) -> str | None:
        if not token:
            return "missing"
        if token not in self._expiry:
            return "unknown"
        return "expired" if time.monotonic() >= self._expiry[token] else None

    def expire_all(self) -> None:
        """Let every token issued so far be too old."""
        self._expiry = dict.fromkeys(self._expiry, 0.0)
