"""What every HR source has, whatever it reads from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PositiveInt,
    field_validator,
    model_validator,
)

from accountsync.domain.durations import duration_text
from accountsync.domain.persons.person import PERSON_FIELDS, REQUIRED_FIELDS
from accountsync.settings.parts import Duration, Group, Name, Percent, Timeout, Zone
from accountsync.settings.problems import Place, Problem, ProblemsError

EPOCHS = {"epoch": 1, "epoch_ms": 1000}
"""Formats of times that are numbers since 1970 (UTC) → how many of these make a second."""


def _time_format(text: str) -> str:
    if "%" not in text and text not in EPOCHS:
        raise ValueError("is no format of a time: write %Y-%m-%d and so on, epoch or epoch_ms")
    return text


TimeFormat = Annotated[str, AfterValidator(_time_format)]


RepeatedKeys = Literal["refuse", "newest"]
ABOUT_REPEATED_KEYS = "rows with one key: refuse the read, or use the newest and report the others"


class SourceField(Group):
    """Where one field of a person comes from in a row."""

    path: str
    formats: list[TimeFormat] = Field(
        [], description="strptime formats tried after ISO 8601; epoch or epoch_ms for numbers"
    )
    default: str | None = None
    translate: dict[str, str] = {}


def _as_field(value: object) -> object:
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
    birth_date: str | None = Field(
        None,
        description="its path in a row: with the name it shows that two records of one employee"
        " number are one person's",
    )
    absence: Absence = Absence()
    feed_guard: FeedGuard = FeedGuard()

    @property
    def can_read_everything(self) -> bool:
        return True

    @property
    def allows_repeated_keys(self) -> bool:
        """Only where a read is consistent in itself: between pages, a row with a repeated key has
        moved while they were read."""
        return False

    @field_validator("fields")
    @classmethod
    def _fields_are_known(cls, fields: dict[str, SourceField]) -> dict[str, SourceField]:
        unknown = [name for name in fields if name not in PERSON_FIELDS]
        problems = [_unknown_field((name,)) for name in unknown]
        for name in sorted(REQUIRED_FIELDS - set(fields)):
            problems.append(Problem((name,), "must be mapped: every person has one"))
        if problems:
            raise ProblemsError(problems)
        return fields

    @model_validator(mode="after")
    def _statuses_are_in_one_list(self) -> Source:
        if problems := list(self._statuses_in_two_lists()):
            raise ProblemsError(problems)
        return self

    def _statuses_in_two_lists(self) -> Iterator[Problem]:
        lists = ("valid_statuses", "leave_statuses", "left_statuses")
        for earlier, later in combinations(lists, 2):
            for status in sorted({*getattr(self, earlier)} & {*getattr(self, later)}):
                yield Problem((later,), f"{status!r} is one of the {earlier} already")
