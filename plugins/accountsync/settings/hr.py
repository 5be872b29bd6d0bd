"""HR sources: where persons come from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from accountsync.domain.mapping.values import roots_in
from accountsync.settings.hr_files import FileSource
from accountsync.settings.hr_source import (
    ABOUT_REPEATED_KEYS,
    EPOCHS,
    RepeatedKeys,
    Source,
    TimeFormat,
)
from accountsync.settings.paging import Paging
from accountsync.settings.parts import (
    REQUEST_ROOTS,
    AnswerCondition,
    AnswerPath,
    Auth,
    Group,
    NoAuth,
    OrPreset,
    Rate,
    Request,
    Timeout,
    Zone,
    checked_request,
)
from accountsync.settings.problems import Problem, ProblemsError

READ_ROOTS = REQUEST_ROOTS | {"page", "page_size", "offset", "cursor", "since", "until"}
PERSON_READ_ROOTS = REQUEST_ROOTS | {"employee_number"}

ReadRequest = Annotated[Request, AfterValidator(lambda r: checked_request(r, READ_ROOTS))]
PersonRequest = Annotated[Request, AfterValidator(lambda r: checked_request(r, PERSON_READ_ROOTS))]


class ChangedSince(Group):
    """How the API is asked for changes only: the format of `{{ since }}` and `{{ until }}`."""

    format: TimeFormat = Field(
        "%Y-%m-%d %H:%M:%S", description="strftime format, epoch (seconds) or epoch_ms"
    )
    zone: Zone = Field("UTC", description="the zone the API assumes when the text has none")

    @property
    def guesses_zone(self) -> bool:
        """Whether nobody has said the zone of the times. In a wrong zone, hours of changes would
        never be asked for."""
        names_one = self.format in EPOCHS or "%z" in self.format or self.format.endswith("Z")
        return "zone" not in self.model_fields_set and not names_one


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
        if problems := list(self._missing_from_request()):
            raise ProblemsError(problems)
        return self

    def _missing_from_request(self) -> Iterator[Problem]:
        request = self.request
        path = [request.path] if "{{" in request.path else []
        tree = [request.headers, request.query, request.body, *path]
        used = roots_in(tree, roots=READ_ROOTS)
        if (needed := _PLACES.get(self.paging.kind)) and needed not in used:
            message = f"never uses {{{{ {needed} }}}}: every page would be the same one"
            yield Problem(("request",), message)
        if self.changed_since and "since" not in used:
            message = "the request never uses {{ since }}: every read would be a full one"
            yield Problem(("changed_since",), message)
        if self.changed_since and self.zone != "UTC" and self.changed_since.guesses_zone:
            message = f"say it: `format` names none, and the source's times are in {self.zone}"
            yield Problem(("changed_since", "zone"), message)


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
    repeated_keys: RepeatedKeys = Field("refuse", description=ABOUT_REPEATED_KEYS)

    @property
    def can_ask_for_changes(self) -> bool:
        return ":since" in self.query

    @property
    def allows_repeated_keys(self) -> bool:
        return self.repeated_keys == "newest"


AnySource = Annotated[HttpSource | FileSource | SqlSource, Field(discriminator="kind"), OrPreset()]
