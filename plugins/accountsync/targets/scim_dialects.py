"""How service providers differ that were written for one client. All differences are here.

`auto`: one operation for each path, which more providers understand than any other form; where one
refuses or misunderstands it, `OTHERS` are tried. `standard`: RFC 7644 to the letter, several
attributes in one operation. `entra`: written for Microsoft Entra, which sends one capitalised
operation for each path, and booleans as texts. `okta`: written for Okta, which looks up by userName
alone and sends attributes by PUT and `active` by PATCH. `aws`: IAM Identity Center, which takes one
operation for each path, removes members by value, never shows them, and lists without a total.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Operation = dict[str, Any]
Name = Literal["auto", "standard", "entra", "okta", "aws"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """`name`: as the configuration has it. `lookups`: attributes that a filter may name, the last
    of which has to be answered. `pathless`: several attributes in one operation (RFC 7644
    §3.5.2.3). `removals`: how a member may be removed; the next is tried where one does nothing.
    `member_filter`: the attribute that finds a group by a member, where groups hide theirs."""

    name: Name
    lookups: tuple[str, ...] = ("externalId", "userName")
    put_attributes: bool = False
    pathless: bool = False
    capitalised: bool = False
    text_booleans: bool = False
    removals: tuple[Literal["path", "value"], ...] = ("path",)
    member_filter: str | None = None
    cursors: bool = False

    def operations(self, attributes: Mapping[str, Any], gone: Iterator[str]) -> list[Operation]:
        """The operations of a PATCH: values to set, and paths whose value has gone."""
        operations = list(self._replacing(attributes)) if attributes else []
        operations += [{"op": "remove", "path": path} for path in gone]
        return [self._spelled(operation) for operation in operations]

    def _replacing(self, attributes: Mapping[str, Any]) -> Iterator[Operation]:
        if self.pathless:
            yield {"op": "replace", "value": dict(attributes)}
        else:
            for path, value in leaves(attributes):
                yield {"op": "replace", "path": path, "value": value}

    def member_added(self, user: str) -> Operation:
        return self._spelled({"op": "add", "path": "members", "value": [{"value": user}]})

    def member_removed(self, user: str) -> list[Operation]:
        """The ways of it, the usual one first."""
        ways: Mapping[str, Operation] = {
            "path": {"op": "remove", "path": f'members[value eq "{user}"]'},
            "value": {"op": "remove", "path": "members", "value": [{"value": user}]},
        }
        return [self._spelled(ways[removal]) for removal in self.removals]

    def _spelled(self, operation: Operation) -> Operation:
        spelled = dict(operation)
        if self.capitalised:
            spelled["op"] = str(operation["op"]).capitalize()
        if self.text_booleans and isinstance(operation.get("value"), bool):
            spelled["value"] = str(operation["value"])
        return spelled


def leaves(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Path → value: `name.familyName`, `urn:…:User:department`; lists are values."""
    for name, value in attributes.items():
        if not isinstance(value, Mapping):
            yield name, value
            continue
        joint = ":" if name.startswith("urn:") else "."
        for path, leaf in leaves(value):
            yield f"{name}{joint}{path}", leaf


_AUTO = Dialect(name="auto", removals=("path", "value"))
_STANDARD = Dialect(name="standard", pathless=True)
_ENTRA = Dialect(name="entra", capitalised=True, text_booleans=True, removals=("value",))
DIALECTS: Mapping[Name, Dialect] = {
    "auto": _AUTO,
    "standard": _STANDARD,
    "entra": _ENTRA,
    "okta": Dialect(name="okta", lookups=("userName",), put_attributes=True, pathless=True),
    "aws": Dialect(name="aws", removals=("value",), member_filter="members", cursors=True),
}
OTHERS: Mapping[Name, Sequence[Dialect]] = {"auto": (_STANDARD, _ENTRA)}
"""Dialect → those that are tried, in this order, where the provider misunderstands it."""
