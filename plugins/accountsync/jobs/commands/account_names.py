"""The names that an account of a target bears."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from accountsync.domain.accounts.account import RemoteAccount
from accountsync.settings.targets import AnyTarget
from accountsync.store.names.seen_names import SeenName


def names_of(
    target: str, declared: AnyTarget, account: RemoteAccount, person_id: int | None
) -> Iterator[SeenName]:
    """The names of an account: attributes that the mapping fills with a name and nothing else."""
    shown = {**account.attributes, declared.identifier: account.identifier}
    for attribute, node in declared.attributes.items():
        for namespace, value in _named(node, shown.get(attribute)):
            yield SeenName(person_id=person_id, namespace=namespace, value=value, origin=target)


def _named(node: object, shown: object) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping) and isinstance(shown, Mapping):
        for key, child in node.items():
            yield from _named(child, shown.get(key))
    elif isinstance(node, list) and len(node) == 1 and isinstance(shown, list):
        for value in shown:
            yield from _named(node[0], value)
    elif isinstance(node, str) and isinstance(shown, str) and shown.strip():
        root, _, namespace = node.strip("{ }").partition(".")
        if root == "names" and namespace.isidentifier():
            yield namespace, shown.strip()
