"""SCIM on the wire (RFC 7643, RFC 7644): what is sent, and how what comes back is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from accountsync.domain.account import RemoteAccount
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    RejectedByTargetError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.wire.answer import Answer
from accountsync.wire.request import Rendered

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_MEDIA_TYPE = "application/scim+json"
_HEADERS = {"Content-Type": _MEDIA_TYPE, "Accept": _MEDIA_TYPE}
_STATE = "active"
_READ_ONLY = frozenset({"id", "meta", "groups", "schemas"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What the service provider says it can do (RFC 7643 §5); by default only what all can."""

    patch: bool = True
    etag: bool = False


def features(answer: Answer) -> Features:
    """One that hides its configuration, or leaves a part out, is taken as the default."""
    body = answer.body if answer.status == 200 and isinstance(answer.body, dict) else {}
    return Features(
        patch=_supported(body, "patch", default=True), etag=_supported(body, "etag", default=False)
    )


def _supported(body: Mapping[str, Any], name: str, *, default: bool) -> bool:
    part = body.get(name)
    if not isinstance(part, Mapping) or "supported" not in part:
        return default
    return as_bool(part["supported"]) is True


def as_bool(value: Any) -> bool | None:
    """Some servers send booleans as texts."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.casefold())
    return value if isinstance(value, bool) else None


def request(
    method: str,
    path: str,
    *,
    query: dict[str, str] | None = None,
    body: Any = None,
    if_match: str | None = None,
) -> Rendered:
    headers = _HEADERS if if_match is None else _HEADERS | {"If-Match": if_match}
    return Rendered(method=method, path=path, headers=headers, query=query or {}, body=body)


def equals(attribute: str, wanted: str) -> str:
    return f"{attribute} eq {orjson.dumps(wanted).decode()}"


def new_user(attributes: Mapping[str, Any], *, enabled: bool) -> dict[str, Any]:
    """Whether it is active is the lifecycle's to say, not the mapping's."""
    shown = {name: value for name, value in _own(attributes).items() if value is not None}
    return {"schemas": schemas(shown), _STATE: enabled, **shown}


def replaced_user(
    resource: Mapping[str, Any], attributes: Mapping[str, Any], *, enabled: bool | None
) -> dict[str, Any]:
    """What a PUT sends (RFC 7644 §3.5.1): all that the target has, ours laid over it."""
    kept = {name: value for name, value in resource.items() if name not in _READ_ONLY}
    state = {} if enabled is None else {_STATE: enabled}
    merged = {**kept, **_own(attributes), **state}
    shown = {name: value for name, value in merged.items() if value is not None}
    return {"schemas": schemas(shown), **shown}


def patch(attributes: Mapping[str, Any], *, enabled: bool | None) -> dict[str, Any]:
    """RFC 7644 §3.5.2: one `replace` without a path, and a `remove` for each value that is gone."""
    own = _own(attributes)
    state = {} if enabled is None else {_STATE: enabled}
    value = {name: one for name, one in own.items() if one is not None} | state
    operations: list[dict[str, Any]] = [{"op": "replace", "value": value}] if value else []
    operations += [{"op": "remove", "path": name} for name, one in own.items() if one is None]
    return {"schemas": [PATCH_OP], "Operations": operations}


def _own(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in attributes.items()
        if name not in _READ_ONLY and name != _STATE
    }


def schemas(attributes: Mapping[str, Any]) -> list[str]:
    """Extensions are named by their URN (RFC 7643 §3.3)."""
    return [USER, *(name for name in attributes if name.startswith("urn:"))]


def account(
    resource: Mapping[str, Any], mapped: Mapping[str, Any], *, ours: bool, identifier: str = ""
) -> RemoteAccount:
    """`mapped`: names of the attributes the configuration maps."""
    return RemoteAccount(
        identifier=str(resource.get("userName") or identifier),
        remote_id=str(resource["id"]),
        ours=ours,
        enabled=as_bool(resource.get(_STATE)),
        attributes={name: resource.get(name) for name in mapped},
    )


def has_user(answer: Answer) -> bool:
    return isinstance(answer.body, dict) and "id" in answer.body


def listed(answer: Answer, act: str) -> tuple[list[dict[str, Any]], int]:
    """Users and the total. RFC 7644 §3.4.2: no hit is totalResults 0, with or without Resources."""
    body = answer.body
    if answer.status != 200 or not isinstance(body, dict) or "totalResults" not in body:
        raise TransientError(f"{act}: HTTP {answer.status} is not a list of users")
    resources = body.get("Resources") or []
    total = _count(body["totalResults"], act)
    return [one for one in resources if isinstance(one, dict) and "id" in one], total


def _count(value: Any, act: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise TransientError(f"{act}: totalResults is not a number") from None


def refusal(answer: Answer) -> AccountSyncError:
    """What an answer to a change means that is not the success expected (RFC 7644 §3.12)."""
    code = _scim_type(answer)
    if 200 <= answer.status < 300:
        return UnknownOutcomeError(f"HTTP {answer.status} without the user that was changed")
    if answer.status == 409:
        return AccountExistsError("uniqueness", code=code)
    if answer.status in (404, 410):
        return AccountMissingError(f"HTTP {answer.status}", code=code)
    if answer.status == 412:
        return TransientError("HTTP 412: somebody else changed the account just now")
    return RejectedByTargetError(f"HTTP {answer.status}", code=code)


def _scim_type(answer: Answer) -> str:
    """Servers may leave it out."""
    body = answer.body if isinstance(answer.body, dict) else {}
    return str(body.get("scimType") or answer.status)
