"""A source that answers and brings nothing new: green for ever, unless somebody says what to
expect (`expected_every`)."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, RowMapping, text

from accountsync.clock import utc_now
from accountsync.domain.reasons import Kind, from_document
from accountsync.errors import SafetyStopError, SilentSourceError
from accountsync.hr.file import FileHrSource
from accountsync.jobs.persons import held_feeds
from accountsync.jobs.persons.run_request import RunRequest, Window
from accountsync.jobs.persons.sync_hr_persons import SyncResult, sync_hr_persons
from accountsync.jobs.reason_texts import english
from accountsync.settings.hr_files import FileSource
from tests.integration.persons.hr_world import HrWorld

# Time goes by: every moment that a run has recorded is so much longer ago.
_AGE = text(
    "UPDATE accountsync.sync_run SET started_at = started_at - :by,"
    " finished_at = finished_at - :by, silent_since = silent_since - :by"
)


def let_pass(engine: Engine, **time: float) -> None:
    with engine.begin() as connection:
        connection.execute(_AGE, {"by": timedelta(**time)})


def last_run(engine: Engine) -> RowMapping:
    with engine.connect() as connection:
        query = (
            "SELECT state, silent_since, silence, error FROM accountsync.sync_run ORDER BY id DESC"
        )
        return connection.execute(text(query)).mappings().first()  # type: ignore[return-value]


@dataclass(kw_only=True)
class Drop:
    """A folder of CSV files, one expected every 26 hours, and a run of Airflow each time."""

    engine: Engine
    folder: Path
    runs: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    def put(self, name: str, *rows: str) -> None:
        (self.folder / name).write_text("\n".join(["id,number,name", *rows]) + "\n", "utf-8")
        (self.folder / f"{name}.done").touch()

    def sync(self, run: str | None = None, **asked: Any) -> SyncResult:
        self.runs += 1
        address = f"file://hr_drop@{self.folder}"
        source = FileSource.model_validate(
            {
                "kind": "file", "name": "drop", "path": address, "archive": f"{address}-done",
                "format": "csv", "pattern": "*.csv", "expected_every": "26h",
                "fields": {"source_key": "id", "employee_number": "number", "full_name": "name"},
            }
            | self.settings
        )  # fmt: skip
        reader = FileHrSource(source, folder=self.folder, archive=self.folder / "archive")
        return sync_hr_persons(
            engine=self.engine,
            settings=source,
            open_source=lambda: nullcontext(reader),
            clock=utc_now,
            request=RunRequest(**asked),
            airflow_run_id=run or f"scheduled-{self.runs}",
        )


@pytest.fixture
def drop(engine: Engine, tmp_path: Path) -> Drop:
    return Drop(engine=engine, folder=tmp_path)


def kind_of(result: SyncResult) -> Kind | None:
    return result.silent.kind if result.silent else None


def test_a_folder_in_which_no_file_comes_any_more_fails_the_run(drop: Drop) -> None:
    """I14. The error says source, folder, since when, what was expected and what to do; a login in
    the address is not said (I15)."""
    drop.put("1.csv", "1,E1,A")
    drop.sync()
    let_pass(drop.engine, hours=25)
    assert drop.sync().silent is None
    let_pass(drop.engine, hours=2)
    with pytest.raises(SilentSourceError) as raised:
        drop.sync()
    said = str(raised.value)
    assert said.startswith(f"drop: no file `*.csv` in file://{drop.folder} for 1d3h: the last came")
    assert "one is expected every 1d2h (`expected_every`). Nothing was lost." in said
    assert "export runs" in said
    assert "`path`, `pattern`" in said
    assert "hr_drop@" not in said
    run = last_run(drop.engine)
    assert (run["state"], run["error"]) == ("succeeded", None)
    silence = from_document(run["silence"])
    assert (silence.kind, english(silence)) == (Kind.NO_NEW_FILE, said)
    assert silence.facts["expected_every"] == 26 * 3600
    assert 27 * 3600 <= int(silence.facts["seconds"]) < 27 * 3600 + 60
    drop.put("2.csv", "1,E1,A")
    assert drop.sync().silent is None


def test_where_no_file_ever_came_it_counts_from_the_first_run(drop: Drop) -> None:
    """A fresh installation has the same grace; a folder that was misspelt has no more."""
    assert drop.sync().silent is None
    let_pass(drop.engine, hours=25)
    assert drop.sync().silent is None
    let_pass(drop.engine, hours=2)
    with pytest.raises(SilentSourceError, match="for 1d3h: not one came since the first run, 2"):
        drop.sync()


def test_one_silence_fails_one_run_in_each_time_that_passes(drop: Drop) -> None:
    """A mail, and reminders; in between the runs are green, and tell all the same."""
    drop.sync()
    for _ in range(3):
        let_pass(drop.engine, hours=26)
        with pytest.raises(SilentSourceError):
            drop.sync()
        for _ in range(2):
            let_pass(drop.engine, hours=10)
            assert kind_of(drop.sync()) is Kind.NO_NEW_FILE
            assert last_run(drop.engine)["silent_since"] is not None
        let_pass(drop.engine, hours=-20)


def test_a_run_that_is_repeated_fails_again(drop: Drop) -> None:
    """I5: Airflow tries one again whose worker died after it had told."""
    drop.sync()
    let_pass(drop.engine, hours=27)
    for _ in range(2):
        with pytest.raises(SilentSourceError):
            drop.sync(run="scheduled")
    assert drop.sync().silent


def test_a_silence_after_another_is_a_new_one(drop: Drop) -> None:
    for n in (1, 2):
        drop.put(f"{n}.csv", "1,E1,A")
        drop.sync()
        let_pass(drop.engine, hours=27)
        with pytest.raises(SilentSourceError):
            drop.sync()


def test_a_dry_run_shows_it_and_is_nobodys_news(drop: Drop) -> None:
    """Nor is the file that it saw, and left there: whoever merges it has news."""
    drop.sync()
    let_pass(drop.engine, hours=27)
    for _ in range(2):
        assert kind_of(drop.sync(dry_run=True)) is Kind.NO_NEW_FILE
        assert last_run(drop.engine)["silent_since"] is None
    drop.put("1.csv", "1,E1,A")
    assert drop.sync(dry_run=True).silent is None
    (drop.folder / "1.csv").unlink()
    with pytest.raises(SilentSourceError):
        drop.sync()


def test_who_asks_by_hand_is_told_each_time(drop: Drop) -> None:
    drop.sync()
    let_pass(drop.engine, hours=27)
    for _ in range(2):
        with pytest.raises(SilentSourceError):
            drop.sync(mode="full")


def test_reads_of_some_persons_or_a_window_ask_nothing_about_the_rest(world: HrWorld) -> None:
    """I5: a backfill repeats what was."""
    world.sync(expected_every="26h")
    let_pass(world.engine, hours=27)
    assert world.sync(numbers=["00100001"], expected_every="26h").silent is None
    window = Window(start=utc_now() - timedelta(hours=1), end=utc_now())
    assert world.sync(window=window, expected_every="26h").silent is None


def test_without_the_setting_nobody_looks(drop: Drop) -> None:
    drop.settings = {"expected_every": None}
    drop.sync()
    let_pass(drop.engine, days=999)
    assert drop.sync().silent is None


def test_a_file_that_is_held_has_come_and_the_same_once_rejected_has_not(drop: Drop) -> None:
    """It lies there still, and hides no silence."""
    drop.put("1.csv", *(f"{n},E{n},A" for n in range(30)))
    drop.sync()
    let_pass(drop.engine, hours=27)
    drop.put("2.csv", *(f"{n},E{n}," for n in range(30)))
    with pytest.raises(SafetyStopError, match="is held"):
        drop.sync()
    let_pass(drop.engine, hours=27)
    assert drop.sync().silent is None
    (feed,) = held_feeds.list_held(engine=drop.engine)
    held_feeds.reject(engine=drop.engine, feed=feed.id, actor="oper", comment="broken")
    drop.settings = {"full_every": "999d"}
    let_pass(drop.engine, hours=27)
    with pytest.raises(SilentSourceError):
        drop.sync()


@pytest.mark.parametrize("mode", ["auto", "full"])
def test_an_api_that_has_no_changes_any_more_fails_the_run(world: HrWorld, mode: Any) -> None:
    """HR answers 200, and its copy gets no changes. What was merged stays; a change ends it."""
    world.sync(expected_every="3d")
    let_pass(world.engine, days=3)
    persons = world.everything()["persons"]
    with pytest.raises(
        SilentSourceError, match="^hieds: no new or changed person for 3d: the last"
    ):
        world.sync(mode, expected_every="3d")
    assert world.everything()["persons"] == persons
    assert world.staged_tables() == []
    world.change(world.hr.persons()[0], fullName="改名")
    found = world.sync(mode, expected_every="3d")
    assert (found.updated, found.silent) == (1, None)
