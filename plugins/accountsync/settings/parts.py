"""What several parts of the configuration are made of."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
)

from accountsync.domain.durations import parse_duration
from accountsync.domain.mapping import compile_condition, compile_tree
from accountsync.errors import ConfigurationError

REQUEST_ROOTS = frozenset({"conn"})
TOKEN_ROOTS = REQUEST_ROOTS | {"token"}
ANSWER_ROOTS = frozenset({"status", "headers", "body"})


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"unknown time zone {name!r}; use a name such as Asia/Shanghai") from error
    return name


def condition(roots: frozenset[str]) -> AfterValidator:
    return AfterValidator(lambda text: compiled(text, compile_condition, roots))


def template(roots: frozenset[str]) -> AfterValidator:
    return AfterValidator(lambda node: compiled(node, compile_tree, roots))


def compiled(node: Any, compile_: Any, roots: frozenset[str]) -> Any:
    """Refuses what would not compile; the text itself stays in the settings."""
    try:
        compile_(node, roots=roots)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error
    return node


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
AnswerCondition = Annotated[str, condition(ANSWER_ROOTS)]
AnswerPath = Annotated[str, condition(ANSWER_ROOTS)]


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
    body_as: Literal["json", "form"] = "json"


class NoAuth(Group):
    kind: Literal["none"] = "none"


class BasicAuth(Group):
    """Login and password of the Connection."""

    kind: Literal["basic"]


class HeaderAuth(Group):
    """One fixed header, for example an API key: `value: "{{ conn.password }}"`."""

    kind: Literal["header"]
    name: str = "Authorization"
    value: Annotated[str, template(REQUEST_ROOTS)]


class TokenAuth(Group):
    """A token from an endpoint of its own, renewed before it expires and once after a 401."""

    kind: Literal["token"]
    request: Annotated[Request, AfterValidator(lambda r: checked_request(r, REQUEST_ROOTS))]
    success: AnswerCondition = "status == 200"
    token: AnswerPath = "body.access_token"  # noqa: S105
    expires_in: AnswerPath | None = Field(None, description="seconds, from the answer")
    header: str = "Authorization"
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
    for node in (request.path, request.headers, request.query, request.body):
        compiled(node, compile_tree, roots)
    return request


Auth = Annotated[
    NoAuth | BasicAuth | HeaderAuth | TokenAuth | OAuth2Auth, Field(discriminator="kind")
]
