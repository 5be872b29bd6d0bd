"""By which configuration the targets were planned last."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import orjson
from sqlalchemy import Connection, text


def changed(connection: Connection, fingerprints: Mapping[str, str]) -> list[str]:
    """The targets that were planned by another configuration, or never."""
    rows = connection.execute(text("SELECT system, fingerprint FROM accountsync.planned_rules"))
    known = {row.system: row.fingerprint for row in rows}
    return [target for target, wanted in fingerprints.items() if known.get(target) != wanted]


_TAKEN_OUT = "taken out"
"""In place of the fingerprint of a target that was planned for everybody once."""

_FORGET = text(f"""
WITH forgotten AS (
  DELETE FROM accountsync.planned_rules
  WHERE system <> ALL(CAST(:but AS text[])) AND fingerprint = ''
  RETURNING system
), taken_out AS (
  UPDATE accountsync.planned_rules
  SET fingerprint = '{_TAKEN_OUT}', goes_after = '{{}}', reads = '{{}}'
  WHERE system <> ALL(CAST(:but AS text[])) AND fingerprint NOT IN ('', '{_TAKEN_OUT}')
  RETURNING system
)
SELECT system FROM forgotten
UNION ALL
SELECT system FROM taken_out
""")


def forget(connection: Connection, *, but: Collection[str]) -> list[str]:
    """Forgets the rules of the targets that were taken out of the configuration since, and returns
    them. One that comes back is planned for everybody, and is not new (see `guard_facts`)."""
    return list(connection.scalars(_FORGET, {"but": list(but)}))


def keep(connection: Connection, fingerprints: Mapping[str, str], *, now: datetime) -> None:
    """Notes that everybody is planned by these configurations."""
    statement = text(
        "UPDATE accountsync.planned_rules SET fingerprint = :fingerprint, planned_at = :now"
        " WHERE system = :system"
    )
    for target, fingerprint in fingerprints.items():
        bound = {"system": target, "fingerprint": fingerprint, "now": now}
        connection.execute(statement, bound)


_KEEP_ORDER = text("""
INSERT INTO accountsync.planned_rules (system, fingerprint, goes_after, reads)
VALUES (:system, '', :after, CAST(:reads AS jsonb))
ON CONFLICT (system) DO UPDATE SET goes_after = excluded.goes_after, reads = excluded.reads
""")


def keep_order(
    connection: Connection,
    order: Mapping[str, Sequence[str]],
    *,
    reads: Mapping[str, Mapping[str, Sequence[str]]],
) -> None:
    """`order`: target → those that it comes after, without needing an account there. `reads`:
    target → target → the facts of an account there that its mapping reads."""
    for target, others in order.items():
        read = orjson.dumps(reads.get(target, {})).decode()
        bound = {"system": target, "after": list(others), "reads": read}
        connection.execute(_KEEP_ORDER, bound)
