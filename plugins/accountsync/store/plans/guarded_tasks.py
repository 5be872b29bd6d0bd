"""Tasks that the guard judges: how they are held, let through and decided about (I7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text

from accountsync.domain.plans.entitlement import HAS_LEFT
from accountsync.domain.plans.risks import Risk
from accountsync.domain.reasons import Kind, Reason, as_documents
from accountsync.domain.tasks.waiting import Candidates
from accountsync.store import causes
from accountsync.store.engine import bigints
from accountsync.store.plans.guard_facts import (
    ASKED_AGAIN,
    FAILED_BEFORE,
    GUARD_HOLDS,
    LONGEST,
    RISKS_OF,
)
from accountsync.store.plans.plan_view import PlanView, from_row
from accountsync.store.tables import REFUSED
from accountsync.store.tasks import dependants
from accountsync.store.tasks.dependants import CANDIDATES_OF

_HOLD = text(f"""
UPDATE accountsync.account_task t
SET state = 'held', held_because = coalesce(held_because, '[]') || CAST(:because AS jsonb)
WHERE plan_id = :plan_id
  AND system = :system
  AND (state = 'planned' OR {GUARD_HOLDS})
  AND :risk = ANY({RISKS_OF})
  AND NOT EXISTS {FAILED_BEFORE.format("t")}
""")

# A plan's held tasks only become fewer. Who decides about those that are left decides about part of
# what was shown, unless somebody else has decided in between: that is another question.
_UNDECIDED = f"""
  held_because IS NOT NULL AND approved_at IS NULL AND ({GUARD_HOLDS} OR state = 'superseded')
"""
"""Of a task: the guard holds it, or held it until something about its person changed."""

_HELD_HASH = text(f"""
-- rides on ix_account_task_plan_id
SELECT encode(sha256(convert_to(string_agg(
  concat_ws('|', id, person_id, system, operation, account_state, reason, desired, {ASKED_AGAIN}),
  E'\\n' ORDER BY id
), 'UTF8')), 'hex')
FROM accountsync.account_task
WHERE plan_id = :plan_id AND {_UNDECIDED}
""")

# What goes on may have to wait for the targets that come after its own. Which of them it does wait
# for is decided next (`store.tasks.dependants`), once all that go on together are let through: the
# one is not held any more for which another waits. What a human approved once, and failed, still is
# approved.
_LET_THROUGH = text(f"""
UPDATE accountsync.account_task t
SET
  waits_for = w.systems,
  next_attempt_at = :now,
  state = CASE WHEN cardinality(w.systems) = 0 THEN 'ready' ELSE 'waiting' END,
  approved_at = w.approved_at,
  let_through_at = CASE WHEN w.approved_at IS NULL THEN CAST(:now AS timestamptz) END
FROM (
  SELECT
    going.id,
    {CANDIDATES_OF.format("going")} AS systems,
    CASE
      WHEN going.state = 'held' THEN CAST(:now AS timestamptz)
      ELSE {FAILED_BEFORE.format("going")}
    END AS approved_at
  FROM accountsync.account_task going
  WHERE going.id = ANY(:ids)
) w
WHERE t.id = w.id
""")

_CHOSEN = f"""
  plan_id = :plan_id
  AND {GUARD_HOLDS}
  AND (CAST(:reasons AS text[]) IS NULL OR reason = ANY(CAST(:reasons AS text[])))
  AND (
    CAST(:numbers AS text[]) IS NULL
    OR person_id IN (
      SELECT id FROM accountsync.person WHERE employee_number = ANY(CAST(:numbers AS text[]))
    )
  )
"""
"""Of a task: the guard holds it in this plan, and it is decided about (see `Selection`)."""

_REJECT = text(f"""
UPDATE accountsync.account_task
SET state = 'cancelled', finished_at = :now, {causes.BOUND}
WHERE {_CHOSEN} AND (coalesce(reason, '') <> ALL(:left) OR :once_more AND {ASKED_AGAIN})
RETURNING person_id
""")

_ASK_AGAIN = text(f"""
UPDATE accountsync.account_task
SET held_because = held_because || CAST(:because AS jsonb)
WHERE {_CHOSEN} AND reason = ANY(:left) AND NOT {ASKED_AGAIN}
""")

_CHOICE = text(f"""
-- rides on ix_account_task_plan_id
SELECT
  array_agg(DISTINCT t.reason) FILTER (WHERE t.reason IS NOT NULL) AS reasons,
  array_agg(DISTINCT p.employee_number) AS numbers
FROM accountsync.account_task t
JOIN accountsync.person p ON p.id = t.person_id
WHERE t.id IN (SELECT id FROM accountsync.account_task WHERE {_CHOSEN})
""")

_RECONSIDER = text(f"""
-- rides on ix_account_task_plan_id
WITH again AS (
  UPDATE accountsync.account_task
  SET state = 'superseded', {causes.BOUND}
  WHERE plan_id = :plan_id AND {REFUSED}
  RETURNING person_id
), anew AS (
  UPDATE accountsync.person
  SET planned_revision = 0
  WHERE id IN (SELECT person_id FROM again)
)
SELECT count(*)
FROM again
""")

_HELD_PLANS = text(f"""
-- rides on ix_plan_held, ix_account_task_plan_id
SELECT p.*, h.held
FROM accountsync.plan p,
  LATERAL (
    SELECT count(*) AS held
    FROM accountsync.account_task t
    WHERE t.plan_id = p.id AND {GUARD_HOLDS}
  ) h
WHERE p.state = 'held' AND h.held > 0
ORDER BY p.id
""")


def hold(
    connection: Connection,
    *,
    plan_id: int,
    target: str,
    risk: Risk,
    because: Sequence[Reason],
    now: datetime,
) -> None:
    """Holds the plan's tasks of this risk. Those that are held for another risk get this reason,
    too."""
    bound: dict[str, Any] = {"plan_id": plan_id, "system": target, "risk": risk}
    bound["longest_ago"] = now - LONGEST
    reasons = orjson.dumps(as_documents(because)).decode()
    connection.execute(_HOLD, bound | {"because": reasons})


def held_hash(connection: Connection, *, plan_id: int) -> str | None:
    """A hash of what is asked about this plan: of all tasks that the guard held and about which
    nobody has decided, and whether they are asked about once more. None: there are none."""
    digest: str | None = connection.scalar(_HELD_HASH, {"plan_id": plan_id})
    return digest


def still_planned(connection: Connection, *, plan_id: int) -> list[int]:
    statement = text(
        "SELECT id FROM accountsync.account_task WHERE plan_id = :plan_id AND state = 'planned'"
    )
    return list(connection.scalars(statement, {"plan_id": plan_id}))


_RELEASABLE = text(f"""
SELECT t.id
FROM accountsync.account_task t
JOIN accountsync.person p ON p.id = t.person_id
WHERE t.id IN (SELECT id FROM accountsync.account_task WHERE {_CHOSEN})
  AND p.revision = abs(p.planned_revision)
ORDER BY t.id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which of a plan's held tasks are decided about; None: whatever the reason, whoever the
    person. `numbers`: employee numbers."""

    reasons: Sequence[str] | None = None
    numbers: Sequence[str] | None = None

    def bound(self, plan_id: int) -> dict[str, Any]:
        return {"plan_id": plan_id, "reasons": self.reasons, "numbers": self.numbers}


EVERYTHING = Selection()


def releasable(
    connection: Connection, *, plan_id: int, chosen: Selection = EVERYTHING
) -> list[int]:
    """The plan's held tasks of persons about whom nothing new is known since they were planned,
    whether or not these are planned again (see `persons.Evaluation`)."""
    return list(connection.scalars(_RELEASABLE, chosen.bound(plan_id)))


def let_through(
    connection: Connection, *, ids: Sequence[int], candidates: Candidates, now: datetime
) -> None:
    """Lets tasks go, which then wait for their candidates: `dependants.release_satisfied` of their
    persons has to follow in the same transaction."""
    if ids:
        bound = {
            "ids": list(ids), "candidates": dependants.as_bound(candidates), "now": now,
            "longest_ago": now - LONGEST,
        }  # fmt: skip
        connection.execute(_LET_THROUGH, bound)


def persons_of(connection: Connection, *, ids: Sequence[int]) -> list[int]:
    statement = text(
        "SELECT DISTINCT person_id FROM accountsync.account_task"
        " WHERE id = ANY(CAST(:ids AS bigint[]))"
    )
    return list(connection.scalars(statement, {"ids": bigints(ids)}))


def choice(connection: Connection, *, plan_id: int, chosen: Selection = EVERYTHING) -> Selection:
    """For which reasons the plan's chosen tasks are held, and of whom."""
    row = connection.execute(_CHOICE, chosen.bound(plan_id)).one()
    return Selection(reasons=row.reasons or [], numbers=row.numbers or [])


def reject(
    connection: Connection,
    *,
    plan_id: int,
    now: datetime,
    cause: Reason,
    chosen: Selection = EVERYTHING,
    once_more: bool,
) -> list[int]:
    """Cancels held tasks; those of leavers only where they were asked about once more, and where
    `once_more` says that this is the answer. Returns the persons of the tasks, one for each task.
    `dependants.release_satisfied` of them has to follow in the same transaction: whoever only came
    after these tasks goes on."""
    bound = chosen.bound(plan_id) | {"now": now, "once_more": once_more, "left": list(HAS_LEFT)}
    return list(connection.scalars(_REJECT, bound | causes.bound(cause)))


def ask_again(
    connection: Connection, *, plan_id: int, now: datetime, chosen: Selection = EVERYTHING
) -> int:
    """Notes of leavers' held tasks that they are asked about once more, before anybody keeps
    access. Returns of how many that was not noted yet."""
    because = orjson.dumps(as_documents([Reason.of(Kind.REJECTED_ONCE)])).decode()
    bound = chosen.bound(plan_id) | {"because": because, "left": list(HAS_LEFT)}
    tasks = connection.execute(_ASK_AGAIN, bound).rowcount
    if tasks:
        connection.execute(
            text("UPDATE accountsync.plan SET leavers_asked_at = :now WHERE id = :plan_id"),
            {"plan_id": plan_id, "now": now},
        )
    return tasks


def reconsider(connection: Connection, *, plan_id: int, cause: Reason) -> int:
    """Takes back what a human refused of a plan, and plans the persons again. Counts the tasks."""
    bound = {"plan_id": plan_id} | causes.bound(cause)
    return int(connection.scalar(_RECONSIDER, bound) or 0)


def held_plans(connection: Connection) -> list[PlanView]:
    return [from_row(row) for row in connection.execute(_HELD_PLANS).mappings()]


_PLANS = f"""
SELECT
  p.*,
  (
    SELECT count(*)
    FROM accountsync.account_task t
    WHERE t.plan_id = p.id AND {GUARD_HOLDS}
  ) AS held
FROM accountsync.plan p
"""
_PLAN = f"""
{_PLANS}
WHERE id = :id
"""
_RECENT_PLANS = text(f"""
{_PLANS}
ORDER BY id DESC
LIMIT :limit
""")


def plan(connection: Connection, *, plan_id: int, lock: bool = False) -> PlanView | None:
    statement = text(f"{_PLAN} FOR UPDATE" if lock else _PLAN)
    row = connection.execute(statement, {"id": plan_id}).mappings().one_or_none()
    return None if row is None else from_row(row)


def recent_plans(connection: Connection, *, limit: int) -> list[PlanView]:
    return [from_row(row) for row in connection.execute(_RECENT_PLANS, {"limit": limit}).mappings()]


def close(connection: Connection, **reviewed: Any) -> None:
    """Records a human's decision: `plan_id`, `state`, `actor`, `comment` and `now`."""
    connection.execute(
        text(
            "UPDATE accountsync.plan SET state = :state, reviewed_by = :actor, comment = :comment,"
            " reviewed_at = :now WHERE id = :plan_id"
        ),
        reviewed,
    )


_LEAVE_TO_NEXT_PLAN = text(f"""
UPDATE accountsync.account_task
SET state = 'superseded', finished_at = :now, {causes.because(Kind.PERSON_CHANGED)}
WHERE {_CHOSEN}
""")


def leave_to_next_plan(
    connection: Connection, *, plan_id: int, now: datetime, chosen: Selection = EVERYTHING
) -> int:
    """Gives up held tasks of persons who changed since; the next plan judges anew."""
    return connection.execute(_LEAVE_TO_NEXT_PLAN, chosen.bound(plan_id) | {"now": now}).rowcount
