"""Accounts found in a target: adopted, or kept as cases for a human."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, text

from accountsync.domain.accounts.account import GONE, THERE, AccountState, RemoteAccount
from accountsync.domain.accounts.correlation import account_key
from accountsync.domain.reasons import Kind, Reason, as_documents
from accountsync.store import causes
from accountsync.store.accounts import accounts
from accountsync.store.doubts import MAY_HAVE_HAPPENED
from accountsync.store.engine import bigints
from accountsync.store.names import name_registry
from accountsync.store.plans.planned_tasks import NOT_STARTED
from accountsync.store.tables import listed

_ADOPT = text(f"""
INSERT INTO accountsync.account AS a (
  person_id, system, state, identifier, remote_id, attributes, as_shown, provenance, closed
)
SELECT
  person_id, :system, state, identifier, remote_id, attributes, true, 'adopted',
  CASE WHEN state = 'disabled' THEN 'seen' END
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) r (
  person_id bigint, state text, identifier text, remote_id text, attributes jsonb
)
ON CONFLICT (person_id, system) DO UPDATE SET
  state = excluded.state,
  identifier = excluded.identifier,
  remote_id = excluded.remote_id,
  attributes = excluded.attributes,
  as_shown = true,
  provenance = 'adopted',
  disabled_by = NULL,
  disabled_reason = NULL,
  closed = excluded.closed,
  lost_id = NULL,
  updated_at = now()
WHERE a.state IN {listed(GONE)}
""")

_OURS = f"""
  FROM accountsync.account_task asked
  WHERE NOT r.enabled AND asked.operation = 'disable' AND {MAY_HAVE_HAPPENED.format("a")}
"""
"""Disables of ours of which nobody knows the outcome; where there is none, it was somebody else."""

_REFRESH = text(f"""
-- rides on uq_account_person_id_system
UPDATE accountsync.account a
SET
  state = CASE WHEN r.enabled THEN 'active' ELSE 'disabled' END,
  closed = CASE WHEN r.enabled THEN NULL ELSE 'seen' END,
  disabled_by = CASE WHEN EXISTS (SELECT {_OURS}) THEN 'accountsync' END,
  disabled_reason = (SELECT asked.reason {_OURS} ORDER BY asked.id DESC LIMIT 1),
  updated_at = now()
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) r (person_id bigint, enabled bool)
WHERE a.person_id = r.person_id
  AND a.system = :system
  AND (
    r.enabled AND a.state = 'disabled'
    OR NOT r.enabled AND (
      a.state = 'active' OR a.state = 'disabled' AND a.disabled_by IS NULL AND a.closed IS NULL
    )
  )
RETURNING a.person_id
""")

_PLAN_AGAIN = text(
    "UPDATE accountsync.person SET revision = revision + 1, updated_at = now()"
    " WHERE id = ANY(:persons)"
)

_PUT_CASES = text("""
INSERT INTO accountsync.correlation_case AS c (
  system, account_key, account, candidates, reasons, found_at
)
SELECT
  :system,
  account_key,
  account,
  ARRAY(SELECT jsonb_array_elements_text(candidates)::bigint),
  reasons,
  :now
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) r (
  account_key text, account jsonb, candidates jsonb, reasons jsonb
)
ON CONFLICT (system, account_key) DO UPDATE SET
  account = excluded.account,
  candidates = excluded.candidates,
  reasons = excluded.reasons,
  -- one that was no longer in question is so again; what a human decided stays decided
  state = CASE c.state WHEN 'settled' THEN 'open' ELSE c.state END,
  closed_at = CASE c.state WHEN 'settled' THEN NULL ELSE c.closed_at END
""")

_SETTLE = text("""
UPDATE accountsync.correlation_case
SET state = 'settled', closed_at = :now
WHERE system = :system AND state = 'open' AND account_key <> ALL(:doubtful)
RETURNING candidates
""")

_DOUBTFUL = text(  # ix_correlation_case_open
    "SELECT DISTINCT unnest(candidates) FROM accountsync.correlation_case"
    " WHERE system = :system AND state = 'open'"
)

_GIVE_UP = text(f"""
-- rides on uq_account_task_open
UPDATE accountsync.account_task
SET
  state = 'superseded',
  waits_for = '{{}}',
  {causes.because(Kind.ACCOUNT_FOUND)},
  finished_at = now()
WHERE system = :system
  AND person_id = ANY(CAST(:persons AS bigint[]))
  AND operation = 'create'
  AND {NOT_STARTED}
""")

_CASES = """
SELECT
  c.id, c.system, c.account_key, c.account, c.reasons, c.state, c.found_at, c.candidates,
  ARRAY(
    SELECT employee_number
    FROM accountsync.person p
    WHERE p.id = ANY(c.candidates)
    ORDER BY array_position(c.candidates, p.id)
  ) AS numbers
FROM accountsync.correlation_case c
"""

_IN_DOUBT = text(f"""
-- rides on ix_correlation_case_open
SELECT DISTINCT person_id, c.system
FROM accountsync.correlation_case c, unnest(c.candidates) person_id
WHERE c.state = 'open'
  AND c.candidates && CAST(:persons AS bigint[])
  AND NOT EXISTS (
    SELECT FROM accountsync.account a
    WHERE a.person_id = person_id.person_id
      AND a.system = c.system
      AND a.state IN {listed(THERE)}
  )
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """An account of which only a human can say whose it is."""

    account: RemoteAccount
    persons: Sequence[int]
    reasons: Sequence[Reason]


def contexts(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """For each person, what a correlation rule can read: the person, its names, its accounts."""
    ids = [row["id"] for row in rows]
    known, names = accounts.of_persons(connection, ids), name_registry.current(connection, ids)
    for row in rows:
        own = known.get(row["id"], {})
        yield {
            "person": row,
            "names": names.get(row["id"], {}),
            "accounts": {target: account.as_context() for target, account in own.items()},
        }


def adopt(connection: Connection, *, target: str, found: Mapping[int, RemoteAccount]) -> None:
    """`found`: person id → the account that is the person's. The persons are planned again."""
    rows = [
        {
            "person_id": person_id,
            "state": AccountState.DISABLED if account.enabled is False else AccountState.ACTIVE,
            "identifier": account.identifier,
            "remote_id": account.remote_id,
            "attributes": dict(account.attributes),
        }
        for person_id, account in found.items()
    ]
    connection.execute(_ADOPT, {"system": target, "rows": orjson.dumps(rows).decode()})
    _make_no_other(connection, target, list(found))
    plan_again(connection, list(found))


def refresh(connection: Connection, *, target: str, seen: Mapping[int, RemoteAccount]) -> int:
    """Records whether known accounts can be used, as the target shows it now, and plans the persons
    again for whom that is news. Returns how many. What no call of ours may have disabled was
    disabled by somebody else (I11, I17)."""
    rows = [
        {"person_id": person_id, "enabled": account.enabled} for person_id, account in seen.items()
    ]
    bound = {"system": target, "rows": orjson.dumps(rows).decode()}
    news = list(connection.scalars(_REFRESH, bound)) if rows else []
    plan_again(connection, news)
    return len(news)


def _make_no_other(connection: Connection, target: str, persons: Collection[int]) -> None:
    """Creates that nobody has begun are given up at once, before somebody sends them (I9)."""
    connection.execute(_GIVE_UP, {"system": target, "persons": bigints(persons)})


def plan_again(connection: Connection, persons: Collection[int]) -> None:
    connection.execute(_PLAN_AGAIN, {"persons": list(persons)})


def put_cases(
    connection: Connection, *, target: str, doubts: Sequence[Doubt], now: datetime
) -> None:
    """Makes the open cases those of the newest list; what a human decided stays decided."""
    rows = [
        {
            "account_key": account_key(doubt.account),
            "account": _as_json(doubt.account),
            "candidates": [str(person) for person in doubt.persons],
            "reasons": as_documents(doubt.reasons),
        }
        for doubt in doubts
    ]
    bound = {"system": target, "now": now}
    before = {*connection.scalars(_DOUBTFUL, bound)}
    connection.execute(_PUT_CASES, bound | {"rows": orjson.dumps(rows).decode()})
    doubtful = [row["account_key"] for row in rows]
    settled = connection.scalars(_SETTLE, bound | {"doubtful": doubtful}).all()
    in_question = {*connection.scalars(_DOUBTFUL, bound)}
    _make_no_other(connection, target, in_question)
    plan_again(connection, {person for persons in settled for person in persons})
    plan_again(connection, in_question - before)


def _as_json(account: RemoteAccount) -> dict[str, Any]:
    return {
        "identifier": account.identifier,
        "remote_id": account.remote_id,
        "ours": account.ours,
        "enabled": account.enabled,
        "attributes": dict(account.attributes),
    }


def cases(connection: Connection, *, target: str | None = None) -> Sequence[RowMapping]:
    """The open cases. `numbers`: the candidates' employee numbers."""
    query = (
        f"{_CASES} WHERE c.state = 'open' AND (CAST(:system AS text) IS NULL OR c.system = :system)"
    )
    bound = {"system": target}
    return connection.execute(text(query + " ORDER BY c.id"), bound).mappings().all()


def ignored(connection: Connection, *, target: str) -> frozenset[str]:
    """Keys of the accounts of which a human said that they are nobody's."""
    query = (
        "SELECT account_key FROM accountsync.correlation_case"
        " WHERE system = :system AND state = 'ignored'"
    )
    return frozenset(connection.scalars(text(query), {"system": target}))


def find_case(connection: Connection, case: int) -> RowMapping | None:
    query = f"{_CASES} WHERE c.id = :case FOR UPDATE OF c"
    return connection.execute(text(query), {"case": case}).mappings().one_or_none()


def account_of(case: RowMapping) -> RemoteAccount:
    return RemoteAccount(**case["account"])


def close(connection: Connection, *, case: int, state: str, now: datetime) -> None:
    connection.execute(
        text(
            "UPDATE accountsync.correlation_case SET state = :state, closed_at = :now"
            " WHERE id = :case"
        ),
        {"case": case, "state": state, "now": now},
    )


def in_doubt(connection: Connection, persons: Sequence[int]) -> frozenset[tuple[int, str]]:
    """(person id, target) of persons without a known account there who may own one by an open case:
    another one would be their second (I9)."""
    pairs = connection.execute(_IN_DOUBT, {"persons": bigints(persons)})
    return frozenset((row.person_id, row.system) for row in pairs)
