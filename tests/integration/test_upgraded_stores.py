"""What the jobs make of a store that an earlier checkout left, once it is upgraded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from accountsync.errors import ConfigurationError
from accountsync.jobs.persons import held_feeds
from accountsync.store import rights, schema
from tests.databases import RUN_TIME
from tests.installation import Installation, installed
from tests.store import stores

VERSIONS = {3: "0691ccb", 6: "73536f2", 11: "e13429f", 20: "316ef53"}


@pytest.fixture(params=VERSIONS, ids=VERSIONS.values())
def upgraded(
    request: pytest.FixtureRequest, empty: Engine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """The earlier store, and an HR system of the same persons; the targets lost their accounts."""
    stores.restore(empty, request.param)
    with empty.connect() as connection, pytest.raises(ConfigurationError, match="db upgrade"):
        schema.require_our_tables(connection)
    schema.upgrade(empty)
    with empty.begin() as connection:
        rights.give(connection, run_time=RUN_TIME, reports=None)
    with installed(empty, monkeypatch, persons=24) as installation:
        yield installation


def test_the_chain_goes_on_with_an_upgraded_store(upgraded: Installation) -> None:
    """Nobody is read as new, everybody is planned by today's rules, what was open is carried out:
    at most one account a person and target (I9)."""
    known = upgraded.scalar("SELECT count(*) FROM accountsync.person WHERE source = 'hieds'")
    read = upgraded.sync("full")
    assert read.fetched == 24
    assert (
        upgraded.scalar("SELECT count(*) FROM accountsync.person WHERE source = 'hieds'") == known
    )
    upgraded.plan()
    unplanned = "SELECT count(*) FROM accountsync.person WHERE revision > planned_revision"
    assert upgraded.scalar(f"{unplanned} AND source = 'hieds'") == 0
    upgraded.drain()
    creates = upgraded.rows(
        "SELECT t.state, count(*) AS tasks FROM accountsync.account_task t"
        " JOIN accountsync.person p ON p.id = t.person_id"
        " WHERE p.source = 'hieds' AND t.system = 'welink' AND t.operation = 'create'"
        " GROUP BY t.state"
    )
    assert {row["state"] for row in creates} == {"succeeded"}
    made = len(upgraded.sims.welink.accounts())
    assert 0 < made <= creates[0]["tasks"] <= 24


@pytest.mark.parametrize("upgraded", [6, 11, 20], indirect=True)
def test_a_feed_that_was_held_before_the_upgrade_can_still_be_approved(
    upgraded: Installation,
) -> None:
    """Its rows are kept where they are looked for now."""
    (feed,) = held_feeds.list_held(engine=upgraded.engine)
    attributes = "SELECT id, attributes FROM accountsync.person ORDER BY id"
    before = upgraded.rows(attributes)
    done = held_feeds.approve(
        engine=upgraded.engine,
        settings=upgraded.settings.hr[0],
        feed=feed.id,
        actor="operator",
        comment="looked at",
        clock=lambda: datetime.now(UTC),
    )
    assert (done.counts.fetched, done.counts.rejected) == (2, 0)
    assert upgraded.rows(attributes) == before
