"""Worlds without Airflow; the simulators of a module are shared and reset for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from simulators import run
from simulators.run import HrOptions, Sims
from tests.integration.hr_world import HrWorld


@pytest.fixture(scope="module")
def _hr_sims() -> Iterator[Sims]:
    with run.running(hr=HrOptions(persons=40)) as sims:
        yield sims


@pytest.fixture
def world(engine: Engine, _hr_sims: Sims) -> HrWorld:
    """Forty persons in HR, an empty store, no faults."""
    _hr_sims.hr.heal()
    _hr_sims.hr.reset()
    return HrWorld(engine=engine, sims=_hr_sims)
