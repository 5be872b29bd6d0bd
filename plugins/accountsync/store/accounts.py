"""Accounts, as far as we know them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

from accountsync.domain.account import Account

_OF = text(
    "SELECT person_id, system, state, identifier, remote_id, attributes"
    " FROM accountsync.account WHERE person_id = ANY(:persons)"
)


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
