"""Tasks that the guard judges: how they are counted, held, let through and decided about (I7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, text

from accountsync.domain.accounts.account import GIVES, TAKES_AWAY
from accountsync.domain.plans.plan_guard import Facts
from accountsync.domain.plans.risks import Risk
from accountsync.domain.reasons import Kind, Reason, as_documents
from accountsync.domain.tasks.error_kinds import ErrorKind
from accountsync.domain.tasks.waiting import Candidates
from accountsync.store import causes
from accountsync.store.engine import bigints
from accountsync.store.plans.plan_view import PlanView, from_row
from accountsync.store.tables import JUDGED, REFUSED, listed
from accountsync.store.tasks import dependants
from accountsync.store.tasks.dependants import CANDIDATES_OF

GUARD_HOLDS = (
    f"(state = 'held' AND held_because IS NOT NULL AND {JUDGED}"
    f" AND error_kind IS DISTINCT FROM '{ErrorKind.HELD_BY_OPERATOR}')"
)
"""Tasks that are decided about with their plan. Tasks that an operator holds are not among them."""

LONGEST = timedelta(days=30)
"""The longest time of a budget."""

_RISKS = f"CASE WHEN operation IN {listed(TAKES_AWAY)} THEN ARRAY[operation] ELSE risks END"
"""What the guard judges a task by."""

_SINCE = "coalesce(let_through_at, created_at)"
"""When a task was let through; earlier versions did not note it."""

# Of a task `{0}`: the same was let go before, and failed. It is asked for again, which is not
# judged again, nor counted twice.
_FAILED_BEFORE = f"""
  -- rides on ix_account_task_person_id_system_id
  SELECT earlier.approved_at
  FROM accountsync.account_task earlier
  WHERE earlier.person_id = {{0}}.person_id
    AND earlier.system = {{0}}.system
    AND earlier.id < {{0}}.id
    AND earlier.state = 'failed'
    AND earlier.finished_at > CAST(:longest_ago AS timestamptz)
    AND earlier.operation = {{0}}.operation
    AND earlier.reason IS NOT DISTINCT FROM {{0}}.reason
    AND (
      {{0}}.operation IN {listed(TAKES_AWAY)}
      OR {{0}}.operation IN {listed(GIVES)}
      OR {{0}}.risks <@ earlier.risks
    )
    AND NOT EXISTS (
      SELECT FROM accountsync.account_task later
      WHERE later.person_id = {{0}}.person_id
        AND later.system = {{0}}.system
        AND later.id > earlier.id
        AND later.id < {{0}}.id
        AND later.state <> 'superseded'
    )
"""

# By target and risk, what the guard decides by, where this plan has something to judge:
#
#   planned            tasks of this plan that are still to be judged
#   held               tasks of any plan that the guard holds
#   active             accounts of the target that are active: what a share is a share of
#   day, week, month   persons of whom a task went through without a human, in so long
_FACTS = text(f"""
SELECT t.system, t.risk, t.planned, t.held, a.active, done.day, done.week, done.month
FROM (
  -- rides on uq_account_task_open, ix_account_task_guarded
  SELECT
    open.system,
    risk,
    count(*) FILTER (
      WHERE plan_id = :plan_id
        AND state = 'planned'
        AND NOT EXISTS ({_FAILED_BEFORE.format("open")})
    ) AS planned,
    count(*) FILTER (WHERE {GUARD_HOLDS}) AS held
  FROM accountsync.account_task open, unnest({_RISKS}) risk
  WHERE state IN ('planned', 'held') AND {JUDGED}
  GROUP BY 1, 2
) t,
  LATERAL (
    SELECT count(*) AS active
    FROM accountsync.account
    WHERE system = t.system AND state = 'active'
  ) a,
  LATERAL (
    -- rides on ix_account_task_guarded, whose predicate has to stand here, literally
    SELECT
      count(DISTINCT person_id) AS month,
      count(DISTINCT person_id) FILTER (
        WHERE {_SINCE} > CAST(:now AS timestamptz) - interval '7 days'
      ) AS week,
      count(DISTINCT person_id) FILTER (
        WHERE {_SINCE} > CAST(:now AS timestamptz) - interval '24 hours'
      ) AS day
    FROM accountsync.account_task done
    WHERE done.system = t.system
      AND {_SINCE} > CAST(:longest_ago AS timestamptz)
      AND {JUDGED}
      AND t.risk = ANY({_RISKS})
      AND approved_at IS NULL
      AND state NOT IN ('planned', 'needs_data', 'superseded', 'cancelled')
      AND NOT {GUARD_HOLDS}
  ) done
WHERE t.planned > 0
ORDER BY t.system, t.risk
""")

_HOLD = text(f"""
UPDATE accountsync.account_task t
SET state = 'held', held_because = coalesce(held_because, '[]') || CAST(:because AS jsonb)
WHERE plan_id = :plan_id
  AND system = :system
  AND (state = 'planned' OR {GUARD_HOLDS})
  AND :risk = ANY({_RISKS})
  AND NOT EXISTS ({_FAILED_BEFORE.format("t")})
""")

_HELD_HASH = text("""
-- rides on ix_account_task_plan_id
SELECT encode(sha256(convert_to(string_agg(
  concat_ws('|', id, person_id, system, operation, account_state, reason, desired),
  E'\\n' ORDER BY id
), 'UTF8')), 'hex')
FROM accountsync.account_task
WHERE plan_id = :plan_id AND held_because IS NOT NULL
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
      ELSE ({_FAILED_BEFORE.format("going")} LIMIT 1)
    END AS approved_at
  FROM accountsync.account_task going
  WHERE going.id = ANY(:ids)
) w
WHERE t.id = w.id
""")

_REJECT = text(f"""
UPDATE accountsync.account_task
SET state = 'cancelled', finished_at = :now, {causes.NONE}
WHERE plan_id = :plan_id AND {GUARD_HOLDS}
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    target: str
    risk: Risk
    facts: Facts


def facts(connection: Connection, *, plan_id: int, now: datetime) -> list[Judged]:
    """The facts of the plan's tasks that the guard has not judged yet, by target and risk."""
    bound = {"plan_id": plan_id, "now": now, "longest_ago": now - LONGEST}
    return [
        Judged(
            target=row["system"],
            risk=Risk(row["risk"]),
            facts=Facts(**{name: row[name] for name in Facts.__slots__}),
        )
        for row in connection.execute(_FACTS, bound).mappings()
    ]


_SETTLED = text("""
-- rides on ix_account_system_identifier
SELECT target
FROM unnest(CAST(:targets AS text[])) target
WHERE CASE
  WHEN EXISTS (SELECT FROM accountsync.planned_rules WHERE system = target)
    THEN EXISTS (SELECT FROM accountsync.account WHERE system = target)
  ELSE EXISTS (SELECT FROM accountsync.account WHERE system = target AND provenance = 'adopted')
END
""")


def settled_targets(connection: Connection, *, targets: Sequence[str]) -> list[str]:
    """Targets in which a new account needs an explanation: they were planned for everybody and have
    an account by now, or accounts were adopted there. Before, everybody gets one."""
    return list(connection.scalars(_SETTLED, {"targets": list(targets)}))


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
    """A hash of all tasks of this plan that the guard held, whatever became of them since."""
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
WHERE t.plan_id = :plan_id AND {GUARD_HOLDS} AND p.revision = abs(p.planned_revision)
ORDER BY t.id
""")


def releasable(connection: Connection, *, plan_id: int) -> list[int]:
    """The plan's held tasks of persons about whom nothing new is known since they were planned,
    whether or not these are planned again (see `persons.Evaluation`)."""
    return list(connection.scalars(_RELEASABLE, {"plan_id": plan_id}))


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


def reject(connection: Connection, *, plan_id: int, now: datetime) -> int:
    return connection.execute(_REJECT, {"plan_id": plan_id, "now": now}).rowcount


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
WHERE plan_id = :plan_id AND {GUARD_HOLDS}
""")


def leave_to_next_plan(connection: Connection, *, plan_id: int, now: datetime) -> int:
    """Gives up held tasks of persons who changed since; the next plan judges anew."""
    return connection.execute(_LEAVE_TO_NEXT_PLAN, {"plan_id": plan_id, "now": now}).rowcount
