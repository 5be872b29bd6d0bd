"""What the job asks of its source and tells it: shown with files, which notice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, RowMapping, text

from accountsync.clock import Clock
from accountsync.domain.reasons import Kind
from accountsync.errors import (
    ConfigurationError,
    IncompleteReadError,
    SafetyStopError,
    TransientError,
)
from accountsync.hr.file import FileHrSource
from accountsync.hr.source import Ask
from accountsync.jobs.persons import held_feeds
from accountsync.jobs.persons.run_request import RunRequest, Window
from accountsync.jobs.persons.sync_hr_persons import SyncResult, sync_hr_persons
from accountsync.settings.hr_files import FileSource
from accountsync.store import locks
from accountsync.wire.paging import Page

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HEAD = "id,number,name,changed"
FIELDS = {
    "source_key": "id",
    "employee_number": "number",
    "full_name": "name",
    "source_updated_at": "changed",
}


def a_source(**changes: Any) -> FileSource:
    return FileSource.model_validate(
        {
            "kind": "file", "name": "drop", "path": "unused", "format": "csv", "fields": FIELDS,
            "pattern": "*.csv*", "zone": "Asia/Shanghai", "archive": "unused either",
        }
        | changes
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Drop:
    """A folder in which HR drops CSV files, and what was read of it."""

    engine: Engine
    folder: Path

    def put(self, name: str, *rows: str) -> None:
        (self.folder / "in" / name).write_text("\n".join([HEAD, *rows]) + "\n", "utf-8")
        (self.folder / "in" / f"{name}.done").touch()

    def sync(
        self,
        *,
        later: timedelta = timedelta(0),
        clock: Clock | None = None,
        kind: Callable[..., FileHrSource] = FileHrSource,
        **options: Any,
    ) -> SyncResult:
        known = RunRequest.__dataclass_fields__
        request = RunRequest(**{name: value for name, value in options.items() if name in known})
        settings = a_source(**{name: options[name] for name in options if name not in known})
        archive = self.folder / "archive"
        source = kind(settings, folder=self.folder / "in", archive=archive)
        return sync_hr_persons(
            engine=self.engine,
            settings=settings,
            open_source=lambda: nullcontext(source),
            clock=clock or (lambda: NOW + later),
            request=request,
        )

    @property
    def waiting(self) -> set[str]:
        return {file.name for file in (self.folder / "in").glob("*.csv")}

    @property
    def archived(self) -> set[str]:
        return {file.name for file in (self.folder / "archive").glob("*.csv")}

    def persons(self) -> dict[str, str]:
        rows = self.rows("SELECT employee_number, full_name FROM accountsync.person")
        return {row["employee_number"]: row["full_name"] for row in rows}

    def empty_staged_tables(self) -> None:
        with self.engine.begin() as connection:
            query = "SELECT relname FROM pg_class WHERE relname ~ '^staged_[0-9]+$'"
            for name in list(connection.scalars(text(query))):
                connection.execute(text(f"TRUNCATE accountsync.{name}"))

    def rows(self, query: str) -> list[RowMapping]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(query)).mappings())


@pytest.fixture
def drop(engine: Engine, tmp_path: Path) -> Drop:
    for name in ("in", "archive"):
        (tmp_path / name).mkdir()
    return Drop(engine=engine, folder=tmp_path)


def test_a_source_without_news_is_no_empty_read(drop: Drop) -> None:
    """I4: a run that found no file misses nobody and takes no snapshot."""
    drop.put("1.csv", "1,E1,王五,2026-05-01")
    drop.sync()
    result = drop.sync(later=timedelta(days=2))
    assert (result.mode, result.fetched) == ("full", 0)
    assert len(drop.rows("SELECT * FROM accountsync.snapshot")) == 1
    missing = "SELECT * FROM accountsync.person WHERE absent_since_snapshot IS NOT NULL"
    assert drop.rows(missing) == []
    last = drop.rows("SELECT state FROM accountsync.sync_run ORDER BY id DESC LIMIT 1")
    assert last[0]["state"] == "succeeded"


def test_a_file_is_put_away_once_it_is_merged(drop: Drop) -> None:
    drop.put("1.csv", "1,E1,王五,2026-05-01")
    drop.sync()
    assert (drop.waiting, drop.archived) == (set(), {"1.csv"})


@pytest.mark.parametrize(
    "asked", [{"dry_run": True}, {"mode": "person", "numbers": frozenset({"E1"})}]
)
def test_a_run_that_did_not_use_all_of_a_file_leaves_it(drop: Drop, asked: dict[str, Any]) -> None:
    drop.put("1.csv", "1,E1,王五,2026-05-01", "2,E2,赵六,2026-05-01")
    drop.sync(**asked)
    assert (drop.waiting, drop.archived) == ({"1.csv"}, set())
    assert drop.sync(mode="full").fetched == 2
    assert drop.persons() == {"E1": "王五", "E2": "赵六"}


def test_a_run_whose_file_cannot_be_put_away_says_so_and_has_merged_all_the_same(
    drop: Drop,
) -> None:
    """I14: the next run finds nothing new in it."""
    drop.put("1.csv", "1,E1,王五,2026-05-01")
    in_the_way = drop.folder / "archive" / "1.csv"
    in_the_way.mkdir()
    with pytest.raises(TransientError, match=r"'drop' \(.*\): Is a directory; if"):
        drop.sync()
    (run,) = drop.rows("SELECT state, inserted FROM accountsync.sync_run")
    assert tuple(run.values()) == ("succeeded", 1)
    in_the_way.rmdir()
    assert drop.sync(mode="full").unchanged == 1
    assert drop.archived == {"1.csv"}


def test_a_file_whose_feed_is_held_stays_until_somebody_decides(drop: Drop) -> None:
    drop.put("1.csv", *(f"{n},E{n},王五,2026-05-01" for n in range(30)))
    drop.sync()
    drop.put("2.csv", *(f"{n},E{n},,2026-05-02" for n in range(30)))
    with pytest.raises(SafetyStopError):
        drop.sync()
    assert drop.sync().stopped_by
    assert drop.waiting == {"2.csv"}


def _held_file_of_changes(drop: Drop) -> tuple[dict[str, Any], int]:
    """Of 2.csv, before 3.csv; how it is read, and the number of its feed."""
    strict: dict[str, Any] = {
        "content": "changes",
        "feed_guard": {"floor": 1, "changed_percent": 0},
    }
    drop.put("1.csv", "1,E1,王五,2026-05-01")
    drop.sync(**strict)
    drop.put("2.csv", "1,E1,错,2026-05-02")
    drop.put("3.csv", "3,E3,钱七,2026-05-03")
    with pytest.raises(SafetyStopError):
        drop.sync(**strict)
    assert drop.sync(**strict).stopped_by
    (feed,) = held_feeds.list_held(engine=drop.engine)
    return strict, feed.id


def test_a_file_of_changes_that_was_rejected_keeps_no_later_one_waiting(drop: Drop) -> None:
    """I3: nobody would look at what comes after it."""
    strict, feed = _held_file_of_changes(drop)
    held_feeds.reject(engine=drop.engine, feed=feed, actor="oper", comment="broken")
    assert drop.sync(**strict).stopped_by
    assert (drop.waiting, drop.archived) == ({"3.csv"}, {"1.csv", "2.csv"})
    drop.sync(**strict)
    assert drop.persons() == {"E1": "王五", "E3": "钱七"}


def test_a_file_of_changes_takes_the_place_of_no_other_that_is_held(drop: Drop) -> None:
    """I7: somebody moved it out of the way of the next, and has yet to decide. Rewritten it is
    another matter."""
    strict, feed = _held_file_of_changes(drop)
    for name in ("2.csv", "2.csv.done"):
        (drop.folder / "in" / name).rename(drop.folder / name)
    assert drop.sync(**strict).inserted == 1
    assert [one.id for one in held_feeds.list_held(engine=drop.engine)] == [feed]
    drop.put("2.csv", "1,E1,王五,2026-05-02")
    drop.sync(**strict)
    assert held_feeds.list_held(engine=drop.engine) == []


def test_a_file_that_took_the_place_of_the_one_that_was_read_is_read_next(drop: Drop) -> None:
    """I2: HR writes under one name, while the merge waits for its turn."""

    class Replaced(FileHrSource):
        async def merged(self) -> None:
            drop.put("1.csv", "1,E1,赵六六,2026-05-02")
            await super().merged()

    drop.put("1.csv", "1,E1,王五,2026-05-01")
    drop.sync(kind=Replaced, content="changes")
    assert drop.waiting == {"1.csv"}
    drop.sync(content="changes")
    assert (drop.persons(), drop.waiting) == ({"E1": "赵六六"}, set())


def test_rows_whose_key_a_mended_mapping_finds_are_one_person(drop: Drop) -> None:
    """I3: kept twice without a key, they would be told that the number belongs to another row, for
    ever; the newest counts, and the read's own before it."""
    misspelt = {"fields": FIELDS | {"source_key": {"path": "key", "default": ""}}}
    for n in (2, 1):
        drop.put(f"{n}.csv", f"1,E1,王{n},2026-05-0{n}", f"2,E2,赵{n},2026-05-0{n}")
        assert drop.sync(content="changes", **misspelt).inserted == 0
    drop.put("3.csv", "2,E2,赵3,2026-05-03")
    result = drop.sync(content="changes")
    assert (result.inserted, result.retried, result.rejected) == (2, 1, 0)
    assert drop.persons() == {"E1": "王2", "E2": "赵3"}
    assert drop.rows("SELECT * FROM accountsync.rejected_record WHERE closed_at IS NULL") == []


def test_a_row_that_another_mapping_cannot_use_either_is_one_row(drop: Drop) -> None:
    """I3, I14: without a key it is known by itself as it was mapped."""
    for n, path in enumerate(("key", "kye", "kye"), start=1):
        drop.put(f"{n}.csv", f"{n},E{n},王五,2026-05-0{n}")
        misspelt = FIELDS | {"source_key": {"path": path, "default": ""}}
        result = drop.sync(content="changes", fields=misspelt)
        assert (result.fetched, result.retried, result.rejected) == (1, n - 1, n)
    still = drop.rows("SELECT * FROM accountsync.rejected_record WHERE closed_at IS NULL")
    assert len(still) == 3


def test_who_comes_without_a_key_is_not_missing(drop: Drop) -> None:
    """I4: the row is rejected, and has the number of somebody who is known."""
    drop.put("1.csv", "1,E1,王五,2026-05-01", "2,E2,赵六,2026-05-01", "3,E3,钱七,2026-05-01")
    drop.sync()
    drop.put("2.csv", "1,E1,王五,2026-05-01", ",E2,赵六,2026-05-02")
    assert drop.sync(absence={"policy": "leave", "after_snapshots": 1}).rejected == 1
    left = "SELECT employee_number FROM accountsync.person WHERE presumed_left_at IS NOT NULL"
    assert [row["employee_number"] for row in drop.rows(left)] == ["E3"]


@pytest.mark.parametrize(("row", "missing"), [(",,赵六,", []), (",,,", ["E2"])])
def test_a_row_that_may_be_anybodys_makes_nobody_missing(
    drop: Drop, row: str, missing: list[str]
) -> None:
    """I4: it has a name, and neither key nor number. A blank one is nobody's."""
    drop.put("1.csv", "1,E1,王五,2026-05-01", "2,E2,赵六,2026-05-01")
    drop.sync()
    drop.put("2.csv", "1,E1,王五,2026-05-01", row)
    assert drop.sync().rejected == 1
    query = "SELECT employee_number FROM accountsync.person WHERE absent_since_snapshot IS NOT NULL"
    assert [one["employee_number"] for one in drop.rows(query)] == missing


def test_of_many_reasons_the_most_frequent_are_told(drop: Drop) -> None:
    """What a run says of itself does not grow with what is wrong: each such line has its own."""
    bad = [f"{{line {n}" for n in range(30)]
    (drop.folder / "in" / "1.csv").write_text("\n".join(["{}", "{}", *bad, ""]), "utf-8")
    (drop.folder / "in" / "1.csv.done").touch()
    result = drop.sync(format="jsonl", feed_guard={"floor": 100})
    assert result.rejected == 32
    told = [one["reason"] for one in result.differences["rejected"]]
    assert len(told) == 20
    assert {"kind": Kind.IS_MISSING, "facts": {"field": "full_name"}} in told[:3]


def test_a_file_that_is_read_again_after_it_was_approved_is_one_snapshot(drop: Drop) -> None:
    """I4: who is missing from two complete reads, not from one file that is read twice."""
    leave = {"absence": {"policy": "leave", "after_snapshots": 2}}
    left = "SELECT employee_number FROM accountsync.person WHERE presumed_left_at IS NOT NULL"
    drop.put("1.csv", *(f"{n},E{n},王五,2026-05-01" for n in range(31)))
    drop.sync(**leave)
    drop.put("2.csv", *(f"{n},E{n},赵六,2026-05-02" for n in range(30)))
    with pytest.raises(SafetyStopError):
        drop.sync(**leave)
    held_feeds.approve(
        engine=drop.engine,
        settings=a_source(**leave),
        feed=held_feeds.list_held(engine=drop.engine)[0].id,
        actor="oper",
        comment="",
        clock=lambda: NOW,
    )
    assert (drop.sync(**leave).unchanged, drop.rows(left), drop.waiting) == (30, [], set())
    drop.put("3.csv", *(f"{n},E{n},赵六,2026-05-02" for n in range(30)))
    drop.sync(**leave)
    assert [row["employee_number"] for row in drop.rows(left)] == ["E30"]


def test_a_full_file_older_than_the_last_one_is_refused(drop: Drop) -> None:
    """I5: it is how HR was. A newer one takes its place, as ever."""
    drop.put("10.csv", "1,E1,新,2026-05-03")
    drop.sync()
    drop.put("9.csv", "1,E1,旧,2026-05-01")
    with pytest.raises(ConfigurationError, match=r"9\.csv is older by name than 10\.csv"):
        drop.sync()
    assert (drop.persons(), drop.waiting) == ({"E1": "新"}, {"9.csv"})
    (last,) = drop.rows("SELECT state FROM accountsync.sync_run ORDER BY id DESC LIMIT 1")
    assert last["state"] == "failed"
    drop.put("11.csv", "1,E1,更新,2026-05-04")
    drop.sync()
    assert (drop.persons(), drop.waiting) == ({"E1": "更新"}, set())


def test_an_older_file_of_changes_without_change_times_is_refused(drop: Drop) -> None:
    """I5: its name alone tells that it is older. Rows with a change time tell it themselves."""
    changes: dict[str, Any] = {"content": "changes"}
    drop.put("2.csv", "1,E1,新,2026-05-02")
    drop.sync(**changes)
    drop.put("1.csv", "1,E1,旧,2026-05-01")
    timeless = {name: FIELDS[name] for name in FIELDS if name != "source_updated_at"}
    with pytest.raises(ConfigurationError, match=r"1\.csv is older by name than 2\.csv"):
        drop.sync(**changes, fields=timeless)
    assert drop.sync(**changes).unchanged == 1
    assert drop.persons() == {"E1": "新"}


def test_a_window_of_rows_without_change_times_is_refused(drop: Drop) -> None:
    """I14: all of them would be dropped, and the run be green."""
    drop.put("1.csv", "1,E1,王五,2026-05-01")
    window = Window(start=NOW - timedelta(days=99), end=NOW)
    fields = {name: FIELDS[name] for name in FIELDS if name != "source_updated_at"}
    with pytest.raises(ConfigurationError, match="source_updated_at"):
        drop.sync(mode="window", window=window, fields=fields)


def test_files_of_changes_never_prove_who_is_missing(drop: Drop) -> None:
    """I4: not even when a complete read would be due."""
    changes = {"content": "changes"}
    drop.put("1.csv", "1,E1,王五,2026-05-01", "2,E2,赵六,2026-05-01")
    drop.sync(**changes)
    drop.put("2.csv", "2,E2,钱七,2026-05-02")
    result = drop.sync(later=timedelta(days=9), mode="full", **changes)
    assert (result.mode, result.updated) == ("incremental", 1)
    assert drop.persons() == {"E1": "王五", "E2": "钱七"}
    assert drop.rows("SELECT * FROM accountsync.snapshot") == []


def test_many_changes_of_few_of_all_persons_stop_no_file_of_changes(drop: Drop) -> None:
    """I7: everybody in it changes, and there is no complete read to compare with. But nobody at
    all, where somebody is known, is no complete read."""
    changes: dict[str, Any] = {"content": "changes", "fields": FIELDS | {"email": "changed"}}
    drop.put("1.csv", *(f"{n},E{n},王五,2026-05-01" for n in range(80)))
    drop.sync(**changes)
    drop.put("2.csv", *(f"{n},E{n},王五,2026-05-02" for n in range(20)))
    assert drop.sync(**changes).updated == 20
    drop.put("3.csv")
    with pytest.raises(SafetyStopError, match="not one row, where 80 persons are known"):
        drop.sync(mode="full")


END_SESSIONS_WITH_A_LOCK = text(
    "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database"
    " WHERE locktype = 'advisory' AND datname = current_database()"
)
REPEATED = (
    "1,E1,旧,2026-05-01",
    "1,E1,新,2026-05-03",
    "1,E1,中,2026-05-02",
    "2,E2,赵六,2026-05-01",
)


def test_rows_that_repeat_a_key_are_no_complete_read(drop: Drop) -> None:
    """I2."""
    drop.put("1.csv", *REPEATED)
    with pytest.raises(IncompleteReadError, match="2 rows repeat the key of another row"):
        drop.sync()
    assert drop.persons() == {}


def test_where_it_is_declared_the_newest_row_counts_and_the_others_are_reported(drop: Drop) -> None:
    """I14: every row is counted, and none of these is open as rejected."""
    drop.put("1.csv", *REPEATED)
    result = drop.sync(repeated_keys="newest")
    assert (result.fetched, result.inserted, result.rejected) == (4, 2, 2)
    assert drop.persons() == {"E1": "新", "E2": "赵六"}
    assert result.differences["rejected"] == [
        {
            "reason": {"kind": Kind.HAS_A_NEWER_ROW, "facts": {"field": "source_key"}},
            "rows": 2,
            "examples": ["E1", "E1"],
        }
    ]
    assert drop.rows("SELECT * FROM accountsync.rejected_record") == []


def test_who_comes_back_twice_in_one_read_came_back_once(drop: Drop) -> None:
    """The history tells it once."""
    leave = {"repeated_keys": "newest", "absence": {"policy": "leave", "after_snapshots": 1}}
    for name, rows in {"1.csv": REPEATED, "2.csv": REPEATED[3:], "3.csv": REPEATED}.items():
        drop.put(name, *rows)
        drop.sync(**leave)
    assert len(drop.rows("SELECT * FROM accountsync.person_change")) == 2


def test_of_rows_as_new_as_each_other_the_last_counts(drop: Drop) -> None:
    drop.put("1.csv", "1,E1,王五,2026-05-01", "1,E1,赵六,2026-05-01", "2,E2,甲,", "2,E2,乙,")
    drop.sync(repeated_keys="newest")
    assert drop.persons() == {"E1": "赵六", "E2": "乙"}


def test_a_newest_row_that_is_bad_is_rejected_and_nothing_older_is_used(drop: Drop) -> None:
    """I3, I5."""
    drop.put("1.csv", "1,E1,旧,2026-05-01", "1,E1,,2026-05-03", "2,E2,赵六,2026-05-01")
    drop.sync(repeated_keys="newest")
    assert drop.persons() == {"E2": "赵六"}
    (rejected,) = drop.rows("SELECT record_key, reasons FROM accountsync.rejected_record")
    missing = {"kind": Kind.IS_MISSING, "facts": {"field": "full_name"}}
    assert tuple(rejected.values()) == ("1", [missing])


def test_many_rows_that_are_not_used_do_not_stop_a_feed(drop: Drop) -> None:
    """The feed guard: they are no rejects."""
    rows = [f"{n},E{n},王五,2026-05-0{day}" for n in range(25) for day in (1, 2)]
    drop.put("1.csv", *rows)
    assert drop.sync(repeated_keys="newest").inserted == 25


@pytest.mark.parametrize("crashes", [1, 3])
def test_rows_that_a_crash_of_the_database_took_are_missed(drop: Drop, crashes: int) -> None:
    """I1, I2: it empties the table of the rows that came before it, and nothing else tells."""
    left = iter(range(crashes))

    class Crashing(FileHrSource):
        async def pages(self, ask: Ask) -> AsyncIterator[Page]:
            async for page in super().pages(ask):
                if page.number == 5 and next(left, None) is not None:
                    drop.empty_staged_tables()
                yield page

    drop.put("1.csv", *(f"{n},E{n},王五,2026-05-01" for n in range(4100)))
    if crashes == 1:
        assert drop.sync(kind=Crashing).inserted == 4100
        return
    with pytest.raises(IncompleteReadError, match=r"the last one: 4100 rows were staged, \d+ are"):
        drop.sync(kind=Crashing)
    assert drop.persons() == {}
    assert drop.rows("SELECT * FROM accountsync.watermark") == []


@pytest.mark.parametrize(
    "meanwhile", ["full_name = '赵六', content_hash = '\\x00'", "source = 'other'"]
)
def test_a_person_who_changes_in_the_store_while_hr_is_read_is_read_again(
    drop: Drop, meanwhile: str
) -> None:
    """I1: of a row that held nothing new, when it came, nothing but the identity is staged."""

    class Slow(FileHrSource):
        async def pages(self, ask: Ask) -> AsyncIterator[Page]:
            async for page in super().pages(ask):
                yield page
            with drop.engine.begin() as connection:
                connection.execute(text(f"UPDATE accountsync.person SET {meanwhile}"))

    drop.put("1.csv", "1,E1,王五,2026-05-01")
    drop.sync()
    drop.put("2.csv", "1,E1,王五,2026-05-01", "2,E2,钱七,2026-05-01")
    with pytest.raises(IncompleteReadError, match="^1 persons changed in the store while HR was"):
        drop.sync(kind=Slow)
    assert "E2" not in drop.persons()
    if "full_name" in meanwhile:
        drop.sync()
        assert drop.persons() == {"E1": "王五", "E2": "钱七"}


def test_what_time_it_is_counts_from_when_a_run_has_its_turn(drop: Drop) -> None:
    """I5: who waited for a long read would take its newest rows for ones from the future."""
    held = []

    def clock() -> datetime:
        with locks.held_or_not(drop.engine, "hr/drop") as free:
            held.append(not free)
        return NOW

    drop.put("1.csv", "1,E1,王五,2026-05-01")
    drop.sync(clock=clock)
    assert held
    assert all(held)


@pytest.mark.parametrize("when", ["rows are on their way", "all rows are there", "it merges"])
def test_a_run_that_was_overtaken_says_so_and_merges_nothing(drop: Drop, when: str) -> None:
    """I1, I5: the session of its lock ended, another run took its turn and swept up its rows."""

    def overtake(now: str) -> None:
        if when != now or not waits_for_it.pop():
            return
        with drop.engine.begin() as connection:
            connection.execute(END_SESSIONS_WITH_A_LOCK)
        drop.put("1.csv", "1,E1,新,2026-05-02")
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(drop.sync).result().inserted == 1

    class Overtaken(FileHrSource):
        async def pages(self, ask: Ask) -> AsyncIterator[Page]:
            async for page in super().pages(ask):
                yield page
            overtake("rows are on their way")

        def what_was_read(self) -> str:
            overtake("all rows are there")
            return super().what_was_read()

    def clock() -> datetime:
        overtake("it merges")
        return NOW

    waits_for_it = [True] if when != "it merges" else [True, False]
    drop.put("1.csv", "1,E1,旧,2026-05-01", "2,E2,赵六,2026-05-01")
    with pytest.raises(TransientError) as raised:
        drop.sync(kind=Overtaken, clock=clock)
    assert str(raised.value) == (
        "drop: run 1 lost its lock, as its database session ended, and another run of this source"
        " took its turn: nothing of run 1 was merged; the next try reads anew"
    )
    assert drop.persons() == {"E1": "新"}
    query = "SELECT state, error FROM accountsync.sync_run ORDER BY id"
    assert [tuple(row.values()) for row in drop.rows(query)] == [
        ("failed", "the worker died or lost its lock"), ("succeeded", None)
    ]  # fmt: skip
    assert drop.rows("SELECT relname FROM pg_class WHERE relname ~ '^staged_[0-9]+$'") == []
