"""What every kind of target has."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from accountsync.settings.guard import Guard
from accountsync.settings.parts import (
    Duration,
    Group,
    Name,
    Rate,
    Timeout,
    condition,
    template,
)
from accountsync.settings.problems import Problem, ProblemsError

PERSON_ROOTS = frozenset({"person", "names", "accounts"})
SCOPE_ROOTS = frozenset({"person", "valid_statuses"})


class Correlation(Group):
    """A match of accounts that a target has already with persons; the first rule that matches any
    person decides. Every doubt is a case for a human."""

    attribute: str = Field(description="of the account, as the target shows it")
    value: Annotated[str, template(PERSON_ROOTS)] | None = Field(
        None, description="of the person; default: what the attribute is mapped to"
    )
    sure: bool = Field(False, description="a match by this alone makes the account the person's")


class Target(Group):
    """What every kind of target has."""

    conn_id: str
    scope: Annotated[str, condition(SCOPE_ROOTS)] = "person.status in valid_statuses"
    depends_on: list[Name] = []
    after: list[Name] = Field(
        [], description="order only: wait for the tasks of these targets, however they end"
    )
    attributes: Annotated[dict[str, Any], template(PERSON_ROOTS)]
    key: str = Field(description="the attribute that finds the account again, whatever happens")
    identifier: str = Field(description="the attribute kept as the account's identifier")
    correlate_by: list[Correlation] = Field(
        [], description="to adopt existing accounts; default: by the key, which is sure"
    )
    rate: Rate = Rate()
    timeout: Timeout = timedelta(seconds=30)
    prehire: Duration = Field(
        timedelta(0),
        description="make the account, disabled, so long before the first working day",
    )
    leave: Literal["keep", "disable"] = Field("keep", description="during a leave")
    leaver: Literal["disable", "keep"] = Field("disable", description="after the last working day")
    delete_after: Timeout | None = Field(
        None,
        description="delete a leaver's account so long after leaving and disabling; none: never",
    )
    keep: list[str] = Field([], description="attributes that stay as they were first applied")
    guard: Guard | None = Field(None, description="in place of the common one, as a whole")

    @property
    def memberships(self) -> frozenset[str]:
        """The attributes that name groups or roles, in any case (RFC 7643 §2.1)."""
        names = {"groups", "roles", "entitlements"}
        return frozenset(name for name in self.attributes if name.casefold() in names)

    @model_validator(mode="after")
    def _correlations_are_answerable(self) -> Target:
        problems = [
            Problem(
                ("correlate_by", n, "value"), f"{rule.attribute!r} is not mapped: say the value"
            )
            for n, rule in enumerate(self.correlate_by)
            if rule.value is None and rule.attribute not in self.attributes
        ]
        if problems:
            raise ProblemsError(problems)
        return self

    @model_validator(mode="after")
    def _names_are_attributes(self) -> Target:
        problems = [
            Problem((field,), f"{getattr(self, field)!r} is not one of the attributes")
            for field in ("key", "identifier")
            if getattr(self, field) not in self.attributes
        ]
        problems += [
            Problem(("keep", n), f"{name!r} is not one of the attributes")
            for n, name in enumerate(self.keep)
            if name not in self.attributes
        ]
        if self.delete_after and self.leaver == "keep":
            problems.append(Problem(("delete_after",), "a leaver's account is kept: see `leaver`"))
        if problems:
            raise ProblemsError(problems)
        return self
