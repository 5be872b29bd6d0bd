"""The connection test: what a provider offers, and which dialect it takes of a user for tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from accountsync.errors import ConfigurationError
from accountsync.targets import scim_messages
from accountsync.targets.scim_differences import contradicted
from accountsync.targets.scim_groups import Groups
from accountsync.targets.scim_look_ups import LookUps
from accountsync.targets.scim_provider import Provider, Seen
from accountsync.targets.scim_writes import Writer
from accountsync.wire.dry_run import Refusals

_PHONES = "phoneNumbers"
"""Shown to few, and has several values: some providers add to these what shall replace them."""


async def offered(provider: Provider, writer: Writer, look_ups: LookUps) -> str:
    features = await provider.features()
    by_cursors = features.cursor or writer.dialect.cursors
    cursor = {"cursor": ""} if by_cursors else {"startIndex": "1"}
    request = scim_messages.request("GET", "/Users", query={**cursor, "count": "1"})
    scim_messages.page(await provider.read(request), "check")
    changes = [name for name in ("patch", "etag") if getattr(features, name)]
    words = [{"patch": "PATCH", "etag": "ETag"}[name] for name in changes]
    found_by = [name for name in writer.dialect.lookups if await look_ups.answers(name)]
    return (
        f"answered as SCIM 2.0: {', '.join(words) or 'PUT only'};"
        f" lists by {'cursors' if by_cursors else 'index'};"
        f" finds by {' and '.join(found_by) or 'no filter'}"
    )


async def require_groups(provider: Provider, groups: Groups) -> None:
    """Raises ConfigurationError where a group of the mapping is not there or cannot be joined."""
    if not (await provider.features()).patch:
        raise ConfigurationError(
            "the provider has no PATCH, so nobody can be put into a group: take `groups` out of the"
            " attributes"
        )
    if missing := await groups.missing():
        raise ConfigurationError(f"the target has no group {', '.join(map(repr, missing))}")


def seeming(provider: Provider, writer: Writer) -> str:
    """The dialect in use, and another one where the host speaks for it."""
    name = writer.dialect.name
    is_aws = "amazonaws.com" in provider.address("")
    hint = "; its host speaks for `dialect: aws`" if is_aws and name != "aws" else ""
    return f"spoken to in the dialect {name}{hint}"


async def understood(provider: Provider, writer: Writer, look_ups: LookUps, name: str) -> str:
    """Changes the user for tests, and leaves it as it was. Raises ConfigurationError where a change
    is answered and not made."""
    user = await look_ups.named(name)
    if user is None:
        raise ConfigurationError("the target has no user of the name in `check_user`")
    if provider.dry_run:
        return "; no dialect was tried, this is a dry run"
    wrong: set[str] = set()
    for wanted, enabled in _changes(user):
        user = await writer.write(user, wanted, enabled=enabled, refusals=Refusals()) or user
        wrong |= contradicted({}, user.resource, enabled=enabled)
        wrong |= {_PHONES} if wanted and _is_added_to(user.resource) else set()
    if wrong:
        names = " and ".join(sorted(wrong))
        raise ConfigurationError(f"changes of {names} were answered and not made, in any dialect")
    return f"; changes of `check_user` were understood in the dialect {writer.dialect.name}"


def _is_added_to(resource: Mapping[str, Any]) -> bool:
    """Whether both numbers are there, however the provider writes them."""
    phones = resource.get(_PHONES)
    return isinstance(phones, list) and sum("010" in str(phone) for phone in phones) > 1


def _changes(user: Seen) -> Iterator[tuple[Mapping[str, Any], bool | None]]:
    """The last ones give back what was there."""
    state = scim_messages.state_of(user.resource)
    phones = user.resource.get(_PHONES)
    for number in ("+1 555 0100", "+1 555 0101"):
        yield {_PHONES: [{"value": number, "type": "work"}]}, None
    yield {_PHONES: phones}, None
    if state is not None:
        yield {}, not state
        yield {}, state
