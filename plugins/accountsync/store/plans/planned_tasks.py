"""Tasks as the planner reads, writes, revises and supersedes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, RowMapping, text

from accountsync.domain import task_states
from accountsync.domain.accounts.account import TAKES_AWAY, AccountState, Operation
from accountsync.domain.plans.risks import Risk
from accountsync.domain.plans.steps import OpenTask, PlannedTask, to_write
from accountsync.domain.reasons import Kind, Reason, as_document
from accountsync.domain.task_states import OPEN_STATES, WITHOUT_A_CALL, TaskState
from accountsync.domain.tasks.error_kinds import ErrorKind
from accountsync.store import causes
from accountsync.store.engine import bigints, copying
from accountsync.store.tables import NOT_FOLLOWED, REFUSED, listed, one_of

_COPY = b"""
COPY accountsync.account_task (
  plan_id, person_id, system, operation, desired, late_bound, account_state, reason, state,
  waits_for, cause, cause_kind, cause_facts, risks, next_attempt_at, created_at
)
FROM STDIN
"""

_OPEN = text(f"""
-- rides on uq_account_task_open
SELECT
  id, person_id, system, operation, state, desired, late_bound, account_state, reason, cause,
  cause_kind, cause_facts, waits_for, risks,
  error_kind IS NOT DISTINCT FROM '{ErrorKind.HELD_BY_OPERATOR}' AS kept_back,
  error_kind IS NOT DISTINCT FROM '{ErrorKind.KEY_NOT_CARRIED}' AS awaits_key,
  operation IN {listed(TAKES_AWAY)}
    AND EXISTS (
      SELECT FROM accountsync.task_attempt a
      WHERE a.task_id = t.id AND a.outcome = 'unknown'
    ) AS is_doubtful
FROM accountsync.account_task t
WHERE person_id = ANY(CAST(:persons AS bigint[])) AND state IN {listed(OPEN_STATES)}
""")

_REFUSED = text(f"""
-- rides on ix_account_task_refused
SELECT
  id, person_id, system, operation, state, desired, late_bound, account_state, reason, cause,
  cause_kind, cause_facts, risks
FROM accountsync.account_task t
WHERE person_id = ANY(CAST(:persons AS bigint[]))
  AND {REFUSED}
  AND {NOT_FOLLOWED}
""")

_LAPSE = text(f"""
UPDATE accountsync.account_task
SET state = 'superseded', {causes.because(Kind.REASON_GONE)}
WHERE {REFUSED}
  AND (person_id, system) IN (
    SELECT person_id, system
    FROM accountsync.account_task
    WHERE id = ANY(:ids)
  )
""")

NOT_STARTED = one_of("state", task_states.NOT_STARTED)
"""Of a task: it is open, and nobody has begun to carry it out."""

_KEPT_BACK = f"error_kind = '{ErrorKind.HELD_BY_OPERATOR}' AND r.state_now <> 'needs_data'"
"""Of a task that is revised to `r`: an operator holds it, and it could be carried out."""

_KEEPS_CAUSE = f"{_KEPT_BACK} AND state = 'held'"

_LOCK = text("""
SELECT id
FROM accountsync.account_task
WHERE id = ANY(CAST(:ids AS bigint[]))
ORDER BY id
FOR UPDATE
""")
"""Whoever locks several tasks does it in this order, so that no two wait for each other."""

_REVISE = text(f"""
UPDATE accountsync.account_task
SET
  plan_id = :plan_id,
  desired = r.desired_now,
  late_bound = r.late_bound_now,
  account_state = r.account_state_now,
  risks = r.risks_now,
  reason = r.reason_now,
  -- what an operator holds stays held, with the operator's words
  state = CASE WHEN {_KEPT_BACK} THEN 'held' ELSE r.state_now END,
  cause = CASE WHEN {_KEEPS_CAUSE} THEN cause ELSE r.cause_now END,
  cause_kind = CASE WHEN {_KEEPS_CAUSE} THEN cause_kind ELSE r.cause_kind_now END,
  cause_facts = CASE
    WHEN {_KEEPS_CAUSE} THEN cause_facts
    ELSE CAST(r.cause_facts_now AS jsonb)
  END,
  held_because = NULL,
  -- what the guard judges anew has not been let through
  approved_at = CASE WHEN r.state_now = 'planned' THEN NULL ELSE approved_at END,
  let_through_at = CASE WHEN r.state_now = 'planned' THEN NULL ELSE let_through_at END,
  attempts = 0,
  waits_for = CASE
    WHEN {_KEPT_BACK} THEN '{{}}'
    ELSE ARRAY(SELECT jsonb_array_elements_text(r.waits_for_now))
  END,
  -- of one that goes on waiting: since when it waits
  next_attempt_at = CASE
    WHEN state = 'waiting' AND r.state_now = 'waiting' THEN next_attempt_at
    ELSE :now
  END
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (
  task_id bigint, desired_now jsonb, late_bound_now jsonb, account_state_now text,
  reason_now text, state_now text, waits_for_now jsonb, cause_now text, cause_kind_now text,
  cause_facts_now text, risks_now text[]
)
WHERE id = r.task_id AND {NOT_STARTED}
RETURNING id
""")

_SUPERSEDE = text(f"""
UPDATE accountsync.account_task
SET state = 'superseded', waits_for = '{{}}', {causes.BOUND}, finished_at = :now
WHERE id = ANY(:ids)
  AND ({NOT_STARTED} OR id = ANY(CAST(:in_doubt AS bigint[])) AND state IN {listed(WITHOUT_A_CALL)})
RETURNING id
""")

_GIVE_UP = text(f"""
UPDATE accountsync.account_task
SET
  state = 'superseded',
  waits_for = '{{}}',
  {causes.because(Kind.TARGET_REMOVED)},
  finished_at = :now
WHERE system = ANY(:systems) AND {NOT_STARTED}
RETURNING id
""")


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


def open_tasks(connection: Connection, persons: Sequence[int]) -> Mapping[int, dict[str, OpenTask]]:
    """Person id → target → the open task."""
    return _by_person(connection.execute(_OPEN, {"persons": bigints(persons)}).mappings())


def refused(connection: Connection, persons: Sequence[int]) -> Mapping[int, dict[str, OpenTask]]:
    """Person id → target → the task that a human refused, where nothing else followed."""
    return _by_person(connection.execute(_REFUSED, {"persons": bigints(persons)}).mappings())


def _by_person(rows: Iterable[RowMapping]) -> Mapping[int, dict[str, OpenTask]]:
    tasks: defaultdict[int, dict[str, OpenTask]] = defaultdict(dict)
    for row in rows:
        tasks[row["person_id"]][row["system"]] = _open_task(row)
    return tasks


def lapse(connection: Connection, refusals: Sequence[OpenTask]) -> None:
    """Ends refusals of tasks that nothing asks for any more, and all earlier ones of the same
    person and target: a human is asked again when the person leaves again."""
    if refusals:
        connection.execute(_LAPSE, {"ids": [task.id for task in refusals]})


def _open_task(row: RowMapping) -> OpenTask:
    return OpenTask(
        id=row["id"],
        person_id=row["person_id"],
        target=row["system"],
        operation=Operation(row["operation"]),
        state=TaskState(row["state"]),
        desired=row["desired"],
        late_bound=row["late_bound"],
        account_state=AccountState(row["account_state"]),
        reason=row["reason"],
        cause=causes.read(row),
        waits_for=row.get("waits_for", ()),
        kept_back=row.get("kept_back", False),
        awaits_key=row.get("awaits_key", False),
        is_doubtful=row.get("is_doubtful", False),
        risks=tuple(map(Risk, row["risks"] or ())),
    )


def add(
    connection: Connection,
    *,
    plan_id: int,
    tasks: Iterable[PlannedTask],
    now: datetime,
    digest: Digest,
) -> None:
    with copying(connection, _COPY) as copy:
        for task in map(to_write, tasks):
            desired, late = orjson.dumps(task.desired), orjson.dumps(task.late_bound)
            digest.update(_content(task, desired, late))
            copy.write_row(_as_row(plan_id, task, desired.decode(), late.decode(), now))


def _content(task: PlannedTask, desired: bytes, late: bytes) -> bytes:
    operation, account_state = str(task.operation), str(task.account_state)
    cause = task.cause and as_document(task.cause)
    facts = (task.target, operation, account_state, task.reason, cause)
    waits = (str(task.state), *task.waits_for, *map(str, task.risks))
    return b"%d %s %s %s\n" % (task.person_id, repr(facts + waits).encode(), desired, late)


def _as_row(
    plan_id: int, task: PlannedTask, desired: str, late_bound: str, now: datetime
) -> tuple[Any, ...]:
    return (
        plan_id,
        task.person_id,
        task.target,
        task.operation,
        desired,
        late_bound,
        task.account_state,
        task.reason,
        task.state,
        f"{{{','.join(task.waits_for)}}}",
        *causes.bound(task.cause).values(),
        f"{{{','.join(task.risks)}}}" if task.risks else None,
        now,
        now,
    )


def revise(
    connection: Connection,
    *,
    plan_id: int,
    tasks: Sequence[tuple[OpenTask, PlannedTask]],
    now: datetime,
    digest: Digest,
) -> list[OpenTask]:
    """Gives tasks that nobody has started new attributes. Returns those that somebody has
    started."""
    if not tasks:
        return []
    revised = [(old, to_write(new, old)) for old, new in tasks]
    for _, new in revised:
        digest.update(_content(new, orjson.dumps(new.desired), orjson.dumps(new.late_bound)))
    rows = orjson.dumps([_revision(old, new) for old, new in revised]).decode()
    bound = {"plan_id": plan_id, "rows": rows, "now": now}
    connection.execute(_LOCK, {"ids": bigints(old.id for old, _ in tasks)})
    done = frozenset(connection.scalars(_REVISE, bound))
    return [old for old, _ in tasks if old.id not in done]


def _revision(old: OpenTask, new: PlannedTask) -> dict[str, Any]:
    return {
        "task_id": old.id,
        "desired_now": new.desired,
        "late_bound_now": new.late_bound,
        "account_state_now": new.account_state,
        "reason_now": new.reason,
        "state_now": new.state,
        "waits_for_now": list(new.waits_for),
        "risks_now": list(new.risks) or None,
        **{f"{column}_now": value for column, value in causes.bound(new.cause).items()},
    }


def supersede(
    connection: Connection,
    *,
    tasks: Sequence[OpenTask],
    cause: Reason,
    now: datetime,
    digest: Digest,
) -> list[OpenTask]:
    """Supersedes tasks that no call is under way for. Returns those that somebody has started, or
    whose call went wrong, by now."""
    if not tasks:
        return []
    digest.update(b"superseded %s\n" % repr([task.id for task in tasks]).encode())
    connection.execute(_LOCK, {"ids": bigints(task.id for task in tasks)})
    in_doubt = [task.id for task in tasks if task.state in WITHOUT_A_CALL]
    bound = {"ids": [task.id for task in tasks], "in_doubt": in_doubt, "now": now}
    bound |= causes.bound(cause)
    done = frozenset(connection.scalars(_SUPERSEDE, bound))
    return [task for task in tasks if task.id not in done]


def give_up_targets(
    connection: Connection, *, targets: Sequence[str], now: datetime, digest: Digest
) -> int:
    """Gives up the tasks of targets that were taken out of the configuration, and counts them.
    Those in doubt stay, and are looked up if the target comes back (I9)."""
    bound = {"systems": sorted(targets), "now": now}
    given_up = sorted(connection.scalars(_GIVE_UP, bound))
    digest.update(b"given up %s\n" % repr(given_up).encode())
    return len(given_up)
