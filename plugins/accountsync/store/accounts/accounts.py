"""Accounts, as far as we know them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, text

from accountsync.domain.accounts.account import (
    THERE,
    Account,
    AccountState,
    Closure,
    RemoteAccount,
)
from accountsync.domain.task_states import IN_DOUBT
from accountsync.store.engine import bigints
from accountsync.store.tables import listed

_OF = text("""
SELECT
  person_id, system, state, identifier, coalesce(remote_id, lost_id) AS remote_id, attributes,
  provenance, disabled_by, disabled_reason, closed, as_shown, updated_at,
  CASE WHEN provenance = 'created' THEN created_at END AS made_at
FROM accountsync.account
WHERE person_id = ANY(CAST(:persons AS bigint[]))
""")


_TAKEN = text(f"""
WITH wanted AS (
  SELECT *
  FROM unnest(
    CAST(:persons AS bigint[]), CAST(:remote_ids AS text[]), CAST(:identifiers AS text[])
  ) w (person_id, remote_id, name)
)
-- rides on uq_account_remote_id
SELECT w.person_id
FROM wanted w
JOIN accountsync.account a
  ON a.system = :system AND a.remote_id = w.remote_id AND a.person_id <> w.person_id
UNION
-- rides on ix_account_system_identifier
SELECT w.person_id
FROM wanted w
JOIN accountsync.account a
  ON a.system = :system
    AND a.identifier = w.name
    AND a.person_id <> w.person_id
    AND a.state IN {listed(THERE)}
""")


def taken(
    connection: Connection, *, target: str, found: Mapping[int, RemoteAccount]
) -> frozenset[int]:
    """The persons whose account, found or made just now, belongs to another person already."""
    owners: dict[str, int] = {}
    twice = {
        person_id
        for person_id, account in found.items()
        if owners.setdefault(account.remote_id or account.identifier, person_id) != person_id
    }
    bound = {
        "system": target,
        "persons": list(found),
        "remote_ids": [account.remote_id for account in found.values()],
        "identifiers": [account.identifier for account in found.values()],
    }
    return frozenset(connection.scalars(_TAKEN, bound)) | twice if found else frozenset()


# Whose account, found or changed just now, has another fact that other accounts of the person read?
# `old` is the account as it is known so far; a reader is there, or a task that makes it is begun.
_READ_ELSEWHERE = text(f"""
-- rides on uq_account_person_id_system, uq_account_task_open
SELECT w.person_id
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) w (
  person_id bigint, identifier text, remote_id text, attributes jsonb
)
LEFT JOIN accountsync.account old ON old.person_id = w.person_id AND old.system = :system
WHERE EXISTS (
  SELECT FROM accountsync.planned_rules r, jsonb_array_elements_text(r.reads -> :system) fact
  WHERE (
    EXISTS (
      SELECT FROM accountsync.account reader
      WHERE reader.system = r.system
        AND reader.person_id = w.person_id
        AND reader.state IN {listed(THERE)}
    )
    OR EXISTS (
      SELECT FROM accountsync.account_task making
      WHERE making.system = r.system
        AND making.person_id = w.person_id
        AND making.state IN {listed(IN_DOUBT)}
    )
  )
    AND (
      w.attributes || jsonb_build_object(
        'identifier', w.identifier, 'remote_id', coalesce(w.remote_id, old.remote_id)
      )
    ) -> fact IS DISTINCT FROM (
      old.attributes || jsonb_build_object(
        'identifier', old.identifier, 'remote_id', old.remote_id
      )
    ) -> fact
)
""")


def read_elsewhere(
    connection: Connection,
    *,
    target: str,
    found: Mapping[int, tuple[RemoteAccount, Mapping[str, Any]]],
) -> frozenset[int]:
    """The persons whose other accounts were made, or are being made, from a fact that has changed.

    `found`: person id → the account, and the attributes that it has from now on.
    """
    rows = [
        {
            "person_id": person_id,
            "identifier": account.identifier,
            "remote_id": account.remote_id,
            "attributes": attributes,
        }
        for person_id, (account, attributes) in found.items()
    ]
    bound = {"system": target, "rows": orjson.dumps(rows).decode()}
    return frozenset(connection.scalars(_READ_ELSEWHERE, bound)) if rows else frozenset()


def of_persons(connection: Connection, persons: Sequence[int]) -> Mapping[int, dict[str, Account]]:
    """Person id → target → account."""
    accounts: defaultdict[int, dict[str, Account]] = defaultdict(dict)
    for row in connection.execute(_OF, {"persons": bigints(persons)}):
        accounts[row.person_id][row.system] = Account(
            state=AccountState(row.state),
            identifier=row.identifier,
            remote_id=row.remote_id,
            attributes=row.attributes,
            provenance=row.provenance,
            disabled_by=row.disabled_by,
            disabled_reason=row.disabled_reason,
            since=row.updated_at,
            as_shown=row.as_shown,
            closed=row.closed and Closure(row.closed),
            made_at=row.made_at,
        )
    return accounts


_REOPEN = text("""
-- rides on uq_account_person_id_system
UPDATE accountsync.account a
SET closed = NULL
FROM unnest(CAST(:persons AS bigint[]), CAST(:systems AS text[])) AS again (person_id, system)
WHERE a.person_id = again.person_id AND a.system = again.system
""")


def reopen(connection: Connection, entitled: Sequence[tuple[int, str]]) -> None:
    """What was known of the accounts of these persons in these targets does not count any more once
    they leave again: who disabled them may have enabled them meanwhile (I17)."""
    if entitled:
        persons, targets = zip(*entitled, strict=True)
        connection.execute(_REOPEN, {"persons": bigints(persons), "systems": list(targets)})


_KEEP_APPLIED = text("""
UPDATE accountsync.account a
SET attributes = r.attributes, as_shown = false
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) r (person_id bigint, system text, attributes jsonb)
WHERE a.person_id = r.person_id AND a.system = r.system AND a.as_shown
""")


def keep_applied(
    connection: Connection, applied: Mapping[tuple[int, str], Mapping[str, Any]]
) -> None:
    """`applied`: (person id, target) of adopted accounts → what counts as applied last."""
    rows = [
        {"person_id": person_id, "system": target, "attributes": attributes}
        for (person_id, target), attributes in applied.items()
    ]
    if rows:
        connection.execute(_KEEP_APPLIED, {"rows": orjson.dumps(rows).decode()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A person's account in a target, if known. `attributes`: as applied last, else as planned."""

    account: Account | None
    attributes: Mapping[str, Any]


_TRACED = text("""
SELECT a.state, a.identifier, a.remote_id, a.attributes, t.desired
FROM accountsync.person p
LEFT JOIN accountsync.account a ON a.person_id = p.id AND a.system = :system
LEFT JOIN LATERAL (
  -- the last task: rides on ix_account_task_person_id_system_id
  SELECT desired
  FROM accountsync.account_task
  WHERE person_id = p.id AND system = :system
  ORDER BY id DESC
  LIMIT 1
) t ON true
WHERE p.employee_number = :number AND (a.id IS NOT NULL OR t.desired IS NOT NULL)
""")


def traced(connection: Connection, *, target: str, employee_number: str) -> Traced | None:
    row = connection.execute(_TRACED, {"system": target, "number": employee_number}).first()
    if row is None:
        return None
    account = row.state and Account(
        state=AccountState(row.state),
        identifier=row.identifier,
        remote_id=row.remote_id,
        attributes=row.attributes,
    )
    return Traced(account=account, attributes={**(row.desired or {}), **(row.attributes or {})})


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """The accounts of a target that are there, as far as we know → the persons' ids."""

    by_remote_id: Mapping[str, int]
    by_identifier: Mapping[str, int]


_PRESENT = text(
    "SELECT person_id, identifier, remote_id FROM accountsync.account"
    f" WHERE system = :system AND state IN {listed(THERE)}"
)


def present(connection: Connection, *, target: str) -> Present:
    rows = connection.execute(_PRESENT, {"system": target}).all()
    return Present(
        by_remote_id={row.remote_id: row.person_id for row in rows if row.remote_id},
        by_identifier={row.identifier: row.person_id for row in rows},
    )


_WAS_ADOPTED = text("""
-- rides on ix_audit_event_action_id
SELECT EXISTS (
  SELECT FROM accountsync.audit_event
  WHERE action = 'accounts_adopted' AND :system IN (details ->> 'target', details ->> 'system')
)
""")


def was_adopted(connection: Connection, *, target: str) -> bool:
    """Whether somebody has looked for the accounts that the target had before us."""
    return bool(connection.scalar(_WAS_ADOPTED, {"system": target}))


def states_of(connection: Connection, *, number: str) -> dict[str, str]:
    """Target → state of one employee's account."""
    rows = connection.execute(
        text(
            "SELECT a.system, a.state FROM accountsync.account a JOIN accountsync.person p"
            " ON p.id = a.person_id WHERE p.employee_number = :number"
        ),
        {"number": number},
    )
    return {row.system: row.state for row in rows}
