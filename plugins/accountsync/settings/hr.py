"""HR sources: where persons come from."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from accountsync.domain.person import PERSON_FIELDS, REQUIRED_FIELDS
from accountsync.settings.parts import (
    REQUEST_ROOTS,
    AnswerCondition,
    AnswerPath,
    Auth,
    Duration,
    Group,
    Name,
    NoAuth,
    Rate,
    Request,
    Zone,
    checked_request,
)

READ_ROOTS = REQUEST_ROOTS | {"page", "page_size", "since"}

ReadRequest = Annotated[Request, AfterValidator(lambda r: checked_request(r, READ_ROOTS))]


class Pages(Group):
    """Paging by page number, from 1; the API declares how much there is."""

    total_pages: AnswerPath
    total_rows: AnswerPath | None = None


class ChangedSince(Group):
    """How the API is asked for changes only."""

    format: str = Field("%Y-%m-%d %H:%M:%S", description="strftime format of `since`")
    zone: Zone = Field("UTC", description="the zone the API assumes when the text has none")


class SourceField(Group):
    """Where one field of a person comes from in a row."""

    path: str
    formats: list[str] = Field([], description="strptime formats tried after ISO 8601")
    default: str | None = None
    translate: dict[str, str] = {}


def _as_field(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


class HttpSource(Group):
    """An HR system with an HTTP API."""

    kind: Literal["http"]
    name: Name
    conn_id: str
    auth: Auth = NoAuth()
    request: ReadRequest
    success: AnswerCondition = "status == 200"
    records: AnswerPath = "body"
    pages: Pages
    page_size: PositiveInt = 200
    changed_since: ChangedSince | None = None
    fields: dict[str, Annotated[SourceField, BeforeValidator(_as_field)]]
    zone: Zone = Field("UTC", description="the zone of times and dates that carry none")
    valid_statuses: list[str] = ["1"]
    rate: Rate = Rate()
    timeout: Duration = timedelta(seconds=30)
    overlap: Duration = Field(timedelta(minutes=10), description="read again before the watermark")
    full_every: Duration = Field(
        timedelta(hours=24), description="a complete read at least so often"
    )

    @model_validator(mode="after")
    def _fields_are_known(self) -> HttpSource:
        unknown = sorted(set(self.fields) - set(PERSON_FIELDS))
        missing = sorted(REQUIRED_FIELDS - set(self.fields))
        if unknown:
            raise ValueError(f"fields: unknown {unknown}; known: {sorted(PERSON_FIELDS)}")
        if missing:
            raise ValueError(f"fields: {missing} must be mapped")
        return self
