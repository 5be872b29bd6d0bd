"""The feed guard stops a feed that would poison the store, and only that (I4, I7)."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from accountsync.clock import utc_now
from accountsync.domain.reasons import Kind, Reason, from_documents
from accountsync.errors import ConfigurationError, SafetyStopError
from accountsync.jobs.persons import held_feeds
from accountsync.jobs.persons.run_request import Window
from accountsync.store.persons.runs import Outcome
from simulators.persons import Row
from tests.integration.persons.hr_world import HrWorld
from tests.integration.world import settings_with

BLANK: Row = {"personDept": []}


def _approve(world: HrWorld, feed: int, **options: Any) -> Outcome:
    return held_feeds.approve(
        engine=world.engine,
        settings=settings_with(world.changes).hr[0],
        feed=feed,
        actor="oper",
        comment="HR says so",
        clock=utc_now,
        **options,
    )


def _spoil(world: HrWorld, count: int = 25, **fields: Any) -> None:
    for row in world.hr.persons()[:count]:
        world.change(row, **(fields or BLANK))


def _held(world: HrWorld, mode: Any = "full", **options: Any) -> int:
    """A run that the guard stops; the feed that is held then."""
    with pytest.raises(SafetyStopError, match="is held, nothing of it was merged"):
        world.sync(mode, **options)
    (feed,) = held_feeds.list_held(engine=world.engine)
    return feed.id


def _audited(world: HrWorld) -> list[tuple[Any, ...]]:
    rows = world.rows("SELECT actor, action, details FROM accountsync.audit_event ORDER BY id")
    return [tuple(row.values()) for row in rows]


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_departments_suddenly_blank_stop_the_feed_and_change_nothing(
    world: HrWorld, mode: Any
) -> None:
    world.sync()
    _spoil(world)
    before = world.everything()
    feed = _held(world, mode)
    assert world.everything() == before
    assert world.staged_tables() == [f"staged_{feed}"]
    run = world.last_run
    assert (run["id"], run["state"], run["mode"]) == (feed, "held", mode)
    (reason,) = from_documents(run["stopped_by"])
    assert (reason.kind, reason.facts["field"]) == (Kind.FIELD_EMPTIED, "department_code")
    assert (reason.facts["affected"], reason.facts["allowed"]) == (25, 10)


STOPS: dict[str, dict[str, Any]] = {
    "e-mails changed": {"emailAddress": "same@example.com"},
    "many rows are bad": {"fullName": None},
}


@pytest.mark.parametrize("fields", STOPS.values(), ids=STOPS)
def test_what_else_stops_a_feed(world: HrWorld, fields: dict[str, Any]) -> None:
    world.sync()
    _spoil(world, **fields)
    _held(world)


def test_an_empty_full_read_is_stopped(world: HrWorld) -> None:
    """LANDSCAPE §3 (ssosync#194, SailPoint 200651): nothing is not nobody."""
    world.sync()
    for row in world.hr.persons():
        world.hr.vanish(row["personId"])
    _held(world)
    assert world.absent() == {}


def test_missing_people_do_not_stop_the_merge(world: HrWorld) -> None:
    """I4: absence changes nothing by itself, so joiners go on."""
    world.sync()
    for row in world.hr.persons()[:30]:
        world.hr.vanish(row["personId"])
    world.hr.events(join=2)
    assert world.sync("full").inserted == 2
    assert len(world.absent()) == 30


def test_people_marked_as_left_do_not_stop_the_merge(world: HrWorld) -> None:
    """I7: the plan's guard holds their disables. But leavers do not all come back."""
    world.sync()
    _spoil(world, 38, employeeStatus="2", disableDate="2026-01-31")
    assert world.sync().updated == 38
    _spoil(world, 20, disableDate=None)
    _held(world)
    assert from_documents(world.last_run["stopped_by"]) == (
        _twenty_of_38(Kind.FIELD_EMPTIED, "leave_date", allowed=10),
    )


def _twenty_of_38(kind: Kind, field: str, *, allowed: int) -> Reason:
    return Reason.of(kind, field=field, affected=20, of=38, allowed=allowed)


LEFT = {"left_statuses": ["2"]}


@pytest.mark.parametrize(
    ("back", "field"),
    [
        ({"disableDate": "9999-12-31"}, "leave_date"),
        ({"employeeStatus": "1"}, "status"),
        ({"employeeStatus": None}, "status"),
    ],
)
def test_leavers_do_not_all_come_back(world: HrWorld, back: Row, field: str) -> None:
    """I7: no guard of plans would keep their accounts disabled, however HR says it."""
    world.sync()
    _spoil(world, 38, employeeStatus="2", disableDate="2026-01-31")
    assert world.sync(**LEFT).updated == 38
    _spoil(world, 19, **back)
    assert world.sync(**LEFT).updated == 19
    _spoil(world, 38, employeeStatus="2", disableDate="2026-01-30")
    assert world.sync(**LEFT).updated == 38
    _spoil(world, 20, **back)
    _held(world, **LEFT, feed_guard={"emptied_percent": 50})
    assert from_documents(world.last_run["stopped_by"]) == (
        _twenty_of_38(Kind.LEAVERS_BACK, field, allowed=50),
    )
    assert world.sync("full", feed_guard={"fields": ["email"]}, **LEFT).updated == 20


def test_a_handful_of_persons_never_stops_a_feed(world: HrWorld) -> None:
    world.sync()
    _spoil(world, 19)
    assert world.sync("full").updated == 19


def test_the_first_read_is_stopped_by_rejects_only(world: HrWorld) -> None:
    _spoil(world, fullName=None)
    feed = _held(world)
    assert world.rows("SELECT * FROM accountsync.person") == []
    assert _approve(world, feed).counts.inserted == 15
    assert world.sync("full").rejected == 25


def test_rows_that_were_rejected_before_stop_no_later_feed(world: HrWorld) -> None:
    """They were looked at; what counts is what is new."""
    _spoil(world, fullName=None)
    _approve(world, _held(world))
    world.change(world.hr.persons()[30], fullName=None)
    assert world.sync("full").rejected == 26


def test_a_held_feed_tells_what_it_would_change_by_number_only(world: HrWorld) -> None:
    """I15."""
    world.sync()
    known = world.hr.persons()
    _spoil(world, personDept=[], fullName="王五")
    found = held_feeds.describe(engine=world.engine, feed=_held(world))
    assert (found.state, found.fetched, found.updated, found.unchanged) == ("held", 40, 25, 15)
    department = found.differences["fields"]["department_code"]
    assert (department["changed"], department["emptied"]) == (25, 25)
    assert department["examples"] == [f"0010000{n}" for n in range(1, 6)]
    codes = Counter(row["personDept"][0]["department_code"] for row in known[:25])
    assert sorted(department["shifts"]) == sorted(
        [code, None, persons]
        for code, persons in sorted(codes.items(), key=lambda one: (-one[1], one[0]))[:5]
    )
    assert "shifts" not in found.differences["fields"]["full_name"]
    assert "王五" not in str(found)


def test_approving_merges_exactly_what_was_staged(world: HrWorld) -> None:
    """I6 in small: what was looked at is what is applied, whatever HR says meanwhile."""
    world.sync()
    _spoil(world)
    feed = _held(world)
    rows = world.hr.persons()
    world.change(rows[0], personDept=[{"department_code": "D9999"}])
    outcome = _approve(world, feed)
    assert outcome.counts.updated == 25
    assert world.person(rows[0])["department_code"] is None
    assert world.differences() == {str(rows[0]["personId"]): "is old"}
    assert world.staged_tables() == []
    run = world.last_run
    assert (run["id"], run["state"], run["updated"]) == (feed, "succeeded", 25)
    assert run["stopped_by"] != []
    details = {"feed": feed, "source": "hieds", "comment": "HR says so"}
    assert _audited(world) == [("oper", "feed_approved", details)]


def test_approving_a_full_read_takes_its_snapshot_and_moves_the_watermark(world: HrWorld) -> None:
    """I1: in that transaction, as if it had been merged at once."""
    world.sync()
    before = world.watermark
    gone = world.hr.persons()[39]
    world.hr.vanish(gone["personId"])
    _spoil(world)
    _approve(world, _held(world))
    assert world.watermark > before
    assert world.absent().keys() == {str(gone["personId"])}
    assert world.scalar("SELECT count(*) FROM accountsync.snapshot") == 2


def test_a_held_feed_is_whole_without_the_store(world: HrWorld) -> None:
    """Whom it does not change may change before a human has decided."""
    world.sync()
    _spoil(world)
    feed = _held(world)
    rows = world.rows(f"SELECT * FROM accountsync.staged_{feed}")
    assert len(rows) == 40
    hr = {str(row["personId"]): row for row in world.hr.persons()}
    assert {row["source_key"]: row["attributes"] for row in rows} == hr
    assert all(row["full_name"] == row["attributes"]["fullName"] for row in rows)
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE accountsync.person SET full_name='', content_hash='old'"))
    assert _approve(world, feed).counts.updated == 40
    assert world.differences() == {}


def test_a_feed_is_approved_once(world: HrWorld) -> None:
    world.sync()
    _spoil(world)
    feed = _held(world)
    _approve(world, feed)
    before = world.everything()
    with pytest.raises(SafetyStopError, match="held no more: it was approved"):
        _approve(world, feed)
    assert world.everything() == before


def test_two_humans_who_decide_at_once_decide_once(world: HrWorld) -> None:
    world.sync()
    _spoil(world)
    feed = _held(world)

    def decide(_: int) -> bool:
        try:
            return _approve(world, feed).counts.updated == 25
        except SafetyStopError:
            return False

    with ThreadPoolExecutor(3) as threads:
        assert sorted(threads.map(decide, range(3))) == [False, False, True]
    assert len(_audited(world)) == 1


def test_rejecting_throws_the_feed_away_and_the_next_run_reads_anew(world: HrWorld) -> None:
    world.sync()
    rows = world.hr.persons()
    _spoil(world)
    feed = _held(world)
    before = world.everything()
    held_feeds.reject(engine=world.engine, feed=feed, actor="oper", comment="a bug of HR")
    assert world.everything() == before
    assert world.staged_tables() == []
    assert world.last_run["state"] == "rejected"
    details = {"feed": feed, "source": "hieds", "comment": "a bug of HR"}
    assert _audited(world) == [("oper", "feed_rejected", details)]
    with pytest.raises(SafetyStopError, match="held no more: it was rejected"):
        _approve(world, feed)
    world.hr.put_persons(*rows)
    world.sync("full")
    assert world.differences() == {}


def test_what_was_rejected_is_asked_about_again_when_it_differs_is_due_or_by_hand(
    world: HrWorld,
) -> None:
    """I7: not every ten minutes, whether the source can tell changes or not; those go on."""
    world.sync()
    for row in sorted(world.hr.persons(), key=lambda row: row["lastUpdateDate"])[:25]:
        world.hr.put_persons(row | BLANK)
    first = _held(world)
    held_feeds.reject(engine=world.engine, feed=first, actor="oper", comment="a bug of HR")
    assert world.sync().mode == "incremental"
    again = world.sync(changed_since=None)
    assert (again.mode, again.fetched, world.last_run["state"]) == ("full", 0, "failed")
    assert again.stopped_by != []
    assert world.staged_tables() == []
    second = _held(world)
    held_feeds.reject(engine=world.engine, feed=second, actor="oper", comment="a bug of HR")
    world.execute("UPDATE accountsync.sync_run SET finished_at = finished_at - interval '25 h'")
    world.execute("UPDATE accountsync.snapshot SET taken_at = taken_at - interval '25 h'")
    assert _held(world, "auto") > second


def test_a_complete_read_that_passes_takes_the_place_of_the_held_one(world: HrWorld) -> None:
    world.sync()
    rows = world.hr.persons()
    _spoil(world)
    feed = _held(world)
    world.hr.put_persons(*rows)
    world.sync("full")
    assert held_feeds.list_held(engine=world.engine) == []
    assert world.staged_tables() == []
    with pytest.raises(SafetyStopError, match="held no more: it was superseded"):
        _approve(world, feed)
    assert world.differences() == {}


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_feed_that_trips_the_guard_again_takes_the_place_of_the_held_one(
    world: HrWorld, mode: Any
) -> None:
    world.sync()
    _spoil(world)
    first = _held(world, mode)
    world.change(world.hr.persons()[30], fullName="王五")
    second = _held(world, mode)
    assert second > first
    assert world.staged_tables() == [f"staged_{second}"]
    _approve(world, second)
    assert world.differences() == {}


def test_the_same_feed_again_leaves_the_held_one_in_place(world: HrWorld) -> None:
    """Who is looking at it can still decide, and is not told again every ten minutes."""
    world.sync()
    _spoil(world)
    first = _held(world)
    again = world.sync("full")
    assert (again.fetched, again.updated) == (0, 0)
    assert [reason.facts["field"] for reason in again.stopped_by] == ["department_code"]
    assert world.last_run["state"] == "failed"
    assert world.staged_tables() == [f"staged_{first}"]
    _approve(world, first)
    assert world.differences() == {}


def test_a_window_that_is_held_and_read_again_is_held_once(world: HrWorld) -> None:
    """I5, I7: however often a backfill is repeated, a human is asked once."""
    world.sync()
    _spoil(world)
    window = Window(start=utc_now() - timedelta(hours=1), end=utc_now() + timedelta(hours=1))
    feed = _held(world, window=window)
    assert world.sync(window=window).stopped_by != []
    assert world.staged_tables() == [f"staged_{feed}"]


def test_a_full_read_that_is_held_again_is_due_again_a_day_later(world: HrWorld) -> None:
    """Not with every run: between the two, changes are merged."""
    world.sync()
    for row in sorted(world.hr.persons(), key=lambda row: row["lastUpdateDate"])[:25]:
        world.hr.put_persons(row | BLANK)
    feed = _held(world)
    world.execute("UPDATE accountsync.sync_run SET finished_at = finished_at - interval '25 h'")
    world.execute("UPDATE accountsync.snapshot SET taken_at = taken_at - interval '25 h'")
    assert (world.sync().mode, world.staged_tables()) == ("full", [f"staged_{feed}"])
    assert world.sync().mode == "incremental"


def test_while_a_full_read_is_held_changes_go_on_being_merged(world: HrWorld) -> None:
    """Joiners do not wait for the human; the feed can still be approved then, and overwrites
    nothing newer (I5), even of the same change time; who was not in it may have come back (I4)."""
    world.sync()
    *spoilt, gone, same = sorted(world.hr.persons(), key=lambda row: row["lastUpdateDate"])[-27:]
    world.hr.vanish(gone["personId"])
    for row in spoilt:
        world.hr.put_persons(row | BLANK)
    feed = _held(world)
    world.hr.events(join=2)
    world.hr.put_persons(same | {"fullName": "赵六"})
    world.change(gone)
    newer = world.change(spoilt[0], fullName="王五")
    result = world.sync()
    assert (result.mode, result.inserted, result.updated) == ("incremental", 2, 3)
    assert [found.id for found in held_feeds.list_held(engine=world.engine)] == [feed]
    _approve(world, feed)
    assert world.person(newer)["full_name"] == "王五"
    assert world.absent() == {}
    assert world.differences() == {}


def test_whom_a_held_feed_takes_over_is_what_it_says(world: HrWorld) -> None:
    """Though the old owner wrote it after the feed was read, and newer changes were merged."""
    world.sync()
    *spoilt, other = sorted(world.hr.persons(), key=lambda row: row["lastUpdateDate"])[-26:]
    hired = world.change({"personId": 700_001}, ago=timedelta(days=30), fullName="赵六")
    for row in spoilt:
        world.hr.put_persons(row | BLANK)
    feed = _held(world)
    world.hr.put_persons(hired | {"fullName": "赵 六"})
    easy = {"feed_guard": {"floor": 1000}}
    assert world.sync("full", name="contractors", **easy).inserted == 1
    world.change(other, fullName="王五")
    assert world.sync("incremental").updated == 1
    source = settings_with().hr[0].model_copy(update={"takes_over": ["contractors"]})
    held_feeds.approve(
        engine=world.engine, settings=source, feed=feed, actor="o", comment="", clock=utc_now
    )
    person = world.person(hired)
    assert (person["source"], person["full_name"], person["revision"]) == ("hieds", "赵六", 2)


def test_approving_a_feed_closes_nothing_that_was_rejected_after_it(world: HrWorld) -> None:
    """I3: a newcomer that it cannot know, one who was right then, and one who was wrong then, too,
    whose newer row is the one that is kept."""
    world.sync()
    rows = sorted(world.hr.persons(), key=lambda row: row["lastUpdateDate"])
    world.hr.put_persons(rows[31] | {"fullName": None})
    for row in rows[:25]:
        world.hr.put_persons(row | BLANK)
    feed = _held(world)
    world.change(rows[0] | {"personId": 990001, "employeeNumber": "00990001", "fullName": None})
    world.change(rows[30], fullName=None)
    newer = world.change(rows[31], fullName=[])
    assert world.sync().rejected == 3
    _approve(world, feed)
    keys = [str(row["personId"]) for row in rows[30:32]]
    assert world.open_rejects().keys() == {"990001", *keys}
    assert world.open_rejects()[keys[1]]["raw"] == newer


def test_a_held_feed_survives_the_runs_and_the_crashes_that_follow(world: HrWorld) -> None:
    """It is nobody's leftover, and no longer in a table that a crash of the database empties."""
    world.sync()
    _spoil(world)
    feed = _held(world)
    kind = "SELECT relpersistence FROM pg_class WHERE relname = :name"
    assert world.scalar(kind, name=f"staged_{feed}") == "p"
    world.sync(numbers=["00100040"])
    assert world.staged_tables() == [f"staged_{feed}"]


def test_a_feed_that_lost_rows_is_not_approved(world: HrWorld) -> None:
    world.sync()
    _spoil(world)
    feed = _held(world)
    world.execute(f"DELETE FROM accountsync.staged_{feed} WHERE position = 1")
    before = world.everything()
    with pytest.raises(SafetyStopError, match="not complete, reject it"):
        _approve(world, feed)
    assert world.everything() == before
    assert [found.id for found in held_feeds.list_held(engine=world.engine)] == [feed]


def test_a_feed_that_never_was_is_not_found(world: HrWorld) -> None:
    with pytest.raises(ConfigurationError, match="no feed 7 was ever held"):
        held_feeds.describe(engine=world.engine, feed=7)
    world.sync()
    with pytest.raises(ConfigurationError, match="was ever held"):
        _approve(world, world.last_run["id"])


def test_a_dry_run_says_that_the_feed_would_be_held(world: HrWorld) -> None:
    world.sync()
    _spoil(world)
    result = world.sync("full", dry_run=True)
    assert [reason.kind for reason in result.stopped_by] == [Kind.FIELD_EMPTIED]
    assert result.stopped_by[0].facts["affected"] == 25
    assert held_feeds.list_held(engine=world.engine) == []
    assert world.staged_tables() == []


def test_the_limits_are_the_sources_own(world: HrWorld) -> None:
    world.sync()
    _spoil(world, 6)
    limits = {"floor": 5, "emptied_percent": 50, "changed_percent": 5}
    _held(world, feed_guard=limits)
    limits |= {"fields": ["email"]}
    assert world.sync(feed_guard=limits).updated == 6
