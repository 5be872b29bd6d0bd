"""HR sources: where persons come from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from accountsync.domain.person import PERSON_FIELDS, REQUIRED_FIELDS
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


class ChangedSince(Group):
    """How the API is asked for changes only: the format of `{{ since }}` and `{{ until }}`."""

    format: str = Field("%Y-%m-%d %H:%M:%S", description="strftime format")
    zone: Zone = Field("UTC", description="the zone the API assumes when the text has none")


class SourceField(Group):
    """Where one field of a person comes from in a row."""

    path: str
    formats: list[str] = Field([], description="strptime formats tried after ISO 8601")
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
    rejects_percent: float = Field(10, description="newly rejected rows, of those received")
    emptied_percent: float = Field(
        10, description="persons who lose the value of a key field, of those in the feed"
    )
    changed_percent: float = Field(
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
        ],
        description="the key fields",
    )

    @model_validator(mode="after")
    def _fields_are_known(self) -> FeedGuard:
        if unknown := [name for name in self.fields if name not in PERSON_FIELDS]:
            raise ProblemsError([_unknown_field(("fields", name)) for name in unknown])
        return self


class Source(Group):
    """What every kind of HR source has."""

    name: Name
    fields: dict[str, Annotated[SourceField, BeforeValidator(_as_field)]]
    zone: Zone = Field("UTC", description="the zone of times and dates that carry none")
    valid_statuses: list[str] = ["1"]
    leave_statuses: list[str] = Field([], description="on leave; each target's `leave` says what")
    left_statuses: list[str] = Field([], description="has left, or never came")
    overlap: Duration = Field(timedelta(minutes=10), description="read again before the watermark")
    full_every: Duration = Field(
        timedelta(hours=24), description="a complete read at least so often"
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

    @model_validator(mode="after")
    def _fields_are_known(self) -> Source:
        unknown = [name for name in self.fields if name not in PERSON_FIELDS]
        found = [_unknown_field(("fields", name)) for name in unknown]
        found += self._statuses_in_two_lists()
        for name in sorted(REQUIRED_FIELDS - set(self.fields)):
            found.append(Problem(("fields", name), "must be mapped: every person has one"))
        if found:
            raise ProblemsError(found)
        return self

    def _statuses_in_two_lists(self) -> Iterator[Problem]:
        lists = ("valid_statuses", "leave_statuses", "left_statuses")
        for one, other in combinations(lists, 2):
            for status in sorted({*getattr(self, one)} & {*getattr(self, other)}):
                yield Problem((other,), f"{status!r} is one of the {one} already")


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
    encoding: str = Field("utf-8-sig", description="for example gb18030; a BOM is no data")
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    records: str | None = Field(None, description="json: dotted path of the list of records")
    complete: Annotated[DoneMarker | StableSize, Field(discriminator="kind")] = DoneMarker(
        kind="done_marker"
    )
    archive: str | None = Field(None, description="folder for files that were merged")
    repeated_keys: RepeatedKeys = Field("refuse", description=_ABOUT_REPEATED_KEYS)

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
    repeated_keys: RepeatedKeys = Field("refuse", description=_ABOUT_REPEATED_KEYS)

    @property
    def can_ask_for_changes(self) -> bool:
        return ":since" in self.query

    @property
    def allows_repeated_keys(self) -> bool:
        return self.repeated_keys == "newest"


AnySource = Annotated[HttpSource | FileSource | SqlSource, Field(discriminator="kind"), OrPreset()]
