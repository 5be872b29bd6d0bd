"""Which records of HR are which person: a human's answers, in the caller's transaction.

The caller holds the lock of all persons. Nobody is deleted: a person who gives something up keeps
the row, with a number and a key that nobody else has.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Connection, RowMapping, text

from accountsync.domain.accounts.account import GONE, THERE
from accountsync.domain.persons.person import PERSON_FIELDS
from accountsync.domain.reasons import Kind
from accountsync.domain.task_states import NOT_STARTED, TaskState
from accountsync.store import causes
from accountsync.store.tables import listed

_IDENTITY = text("""
SELECT id, source, source_key, origin, employee_number, full_name, email
FROM accountsync.person
WHERE employee_number = :number
""")

_IS_KNOWN = text(
    "SELECT EXISTS (SELECT FROM accountsync.person WHERE source = :source AND source_key = :key)"
)

# What the person is by now comes with the next read, like any difference: hence the empty hash and
# the oldest of times.
_REKEY = text("""
UPDATE accountsync.person
SET
  source = :source,
  source_key = :key,
  origin = 'hr',
  source_updated_at = NULL,
  content_hash = '',
  updated_at = 'epoch'
WHERE id = :person
""")

_GIVE_UP_NUMBER = text("""
UPDATE accountsync.person
SET
  employee_number = employee_number || '~' || id,
  source_key = source_key || '~' || id,
  content_hash = ''
WHERE id = :person
RETURNING employee_number
""")

# A first day after the last one is none any more.
_LEAVE = text("""
UPDATE accountsync.person
SET
  leave_date = least(leave_date, CAST(:last_day AS date)),
  hire_date = CASE WHEN hire_date <= :last_day THEN hire_date END,
  effective_date = CASE WHEN effective_date <= :last_day THEN effective_date END,
  revision = revision + 1,
  updated_at = now()
WHERE id = :person
""")

_COPIED = (
    "source", "origin", "attributes", "content_hash", "absent_since_snapshot", "presumed_left_at",
    *(name for name in PERSON_FIELDS if name not in ("source_key", "employee_number")),
)  # fmt: skip
_BECOME = text(f"""
UPDATE accountsync.person o
SET
  {", ".join(f"{name} = n.{name}" for name in _COPIED)},
  source_key = :key,
  employee_number = :number,
  requested_systems = ARRAY(
    SELECT DISTINCT s FROM unnest(o.requested_systems || n.requested_systems) s ORDER BY s
  ),
  revision = o.revision + 1,
  updated_at = now()
FROM accountsync.person n
WHERE o.id = :older AND n.id = :newer
""")

_IN_BOTH = text(f"""
-- rides on uq_account_person_id_system
SELECT o.system
FROM accountsync.account o
JOIN accountsync.account n USING (system)
WHERE o.person_id = :older
  AND n.person_id = :newer
  AND o.state IN {listed(THERE)}
  AND n.state IN {listed(THERE)}
ORDER BY 1
""")

_ACCOUNTS = text("""
SELECT system AS target, state
FROM accountsync.account
WHERE person_id = :person
ORDER BY 1
""")

# An account of the older person that is gone gives way to one that is there.
_FORGET_GONE = text(f"""
DELETE FROM accountsync.account o
USING accountsync.account n
WHERE o.person_id = :older
  AND o.state IN {listed(GONE)}
  AND n.person_id = :newer
  AND n.system = o.system
  AND n.state IN {listed(THERE)}
""")
_MOVE_ACCOUNTS = text(f"""
UPDATE accountsync.account n
SET person_id = :older, updated_at = now()
WHERE n.person_id = :newer
  AND n.state IN {listed(THERE)}
  AND NOT EXISTS (
    SELECT FROM accountsync.account o WHERE o.person_id = :older AND o.system = n.system
  )
RETURNING system
""")

# The older person's names stay in use; of the newer one's, those of a namespace in which the older
# one has none.
_MOVE_NAMES = text("""
UPDATE accountsync.name_registry n
SET
  person_id = :older,
  current = n.current AND NOT EXISTS (
    SELECT FROM accountsync.name_registry o
    WHERE o.person_id = :older AND o.namespace = n.namespace AND o.current
  )
WHERE n.person_id = :newer
""")

_MOVE_REQUESTS = text("""
UPDATE accountsync.account_request_item i
SET person_id = :older
WHERE i.person_id = :newer
  AND NOT EXISTS (
    SELECT FROM accountsync.account_request_item o
    WHERE o.request_id = i.request_id AND o.person_id = :older
  )
""")

_UNDER_WAY = text(f"""
-- rides on uq_account_task_open
SELECT DISTINCT system
FROM accountsync.account_task
WHERE person_id = ANY(CAST(:persons AS bigint[]))
  AND state IN {listed((TaskState.RUNNING, TaskState.UNKNOWN))}
ORDER BY 1
""")

_GIVE_UP_TASKS = text(f"""
-- rides on uq_account_task_open
UPDATE accountsync.account_task
SET
  state = 'superseded',
  waits_for = '{{}}',
  {causes.because(Kind.REASON_GONE)},
  finished_at = now()
WHERE person_id = ANY(CAST(:persons AS bigint[]))
  AND state IN {listed((*NOT_STARTED, TaskState.NEEDS_HUMAN))}
""")


def identity(connection: Connection, number: str) -> RowMapping | None:
    """Who has the employee number."""
    return connection.execute(_IDENTITY, {"number": number}).mappings().one_or_none()


def is_known(connection: Connection, *, source: str, key: str) -> bool:
    return bool(connection.scalar(_IS_KNOWN, {"source": source, "key": key}))


def accounts(connection: Connection, person: int) -> Sequence[RowMapping]:
    """Target and state of each account."""
    return connection.execute(_ACCOUNTS, {"person": person}).mappings().all()


def in_both(connection: Connection, *, older: int, newer: int) -> Sequence[str]:
    """Targets in which both have an account."""
    return list(connection.scalars(_IN_BOTH, {"older": older, "newer": newer}))


def under_way(connection: Connection, persons: Sequence[int]) -> Sequence[str]:
    """Targets in which a call for one of them may be under way."""
    return list(connection.scalars(_UNDER_WAY, {"persons": list(persons)}))


def rekey(connection: Connection, *, person: int, source: str, key: str) -> None:
    """The record of HR with this key is the person's from now on."""
    connection.execute(_REKEY, {"person": person, "source": source, "key": key})


def part(connection: Connection, *, person: int, last_day: date) -> str:
    """Takes the number from the person, who has left on the last day at the latest and keeps the
    accounts. Returns the number that the person has instead."""
    parted = connection.scalar(_GIVE_UP_NUMBER, {"person": person})
    connection.execute(_LEAVE, {"person": person, "last_day": last_day})
    return str(parted)


def merge(connection: Connection, *, older: int, newer: RowMapping, last_day: date) -> list[str]:
    """Makes the older person what the newer one is, with the names of the older and the accounts of
    both. Where both have one in a target, the newer one's stays with the newer row, which has left
    (I9). Returns the targets whose accounts moved."""
    both = {"older": older, "newer": newer["id"]}
    connection.execute(_GIVE_UP_TASKS, {"persons": list(both.values())})
    connection.execute(_FORGET_GONE, both)
    moved = sorted(connection.scalars(_MOVE_ACCOUNTS, both))
    connection.execute(_MOVE_NAMES, both)
    connection.execute(_MOVE_REQUESTS, both)
    connection.execute(_GIVE_UP_NUMBER, {"person": newer["id"]})
    identity_of = {"key": newer["source_key"], "number": newer["employee_number"]}
    connection.execute(_BECOME, both | identity_of)
    connection.execute(_LEAVE, {"person": newer["id"], "last_day": last_day})
    return moved
