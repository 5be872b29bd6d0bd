"""HR sources that are files: which files of a folder are read, and where they go afterwards."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from datetime import timedelta
from pathlib import PurePosixPath
from posixpath import normpath
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from accountsync.settings.hr_source import ABOUT_REPEATED_KEYS, RepeatedKeys, Source
from accountsync.settings.parts import Duration, Group
from accountsync.settings.problems import Problem, ProblemsError


class DoneMarker(Group):
    """A file is complete when another one beside it says so; it may hold the number of rows."""

    kind: Literal["done_marker"]
    suffix: str = ".done"


class StableSize(Group):
    """A file is complete when its size has stood still."""

    kind: Literal["stable_size"]
    wait: Duration = timedelta(seconds=10)


def _known_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError("Python knows no such encoding; for example utf-8, gb18030") from None
    return name


class _Folder(NamedTuple):
    kind: str
    conn_id: str
    path: PurePosixPath


def folder_of(address: str) -> _Folder:
    """The folder that an address names, however it is written; the Connection may stand in it."""
    kind, _, path = address.rpartition("://")
    bucket, slash, below = path.partition("/")
    conn_id, _, bucket = bucket.rpartition("@")
    path = f"/{bucket}{slash}{below}"
    return _Folder(kind or "file", conn_id, PurePosixPath(normpath(path.replace("//", "/"))))


class FileSource(Source):
    """Files at a path that Airflow's ObjectStoragePath understands: local, S3, GCS …

    content full: each file holds everybody, the newest counts. changes: each holds changes, all
    count, by name.
    """

    kind: Literal["file"]
    path: str = Field(description="a folder, for example s3://hr-drop/persons")
    pattern: str = Field("*", description="which files of the folder, for example persons-*.csv")
    conn_id: str | None = None
    format: Literal["csv", "jsonl", "json"]
    content: Literal["full", "changes"] = "full"
    encoding: Annotated[str, AfterValidator(_known_encoding)] = Field(
        "utf-8-sig", description="for example gb18030; a BOM is no data"
    )
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    records: str | None = Field(None, description="json: dotted path of the list of records")
    complete: Annotated[DoneMarker | StableSize, Field(discriminator="kind")] = DoneMarker(
        kind="done_marker"
    )
    archive: str = Field(
        description="folder for files that were merged: what stays is read again with every run"
    )
    repeated_keys: RepeatedKeys = Field("refuse", description=ABOUT_REPEATED_KEYS)

    @model_validator(mode="after")
    def _settings_are_of_the_format(self) -> FileSource:
        others = {"delimiter": "csv", "records": "json"}
        problems = [
            Problem((name,), f"is for files of format {kind} only")
            for name, kind in others.items()
            if name in self.model_fields_set and self.format != kind
        ]
        if "/" in self.pattern or "**" in self.pattern:
            problems.append(Problem(("pattern",), "is of names in the folder, not of folders"))
        problems += self._wrong_folders()
        if problems:
            raise ProblemsError(problems)
        return self

    @property
    def connection(self) -> str | None:
        """The Connection's id, also where it stands in the address: s3://hr_drop@bucket/folder."""
        return self.conn_id or folder_of(self.path).conn_id or None

    def _wrong_folders(self) -> Iterator[Problem]:
        read, archive = folder_of(self.path), folder_of(self.archive)
        for name, folder in (("path", read), ("archive", archive)):
            if ":" in folder.conn_id:
                message = "holds a password: it belongs in an Airflow Connection (`conn_id`)"
                yield Problem((name,), message)
        stores = {(folder.kind, self.conn_id or folder.conn_id) for folder in (read, archive)}
        if len(stores) > 1:
            message = (
                "is in another store than `path`, or of another Connection: files are moved in one"
            )
            yield Problem(("archive",), message)
        elif archive.path.is_relative_to(read.path):
            yield Problem(("archive",), "is the folder that is read, or inside it")

    @property
    def can_ask_for_changes(self) -> bool:
        return self.content == "changes"

    @property
    def can_read_everything(self) -> bool:
        return self.content == "full"

    @property
    def allows_repeated_keys(self) -> bool:
        return self.repeated_keys == "newest"
