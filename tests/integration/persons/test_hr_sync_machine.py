"""Whatever happens in HR, whatever runs and fails in between: the store ends where HR is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accountsync.clock import utc_now
from accountsync.errors import AccountSyncError, SafetyStopError
from accountsync.jobs.persons import held_feeds
from accountsync.jobs.persons.run_request import Window
from accountsync.jobs.persons.sync_hr_persons import SyncResult
from accountsync.store.persons.held_feeds import HeldFeed
from tests.integration.crashing import dying
from tests.integration.persons.hr_world import HrWorld
from tests.integration.world import HrRow, settings_with

PAGE = "hr_person_info"
PASSING_FAULTS: list[dict[str, Any]] = [
    {"kind": "page_loss", "rows": 1, "times": 1},
    {"kind": "page_loss", "times": 3},
    {"kind": "shifting_pages", "mode": "remove", "times": 1},
    {"kind": "shifting_pages", "mode": "insert", "skip": 1, "times": 1},
    {"kind": "lying_totals", "times": 2},
    {"kind": "duplicate_rows", "replace": True, "times": 1},
    {"kind": "future_stamp", "times": 2},
    {"kind": "bad_rows", "rows": 3, "times": 2},
    {"kind": "expired_token", "path": PAGE, "times": 1},
    {"kind": "drop_after", "path": PAGE, "times": 1},
    {"kind": "truncated", "path": PAGE, "times": 1},
]
_FORGET = [
    f"DELETE FROM accountsync.{table}"
    for table in ("person_change", "rejected_record", "watermark", "person", "snapshot", "sync_run")
]
people = st.integers(min_value=0, max_value=10**6)
hours = st.integers(min_value=-2, max_value=30)
modes = st.sampled_from(["incremental", "full"])
steps = st.integers(min_value=0, max_value=50)
GUARD = {"floor": 8}


class HrAndStore(RuleBasedStateMachine):
    """`world` is set by the test."""

    world: HrWorld

    def __init__(self) -> None:
        super().__init__()
        for table in self.world.staged_tables():
            self.world.execute(f"DROP TABLE accountsync.{table}")
        for statement in _FORGET:
            self.world.execute(statement)
        self.world.hr.heal()
        self.world.hr.reset()
        self.newest: datetime | None = None
        self.fresh_numbers = 0
        self.has_died = False

    def _somebody(self, number: int) -> HrRow:
        rows = self.world.hr.persons()
        return rows[number % len(rows)]

    def _sync(self, mode: Any = "auto", **options: Any) -> SyncResult | None:
        """None: the feed guard held the feed, or holds it. A run sweeps up after the dead."""
        try:
            result = self.world.sync(mode, feed_guard=GUARD, **options)
            return None if result.stopped_by else result
        except SafetyStopError:
            return None
        finally:
            self.has_died = False

    def _held(self) -> list[HeldFeed]:
        return list(held_feeds.list_held(engine=self.world.engine))

    def _approve(self, feed: HeldFeed) -> None:
        held_feeds.approve(
            engine=self.world.engine,
            settings=settings_with().hr[0],
            feed=feed.id,
            actor="oper",
            comment="",
            clock=utc_now,
        )

    @rule(
        counts=st.dictionaries(
            st.sampled_from(["join", "move", "leave", "rename", "swap_numbers"]),
            st.integers(min_value=1, max_value=3),
            min_size=1,
        )
    )
    def things_happen(self, counts: dict[str, int]) -> None:
        self.world.hr.happen(counts)

    @rule(number=people)
    def somebody_vanishes(self, number: int) -> None:
        self.world.hr.vanish(self._somebody(number)["personId"])

    @rule(number=people, ago=hours)
    def somebody_is_edited_with_an_odd_stamp(self, number: int, ago: int) -> None:
        self.world.change(self._somebody(number), ago=timedelta(hours=ago), fullName=f"王{ago}")

    @rule(number=people)
    def somebody_loses_the_number(self, number: int) -> None:
        self.world.change(self._somebody(number), employeeNumber=None)

    @rule(number=people, other=people)
    def somebody_gets_the_number_of_somebody_else(self, number: int, other: int) -> None:
        taken = self._somebody(other)["employeeNumber"]
        self.world.change(self._somebody(number), employeeNumber=taken)

    @rule(count=st.integers(min_value=8, max_value=30), ago=hours)
    def many_departments_go_blank(self, count: int, ago: int) -> None:
        for row in self.world.hr.persons()[:count]:
            self.world.change(row, ago=timedelta(hours=ago), personDept=[])

    @rule()
    def hr_is_mended(self) -> None:
        for row in self.world.hr.persons():
            if not row["personDept"]:
                self.world.change(row, personDept=[{"department_code": "D1000"}])

    @rule(fault=st.sampled_from(PASSING_FAULTS), mode=modes)
    def a_run_is_disturbed(self, fault: dict[str, Any], mode: Any) -> None:
        before = self.world.everything()
        self.world.hr.faults(fault)
        with suppress(AccountSyncError):
            self._sync(mode)
        self.world.hr.heal()
        if self.world.last_run["state"] != "succeeded":
            assert self.world.everything() == before

    @rule(mode=modes, after=steps)
    def a_run_dies_between_two_steps(self, mode: Any, after: int) -> None:
        before = self.world.everything()
        with dying(self.world.engine, after=after):
            self._sync(mode)
        self.has_died = True
        runs = self.world.rows("SELECT state FROM accountsync.sync_run ORDER BY id DESC LIMIT 1")
        if runs and runs[0]["state"] == "running":
            assert self.world.everything() == before

    @rule(mode=st.sampled_from(["auto", "incremental", "incremental", "full"]))
    def a_run_goes_well(self, mode: Any) -> None:
        self._sync(mode)

    @rule(first=hours, length=st.integers(min_value=1, max_value=30))
    def a_window_is_read(self, first: int, length: int) -> None:
        start = utc_now() - timedelta(hours=first + length)
        before = self.world.rows("SELECT xmin::text, * FROM accountsync.watermark")
        self._sync(window=Window(start=start, end=start + timedelta(hours=length)))
        assert self.world.rows("SELECT xmin::text, * FROM accountsync.watermark") == before

    @rule(number=people)
    def somebody_is_read(self, number: int) -> None:
        if asked := self._somebody(number)["employeeNumber"]:
            self._sync(numbers=[asked])

    @rule(mode=modes)
    def a_run_is_only_tried(self, mode: Any) -> None:
        before = self.world.everything()
        self._sync(mode, dry_run=True)
        assert self.world.everything() == before

    @precondition(lambda self: self._held())
    @rule(after=st.integers(min_value=0, max_value=35))
    def a_human_approves_and_the_merge_may_die(self, after: int) -> None:
        """All of it is merged, or nothing and it is held as before."""
        feed, before = self._held()[0], self.world.everything()
        with dying(self.world.engine, after=after):
            self._approve(feed)
        if feed in self._held():
            assert self.world.everything() == before

    @precondition(lambda self: self._held())
    @rule()
    def a_human_rejects(self) -> None:
        before = self.world.everything()
        feed = self._held()[0].id
        held_feeds.reject(engine=self.world.engine, feed=feed, actor="oper", comment="")
        assert self.world.everything() == before

    @invariant()
    def the_watermark_goes_forward_and_stays_out_of_the_future(self) -> None:
        """I1."""
        now = self.world.watermark
        assert now is None or now <= utc_now() + timedelta(minutes=5)
        assert self.newest is None or (now is not None and now >= self.newest)
        self.newest = now

    @invariant()
    def no_run_leaves_a_table_behind_but_a_held_or_a_dead_one(self) -> None:
        left = set(self.world.staged_tables()) - {f"staged_{feed.id}" for feed in self._held()}
        assert len(left) <= self.has_died

    @invariant()
    def counts_add_up(self) -> None:
        """I14: nothing is counted twice, nothing is negative."""
        odd = "SELECT * FROM accountsync.sync_run WHERE unchanged < 0 OR state = 'running'"
        assert len(self.world.rows(odd)) <= self.has_died

    @invariant()
    def a_kind_of_read_is_held_once(self) -> None:
        """A newer feed takes the place of the one it covers; windows and persons are their own."""
        held = [feed.mode for feed in self._held() if feed.mode in ("full", "incremental")]
        assert len(held) == len(set(held))

    def _brought_in_step(self) -> None:
        """A full read; what it brings is what HR means."""
        if self._sync("full") is None:
            (feed,) = (feed for feed in self._held() if feed.mode == "full")
            self._approve(feed)

    def teardown(self) -> None:
        """A full run equals HR but for whom it rejected. Once HR has tidied up, but for nobody."""
        self._brought_in_step()
        assert self.world.differences().keys() <= self.world.open_rejects().keys()
        while rejected := self.world.open_rejects():
            for row in self.world.hr.persons():
                if str(row["personId"]) in rejected:
                    self.fresh_numbers += 1
                    self.world.change(row, employeeNumber=f"9{self.fresh_numbers:07}")
            self._brought_in_step()
        assert self.world.differences() == {}


_profile: Callable[..., Any] = settings(
    max_examples=15,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
def test_whatever_happens_the_store_ends_where_hr_is(world: HrWorld) -> None:
    """I1–I5, I14."""

    class Machine(HrAndStore):
        pass

    Machine.world = world
    run_state_machine_as_test(Machine, settings=_profile)  # type: ignore[arg-type]
