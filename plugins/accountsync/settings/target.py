"""What every kind of target has."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, model_validator

from accountsync.settings.parts import Group, Name, Rate, Timeout, condition, template
from accountsync.settings.problems import Problem, ProblemsError

PERSON_ROOTS = frozenset({"person", "names", "accounts"})
SCOPE_ROOTS = frozenset({"person", "valid_statuses"})


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
