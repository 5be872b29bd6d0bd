"""Targets: where accounts are kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from accountsync.settings.parts import (
    REQUEST_ROOTS,
    AnswerCondition,
    AnswerPath,
    Auth,
    Group,
    Name,
    NoAuth,
    OrPreset,
    Rate,
    Request,
    Timeout,
    checked_request,
    condition,
    template,
)
from accountsync.settings.problems import Problem, ProblemsError

CALL_ROOTS = REQUEST_ROOTS | {"attributes", "key"}
PERSON_ROOTS = frozenset({"person", "names", "accounts"})
SCOPE_ROOTS = frozenset({"person", "valid_statuses"})

CallRequest = Annotated[Request, AfterValidator(lambda r: checked_request(r, CALL_ROOTS))]


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
    scope: Annotated[str, condition(SCOPE_ROOTS)] = "person.status in valid_statuses"
    depends_on: list[Name] = []
    attributes: Annotated[dict[str, Any], template(PERSON_ROOTS)]
    key: str = Field(description="the attribute that finds the account again, whatever happens")
    identifier: str = Field(description="the attribute kept as the account's identifier")
    rate: Rate = Rate()
    timeout: Timeout = timedelta(seconds=30)

    @model_validator(mode="after")
    def _names_are_attributes(self) -> Target:
        found = [
            Problem((field,), f"{getattr(self, field)!r} is not one of the attributes")
            for field in ("key", "identifier")
            if getattr(self, field) not in self.attributes
        ]
        if found:
            raise ProblemsError(found)
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


AnyTarget = Annotated[RestTarget | ScimTarget, Field(discriminator="kind"), OrPreset()]
