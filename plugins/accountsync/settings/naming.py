"""Names: what they are made of, and the rules under which they are given."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, PositiveInt
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from accountsync.domain.names.numbering import fold
from accountsync.settings.parts import Group, template

NAME_ROOTS = frozenset({"person"})

RESERVED_WORDS = (
    "abuse", "admin", "administrator", "all", "anonymous", "billing", "daemon", "everyone", "ftp",
    "guest", "help", "helpdesk", "hostmaster", "hr", "info", "it", "mail", "mailer-daemon",
    "marketing", "news", "no-reply", "nobody", "noc", "noreply", "null", "office", "operator",
    "postmaster", "root", "sales", "security", "service", "spam", "staff", "support", "sys",
    "sysadmin", "system", "test", "usenet", "user", "webmaster", "www",
)  # fmt: skip
"""The mailboxes of RFC 2142, accounts of operating systems, and addresses of offices."""


class NameSpace(Group):
    """One kind of name; nobody's name of a kind is ever given to another person."""

    value: Annotated[str, template(NAME_ROOTS)]
    existing: Annotated[str, template(NAME_ROOTS)] | None = Field(
        None, description="where HR says which name a person has already"
    )
    max_length: PositiveInt | None = Field(
        None, description="of the whole, with its number; what stands before the number is cut"
    )
    number: Literal["shared", "own"] = Field(
        "shared", description="shared: one number for all names of a person that share"
    )
    on_rename: Literal["keep", "follow"] = Field(
        "keep", description="follow: a new name when the value changes; the old one stays owned"
    )


class ReservedNames(Group):
    """Names that are nobody's, compared with what stands before the @."""

    words: list[str] = Field(list(RESERVED_WORDS), description="instead of the usual ones")
    also: list[str] = Field([], description="more, beside the usual ones")
    then: Literal["number", "needs_data"] = Field(
        "number", description="number: admin2 · needs_data: wait for an operator's override"
    )

    @property
    def folded(self) -> frozenset[str]:
        return frozenset(fold(word) for word in (*self.words, *self.also))


def _from_text(value: object) -> object:
    return {"value": value} if isinstance(value, str) else value


class _OrText:
    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


AnyNameSpace = Annotated[NameSpace, BeforeValidator(_from_text), _OrText()]
