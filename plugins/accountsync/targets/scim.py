"""A SCIM 2.0 service provider (RFC 7643, RFC 7644): User resources found again by `externalId`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from accountsync.domain.account import RemoteAccount
from accountsync.errors import (
    AccountExistsError,
    RejectedByTargetError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.targets.connector import required
from accountsync.wire.answer import Answer
from accountsync.wire.api import Api
from accountsync.wire.request import Rendered

_MEDIA_TYPE = "application/scim+json"
_HEADERS = {"Content-Type": _MEDIA_TYPE, "Accept": _MEDIA_TYPE}
_NEEDED = ("externalId", "userName")
_CANNOT_FILTER = (400, 403, 501)
_USER = "urn:ietf:params:scim:schemas:core:2.0:User"


class ScimConnector:
    can_find = True

    def __init__(self, api: Api) -> None:
        self._api = api

    async def create(self, attributes: Mapping[str, Any]) -> RemoteAccount:
        """POST /Users (RFC 7644 §3.3). A 202 only says that it will be tried, and a 201 without the
        user not who was made: unknown."""
        for name in _NEEDED:
            required(attributes, name)
        body = {"schemas": [_USER], "active": True, **attributes}
        answer = await self._api.change(_request("POST", "/Users", body=body))
        if answer.status == 201 and isinstance(answer.body, dict) and "id" in answer.body:
            return _account(answer.body, attributes, ours=True)
        if 200 <= answer.status < 300:
            raise UnknownOutcomeError(f"HTTP {answer.status} without the user that was made")
        if answer.status == 409:
            raise AccountExistsError("uniqueness", code=_scim_type(answer))
        raise RejectedByTargetError(f"HTTP {answer.status}", code=_scim_type(answer))

    async def find(self, attributes: Mapping[str, Any]) -> RemoteAccount | None:
        """By externalId, then by userName: by the first some servers find nothing, refuse, or list
        everybody. The second has to be answered."""
        for attribute in _NEEDED:
            found = await self._lookup(attribute, attributes)
            if found is not None:
                return found
        return None

    async def _lookup(self, attribute: str, attributes: Mapping[str, Any]) -> RemoteAccount | None:
        wanted = required(attributes, attribute)
        query = {"filter": f"{attribute} eq {orjson.dumps(wanted).decode()}", "count": "10"}
        answer = await self._api.read(_request("GET", "/Users", query=query))
        decides = attribute == _NEEDED[-1]
        if not decides and answer.status in _CANNOT_FILTER:
            return None
        resources = _resources(answer)
        for resource in resources:
            if str(resource.get(attribute, "")).casefold() == wanted.casefold():
                ours = resource.get("externalId") == attributes["externalId"]
                return _account(resource, attributes, ours=ours)
        if resources and decides:
            raise TransientError(f"the filter on {attribute} was ignored: no sure answer")
        return None


def _resources(answer: Answer) -> list[dict[str, Any]]:
    """RFC 7644 §3.4.2: no hit is totalResults 0, with or without an empty Resources."""
    body = answer.body
    if answer.status != 200 or not isinstance(body, dict) or "totalResults" not in body:
        raise TransientError(f"find: HTTP {answer.status} is not a list of users")
    resources = body.get("Resources") or []
    if body["totalResults"] and not resources:
        raise TransientError("find: hits are declared but not delivered")
    return [resource for resource in resources if isinstance(resource, dict)]


def _account(
    resource: Mapping[str, Any], attributes: Mapping[str, Any], *, ours: bool
) -> RemoteAccount:
    return RemoteAccount(
        identifier=str(resource.get("userName", attributes["userName"])),
        remote_id=str(resource["id"]),
        ours=ours,
    )


def _scim_type(answer: Answer) -> str:
    """RFC 7644 §3.12; servers may leave it out."""
    body = answer.body if isinstance(answer.body, dict) else {}
    return str(body.get("scimType") or answer.status)


def _request(
    method: str, path: str, *, query: dict[str, str] | None = None, body: Any = None
) -> Rendered:
    return Rendered(method=method, path=path, headers=_HEADERS, query=query or {}, body=body)
