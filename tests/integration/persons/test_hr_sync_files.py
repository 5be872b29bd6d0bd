"""Files of HR at real ObjectStoragePaths: local ones, and those of another fsspec backend."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from sqlalchemy import Engine

from accountsync import connections
from accountsync.domain.reasons import Kind, Reason
from accountsync.errors import ConfigurationError, IncompleteReadError, TransientError
from accountsync.jobs.persons.sync_hr_persons import SyncResult
from tests.conftest import DATABASE_VARIABLE
from tests.integration.persons.hr_files import NAMES, ROWS, Drop, csv, jsonl

pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern")  # Airflow's own

FORMATS: dict[str, tuple[dict[str, Any], bytes]] = {
    "CSV": ({"format": "csv"}, csv(ROWS).encode()),
    "CSV with a BOM": ({"format": "csv", "encoding": "UTF-8"}, csv(ROWS).encode("utf-8-sig")),
    "CSV in GB18030": ({"format": "csv", "encoding": "gb18030"}, csv(ROWS).encode("gb18030")),
    "CSV in UTF-16": ({"format": "csv", "encoding": "utf-16"}, csv(ROWS).encode("utf-16")),
    "CSV with semicolons": ({"format": "csv", "delimiter": ";"}, csv(ROWS, ";").encode()),
    "JSON Lines": ({"format": "jsonl"}, jsonl(ROWS).encode()),
    "JSON Lines in GB18030": (
        {"format": "jsonl", "encoding": "gb18030"},
        jsonl(ROWS).encode("gb18030"),
    ),
    "JSON": ({"format": "json"}, orjson.dumps(ROWS)),
    "JSON with a BOM": ({"format": "json"}, orjson.dumps(ROWS).decode().encode("utf-8-sig")),
    "JSON, rows inside": (
        {"format": "json", "records": "answer.rows"},
        orjson.dumps({"answer": {"rows": ROWS}}),
    ),
}


@pytest.fixture(params=["file", "memory"])
def drop(
    request: pytest.FixtureRequest,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Drop]:
    import fsspec
    from airflow.sdk.io import attach

    attach("memory", fs=fsspec.filesystem("memory"))
    url = engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv(DATABASE_VARIABLE, url)
    root = f"file://{tmp_path}" if request.param == "file" else f"memory://{uuid4().hex}"
    drop = Drop(root=root, engine=engine)
    drop.path("in").mkdir(parents=True)
    yield drop
    connections._engine(url).dispose()


@pytest.mark.parametrize(("declared", "content"), FORMATS.values(), ids=FORMATS)
def test_every_format_and_encoding_is_read_and_put_away(
    drop: Drop, declared: dict[str, Any], content: bytes
) -> None:
    drop.put("persons-1", content, marker=b"2")
    assert drop.sync(**declared).inserted == 2
    assert drop.persons() == NAMES
    assert drop.names("in") == set()
    assert drop.names("archive") == {"persons-1", "persons-1.done"}


def test_a_file_without_its_marker_is_not_there_yet(drop: Drop) -> None:
    """I2: a half-written file is no read."""
    drop.put("persons-1", csv(ROWS).encode()[:30], marker=None)
    assert drop.sync().fetched == 0
    drop.put("persons-1", csv(ROWS).encode())
    assert drop.sync().inserted == 2


BROKEN: dict[str, tuple[dict[str, Any], bytes, bytes]] = {
    "fewer rows than its marker says": ({}, csv(ROWS).encode(), b"3"),
    "a last line with cells missing": ({}, csv(ROWS).encode()[:-12], b""),
    "half a character at its end": ({}, csv(ROWS).encode()[:35], b""),
    "no column for a field": ({"delimiter": ";"}, csv(ROWS).encode(), b""),
    "a column twice": ({}, b"id,number,name,state,name\n1,E1,A,on,B\n", b""),
    "another encoding": ({"encoding": "ascii"}, csv(ROWS).encode(), b""),
    "half a line of JSON": ({"format": "jsonl"}, jsonl(ROWS).encode()[:-9], b""),
    "lines, not one of them JSON": ({"format": "jsonl"}, csv(ROWS).encode(), b""),
    "half a document of JSON": ({"format": "json"}, orjson.dumps(ROWS)[:-9], b""),
}


@pytest.mark.parametrize(("declared", "content", "marker"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_not_whole_changes_nothing_and_stays(
    drop: Drop, declared: dict[str, Any], content: bytes, marker: bytes
) -> None:
    """I2."""
    drop.put("persons-1", content, marker=marker)
    with pytest.raises(IncompleteReadError, match="persons-1"):
        drop.sync(**declared)
    assert drop.persons() == {}
    assert "persons-1" in drop.names("in")


def test_a_line_that_cannot_be_read_is_one_rejected_row(drop: Drop) -> None:
    """I3: in COPY, in the store, when it is tried again, and until HR puts it right; I4: as it may
    be anybody's, nobody is missing."""
    good, other = jsonl(ROWS).encode().split(b"\n")
    lines = [
        good, b'{"id": "2", "number": "E2", "name": "Zo\xeb", "state": "off"}', b"{no JSON",
        b'{"id": "3", "number": "E3", "name": "A", "state": "on", "x": "\\ud800\\u0000"}',
        b'{"id": "4", "number": "E4", "name": "A", "state": "on", "x": 1e999}', b"",
    ]  # fmt: skip
    drop.put("persons-1", b"\n".join(lines), marker=b"5")
    first = drop.sync(format="jsonl")
    assert (first.inserted, first.rejected) == (1, 4)
    assert Reason.of(Kind.HAS_HALF_A_CHARACTER, field="full_name") in drop.reasons()["2"]
    assert [reasons for key, reasons in drop.reasons().items() if len(key) > 1] == [
        (Reason.of(Kind.IS_NO_JSON_LINE, field="row", line=3),)
    ]
    drop.put("persons-2", b"\n".join([*lines[1:], b""]))
    assert drop.sync(format="jsonl").rejected == 4
    assert drop.scalar("SELECT count(absent_since_snapshot) FROM accountsync.person") == 0
    drop.put("persons-3", b"\n".join([good, other]))
    assert drop.sync(format="jsonl").inserted == 1
    assert drop.reasons() == {}


def test_a_file_that_still_grows_is_not_there_yet(drop: Drop) -> None:
    """I2: the rule of the standing size, with a writer at work while it is looked at."""
    content = csv(ROWS).encode()
    rule = {"complete": {"kind": "stable_size", "wait": "1s"}}
    drop.put("persons-1", content[:30], marker=None)

    async def both() -> SyncResult:
        running = asyncio.create_task(asyncio.to_thread(drop.sync, **rule))
        while not running.done():
            await asyncio.sleep(0.05)
            content_now = content + csv(ROWS).encode() * growth.pop()
            drop.put("persons-1", content_now, marker=None)
        return await running

    growth = list(range(10_000))
    assert asyncio.run(both()).fetched == 0
    drop.put("persons-1", content, marker=None)
    assert drop.sync(**rule).inserted == 2


def test_of_full_files_the_newest_counts_and_all_are_put_away(drop: Drop) -> None:
    """By name, in which numbers are numbers; folders are no files."""
    drop.path("in/persons-11").mkdir(parents=True)
    drop.put("persons-9", csv(ROWS[:1]).encode())
    drop.put("persons-10", csv(ROWS).encode())
    assert drop.sync().inserted == 2
    assert drop.names("in") <= {"persons-11"}


def test_what_was_merged_and_not_put_away_is_read_again_and_changes_nothing(drop: Drop) -> None:
    """I5: the run ended between the merge and the archive."""
    drop.put("persons-1", csv(ROWS).encode())
    drop.sync()
    for name in ("persons-1", "persons-1.done"):
        drop.path(f"archive/{name}").rename(drop.path(f"in/{name}"))
    again = drop.sync()
    assert (again.inserted, again.updated, again.unchanged) == (0, 0, 2)
    assert drop.names("in") == set()


def test_an_object_store_has_no_empty_folders(drop: Drop) -> None:
    """On a machine a folder that is gone is a disk that is; I2: that is never an empty one."""
    drop.put("persons-1", csv(ROWS).encode())
    drop.sync()
    drop.path("in").rmdir()
    if drop.root.startswith("memory"):
        assert drop.sync().fetched == 0
    else:
        with pytest.raises(TransientError, match="`path`"):
            drop.sync()


def test_a_bucket_that_is_not_there_is_no_empty_folder(drop: Drop) -> None:
    """I2; before anything is merged, also where it is the archive's."""
    drop.put("persons-1", csv(ROWS).encode())
    path, archive = (f"memory://{uuid4().hex}/{name}" for name in ("in", "archive"))
    with pytest.raises(TransientError, match="the folder of `path` is not there"):
        drop.sync(path=path, archive=archive)
    if drop.root.startswith("memory"):
        with pytest.raises(TransientError, match="the bucket of `archive` is not there"):
            drop.sync(archive=archive)
    assert drop.persons() == {}


def test_a_connection_that_is_not_there_is_never_another(drop: Drop) -> None:
    """Some providers would go on as whoever the machine is."""
    with pytest.raises(ConfigurationError, match="Airflow has no Connection 'hr_dorp'"):
        drop.sync(conn_id="hr_dorp")
    addresses = {name: f"memory://hr_dorp@bucket/{name}" for name in ("path", "archive")}
    with pytest.raises(ConfigurationError, match="Airflow has no Connection 'hr_dorp'"):
        drop.sync(**addresses)


def test_a_store_that_nothing_reads_is_the_configurations_fault(drop: Drop) -> None:
    with pytest.raises(ConfigurationError, match="install the Airflow provider of that store"):
        drop.sync(path="gopher://drop/in", archive="gopher://drop/done")
