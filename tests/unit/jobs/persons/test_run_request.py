"""A trigger form, a REST body or a backfill becomes one checked request."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from accountsync.errors import InvalidRunRequestError
from accountsync.jobs.persons.run_request import RunRequest, Window, request_of, sources_of

CHINA = ZoneInfo("Asia/Shanghai")
TEN = datetime(2026, 1, 31, 10, tzinfo=CHINA)
NOON = datetime(2026, 1, 31, 12, tzinfo=CHINA)


def _request(interval: Any = None, **params: Any) -> RunRequest:
    params = {name.rstrip("_"): value for name, value in params.items()}
    return request_of(params, interval=interval, zone=CHINA)


def test_nothing_said_reads_what_is_due() -> None:
    assert _request() == RunRequest(mode="auto")
    assert _request(mode="auto", from_=None, to=None, numbers=[], dry_run=False) == RunRequest()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-01-31T10:00", "2026-01-31T12:00"),
        ("2026-01-31T10:00:00+08:00", "2026-01-31T04:00:00Z"),
    ],
)
def test_a_window_is_in_the_zone_of_the_installation_unless_it_names_one(
    start: str, end: str
) -> None:
    assert _request(mode="window", from_=start, to=end).window == Window(start=TEN, end=NOON)


def test_some_persons_are_asked_for_by_number() -> None:
    request = _request(mode="person", numbers=[" 00100001", "00100002", ""], dry_run=True)
    assert request.numbers == {"00100001", "00100002"}
    assert request.dry_run


def test_a_backfill_reads_its_interval_also_dry() -> None:
    """I5."""
    request = _request(interval=(TEN, NOON), mode="auto", dry_run=True)
    assert (request.mode, request.window) == ("window", Window(start=TEN, end=NOON))
    assert request.dry_run


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a mode that is none": ({"mode": "everything"}, "mode: 'everything' is none of auto"),
    "a window without bounds": ({"mode": "window"}, "mode `window`, and no other"),
    "a window with one bound": ({"mode": "window", "from_": "2026-01-31"}, "a window needs"),
    "a window backwards": (
        {"mode": "window", "from_": "2026-01-31", "to": "2026-01-30"},
        "`from` before `to`",
    ),
    "bounds without a window": (
        {"mode": "full", "from_": "2026-01-30", "to": "2026-01-31"},
        "mode `window`, and no other",
    ),
    "a time that is none": (
        {"mode": "window", "from_": "yesterday"},
        "from: 'yesterday' is no time",
    ),
    "nobody": ({"mode": "person"}, "mode `person`, and no other, needs `numbers`"),
    "numbers without their mode": ({"numbers": ["1"]}, "mode `person`, and no other"),
    "numbers that are no texts": ({"mode": "person", "numbers": [1]}, "numbers: write a list"),
    "numbers that are no list": ({"mode": "person", "numbers": "1"}, "numbers: write a list"),
    "a dry run that is a text": ({"dry_run": "yes"}, "dry_run: write true or false"),
    "a backfill of everybody": ({"interval": (TEN, NOON), "mode": "full"}, "its own intervals"),
    "a backfill of somebody": (
        {"interval": (TEN, NOON), "numbers": ["1"]},
        "its own intervals",
    ),
    "a backfill with bounds": (
        {"interval": (TEN, NOON), "from_": "2026-01-31"},
        "leave out `from` and `to`",
    ),
}


@pytest.mark.parametrize(("params", "said"), WRONG.values(), ids=WRONG)
def test_an_order_that_contradicts_itself_is_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRunRequestError, match=said):
        _request(**params)


def test_sources_are_read_in_the_configurations_order() -> None:
    known = ["employees", "contractors"]
    assert sources_of({}, known=known) == known
    assert sources_of({"sources": ["contractors"]}, known=known) == ["contractors"]
    assert sources_of({"sources": ["contractors", "employees"]}, known=known) == known
    with pytest.raises(
        InvalidRunRequestError, match="no HR source is called temps; known: employees"
    ):
        sources_of({"sources": ["temps"]}, known=known)


def test_an_interval_of_airflow_is_taken_as_it_is() -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    assert _request(interval=(start, end)).window == Window(start=start, end=end)
