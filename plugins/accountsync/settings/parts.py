"""The parts that several places of the configuration are made of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    PositiveFloat,
    PositiveInt,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from accountsync.domain.durations import duration_text, parse_duration
from accountsync.domain.mapping.values import (
    compile_condition,
    compile_tree,
    compile_url_path,
    roots_in,
)
from accountsync.errors import ConfigurationError
from accountsync.settings.problems import Place, Problem, ProblemsError

REQUEST_ROOTS = frozenset({"conn"})
TOKEN_ROOTS = REQUEST_ROOTS | {"token"}
ANSWER_ROOTS = frozenset({"status", "headers", "body"})


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {name!r}; use a name such as Asia/Shanghai") from error
    return name


def condition(roots: frozenset[str]) -> AfterValidator:
    return AfterValidator(lambda text: compiled(text, compile_condition, roots))


def template(roots: frozenset[str]) -> AfterValidator:
    return AfterValidator(lambda node: compiled(node, compile_tree, roots))


def compiled(node: Any, compile_: Any, roots: frozenset[str]) -> Any:
    """The node, whose texts stay as they are. Raises ProblemsError where one does not compile."""
    if problems := list(_refused(node, compile_, roots, ())):
        raise ProblemsError(problems)
    return node


NO_TEXT = "YAML took this name for something else than a text: put it in quotes"


def _refused(node: Any, compile_: Any, roots: frozenset[str], place: Place) -> Iterator[Problem]:
    if isinstance(node, Mapping):
        for key, child in node.items():
            if not isinstance(key, str):
                yield Problem((*place, str(key)), NO_TEXT)
                continue
            yield from _refused(child, compile_, roots, (*place, key))
    elif isinstance(node, list):
        for n, child in enumerate(node):
            yield from _refused(child, compile_, roots, (*place, n))
    elif isinstance(node, str):
        try:
            compile_(node, roots=roots)
        except ConfigurationError as error:
            yield Problem(place, str(error))


def _positive(duration: timedelta) -> timedelta:
    if not duration:
        raise ValueError("must be longer than 0s")
    return duration


def _header_name(name: str) -> str:
    """RFC 9110 §5.1."""
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise ValueError("a header's name is of letters, digits and -, without blanks")
    return name


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text, when_used="json"),
    WithJsonSchema({"type": "string", "examples": ["30s", "10m", "24h", "7d", "1h30m"]}),
]
Timeout = Annotated[Duration, AfterValidator(_positive)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Percent = Annotated[float, Field(ge=0, le=100)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
HeaderName = Annotated[str, AfterValidator(_header_name)]
AnswerCondition = Annotated[str, condition(ANSWER_ROOTS)]
AnswerPath = Annotated[str, condition(ANSWER_ROOTS)]


class Group(BaseModel):
    """Unknown keys are refused: a misspelt safety setting must not be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OrPreset:
    """For the JSON schema: where a `preset` is named, the rest may be left out."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        preset = {"type": "object", "properties": {"preset": {"type": "string"}}}
        return {"anyOf": [preset | {"required": ["preset"]}, handler(schema)]}


def setting_names(group: type[Group] = Group) -> list[str]:
    """The names of all settings there are."""
    below = [name for part in group.__subclasses__() for name in setting_names(part)]
    return sorted({*group.model_fields, *below})


class Rate(Group):
    """How hard one API may be called."""

    per_second: Annotated[PositiveFloat, AllowInfNan(False)] | None = Field(
        None, description="requests per second; none: unlimited"
    )
    concurrency: PositiveInt = Field(8, description="requests in flight at once")


class Request(Group):
    """One HTTP request. Texts are mapping values over the roots that its use provides."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: str
    headers: dict[HeaderName, str] = {}
    query: dict[str, Any] = Field({}, description="a list goes out as a parameter for each member")
    body: Any = None
    body_as: Literal["json", "form"] = Field(
        "json", description="form: fields with texts, numbers, true, false, and lists of these"
    )
    nulls: Literal["omit", "send"] = Field(
        "omit", description="what becomes of an entry of the body that has no value"
    )


class NoAuth(Group):
    kind: Literal["none"] = "none"


class BasicAuth(Group):
    """Login and password of the Connection."""

    kind: Literal["basic"]


def _from_connection(text: str) -> str:
    if "conn" not in roots_in(text, roots=REQUEST_ROOTS):
        raise ValueError(
            "a secret has no place here: put it into the Connection, write {{ conn.password }}"
        )
    return text


class HeaderAuth(Group):
    """One fixed header, for example an API key: `value: "{{ conn.password }}"`."""

    kind: Literal["header"]
    name: HeaderName = "Authorization"
    value: Annotated[str, template(REQUEST_ROOTS), AfterValidator(_from_connection)]


class QueryAuth(Group):
    """One fixed parameter of every query, for example an API key. Whoever keeps the target's logs
    sees it there: take a header where the target takes one."""

    kind: Literal["query"]
    name: str = Field(min_length=1)
    value: Annotated[str, template(REQUEST_ROOTS), AfterValidator(_from_connection)]


class TokenAuth(Group):
    """A token from an endpoint of its own, renewed before it expires and once after a 401."""

    kind: Literal["token"]
    request: Annotated[Request, AfterValidator(lambda r: checked_request(r, REQUEST_ROOTS))]
    success: AnswerCondition = "status == 200"
    token: AnswerPath = "body.access_token"  # noqa: S105
    expires_in: AnswerPath | None = Field(None, description="seconds, from the answer")
    header: HeaderName = "Authorization"
    query: str | None = Field(
        None, min_length=1, description="the query's parameter that carries it, and no header does"
    )
    refused: AnswerCondition | None = Field(
        None, description="an answer that says, besides HTTP 401: this token is good no more"
    )
    value: Annotated[str, template(TOKEN_ROOTS)] = "{{ token }}"


class OAuth2Auth(Group):
    """Client credentials (RFC 6749 §4.4): login is the client id, password the client secret."""

    kind: Literal["oauth2"]
    token_path: str = Field(description="a path of the Connection's host, or a whole address")
    scope: str | None = None
    client: Literal["basic", "body"] = Field("basic", description="where the credentials go")

    def as_token(self) -> TokenAuth:
        body = {"grant_type": "client_credentials", "scope": self.scope}
        headers = {}
        if self.client == "basic":
            pair = "(conn.login | urlencode) ~ ':' ~ (conn.password | urlencode)"
            headers = {"Authorization": f"Basic {{{{ ({pair}) | base64 }}}}"}
        else:
            body |= {"client_id": "{{ conn.login }}", "client_secret": "{{ conn.password }}"}
        return TokenAuth(
            kind="token",
            request=Request(
                method="POST", path=self.token_path, headers=headers, body=body, body_as="form"
            ),
            success="status == 200",
            token="body.access_token",  # noqa: S106 (where it is, not what it is)
            expires_in="body.expires_in | default(none)",
            value="Bearer {{ token }}",
        )


def checked_request(request: Request, roots: frozenset[str]) -> Request:
    problems = list(_refused(request.path, compile_url_path, roots, ("path",)))
    for part in ("headers", "query", "body"):
        problems += _refused(getattr(request, part), compile_tree, roots, (part,))
    problems += _unsendable(request)
    if not request.path.startswith(("/", "https://", "http://")):
        problems.append(Problem(("path",), "must begin with /: it follows the Connection's host"))
    if problems:
        raise ProblemsError(problems)
    return request


def _unsendable(request: Request) -> Iterator[Problem]:
    """What is seen at load already. A template is known to give no text only when it is used."""
    message = "must be a text, a number, true, false, or a list of these"
    fields: list[tuple[Place, Any]] = [
        (("query", name), part) for name, part in request.query.items()
    ]
    body = request.body
    if request.body_as == "form" and isinstance(body, Mapping):
        fields += [(("body", name), part) for name, part in body.items()]
    elif request.body_as == "form" and not (body is None or _is_template(body)):
        yield Problem(("body",), "a form is a mapping: lines of `name: value`")
    for place, part in fields:
        members = part if isinstance(part, list) else [part]
        if any(isinstance(member, Mapping | list) for member in members):
            yield Problem(place, message)


def _is_template(node: Any) -> bool:
    return isinstance(node, str) and "{{" in node


Auth = Annotated[
    NoAuth | BasicAuth | HeaderAuth | QueryAuth | TokenAuth | OAuth2Auth,
    Field(discriminator="kind"),
]
