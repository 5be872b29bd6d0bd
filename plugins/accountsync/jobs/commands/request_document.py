"""Reads an account request as other systems send it, in JSON, and names all of its problems."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Annotated

import orjson
from pydantic import (
    AfterValidator,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from accountsync.errors import InvalidRequestError
from accountsync.settings.problems import Problem, listed

_LONGEST = 500
_MESSAGES = {
    "missing": "is missing",
    "string_too_short": "is missing",
    "too_short": "is empty",
    "extra_forbidden": "is not known; check its spelling",
}


def _storable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("holds a character that cannot be printed")
    return value


def _none_if_blank(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _date_if_any(value: object) -> object:
    if value is None or isinstance(value, str) and not value.strip():
        return None
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError as error:
        raise ValueError("is no date of the calendar, written YYYY-MM-DD") from error


Text = Annotated[str, Field(min_length=1, max_length=_LONGEST), AfterValidator(_storable)]
Number = Annotated[str, Field(pattern=r"^\S{1,64}$"), AfterValidator(_storable)]
OptionalText = Annotated[Text | None, BeforeValidator(_none_if_blank)]
OptionalDate = Annotated[date | None, BeforeValidator(_date_if_any)]


class _Sent(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        str_strip_whitespace=True,
        coerce_numbers_to_str=True,
        alias_generator=AliasGenerator(alias=to_camel),
    )


class RequestedPerson(_Sent):
    employee_number: Number
    employee_name: Text
    department_code: OptionalText = None
    phone_number: OptionalText = None
    partner_company: OptionalText = None
    country: OptionalText = None
    end_date: OptionalDate = None


class RequestDocument(_Sent):
    """`employee_type` is the person type of everybody in the request, `end_date` the last day of
    everybody who has none of their own."""

    origin_system: Text
    business_key: Text
    account_type: Text
    employee_type: Text
    end_date: OptionalDate = None
    system_list: list[Text] = Field(min_length=1)
    user_list: list[RequestedPerson] = Field(min_length=1)

    @property
    def targets(self) -> list[str]:
        return sorted(set(self.system_list))

    @property
    def content_hash(self) -> bytes:
        """A hash that does not depend on the order in which targets and persons are listed."""
        content = self.model_dump(by_alias=True)
        for part in (content, *content["userList"]):
            if part["endDate"] is None:
                del part["endDate"]  # as it was before there were such dates
        content["systemList"] = self.targets
        content["userList"].sort(key=lambda user: user["employeeNumber"])
        raw = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(raw).digest()


def read(document: object, *, targets: Collection[str]) -> RequestDocument:
    """`targets`: the configured ones. Raises InvalidRequestError with one line for each
    problem. No line repeats what was sent about people, but for employee numbers (I15)."""
    try:
        request = RequestDocument.model_validate(document)
    except ValidationError as error:
        raise invalid(_wrong(error)) from None
    if problems := [*_unknown(request, targets), *_repeated(request.user_list)]:
        raise invalid(problems)
    return request


def invalid(problems: Iterable[Problem]) -> InvalidRequestError:
    return InvalidRequestError(listed("nothing was taken of the request", list(problems)))


def _wrong(error: ValidationError) -> Iterator[Problem]:
    for detail in error.errors(include_url=False, include_input=False):
        message = _MESSAGES.get(detail["type"], detail["msg"].removeprefix("Value error, "))
        if detail["type"] == "string_pattern_mismatch":
            message = "has to be 1 to 64 characters without spaces"
        yield Problem(detail["loc"], message)


def _unknown(request: RequestDocument, targets: Collection[str]) -> Iterator[Problem]:
    for position, target in enumerate(request.system_list):
        if target not in targets:
            known = ", ".join(targets)
            yield Problem(("systemList", position), f"there is no such target; known: {known}")


def _repeated(users: Sequence[RequestedPerson]) -> Iterator[Problem]:
    times = Counter(user.employee_number for user in users)
    for position, user in enumerate(users):
        if (listed_so_often := times[user.employee_number]) > 1:
            message = f"{user.employee_number} stands in the list {listed_so_often} times"
            yield Problem(("userList", position, "employeeNumber"), message)


def person_attributes(request: RequestDocument, user: RequestedPerson) -> Mapping[str, object]:
    """The values that a mapping reads as `person.attributes.…`."""
    sent = user.model_dump(by_alias=True, exclude={"employee_number", "employee_name", "end_date"})
    return {**sent, "accountType": request.account_type}
