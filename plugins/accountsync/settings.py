"""The configuration's model: a YAML file in, Settings out, all problems at once.

Secrets are never in it: a `conn_id` names an Airflow Connection that holds them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from accountsync.domain.durations import parse_duration
from accountsync.domain.mapping import compile_condition, compile_tree
from accountsync.domain.person import PERSON_FIELDS, REQUIRED_FIELDS
from accountsync.errors import ConfigurationError

PRESETS = Path(__file__).parent / "presets"
_DEFAULT_CONFIG = Path(__file__).parents[2] / "config" / "accountsync.yaml"

REQUEST_ROOTS = frozenset({"conn"})
READ_ROOTS = REQUEST_ROOTS | {"page", "page_size", "since"}
CALL_ROOTS = REQUEST_ROOTS | {"attributes", "key"}
TOKEN_ROOTS = REQUEST_ROOTS | {"token"}
ANSWER_ROOTS = frozenset({"status", "body"})
PERSON_ROOTS = frozenset({"person", "names", "accounts"})
SCOPE_ROOTS = frozenset({"person", "valid_statuses"})


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"unknown time zone {name!r}; use a name such as Asia/Shanghai") from error
    return name


def _condition(roots: frozenset[str]) -> AfterValidator:
    return AfterValidator(lambda text: _compiled(text, compile_condition, roots))


def _template(roots: frozenset[str]) -> AfterValidator:
    return AfterValidator(lambda node: _compiled(node, compile_tree, roots))


def _compiled(node: Any, compile_: Any, roots: frozenset[str]) -> Any:
    """Refuses what would not compile; the text itself stays in the settings."""
    try:
        compile_(node, roots=roots)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error
    return node


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
AnswerCondition = Annotated[str, _condition(ANSWER_ROOTS)]
AnswerPath = Annotated[str, _condition(ANSWER_ROOTS)]


class Group(BaseModel):
    """Unknown keys are refused: a misspelt safety setting must not be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Rate(Group):
    """How hard one API may be called."""

    per_second: PositiveFloat | None = Field(
        None, description="requests per second; none: unlimited"
    )
    concurrency: PositiveInt = Field(8, description="requests in flight at once")


class Request(Group):
    """One HTTP request. Texts are mapping values over the roots that its use provides."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: str
    headers: dict[str, str] = {}
    query: dict[str, Any] = {}
    body: Any = None


class NoAuth(Group):
    kind: Literal["none"] = "none"


class BasicAuth(Group):
    """Login and password of the Connection."""

    kind: Literal["basic"]


class HeaderAuth(Group):
    """One fixed header, for example an API key: `value: "{{ conn.password }}"`."""

    kind: Literal["header"]
    name: str = "Authorization"
    value: Annotated[str, _template(REQUEST_ROOTS)]


class TokenAuth(Group):
    """A token from an endpoint of its own, renewed before it expires and once after a 401."""

    kind: Literal["token"]
    request: Annotated[Request, AfterValidator(lambda r: _request(r, REQUEST_ROOTS))]
    success: AnswerCondition = "status == 200"
    token: AnswerPath = "body.access_token"  # noqa: S105
    expires_in: AnswerPath | None = Field(None, description="seconds, from the answer")
    header: str = "Authorization"
    value: Annotated[str, _template(TOKEN_ROOTS)] = "{{ token }}"


def _request(request: Request, roots: frozenset[str]) -> Request:
    for node in (request.path, request.headers, request.query, request.body):
        _compiled(node, compile_tree, roots)
    return request


Auth = Annotated[NoAuth | BasicAuth | HeaderAuth | TokenAuth, Field(discriminator="kind")]
ReadRequest = Annotated[Request, AfterValidator(lambda r: _request(r, READ_ROOTS))]
CallRequest = Annotated[Request, AfterValidator(lambda r: _request(r, CALL_ROOTS))]


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


class Call(Group):
    """One declared operation of a target."""

    request: CallRequest
    success: AnswerCondition = "200 <= status < 300"
    remote_id: AnswerPath | None = Field(None, description="the target's own id, from the answer")
    exists: AnswerCondition | None = Field(None, description="the answer means: already there")
    retry: AnswerCondition | None = Field(None, description="the answer means: try again later")
    error_code: AnswerPath | None = Field(None, description="what the target calls its error")


class Find(Group):
    """The look-up by stable key; `found` and `absent` are exclusive, anything else is no answer."""

    request: CallRequest
    found: AnswerCondition
    absent: AnswerCondition
    key: AnswerPath = Field(
        description="the key of the account found: it must be the one asked for"
    )
    remote_id: AnswerPath | None = None
    identifier: AnswerPath | None = None


class Target(Group):
    """What every kind of target has."""

    conn_id: str
    scope: Annotated[str, _condition(SCOPE_ROOTS)] = "person.status in valid_statuses"
    depends_on: list[Name] = []
    attributes: Annotated[dict[str, Any], _template(PERSON_ROOTS)]
    key: str = Field(description="the attribute that finds the account again, whatever happens")
    identifier: str = Field(description="the attribute kept as the account's identifier")
    rate: Rate = Rate()
    timeout: Duration = timedelta(seconds=30)

    @model_validator(mode="after")
    def _names_are_attributes(self) -> Target:
        for field in ("key", "identifier"):
            if getattr(self, field) not in self.attributes:
                raise ValueError(f"{field}: {getattr(self, field)!r} is not one of the attributes")
        return self


class RestTarget(Target):
    """A target whose HTTP API is declared here, request by request."""

    kind: Literal["rest"]
    auth: Auth = NoAuth()
    create: Call
    find: Find | None = None


class ScimTarget(Target):
    """A SCIM 2.0 service provider (RFC 7643, RFC 7644). Attributes are those of a User resource."""

    kind: Literal["scim"]
    auth: Auth = NoAuth()
    key: str = "externalId"
    identifier: str = "userName"


AnyTarget = Annotated[RestTarget | ScimTarget, Field(discriminator="kind")]


class Database(Group):
    conn_id: str = "accountsync_db"


class Retry(Group):
    max_attempts: PositiveInt = 5
    base: Duration = timedelta(seconds=30)
    cap: Duration = timedelta(hours=6)
    probe_gap: Duration = Field(
        timedelta(seconds=30), description="between two looks after an unknown outcome"
    )


class Alerts(Group):
    smtp_conn_id: str = "smtp_default"
    to: list[str] = []
    sender: str | None = Field(None, description="default: `from_email` of the Connection")


class Settings(Group):
    """config/accountsync.yaml."""

    timezone: Zone = "UTC"
    database: Database = Database()
    hr: list[HttpSource] = Field(min_length=1)
    names: dict[Name, Annotated[str, _template(frozenset({"person"}))]] = {}
    systems: dict[Name, AnyTarget]
    retry: Retry = Retry()
    alerts: Alerts = Alerts()

    @model_validator(mode="after")
    def _dependencies_end(self) -> Settings:
        for name, target in self.systems.items():
            unknown = sorted(set(target.depends_on) - set(self.systems))
            if unknown:
                raise ValueError(f"systems.{name}.depends_on: unknown {unknown}")
        try:
            TopologicalSorter({n: t.depends_on for n, t in self.systems.items()}).prepare()
        except CycleError as error:
            raise ValueError(f"systems: dependency cycle {' → '.join(error.args[1])}") from error
        return self

    @model_validator(mode="after")
    def _sources_are_distinct(self) -> Settings:
        names = [source.name for source in self.hr]
        if len(set(names)) != len(names):
            raise ValueError("hr: two sources have the same name")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def source(self, name: str) -> HttpSource:
        for source in self.hr:
            if source.name == name:
                return source
        raise ConfigurationError(f"no HR source is called {name!r}")


def config_path() -> Path:
    """ACCOUNTSYNC_CONFIG, else config/accountsync.yaml beside plugins/."""
    return Path(os.environ.get("ACCOUNTSYNC_CONFIG") or _DEFAULT_CONFIG)


def load(path: Path) -> Settings:
    """Raises ConfigurationError with one line per problem: path in the file, problem, hint."""
    return parse(_read(path), origin=str(path))


def parse(document: Any, *, origin: str) -> Settings:
    if not isinstance(document, Mapping):
        raise ConfigurationError(f"{origin}: expected a mapping at the top")
    try:
        return Settings.model_validate(with_presets(document))
    except ValidationError as error:
        lines = [f"  {_where(e['loc'])}: {_what(e)}" for e in error.errors()]
        raise ConfigurationError(
            f"{origin}: {len(lines)} problem(s)\n" + "\n".join(lines)
        ) from error


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read ({error.strerror}); ACCOUNTSYNC_CONFIG names the file"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not valid YAML: {error}") from error


def with_presets(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with every `preset: NAME` replaced by that preset, the document's own keys winning."""
    merged = dict(document)
    if isinstance(merged.get("hr"), list):
        merged["hr"] = [_preset_merged(source, f"hr.{n}") for n, source in enumerate(merged["hr"])]
    if isinstance(merged.get("systems"), Mapping):
        merged["systems"] = {
            name: _preset_merged(target, f"systems.{name}")
            for name, target in merged["systems"].items()
        }
    return merged


def _preset_merged(own: Any, where: str) -> Any:
    if not isinstance(own, Mapping) or "preset" not in own:
        return own
    rest = {key: value for key, value in own.items() if key != "preset"}
    path = PRESETS / f"{own['preset']}.yaml"
    known = sorted(preset.stem for preset in PRESETS.glob("*.yaml"))
    if own["preset"] not in known:
        raise ConfigurationError(f"{where}.preset: no preset {own['preset']!r}; known: {known}")
    return _merged(_read(path), rest)


def _merged(base: Any, own: Any) -> Any:
    if not (isinstance(base, Mapping) and isinstance(own, Mapping)):
        return own
    return {**base, **{key: _merged(base.get(key), value) for key, value in own.items()}}


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(str(step) for step in location) or "(whole file)"


_HINTS = {
    "extra_forbidden": "no such setting here; check the spelling",
    "missing": "is required",
}


def _what(error: Any) -> str:
    hint = _HINTS.get(error["type"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{message} ({hint})" if hint else message
