from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.running import Live, shared


@pytest.fixture(scope="session")
def airflow(request: pytest.FixtureRequest) -> Iterator[Live]:
    with shared(request.config) as live:
        yield live


@pytest.fixture
def live(airflow: Live) -> Iterator[Live]:
    """The session's Airflow, quiet and healthy; each test leaves it healthy."""
    airflow.settle()
    yield airflow
    airflow.heal()
