"""The names that an account of a target bears, as the registry records them."""

from __future__ import annotations

from collections.abc import Iterator

from accountsync.domain.accounts.account import RemoteAccount
from accountsync.domain.accounts.shown_names import shown_names
from accountsync.settings.targets import AnyTarget
from accountsync.store.names.seen_names import Place, SeenName


def names_of(
    target: str,
    declared: AnyTarget,
    account: RemoteAccount,
    person_id: int | None,
    place: Place = Place.OF_NONE,
) -> Iterator[SeenName]:
    """`place`: whose place each takes in the names that the person uses."""
    for namespace, value in shown_names(declared.attributes, declared.identifier, account):
        yield SeenName(
            person_id=person_id, namespace=namespace, value=value, origin=target, place=place
        )
