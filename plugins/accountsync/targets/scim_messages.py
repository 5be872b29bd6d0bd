"""Messages of SCIM (RFC 7643, RFC 7644): how requests are made and answers are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from accountsync.domain.accounts.account import Attributes
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    RejectedByTargetError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.targets.scim_details import masked_detail
from accountsync.targets.scim_dialects import Dialect, leaves
from accountsync.wire.answer import Answer
from accountsync.wire.request import MASK, Rendered

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_MEDIA_TYPE = "application/scim+json"
_HEADERS = {"Content-Type": _MEDIA_TYPE, "Accept": _MEDIA_TYPE}
_ID_IN_PATH = re.compile(r"(?<=\w)/[^/]+$")
_PROTOCOL_WORDS = frozenset({("schemas",), ("Operations", "op"), ("Operations", "path")})
_STATE = "active"
_PAGE_SIZE = 100
_READ_ONLY = frozenset({"id", "meta", "groups", "schemas"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What the service provider says it can do (RFC 7643 §5). The defaults are what all can do."""

    patch: bool = True
    etag: bool = False
    cursor: bool = False
    page_size: int = _PAGE_SIZE


def features(answer: Answer) -> Features:
    """A provider that hides its configuration, or leaves a part out, gets the defaults."""
    body = answer.body if answer.status == 200 and isinstance(answer.body, dict) else {}
    pagination = _part(body, "pagination")
    sizes = (pagination.get("maxPageSize"), _part(body, "filter").get("maxResults"))
    return Features(
        patch=_supported(body, "patch", default=True),
        etag=_supported(body, "etag", default=False),
        cursor=as_bool(pagination.get("cursor")) is True,
        page_size=min([_PAGE_SIZE, *(n for n in sizes if isinstance(n, int) and n > 0)]),
    )


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = body.get(name)
    return part if isinstance(part, Mapping) else {}


def _supported(body: Mapping[str, Any], name: str, *, default: bool) -> bool:
    supported = as_bool(_part(body, name).get("supported"))
    return default if supported is None else supported


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
    route: str | None = None,
) -> Rendered:
    """`route`: the path for everybody to see; by default without the resource's id."""
    headers = _HEADERS if if_match is None else _HEADERS | {"If-Match": if_match}
    return Rendered(
        method=method,
        path=path,
        headers=headers,
        query=query or {},
        body=body,
        route=_ID_IN_PATH.sub(f"/{MASK}", path) if route is None else route,
        words=_PROTOCOL_WORDS,
    )


def equals(attribute: str, wanted: str) -> str:
    return f"{attribute} eq {orjson.dumps(wanted).decode()}"


def new_user(attributes: Attributes, *, enabled: bool) -> dict[str, Any]:
    """The lifecycle decides whether the user is active, and not the mapping."""
    shown = present(own(attributes))
    return {"schemas": schemas(shown), _STATE: enabled, **shown}


def replaced_user(
    resource: Mapping[str, Any], attributes: Mapping[str, Any], *, enabled: bool | None
) -> dict[str, Any]:
    """What a PUT sends (RFC 7644 §3.5.1): all that the target has, with ours in place of it; the
    state as a boolean, also where it was shown as a text."""
    theirs = {name: value for name, value in resource.items() if name not in _READ_ONLY}
    theirs |= _state(state_of(resource))
    shown = present(_merged(theirs, attributes) | _state(enabled))
    return {"schemas": schemas(shown), **shown}


def _merged(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(theirs)
    for name, value in ours.items():
        their_value = theirs.get(name)
        both = isinstance(their_value, Mapping) and isinstance(value, Mapping)
        merged[name] = _merged(their_value, value) if both and their_value is not None else value
    return merged


def patch(ours: Mapping[str, Any], *, enabled: bool | None, dialect: Dialect) -> dict[str, Any]:
    """RFC 7644 §3.5.2. `ours`: the attributes to set, null for those to remove."""
    gone = (path for path, value in leaves(ours) if value is None)
    operations = dialect.operations(present(ours) | _state(enabled), gone)
    return {"schemas": [PATCH_OP], "Operations": operations}


def _state(enabled: bool | None) -> dict[str, Any]:
    return {} if enabled is None else {_STATE: enabled}


def own(attributes: Attributes) -> dict[str, Any]:
    """The attributes of the User resource itself."""
    return {
        name: value
        for name, value in attributes.items()
        if name not in _READ_ONLY and name != _STATE
    }


def declared_groups(attributes: Attributes) -> list[str]:
    """A user's `groups` is read-only (RFC 7643 §4.1.2): in a mapping it names memberships."""
    names = attributes.get("groups")
    listed = names if isinstance(names, list) else []
    return list(dict.fromkeys(str(name) for name in listed if name))


def present(node: Any) -> Any:
    """Without what has no value: null is not a value in SCIM (RFC 7643 §2.5)."""
    if isinstance(node, Mapping):
        values = {key: present(value) for key, value in node.items() if value is not None}
        return {key: value for key, value in values.items() if value != {}}
    return node


def schemas(attributes: Attributes) -> list[str]:
    """Extensions are named by their URN (RFC 7643 §3.3)."""
    return [USER, *(name for name in attributes if name.startswith("urn:"))]


def state_of(resource: Mapping[str, Any]) -> bool | None:
    """Whether the user shown is enabled; None where the provider does not say."""
    return as_bool(resource.get(_STATE))


def shown_attributes(resource: Mapping[str, Any], mapped: Iterable[str]) -> dict[str, Any]:
    """The mapped attributes that the provider shows. Memberships are not among them: `groups`."""
    names = (name for name in mapped if name not in _READ_ONLY)
    return {name: resource[name] for name in names if resource.get(name) is not None}


def has_user(answer: Answer) -> bool:
    return isinstance(answer.body, dict) and "id" in answer.body


def is_changed(answer: Answer) -> bool:
    return answer.status == 204 or (answer.status == 200 and has_user(answer))


def listed(answer: Answer, act: str) -> tuple[list[dict[str, Any]], int]:
    """Users and the total. RFC 7644 §3.4.2: no hit is totalResults 0, with or without Resources."""
    resources, total = page(answer, act)
    if total is None:
        raise TransientError(f"{act}: HTTP {answer.status} is not a list with a total")
    return resources, total


def page(answer: Answer, act: str) -> tuple[list[dict[str, Any]], int | None]:
    """With a cursor the total may be left out (RFC 9865 §2)."""
    body = answer.body
    is_list = isinstance(body, dict) and ("totalResults" in body or "Resources" in body)
    if answer.status != 200 or not is_list:
        raise TransientError(f"{act}: HTTP {answer.status} is not a list")
    resources = [item for item in body.get("Resources") or [] if isinstance(item, dict)]
    if not all("id" in resource for resource in resources):
        raise TransientError(f"{act}: a resource has no id")
    total = body.get("totalResults")
    return resources, None if total is None else _count(total, act)


def next_cursor(answer: Answer) -> str:
    """Empty after the last page."""
    return str(answer.body.get("nextCursor") or "")


def _count(value: Any, act: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise TransientError(f"{act}: totalResults is not a number") from None


def refusal(answer: Answer, request: Rendered) -> AccountSyncError:
    """The error that an answer to a change means where it is no success (RFC 7644 §3.12)."""
    code = _scim_type(answer)
    detail = masked_detail(answer.body, request)
    if 200 <= answer.status < 300:
        return UnknownOutcomeError(f"HTTP {answer.status} without the user that was changed")
    if answer.status == 409 or "uniqu" in code.casefold():
        return AccountExistsError(f"uniqueness{detail}", code=code)
    if answer.status in (404, 410):
        return AccountMissingError(f"HTTP {answer.status}{detail}", code=code)
    if answer.status == 412:
        return TransientError("HTTP 412: somebody else changed the account just now")
    return RejectedByTargetError(f"HTTP {answer.status}{detail}", code=code)


def _scim_type(answer: Answer) -> str:
    """The error's type, or the HTTP status where a server leaves the type out."""
    body = answer.body if isinstance(answer.body, dict) else {}
    return str(body.get("scimType") or answer.status)
