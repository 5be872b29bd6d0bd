"""Backfills of sources with and without an upper bound: each row comes in its own window (I5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from accountsync.hr.sql import SqlHrSource
from accountsync.jobs.persons.run_request import RunRequest, Window
from accountsync.jobs.persons.sync_hr_persons import SyncResult, sync_hr_persons
from accountsync.settings.hr import SqlSource
from accountsync.store.engine import make_engine

FIRST = datetime(2026, 1, 31, 2, tzinfo=UTC)
STEP = timedelta(minutes=10)
FIELDS = {
    "source_key": "id",
    "employee_number": "number",
    "full_name": "name",
    "source_updated_at": "changed",
}
SINCE = (
    "SELECT id, number, name, changed FROM hr_person"
    " WHERE (CAST(:since AS timestamptz) IS NULL OR changed >= :since)"
)
QUERIES = {
    "no upper bound": SINCE,
    "an upper bound": f"{SINCE} AND (CAST(:until AS timestamptz) IS NULL OR changed < :until)",
    "an inclusive upper bound": f"{SINCE} AND changed <= :until",
}


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """As a superuser: the database of the store is that of HR, too, and is filled by the tests."""
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def hr(engine: Engine) -> Engine:
    """A row every minute of two hours, some of them on the very bounds of the windows."""
    with engine.begin() as connection:
        columns = "id int, number text, name text, changed timestamptz"
        connection.execute(text(f"CREATE TABLE hr_person ({columns})"))
        connection.execute(
            text(
                "INSERT INTO hr_person SELECT n, 'E' || n, 'N' || n,"
                " CAST(:first AS timestamptz) + n * interval '1 minute'"
                " FROM generate_series(-5, 124) n"
            ),
            {"first": FIRST},
        )
    return engine


def _backfill(hr: Engine, query: str, step: int, **asked: Any) -> SyncResult:
    settings = SqlSource.model_validate(
        {"kind": "sql", "name": "hr", "conn_id": "hr", "query": query, "fields": FIELDS}
    )
    source = SqlHrSource(settings, engine=hr)
    window = Window(start=FIRST + step * STEP, end=FIRST + (step + 1) * STEP)
    return sync_hr_persons(
        engine=hr,
        settings=settings,
        open_source=lambda: nullcontext(source),
        clock=lambda: FIRST + timedelta(days=1),
        request=RunRequest(mode="window", window=window, **asked),
    )


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_twelve_adjacent_intervals_bring_every_row_of_theirs_once(hr: Engine, query: str) -> None:
    done = [_backfill(hr, query, step) for step in reversed(range(12))]
    assert [(one.fetched, one.inserted) for one in done] == [(10, 10)] * 12
    again = [_backfill(hr, query, step) for step in range(12)]
    assert [(one.unchanged, one.inserted) for one in again] == [(10, 0)] * 12
    with hr.connect() as connection:
        keys = set(connection.scalars(text("SELECT source_key FROM accountsync.person")))
        assert keys == {str(n) for n in range(120)}
        assert connection.scalar(text("SELECT count(*) FROM accountsync.watermark")) == 0
        assert connection.scalar(text("SELECT count(*) FROM accountsync.snapshot")) == 0


def test_a_backfill_can_be_tried_first(hr: Engine) -> None:
    assert _backfill(hr, SINCE, 0, dry_run=True).inserted == 10
    assert _backfill(hr, SINCE, 0).inserted == 10
