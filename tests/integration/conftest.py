"""Worlds without Airflow; the simulators of a module are shared and reset for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, make_url

from accountsync.store.engine import make_engine
from simulators import run
from simulators.run import HrOptions, Sims, TargetOptions
from tests.databases import at_run_time
from tests.integration.persons.hr_world import HrWorld
from tests.integration.plans.planned_people import People, import_mappings
from tests.integration.tasks.targets_world import TargetsWorld
from tests.integration.world import until


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """As the run-time login, which owns nothing."""
    engine = make_engine(at_run_time(make_url(database_url)))
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def _hr_sims() -> Iterator[Sims]:
    with run.running(hr=HrOptions(persons=40)) as sims:
        yield sims


@pytest.fixture(scope="module")
def _all_sims() -> Iterator[Sims]:
    target = TargetOptions()
    hr = HrOptions(persons=36)
    with run.running(hr=hr, idaas=target, welink=target, exchange=target) as sims:
        yield sims


@pytest.fixture
def world(engine: Engine, _hr_sims: Sims) -> HrWorld:
    """Forty persons in HR, an empty store, no faults."""
    _hr_sims.hr.heal()
    _hr_sims.hr.reset()
    return HrWorld(engine=engine, sims=_hr_sims)


@pytest.fixture
def planned(engine: Engine, _all_sims: Sims) -> TargetsWorld:
    """Everybody of HR is known and planned; the targets are empty and well, and somebody has looked
    whether they had accounts."""
    for client in (_all_sims.hr, _all_sims.idaas, _all_sims.welink, _all_sims.exchange):
        client.heal()
        until(lambda: client.state()["in_flight"] == 0)  # noqa: B023 - sent by who is dead by now
        client.reset()
    world = TargetsWorld(engine=engine, sims=_all_sims)
    world.import_mappings()
    for target in world.settings.targets:
        world.was_adopted(target)
    world.sync()
    world.plan()
    return world


@pytest.fixture
def people(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> People:
    """The example's mappings and configuration, and nobody yet."""
    url = engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("ACCOUNTSYNC_DATABASE_URL", url)
    import_mappings(engine)
    return People(engine=engine)
