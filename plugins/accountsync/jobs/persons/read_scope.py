"""What one run reads of one HR source, and what its rows prove."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection

from accountsync.errors import InvalidRunRequestError
from accountsync.jobs.persons.run_request import RunRequest, Window
from accountsync.settings.hr import AnySource
from accountsync.store.persons import runs


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadScope:
    """`since` is None for a read from the beginning."""

    mode: Literal["incremental", "full", "window", "person"]
    since: datetime | None = None
    window: Window | None = None
    numbers: frozenset[str] = frozenset()

    @property
    def until(self) -> datetime | None:
        return self.window.end if self.window else None

    @property
    def extent(self) -> str:
        """What is read, for the log; persons only by their number."""
        bounds = (("since", self.since), ("until", self.until))
        parts = [f"{name}={moment.isoformat()}" for name, moment in bounds if moment]
        if self.numbers:
            parts.append(f"numbers={len(self.numbers)}")
        return " ".join(parts) or "since=ever"

    @property
    def is_complete(self) -> bool:
        """Whether somebody who is not in the feed is not in HR."""
        return self.mode == "full"

    @property
    def follows_changes(self) -> bool:
        """Whether it has everything that changed since the watermark, which may then move on."""
        return self.mode in ("incremental", "full")

    @property
    def is_present_state(self) -> bool:
        """Whether it shows its persons as HR has them now, so that it may overwrite what is newer
        in the store."""
        return self.mode in ("full", "person")


def scope_of(
    connection: Connection, *, settings: AnySource, request: RunRequest, now: datetime
) -> ReadScope:
    """What a run has to read: the requested window or persons, or else what has changed since the
    watermark; a clock never decides that (I1, I5).

    Raises InvalidRunRequestError for a window of a source whose rows have no change time."""
    if request.window is not None:
        if "source_updated_at" not in settings.fields:
            raise InvalidRunRequestError(
                f"{settings.name} maps no `source_updated_at`: nothing of it is known to be in a"
                " window; leave it out of `sources`, or ask for a full read"
            )
        return ReadScope(mode="window", since=request.window.start, window=request.window)
    if request.numbers:
        return ReadScope(mode="person", numbers=request.numbers)
    since = runs.read_from(connection, source=settings.name, overlap=settings.overlap)
    if not settings.can_read_everything:
        return ReadScope(mode="incremental", since=since)
    last_full = runs.last_full_read_at(connection, source=settings.name)
    can_ask = since is not None and settings.can_ask_for_changes and last_full is not None
    is_due = last_full is None or now - last_full >= settings.full_every
    if not can_ask or request.mode == "full" or (request.mode == "auto" and is_due):
        return ReadScope(mode="full")
    return ReadScope(mode="incremental", since=since)
