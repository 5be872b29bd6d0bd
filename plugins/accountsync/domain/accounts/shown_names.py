"""The names that an account shows: attributes that the mapping fills with a name and nothing
else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from accountsync.domain.accounts.account import RemoteAccount


def shown_names(
    mapped: Mapping[str, object], identifier: str, account: RemoteAccount
) -> Iterator[tuple[str, str]]:
    """(namespace, name) of each. `mapped`: the target's attributes as they are configured;
    `identifier`: the one by which the target knows the account."""
    shown = {**account.attributes, identifier: account.identifier}
    for attribute, node in mapped.items():
        yield from _named(node, shown.get(attribute))


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
