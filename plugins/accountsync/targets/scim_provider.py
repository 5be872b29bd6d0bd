"""A service provider: what it offers, and its answers under the names that the RFCs give."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from accountsync.errors import NeedsHumanError, RejectedByTargetError, TransientError
from accountsync.targets import scim_messages
from accountsync.targets.scim_messages import Features
from accountsync.wire.answer import Answer
from accountsync.wire.api import Api
from accountsync.wire.request import Rendered

_NAMES = (
    *("schemas", "id", "externalId", "meta", "version", "userName", "active", "displayName"),
    *("groups", "members", "value", "display", "type", "primary"),
    *("Resources", "totalResults", "itemsPerPage", "startIndex", "nextCursor"),
    *("patch", "etag", "filter", "supported", "maxResults", "pagination", "cursor", "maxPageSize"),
    *("scimType", "detail", "status"),
)
"""The names that are read here, as the RFCs spell them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A user as the provider showed it. `tag`: its version, where the provider keeps versions."""

    resource: dict[str, Any]
    tag: str | None = None

    @property
    def id(self) -> str:
        return str(self.resource["id"])


class Provider:
    def __init__(self, api: Api, *, mapped: Mapping[str, Any]) -> None:
        """`mapped`: the attributes of the configuration."""
        self._api = api
        self._spelling = {name.casefold(): name for name in (*_NAMES, *_names(mapped))}
        self._features: Features | None = None
        self._asking = asyncio.Lock()

    async def read(self, request: Rendered) -> Answer:
        return self._respelt(await self._api.read(request))

    async def change(self, request: Rendered) -> Answer:
        return self._respelt(await self._api.change(request))

    def address(self, path: str) -> str:
        return self._api.address(path)

    @property
    def dry_run(self) -> bool:
        return self._api.dry_run

    async def features(self) -> Features:
        async with self._asking:
            if self._features is None:
                request = scim_messages.request("GET", "/ServiceProviderConfig")
                self._features = scim_messages.features(await self.read(request))
            return self._features

    async def user(self, remote_id: str) -> Seen | None:
        """None where there is no user of this id. Raises NeedsHumanError where our login may not
        see it: it may be there."""
        answer = await self.read(scim_messages.request("GET", place("Users", remote_id)))
        if answer.status in (404, 410):
            return None
        if answer.status == 403:
            raise NeedsHumanError("the target does not show the account to our login (HTTP 403)")
        if answer.status != 200 or not scim_messages.has_user(answer):
            raise TransientError(f"read before write: HTTP {answer.status} is not a user")
        user = await self.seen(answer)
        if user.id != remote_id:
            raise TransientError("read before write: it shows another id than was asked for")
        return user

    async def seen(self, answer: Answer) -> Seen:
        """The user of an answer that has one."""
        return Seen(resource=answer.body, tag=await self._tag(answer.headers, answer.body))

    async def listed(self, resource: dict[str, Any]) -> Seen:
        """The user of a list."""
        return Seen(resource=resource, tag=await self._tag({}, resource))

    async def _tag(self, headers: Mapping[str, str], resource: Mapping[str, Any]) -> str | None:
        if not (await self.features()).etag:
            return None
        meta = resource.get("meta")
        version = meta.get("version") if isinstance(meta, Mapping) else None
        tag = headers.get("ETag") or version
        return tag if isinstance(tag, str) and tag.isprintable() else None

    def _respelt(self, answer: Answer) -> Answer:
        body = _respelt(answer.body, self._spelling)
        return Answer(status=answer.status, headers=answer.headers, body=body)


def place(collection: str, remote_id: str) -> str:
    """The path of one resource. Raises RejectedByTargetError for an id that would leave it: some
    servers decode a path before they take it apart."""
    if remote_id.strip() in ("", ".", "..") or any(mark in remote_id for mark in "/\\\r\n\0"):
        raise RejectedByTargetError(
            "the target gave an id that is no part of a path: nothing was sent", code="bad_id"
        )
    return f"/{collection}/{quote(remote_id, safe='')}"


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        yield from node
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _names(child)


def _respelt(node: Any, spelling: Mapping[str, str]) -> Any:
    """Names of attributes have no case (RFC 7643 §2.1)."""
    if isinstance(node, dict):
        return {
            spelling.get(name.casefold(), name): _respelt(value, spelling)
            for name, value in node.items()
        }
    if isinstance(node, list):
        return [_respelt(value, spelling) for value in node]
    return node
