"""What a sync run keeps, changes and counts (I1, I3, I4, I5, I14). Faults: test_hr_sync_faults."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accountsync.clock import utc_now
from accountsync.domain.reasons import Kind
from accountsync.settings.hr_source import CLOCK_TOLERANCE
from tests.integration.persons.hr_world import HrWorld
from tests.integration.world import SHANGHAI, HrRow, stamp, until

DAY = timedelta(days=1)
NONE = timedelta(0)
PERSONS_ROUTE = "POST /api/meta/api/engine/idata/projects/{project}/catalog/hr_person_info"


def _moment(row: HrRow) -> datetime:
    return datetime.fromisoformat(row["lastUpdateDate"]).replace(tzinfo=SHANGHAI)


def _key(row: HrRow) -> str:
    return str(row["personId"])


def test_the_first_run_brings_everybody_and_counts_them(world: HrWorld) -> None:
    """I14."""
    counts = world.sync()
    assert (counts.fetched, counts.inserted, counts.rejected) == (40, 40, 0)
    assert world.differences() == {}
    run = world.last_run
    assert (run["mode"], run["state"], run["fetched"], run["inserted"]) == (
        "full",
        "succeeded",
        40,
        40,
    )
    assert world.staged_tables() == []


def test_the_counts_of_a_run_say_what_it_did(world: HrWorld) -> None:
    """I14: fetched + retried = inserted + updated + unchanged + rejected."""
    world.sync()
    rows = world.hr.persons()
    world.change(rows[0], fullName="王五")
    world.change(rows[1])
    world.change(rows[2], fullName="")
    world.hr.events(join=2)
    run_id = world.last_run["id"]
    counts = world.sync("full")
    assert (counts.fetched, counts.retried) == (42, 0)
    assert (counts.inserted, counts.updated, counts.rejected) == (2, 2, 1)
    assert counts.unchanged == 37
    recorded = world.last_run
    assert recorded["id"] > run_id
    names = ("fetched", "retried", "inserted", "updated", "unchanged", "rejected")
    assert [recorded[name] for name in names] == [getattr(counts, name) for name in names]


def test_the_history_tells_old_and_new_of_the_changed_fields_only(world: HrWorld) -> None:
    world.sync()
    row = world.hr.persons()[0]
    world.change(row, fullName="王五", originalHireDate="2020-02-29")
    world.sync()
    person = world.person(row)
    changes = world.rows("SELECT person_id, run_id, changes FROM accountsync.person_change")
    assert [dict(change) for change in changes] == [
        {
            "person_id": person["id"],
            "run_id": world.last_run["id"],
            "changes": {
                "full_name": [row["fullName"], "王五"],
                "hire_date": [row["originalHireDate"], "2020-02-29"],
            },
        }
    ]
    assert person["revision"] == 2


def test_an_unchanged_full_read_writes_no_row(world: HrWorld) -> None:
    """DESIGN §8. xmin is the transaction that wrote a row last."""
    world.sync()
    before = world.everything()
    counts = world.sync("full")
    assert counts.unchanged == 40
    after = world.everything()
    assert after.pop("snapshots") != before.pop("snapshots")
    assert after == before


def test_the_watermark_is_the_newest_change_that_hr_told(world: HrWorld) -> None:
    """I1: no clock of ours."""
    world.sync()
    assert world.watermark == max(_moment(row) for row in world.hr.persons())


def test_the_watermark_never_goes_back(world: HrWorld) -> None:
    """I1: the newest person vanishes, or HR's clock is put back."""
    world.sync()
    before = world.watermark
    newest = max(world.hr.persons(), key=_moment)
    world.hr.vanish(newest["personId"])
    world.sync("full")
    assert world.watermark == before
    assert world.last_run["read_to"] < before


def test_the_next_read_starts_an_overlap_before_the_watermark(world: HrWorld) -> None:
    """I1: a change that HR committed late, with an earlier stamp, is not lost."""
    world.sync()
    rows = world.hr.persons()
    world.change(rows[0])
    world.sync()
    world.change(rows[1], ago=timedelta(minutes=9), fullName="王五")
    world.sync()
    assert world.differences() == {}
    overlap = world.watermark - world.last_run["read_from"]
    assert timedelta(minutes=10) <= overlap < timedelta(minutes=11)


def test_a_stamp_as_far_ahead_as_is_believed_hides_no_change(world: HrWorld) -> None:
    """I1, I5: one of HR's machines is fast, and its row is the watermark; the shortest overlap that
    the settings allow reaches back to our time."""
    world.sync()
    rows = world.hr.persons()
    world.change(rows[0], ago=-CLOCK_TOLERANCE + timedelta(seconds=10))
    world.sync()
    assert world.watermark > utc_now() + timedelta(minutes=3)
    world.change(rows[1], fullName="王五")
    world.sync("incremental", overlap=CLOCK_TOLERANCE)
    assert world.differences() == {}


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_change_time_from_the_future_is_reported_and_never_the_watermark(
    world: HrWorld, mode: Any
) -> None:
    """I1."""
    world.sync()
    row = world.change(world.hr.persons()[3], ago=-DAY, fullName="王五")
    counts = world.sync(mode)
    assert counts.from_the_future == 1
    assert world.watermark < utc_now()
    assert world.person(row)["full_name"] == "王五"


def test_what_changed_while_everything_was_read_is_not_from_the_future(world: HrWorld) -> None:
    """I1: in a read of two hours, the newest change is an hour younger than its start."""
    world.change(world.hr.persons()[3], ago=timedelta(hours=-1))
    ticks = iter([utc_now(), utc_now() + timedelta(hours=2)])
    assert world.sync("full", clock=lambda: next(ticks)).from_the_future == 0
    assert world.watermark > utc_now()


def test_a_change_time_from_the_future_does_not_freeze_the_person(world: HrWorld) -> None:
    """I5: a stamp that cannot be true makes nobody newer than what HR says next."""
    world.sync()
    row = world.change(world.hr.persons()[3], ago=-DAY)
    world.sync()
    world.change(row, employeeStatus="2", fullName="王五")
    world.sync()
    assert world.person(row)["status"] == "2"
    assert world.differences() == {}


def test_a_full_read_takes_back_what_hr_took_back(world: HrWorld) -> None:
    """HR restored a backup: the rows are older than ours, and right."""
    world.sync()
    before = world.hr.persons()[5]
    world.change(before, fullName="王五")
    world.sync()
    world.hr.put_persons(before)
    counts = world.sync("full")
    assert counts.updated == 1
    assert world.differences() == {}


def _reads(world: HrWorld) -> int:
    return int(world.hr.state()["requests"].get(PERSONS_ROUTE, 0))


def _sync_in_thread(world: HrWorld, failures: list[BaseException], **options: Any) -> Any:
    def run() -> None:
        try:
            world.sync(**options)
        except BaseException as error:  # noqa: BLE001 (shown by the test)
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_change_made_while_a_run_reads_is_not_lost(world: HrWorld, mode: Any) -> None:
    """I1, PREDECESSOR §4: also when the read takes longer than the overlap, as a big one may.

    The first person changes after its page was read, the last one later, before its page is read:
    the watermark passes the first change without having seen it.
    """
    world.sync()
    rows = world.hr.persons()
    for row in rows:
        world.change(row, ago=timedelta(minutes=5))
    read = _reads(world)
    world.hr.fault("latency", path="hr_person_info", seconds=0.8)
    failures: list[BaseException] = []
    options = {"mode": mode, "overlap": NONE, "page_size": 10, "rate": {"concurrency": 1}}
    thread = _sync_in_thread(world, failures, **options)
    until(lambda: _reads(world) == read + 2)
    world.change(rows[1], fullName="王五")
    time.sleep(1.01)
    world.change(rows[-2], fullName="赵六")
    thread.join()
    world.hr.heal()
    assert failures == []
    assert world.person(rows[1])["full_name"] != "王五"
    assert world.person(rows[-2])["full_name"] == "赵六"
    world.sync(overlap=NONE)
    assert world.last_run["mode"] == "incremental"
    assert world.differences() == {}


def test_a_run_reads_changes_only_until_a_full_one_is_due(world: HrWorld) -> None:
    now = utc_now()
    modes = []
    for later in (timedelta(0), timedelta(hours=23), timedelta(hours=25)):
        world.sync(now=now + later)
        modes.append(world.last_run["mode"])
    assert modes == ["full", "incremental", "full"]


def test_a_full_run_that_failed_stays_due(world: HrWorld) -> None:
    world.sync()
    tomorrow = utc_now() + DAY
    world.hr.fault("page_loss", rows=1)
    with pytest.raises(Exception, match="rows"):
        world.sync(now=tomorrow)
    world.hr.heal()
    world.sync(now=tomorrow)
    assert world.last_run["mode"] == "full"


def test_a_source_that_cannot_tell_changes_is_always_read_whole(world: HrWorld) -> None:
    for _ in range(2):
        world.sync("incremental", changed_since=None)
        assert world.last_run["mode"] == "full"


def test_somebody_who_is_missing_is_marked_and_nothing_else(world: HrWorld) -> None:
    """I4: absence is not leaving."""
    world.sync()
    row = world.hr.persons()[7]
    before = dict(world.person(row))
    world.hr.vanish(row["personId"])
    world.sync("full")
    after = dict(world.person(row))
    first = after.pop("absent_since_snapshot")
    assert first == world.scalar("SELECT max(id) FROM accountsync.snapshot")
    assert before.pop("absent_since_snapshot") is None
    assert after == before
    world.sync("full")
    assert world.absent() == {_key(row): first}


def test_somebody_who_comes_back_is_no_longer_missing(world: HrWorld) -> None:
    """I4."""
    world.sync()
    row = world.hr.persons()[7]
    world.hr.vanish(row["personId"])
    world.sync("full")
    world.hr.put_persons(row)
    world.sync("full")
    assert world.absent() == {}
    assert world.differences() == {}


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_swapped_numbers_converge_in_one_run(world: HrWorld, mode: Any) -> None:
    """PREDECESSOR fault 19."""
    world.sync()
    world.hr.events(swap_numbers=5)
    counts = world.sync(mode)
    assert (counts.updated, counts.rejected) == (10, 0)
    assert world.differences() == {}


def test_a_ring_of_numbers_converges_in_one_run(world: HrWorld) -> None:
    world.sync()
    ring = world.hr.persons()[:4]
    for row, giver in zip(ring, ring[1:] + ring[:1], strict=True):
        world.change(row, employeeNumber=giver["employeeNumber"])
    assert world.sync().updated == 4
    assert world.differences() == {}


def test_a_number_that_its_holder_gives_up_goes_to_the_next_person(world: HrWorld) -> None:
    world.sync()
    holder = world.hr.persons()[0]
    world.change(holder, employeeNumber="99000001")
    world.change({"personId": 700_001}, employeeNumber=holder["employeeNumber"])
    counts = world.sync()
    assert (counts.inserted, counts.updated, counts.rejected) == (1, 1, 0)
    assert world.differences() == {}


def test_a_number_that_its_holder_keeps_stops_only_the_new_row(world: HrWorld) -> None:
    """I3: that row is rejected and tried again, the rest is merged."""
    world.sync()
    holder, other = world.hr.persons()[:2]
    world.change(other, fullName="王五")
    world.change({"personId": 700_001}, employeeNumber=holder["employeeNumber"])
    counts = world.sync()
    assert (counts.updated, counts.rejected) == (1, 1)
    assert world.differences() == {"700001": "not in the store"}
    reject = world.open_rejects()["700001"]
    assert reject["reasons"] == [
        {"kind": Kind.IS_ANOTHER_PERSONS, "facts": {"field": "employee_number"}}
    ]
    assert reject["raw"]["employeeNumber"] == holder["employeeNumber"]
    world.change(holder, employeeNumber="99000001")
    counts = world.sync(overlap=NONE)
    assert counts.rejected == 0
    assert world.differences() == {}
    assert world.closed_rejects() == {"700001": "fixed"}


def test_a_chain_of_numbers_whose_end_is_taken_is_rejected_as_a_whole(world: HrWorld) -> None:
    """Who is refused keeps the old number, so the next in the chain cannot have it either."""
    world.sync()
    keeper, second, third, bystander = world.hr.persons()[:4]
    world.change(second, employeeNumber=keeper["employeeNumber"])
    world.change(third, employeeNumber=second["employeeNumber"])
    world.change(bystander, fullName="王五")
    counts = world.sync()
    assert (counts.updated, counts.rejected) == (1, 2)
    assert world.open_rejects().keys() == {_key(second), _key(third)}
    assert world.person(second)["employee_number"] == second["employeeNumber"]


def test_two_new_rows_with_one_number_are_both_rejected(world: HrWorld) -> None:
    world.sync()
    for key in (700_001, 700_002):
        world.change({"personId": key}, employeeNumber="99000001")
    assert world.sync().rejected == 2
    world.change({"personId": 700_002}, employeeNumber="99000002")
    assert world.sync().rejected == 0
    assert world.differences() == {}


BAD_ROWS = {
    "no number": {"employeeNumber": None},
    "no name": {"fullName": "  "},
    "a name that is a list": {"fullName": ["王", "五"]},
    "a date that does not exist": {"originalHireDate": "2025-13-45"},
    "a stamp that is no time": {"lastUpdateDate": "yesterday"},
    "a stamp before the first year": {"lastUpdateDate": "0001-01-01 00:00:00"},
    "a NUL in the name": {"fullName": "王\x00五"},
    "a NUL in a field that nobody reads": {"baseLocation": "北\x00京"},
    "a number too long for an index": {"employeeNumber": "".join(map(chr, range(0x4E00, 0x6000)))},
}


@pytest.mark.parametrize("fields", BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_stops_no_good_one_and_is_kept_until_it_is_fixed(
    world: HrWorld, fields: dict[str, Any]
) -> None:
    """I3, PREDECESSOR fault 3."""
    bad = world.hr.persons()[4]
    world.change(bad, **fields)
    counts = world.sync()
    assert (counts.inserted, counts.rejected) == (39, 1)
    assert world.differences() == {_key(bad): "not in the store"}
    rejected = world.open_rejects()[_key(bad)]
    assert rejected["raw"] == {**bad, "lastUpdateDate": rejected["raw"]["lastUpdateDate"], **fields}
    world.change(bad)
    world.sync()
    assert world.differences() == {}
    assert world.closed_rejects() == {_key(bad): "fixed"}


def test_a_rejected_row_is_tried_again_on_every_run_and_not_rewritten(world: HrWorld) -> None:
    """I3, I14: it is not in the feed, and is counted all the same."""
    bad = world.change(world.hr.persons()[4], ago=timedelta(hours=1), employeeNumber=None)
    world.sync()
    world.change(world.hr.persons()[5])
    world.sync(overlap=NONE)
    before = world.everything()["rejects"]
    counts = world.sync(overlap=NONE)
    assert (counts.retried, counts.rejected) == (1, 1)
    assert world.everything()["rejects"] == before
    assert world.open_rejects().keys() == {_key(bad)}


def test_more_rejected_rows_than_are_held_in_memory_are_all_tried_again(world: HrWorld) -> None:
    """I3, I14: each of them once."""
    world.sync()
    many = 5_003
    world.execute(
        "INSERT INTO accountsync.rejected_record"
        " (source, record_key, raw, reasons, first_run_id, last_run_id)"
        " SELECT 'hieds', n, json_build_object('personId', n), '[]', :run, :run"
        " FROM generate_series(1, :many) n",
        run=world.last_run["id"],
        many=many,
    )
    counts = world.sync("incremental", overlap=NONE)
    assert (counts.retried, counts.rejected) == (many, many)
    assert len(world.open_rejects()) == many


def test_a_rejected_row_that_hr_drops_is_closed_by_the_next_full_read(world: HrWorld) -> None:
    """I3."""
    bad = world.change(world.hr.persons()[4], employeeNumber=None)
    world.sync()
    world.hr.vanish(bad["personId"])
    world.sync("incremental")
    assert world.open_rejects().keys() == {_key(bad)}
    world.sync("full")
    assert world.closed_rejects() == {_key(bad): "gone from HR"}


def test_a_rejected_row_that_hr_dropped_makes_nobody(world: HrWorld) -> None:
    """I3, I4: not even when what was wrong with it comes right in the same complete read."""
    world.sync()
    holder = world.hr.persons()[0]
    taken = world.change({"personId": 700_001}, employeeNumber=holder["employeeNumber"])
    assert world.sync().rejected == 1
    world.hr.vanish(taken["personId"])
    world.change(holder, employeeNumber="99000009")
    world.sync("full")
    assert world.differences() == {}


def test_an_old_rejected_row_does_not_overwrite_the_person(world: HrWorld) -> None:
    """A better mapping accepts the row at last, but HR has told newer things since."""
    world.sync()
    row = world.hr.persons()[4]
    world.change(row, ago=timedelta(hours=2), fullName="旧", originalHireDate="31/12/2020")
    world.sync()
    world.change(row, ago=timedelta(hours=1), fullName="新")
    world.sync()
    world.execute("UPDATE accountsync.rejected_record SET closed_at = NULL, closed_because = NULL")
    world.change(world.hr.persons()[5])
    world.sync()
    fields = {"hire_date": {"path": "originalHireDate", "formats": ["%d/%m/%Y"]}}
    world.sync("incremental", overlap=NONE, fields=fields)
    assert world.person(row)["full_name"] == "新"
    assert world.open_rejects() == {}


def test_rows_that_hr_spoils_on_the_way_are_kept_and_closed_when_they_come_right(
    world: HrWorld,
) -> None:
    """I3: broken date, no key, wrong types. Those without a key are told by their content."""
    world.hr.fault("bad_rows", rows=3)
    counts = world.sync()
    assert counts.rejected == len(world.open_rejects()) == 3 * 6
    assert counts.inserted == 40 - 3 * 6
    assert world.sync("full").rejected == 18
    assert len(world.open_rejects()) == 18
    world.hr.heal()
    world.sync("full")
    assert world.differences() == {}
    assert sorted(world.closed_rejects().values()) == ["fixed"] * 12 + ["gone from HR"] * 6


def test_a_row_without_a_change_time_is_read_and_moves_no_watermark(world: HrWorld) -> None:
    world.sync()
    before = world.watermark
    world.hr.put_persons({"personId": 700_001, "lastUpdateDate": ""})
    world.sync("full")
    assert world.watermark == before
    assert world.differences() == {}


def test_times_without_a_zone_are_chinas(world: HrWorld) -> None:
    row = world.change(world.hr.persons()[0], lastUpdateDate="2026-03-01 08:00:00")
    world.sync()
    assert world.person(row)["source_updated_at"] == datetime(2026, 3, 1, tzinfo=UTC)
    assert stamp(world.person(row)["source_updated_at"]) == "2026-03-01 08:00:00"
