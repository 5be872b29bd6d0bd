"""Accounts, as far as we know them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

from accountsync.domain.account import Account, RemoteAccount

_OF = text(
    "SELECT person_id, system, state, identifier, remote_id, attributes"
    " FROM accountsync.account WHERE person_id = ANY(:persons)"
)


_TAKEN = text(  # uq_account_remote_id, ix_account_system_identifier
    "WITH wanted AS (SELECT * FROM unnest(CAST(:persons AS bigint[]),"
    "  CAST(:remote_ids AS text[]), CAST(:identifiers AS text[])) w (person_id, remote_id, name))"
    " SELECT w.person_id FROM wanted w JOIN accountsync.account a"
    "  ON a.system = :system AND a.remote_id = w.remote_id AND a.person_id <> w.person_id"
    " UNION SELECT w.person_id FROM wanted w JOIN accountsync.account a"
    "  ON a.system = :system AND a.identifier = w.name AND a.person_id <> w.person_id"
    "  AND a.state IN ('active', 'disabled')"
)


def taken(
    connection: Connection, *, system: str, found: Mapping[int, RemoteAccount]
) -> frozenset[int]:
    """The persons whose account, found or made just now, is that of another person already."""
    owners: dict[str, int] = {}
    twice = {
        person_id
        for person_id, account in found.items()
        if owners.setdefault(account.remote_id or account.identifier, person_id) != person_id
    }
    bound = {
        "system": system,
        "persons": list(found),
        "remote_ids": [account.remote_id for account in found.values()],
        "identifiers": [account.identifier for account in found.values()],
    }
    return frozenset(connection.scalars(_TAKEN, bound)) | twice if found else frozenset()


def of_persons(connection: Connection, persons: Sequence[int]) -> Mapping[int, dict[str, Account]]:
    """Person id → system → account."""
    found: defaultdict[int, dict[str, Account]] = defaultdict(dict)
    for row in connection.execute(_OF, {"persons": list(persons)}):
        found[row.person_id][row.system] = Account(
            state=row.state,
            identifier=row.identifier,
            remote_id=row.remote_id,
            attributes=row.attributes,
        )
    return found
