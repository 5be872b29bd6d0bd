"""What a run of `sync_hr_persons` is asked to read, checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Literal, get_args

from accountsync.errors import InvalidRunRequestError

Mode = Literal["auto", "incremental", "full", "window", "person"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The rows that changed at or after `start` and before `end`."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """auto: what is due · incremental: from the watermark · full: everybody · window: what changed
    in `window` · person: who has one of the employee `numbers`.

    A `dry_run` does the same, and is rolled back before it is committed.
    """

    mode: Mode = "auto"
    window: Window | None = None
    numbers: frozenset[str] = frozenset()
    dry_run: bool = False

    @property
    def is_repeated(self) -> bool:
        """Whether the next run on the schedule reads the same again, so that a failure loses
        nothing."""
        return self.mode in ("auto", "incremental")

    def __post_init__(self) -> None:
        if (self.mode == "window") != (self.window is not None):
            raise InvalidRunRequestError("mode `window`, and no other, needs `from` and `to`")
        if (self.mode == "person") != bool(self.numbers):
            raise InvalidRunRequestError("mode `person`, and no other, needs `numbers`")


def request_of(
    params: Mapping[str, object], *, interval: tuple[datetime, datetime] | None, zone: tzinfo
) -> RunRequest:
    """The request of a trigger form, or of a backfill, whose interval is the window. `zone` is that
    of a `from` or `to` that names none. Raises InvalidRunRequestError for what cannot be read."""
    mode = _mode(params) if interval is None else _of_backfill(params)
    start, end = interval or (_moment(params, "from", zone), _moment(params, "to", zone))
    return RunRequest(
        mode=mode,
        window=window_of(start, end),
        numbers=frozenset(_texts(params, "numbers")),
        dry_run=_flag(params, "dry_run"),
    )


def sources_of(params: Mapping[str, object], *, known: Sequence[str]) -> list[str]:
    """The HR sources that the form names, or all, in the order of the configuration. Raises
    InvalidRunRequestError for an unknown one."""
    named = _texts(params, "sources")
    if unknown := sorted(set(named) - set(known)):
        raise InvalidRunRequestError(
            f"sources: no HR source is called {', '.join(unknown)}; known: {', '.join(known)}"
        )
    return [name for name in known if name in named or not named]


def window_of(start: datetime | None, end: datetime | None) -> Window | None:
    """The window of two times, or None of two Nones. Raises InvalidRunRequestError where one time
    is missing, or where they are not in order."""
    if start is None and end is None:
        return None
    if start is None or end is None or start >= end:
        raise InvalidRunRequestError("a window needs `from` and `to`, `from` before `to`")
    return Window(start=start, end=end)


def _mode(params: Mapping[str, object]) -> Mode:
    value = params.get("mode", "auto")
    for mode in MODES:
        if mode == value:
            return mode
    raise InvalidRunRequestError(f"mode: {value!r} is none of {', '.join(MODES)}")


def _of_backfill(params: Mapping[str, object]) -> Mode:
    if _mode(params) not in ("auto", "window") or _texts(params, "numbers"):
        raise InvalidRunRequestError("a backfill reads its own intervals: leave `mode` at auto")
    if params.get("from") or params.get("to"):
        raise InvalidRunRequestError(
            "a backfill reads its own intervals: leave out `from` and `to`"
        )
    return "window"


def _moment(params: Mapping[str, object], name: str, zone: tzinfo) -> datetime | None:
    value = params.get(name)
    if value in (None, ""):
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise InvalidRunRequestError(
            f"{name}: {value!r} is no time, say 2026-01-31T10:00+08:00"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _texts(params: Mapping[str, object], name: str) -> list[str]:
    values = params.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidRunRequestError(f'{name}: write a list of texts, say ["…"]')
    return [value.strip() for value in values if value.strip()]


def _flag(params: Mapping[str, object], name: str) -> bool:
    value = params.get(name) or False
    if not isinstance(value, bool):
        raise InvalidRunRequestError(f"{name}: write true or false")
    return value
