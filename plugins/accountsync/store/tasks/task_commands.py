"""Task commands: tasks are chosen by a filter, with those that depend on them, and changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection, RowMapping, text

from accountsync.domain.accounts.account import TAKES_AWAY
from accountsync.domain.reasons import Kind, Reason
from accountsync.domain.task_states import TaskState
from accountsync.domain.tasks.error_kinds import NOTHING_DONE, ErrorKind
from accountsync.domain.tasks.waiting import Candidates
from accountsync.store import causes
from accountsync.store.tables import listed
from accountsync.store.tasks import dependants
from accountsync.store.tasks.dependants import CANDIDATES_OF, ORDER_ONLY


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which tasks; None: any. `person`: an employee number. `request`: the number of an account
    request, for the tasks of what it asks for."""

    task: int | None = None
    target: str | None = None
    operation: str | None = None
    state: str | None = None
    error_kind: str | None = None
    person: str | None = None
    request: int | None = None

    @property
    def is_empty(self) -> bool:
        return all(value is None for value in asdict(self).values())


_KNOWN = {
    "task": ("task", "account_task WHERE id = :value"),
    "target": ("target", "account_task WHERE system = :value"),
    "person": ("employee number", "person WHERE employee_number = :value"),
    "request": ("request", "account_request WHERE id = :value"),
}
"""Field of the filter → what people call it, and where its value is found."""


def unknown(connection: Connection, chosen: TaskFilter, *, targets: Sequence[str]) -> Sequence[str]:
    """A message for each value of the filter that is neither in the store nor one of `targets`."""
    messages = []
    for name, (called, rows) in _KNOWN.items():
        value = getattr(chosen, name)
        if value is None or (name == "target" and value in targets):
            continue
        if not connection.scalar(
            text(f"SELECT EXISTS (SELECT FROM accountsync.{rows})"), {"value": value}
        ):
            known = f"; known are {', '.join(targets)}" if name == "target" else ""
            messages.append(f"there is no {called} {value}{known}")
    return messages


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCommand:
    """`may`: the tasks `t` it works on. `follows`: whether a task `f` goes with a chosen task `c`
    of the same person. `sets`: what becomes of both. `revives`: they may be sent after it."""

    name: str
    may: str
    follows: str
    sets: str
    revives: bool = False


NEWEST = """
NOT EXISTS (
  SELECT FROM accountsync.account_task newer
  WHERE newer.person_id = {0}.person_id AND newer.system = {0}.system AND newer.id > {0}.id
)
"""
_AGAIN = """
  waits_for = w.systems,
  finished_at = CASE WHEN w.state = 'superseded' THEN CAST(:now AS timestamptz) END,
  next_attempt_at = :now,
  error_kind = NULL,
  state = CASE WHEN cardinality(w.systems) > 0 THEN 'waiting' ELSE w.state END,
  attempts = 0,
  absences = 0,
  unanswered = 0
"""

RETRY = TaskCommand(
    name="retry",
    may=f"""(
      t.state = 'failed' AND {NEWEST.format("t")}
      OR t.state = 'needs_human'
      OR t.state IN ('ready', 'unknown') AND t.next_attempt_at > :now
    )""",
    follows=f"""
      f.state = 'failed'
      AND f.error_kind = '{ErrorKind.DEPENDENCY_FAILED}'
      AND f.cause_kind = '{Kind.DEPENDENCY_FAILED}'
      AND f.cause_facts ->> 'system' = c.system
      AND {NEWEST.format("f")}
    """,
    sets=_AGAIN,
    revives=True,
)
CANCEL = TaskCommand(
    name="cancel",
    may="t.state IN ('planned', 'held', 'needs_data', 'waiting', 'ready', 'needs_human')",
    follows=f"""
      f.state = 'waiting'
      AND c.system = ANY(f.waits_for)
      AND f.operation NOT IN {listed(TAKES_AWAY)}
      AND (f.system, c.system) NOT IN {ORDER_ONLY}
    """,
    sets="state = 'cancelled', waits_for = '{}', finished_at = :now, error_kind = NULL",
)
HOLD = TaskCommand(
    name="hold",
    may="t.state IN ('waiting', 'ready')",
    follows="false",
    sets=f"state = 'held', waits_for = '{{}}', error_kind = '{ErrorKind.HELD_BY_OPERATOR}'",
)
RELEASE = TaskCommand(
    name="release",
    may=f"t.state = 'held' AND t.error_kind = '{ErrorKind.HELD_BY_OPERATOR}'",
    follows="false",
    sets=_AGAIN,
    revives=True,
)
TASK_COMMANDS = {command.name: command for command in (RETRY, CANCEL, HOLD, RELEASE)}

FILTER = """
  (CAST(:task AS bigint) IS NULL OR t.id = :task)
  AND (CAST(:target AS text) IS NULL OR t.system = :target)
  AND (CAST(:operation AS text) IS NULL OR t.operation = :operation)
  AND (CAST(:state AS text) IS NULL OR t.state = :state)
  AND (CAST(:error_kind AS text) IS NULL OR t.error_kind = :error_kind)
  AND (
    CAST(:person AS text) IS NULL
    OR t.person_id = (SELECT id FROM accountsync.person WHERE employee_number = :person)
  )
  AND (
    CAST(:request AS bigint) IS NULL
    OR (t.person_id, t.system) IN (
      SELECT i.person_id, s
      FROM accountsync.account_request_item i
      JOIN accountsync.account_request r ON r.id = i.request_id, unnest(r.systems) s
      WHERE i.request_id = :request
    )
  )
"""

_CHOOSE = f"""
WITH RECURSIVE c AS (
  -- the chosen ones, and those that go with them, and those that go with these
  SELECT t.id, t.person_id, t.system, t.operation, t.state, false AS follows
  FROM accountsync.account_task t
  WHERE {FILTER} AND {{may}}
  UNION
  SELECT f.id, f.person_id, f.system, f.operation, f.state, true
  FROM c
  JOIN accountsync.account_task f ON f.person_id = c.person_id AND f.id <> c.id
  WHERE {{follows}}
)
SELECT
  id,
  min(person_id) AS person_id,
  min(system) AS system,
  min(operation) AS operation,
  min(state) AS state,
  -- one that was chosen itself does not count as one that follows
  bool_and(follows) AS follows
FROM c
GROUP BY id
ORDER BY id
"""


def choose(
    connection: Connection, command: TaskCommand, chosen: TaskFilter, *, now: datetime
) -> list[RowMapping]:
    """`id, system, operation, state, follows` of the tasks that the command would change;
    `follows`: it is changed because it depends on a chosen one."""
    statement = text(_CHOOSE.format(may=command.may, follows=command.follows))
    return list(connection.execute(statement, asdict(chosen) | {"now": now}).mappings())


_NOT_JUDGED = """(
        o.state = 'held'
        AND o.operation IN ('update', 'rename')
        AND o.risks IS NOT NULL
        AND o.approved_at IS NULL
        AND o.let_through_at IS NULL
      )"""
"""Of a task `o`: it is to change values that were planned while an operator held it, which the
guard has to judge first (I7)."""

# What a task may have to wait for from now on, and whether it is sent or looked up first (I9):
#
#   the task was    may wait for         comes back as
#   needs_human     nothing              ready where its call surely did nothing, else unknown
#   ready           nothing              ready
#   unknown         nothing              unknown
#   not judged yet  nothing              superseded: the next plan writes another one
#   another         its candidates       ready
_PULL = f"""
UPDATE accountsync.account_task t
SET {causes.BOUND}, {{sets}}
FROM (
  SELECT
    o.id,
    CASE
      WHEN o.state IN ('needs_human', 'ready', 'unknown') OR {_NOT_JUDGED} THEN '{{{{}}}}'
      ELSE {CANDIDATES_OF.format("o")}
    END AS systems,
    CASE
      WHEN o.state = 'unknown'
        OR o.state = 'needs_human' AND o.error_kind NOT IN {listed(NOTHING_DONE)} THEN 'unknown'
      WHEN {_NOT_JUDGED} THEN 'superseded'
      ELSE 'ready'
    END AS state
  FROM accountsync.account_task o
  WHERE o.id = ANY(:tasks)
    -- as it was when it was chosen
    AND o.state = CAST(:states AS jsonb) ->> CAST(o.id AS text)
  FOR UPDATE
) w
WHERE t.id = w.id
RETURNING t.person_id
"""

_PLAN_AGAIN = text("""
UPDATE accountsync.person
SET planned_revision = 0
WHERE id IN (
  SELECT person_id
  FROM accountsync.account_task
  WHERE id = ANY(:failed) OR id = ANY(:tasks) AND state = 'superseded'
)
""")


def carry_out(
    connection: Connection,
    command: TaskCommand,
    states: Mapping[int, str],
    *,
    candidates: Candidates,
    cause: Reason,
    now: datetime,
) -> Sequence[int]:
    """Changes the tasks and returns their persons, of whom `dependants.release_satisfied` has to
    follow in the same transaction. `states`: task → its state when it was chosen; a task that a
    processor has claimed or ended meanwhile is left alone. What the guard has not judged yet, and
    what had failed, which no plan has followed, is planned again."""
    statement = text(_PULL.format(sets=command.sets))
    values = {
        **causes.bound(cause), "tasks": list(states), "now": now,
        "states": orjson.dumps({str(task): state for task, state in states.items()}).decode(),
        "candidates": dependants.as_bound(candidates),
    }  # fmt: skip
    persons = list(connection.scalars(statement, values))
    if command.revives:
        failed = [task for task, state in states.items() if state == TaskState.FAILED]
        connection.execute(_PLAN_AGAIN, {"tasks": list(states), "failed": failed})
    return persons


_TAKE = text("""
UPDATE accountsync.account_task
SET state = 'running', claimed_by = :worker, lease_until = :now, attempts = attempts + 1
WHERE id = :task AND state = 'needs_human'
RETURNING id
""")


def take(connection: Connection, *, task: int, worker: str, now: datetime) -> bool:
    """Claims a task that needs a human for that human. Its result is recorded in this
    transaction."""
    values = {"task": task, "worker": worker, "now": now}
    return connection.scalar(_TAKE, values) is not None
