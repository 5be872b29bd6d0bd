"""HR sources: where persons come from."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations
from pathlib import PurePosixPath
from posixpath import normpath
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PositiveInt,
    field_validator,
    model_validator,
)

from accountsync.domain.durations import duration_text
from accountsync.domain.mapping.values import roots_in
from accountsync.domain.persons.person import PERSON_FIELDS, REQUIRED_FIELDS
from accountsync.settings.paging import Paging
from accountsync.settings.parts import (
    REQUEST_ROOTS,
    AnswerCondition,
    AnswerPath,
    Auth,
    Duration,
    Group,
    Name,
    NoAuth,
    OrPreset,
    Percent,
    Rate,
    Request,
    Timeout,
    Zone,
    checked_request,
)
from accountsync.settings.problems import Place, Problem, ProblemsError

READ_ROOTS = REQUEST_ROOTS | {"page", "page_size", "offset", "cursor", "since", "until"}
PERSON_READ_ROOTS = REQUEST_ROOTS | {"employee_number"}

ReadRequest = Annotated[Request, AfterValidator(lambda r: checked_request(r, READ_ROOTS))]
PersonRequest = Annotated[Request, AfterValidator(lambda r: checked_request(r, PERSON_READ_ROOTS))]


EPOCHS = {"epoch": 1, "epoch_ms": 1000}
"""Names of formats of times that are numbers → how many of them are a second since 1970 (UTC)."""


def _time_format(text: str) -> str:
    if "%" not in text and text not in EPOCHS:
        raise ValueError("is no format of a time: write %Y-%m-%d and so on, epoch or epoch_ms")
    return text


TimeFormat = Annotated[str, AfterValidator(_time_format)]


class ChangedSince(Group):
    """How the API is asked for changes only: the format of `{{ since }}` and `{{ until }}`."""

    format: TimeFormat = Field(
        "%Y-%m-%d %H:%M:%S", description="strftime format, epoch (seconds) or epoch_ms"
    )
    zone: Zone = Field("UTC", description="the zone the API assumes when the text has none")

    @property
    def guesses_zone(self) -> bool:
        """In a wrong one, hours of changes would never be asked for."""
        names_one = self.format in EPOCHS or "%z" in self.format or self.format.endswith("Z")
        return "zone" not in self.model_fields_set and not names_one


class SourceField(Group):
    """Where one field of a person comes from in a row."""

    path: str
    formats: list[TimeFormat] = Field(
        [], description="strptime formats tried after ISO 8601; epoch or epoch_ms for numbers"
    )
    default: str | None = None
    translate: dict[str, str] = {}


def _as_field(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


class Absence(Group):
    """What it means when complete snapshots lack a person (I4).

    ask: after `after_snapshots` of them a human is asked · keep: nothing · leave: after so many a
    leaver, until seen again.
    """

    policy: Literal["ask", "keep", "leave"] = "ask"
    after_snapshots: PositiveInt = 3


def _unknown_field(place: Place) -> Problem:
    return Problem(place, f"persons have no such field; known: {', '.join(sorted(PERSON_FIELDS))}")


class FeedGuard(Group):
    """When a feed is held for a human to look at, instead of being merged.

    Besides these: a full read of nobody. Missing persons and leavers never stop a feed.
    """

    floor: PositiveInt = Field(20, description="fewer affected rows never stop a feed")
    rejects_percent: Percent = Field(10, description="newly rejected rows, of those received")
    emptied_percent: Percent = Field(
        10,
        description="persons who lose a key field, of those in the feed who had it; and leavers who"
        " are none any more, of those in the feed",
    )
    changed_percent: Percent = Field(
        30, description="persons whose value of a key field changes, of all of the source"
    )
    fields: list[str] = Field(
        [
            "employee_number",
            "full_name",
            "person_type",
            "status",
            "department_code",
            "email",
            "hire_date",
            "leave_date",
        ],
        description="the key fields",
    )

    @model_validator(mode="after")
    def _fields_are_known(self) -> FeedGuard:
        if unknown := [name for name in self.fields if name not in PERSON_FIELDS]:
            raise ProblemsError([_unknown_field(("fields", name)) for name in unknown])
        return self


CLOCK_TOLERANCE = timedelta(minutes=5)
"""A change time further ahead of our clock is from the future."""


def _reaching_back(overlap: timedelta) -> timedelta:
    """A row that is believed may be so far ahead, and is the watermark then (I1)."""
    if overlap < CLOCK_TOLERANCE:
        raise ValueError(
            f"{duration_text(overlap)} is shorter than {duration_text(CLOCK_TOLERANCE)}, by which a"
            " change time may be ahead of our clock: such a row would hide the changes that come"
            f" after it; say {duration_text(CLOCK_TOLERANCE)} or more"
        )
    return overlap


Overlap = Annotated[Duration, AfterValidator(_reaching_back)]


class Source(Group):
    """What every kind of HR source has."""

    name: Name
    fields: dict[str, Annotated[SourceField, BeforeValidator(_as_field)]]
    zone: Zone = Field("UTC", description="the zone of times and dates that carry none")
    valid_statuses: list[str] = ["1"]
    leave_statuses: list[str] = Field([], description="on leave; each target's `leave` says what")
    left_statuses: list[str] = Field([], description="has left, or never came")
    overlap: Overlap = Field(
        timedelta(minutes=10), description="read again before the watermark; at least 5m"
    )
    full_every: Duration = Field(
        timedelta(hours=24), description="a complete read at least so often"
    )
    expected_every: Timeout | None = Field(
        None,
        description="a file, or for other kinds a new or changed person, comes at least so often:"
        " a run that finds it longer ago fails; none: nobody looks",
    )
    takes_over: list[Name] = Field(
        [], description="sources whose persons become this one's when it has their employee number"
    )
    absence: Absence = Absence()
    feed_guard: FeedGuard = FeedGuard()

    @property
    def can_read_everything(self) -> bool:
        return True

    @property
    def allows_repeated_keys(self) -> bool:
        """Only where a read is consistent in itself: of pages, a repeated key is one that moved."""
        return False

    @field_validator("fields")
    @classmethod
    def _fields_are_known(cls, fields: dict[str, SourceField]) -> dict[str, SourceField]:
        unknown = [name for name in fields if name not in PERSON_FIELDS]
        found = [_unknown_field((name,)) for name in unknown]
        for name in sorted(REQUIRED_FIELDS - set(fields)):
            found.append(Problem((name,), "must be mapped: every person has one"))
        if found:
            raise ProblemsError(found)
        return fields

    @model_validator(mode="after")
    def _statuses_are_in_one_list(self) -> Source:
        if found := list(self._statuses_in_two_lists()):
            raise ProblemsError(found)
        return self

    def _statuses_in_two_lists(self) -> Iterator[Problem]:
        lists = ("valid_statuses", "leave_statuses", "left_statuses")
        for one, other in combinations(lists, 2):
            for status in sorted({*getattr(self, one)} & {*getattr(self, other)}):
                yield Problem((other,), f"{status!r} is one of the {one} already")


_PLACES = {"page_number": "page", "offset": "offset", "cursor": "cursor"}


class HttpSource(Source):
    """An HR system with an HTTP API."""

    kind: Literal["http"]
    conn_id: str
    auth: Auth = NoAuth()
    request: ReadRequest
    success: AnswerCondition = "status == 200"
    records: AnswerPath = "body"
    paging: Paging
    page_size: PositiveInt = 200
    changed_since: ChangedSince | None = None
    by_number: PersonRequest | None = Field(
        None, description="reads one person; without it a read of some persons reads everybody"
    )
    rate: Rate = Rate()
    timeout: Timeout = timedelta(seconds=30)

    @property
    def can_ask_for_changes(self) -> bool:
        return self.changed_since is not None

    @model_validator(mode="after")
    def _request_asks_for_what_is_declared(self) -> HttpSource:
        asked = self.request
        tree = [
            asked.headers,
            asked.query,
            asked.body,
            *([asked.path] if "{{" in asked.path else []),
        ]
        used = roots_in(tree, roots=READ_ROOTS)
        found = []
        if (needed := _PLACES.get(self.paging.kind)) and needed not in used:
            said = f"never uses {{{{ {needed} }}}}: every page would be the same one"
            found.append(Problem(("request",), said))
        if self.changed_since and "since" not in used:
            said = "the request never uses {{ since }}: every read would be a full one"
            found.append(Problem(("changed_since",), said))
        if self.changed_since and self.zone != "UTC" and self.changed_since.guesses_zone:
            said = f"say it: `format` names none, and the source's times are in {self.zone}"
            found.append(Problem(("changed_since", "zone"), said))
        if found:
            raise ProblemsError(found)
        return self


class DoneMarker(Group):
    """A file is complete when another one beside it says so; it may hold the number of rows."""

    kind: Literal["done_marker"]
    suffix: str = ".done"


class StableSize(Group):
    """A file is complete when its size has stood still."""

    kind: Literal["stable_size"]
    wait: Duration = timedelta(seconds=10)


RepeatedKeys = Literal["refuse", "newest"]
_ABOUT_REPEATED_KEYS = "rows with one key: refuse the read, or use the newest and report the others"


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
    """However it is written: the Connection may be in it."""
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
    repeated_keys: RepeatedKeys = Field("refuse", description=_ABOUT_REPEATED_KEYS)

    @model_validator(mode="after")
    def _settings_are_of_the_format(self) -> FileSource:
        others = {"delimiter": "csv", "records": "json"}
        found = [
            Problem((name,), f"is for files of format {kind} only")
            for name, kind in others.items()
            if name in self.model_fields_set and self.format != kind
        ]
        if "/" in self.pattern or "**" in self.pattern:
            found.append(Problem(("pattern",), "is of names in the folder, not of folders"))
        found += self._wrong_folders()
        if found:
            raise ProblemsError(found)
        return self

    @property
    def connection(self) -> str | None:
        """Its id, also where it is in the address: s3://hr_drop@bucket/folder."""
        return self.conn_id or folder_of(self.path).conn_id or None

    def _wrong_folders(self) -> Iterator[Problem]:
        read, archive = folder_of(self.path), folder_of(self.archive)
        for name, folder in (("path", read), ("archive", archive)):
            if ":" in folder.conn_id:
                said = "holds a password: it belongs in an Airflow Connection (`conn_id`)"
                yield Problem((name,), said)
        stores = {(folder.kind, self.conn_id or folder.conn_id) for folder in (read, archive)}
        if len(stores) > 1:
            said = (
                "is in another store than `path`, or of another Connection: files are moved in one"
            )
            yield Problem(("archive",), said)
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


class SqlSource(Source):
    """A query through any Airflow SQL Connection, read with a server-side cursor."""

    kind: Literal["sql"]
    conn_id: str
    query: str = Field(description="may use the parameters :since and :until, null for everything")
    bounds: Literal["with_zone", "local"] = Field(
        "with_zone",
        description="what :since and :until are: moments with a zone, or local times of the"
        " source's `zone`, for a column that has none",
    )
    repeated_keys: RepeatedKeys = Field("refuse", description=_ABOUT_REPEATED_KEYS)

    @property
    def can_ask_for_changes(self) -> bool:
        return ":since" in self.query

    @property
    def allows_repeated_keys(self) -> bool:
        return self.repeated_keys == "newest"


AnySource = Annotated[HttpSource | FileSource | SqlSource, Field(discriminator="kind"), OrPreset()]
