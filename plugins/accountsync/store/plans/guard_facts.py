"""What the guard decides by (I7): which tasks it judges, for what, and how many went before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from accountsync.domain.accounts.account import GIVES, TAKES_AWAY
from accountsync.domain.plans.plan_guard import Facts
from accountsync.domain.plans.risks import Risk
from accountsync.domain.reasons import Kind
from accountsync.domain.tasks.error_kinds import ErrorKind
from accountsync.store.tables import JUDGED, listed

GUARD_HOLDS = (
    f"(state = 'held' AND held_because IS NOT NULL AND {JUDGED}"
    f" AND error_kind IS DISTINCT FROM '{ErrorKind.HELD_BY_OPERATOR}')"
)
"""Tasks that are decided about with their plan. Tasks that an operator holds are not among them."""

ASKED_AGAIN = f"""coalesce(held_because @> '[{{"kind": "{Kind.REJECTED_ONCE}"}}]', false)"""
"""Of a held task: it was rejected once, and is asked about once more."""

LONGEST = timedelta(days=30)
"""The longest time of a budget."""

RISKS_OF = f"CASE WHEN operation IN {listed(TAKES_AWAY)} THEN ARRAY[operation] ELSE risks END"
"""What the guard judges a task by."""

_LET_GO_AT = "coalesce(let_through_at, created_at)"
"""When a task was let through; earlier versions did not note it."""

# Of a task `{0}`: the same was let go before, and failed. It is asked for again, which is not
# judged again, nor counted twice. A change is the same where it is to the same values; what gives
# or takes access is judged by that alone (see `domain.plans.steps.to_write`).
FAILED_BEFORE = f"""(
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
    AND earlier.account_state = {{0}}.account_state
    AND (
      {{0}}.operation IN {listed([*TAKES_AWAY, *GIVES])}
      OR ({{0}}.risks <@ earlier.risks AND {{0}}.desired = earlier.desired)
    )
    AND NOT EXISTS (
      SELECT FROM accountsync.account_task later
      WHERE later.person_id = {{0}}.person_id
        AND later.system = {{0}}.system
        AND later.id > earlier.id
        AND later.id < {{0}}.id
        AND later.state <> 'superseded'
    )
)"""

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
        AND NOT EXISTS {FAILED_BEFORE.format("open")}
    ) AS planned,
    count(*) FILTER (WHERE {GUARD_HOLDS}) AS held
  FROM accountsync.account_task open, unnest({RISKS_OF}) risk
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
        WHERE {_LET_GO_AT} > CAST(:now AS timestamptz) - interval '7 days'
      ) AS week,
      count(DISTINCT person_id) FILTER (
        WHERE {_LET_GO_AT} > CAST(:now AS timestamptz) - interval '24 hours'
      ) AS day
    FROM accountsync.account_task done
    WHERE done.system = t.system
      AND {_LET_GO_AT} > CAST(:longest_ago AS timestamptz)
      AND {JUDGED}
      AND t.risk = ANY({RISKS_OF})
      AND approved_at IS NULL
      AND state NOT IN ('planned', 'needs_data', 'superseded', 'cancelled')
      AND NOT {GUARD_HOLDS}
  ) done
WHERE t.planned > 0
ORDER BY t.system, t.risk
""")

_SETTLED = text("""
-- rides on ix_account_system_identifier
SELECT target
FROM unnest(CAST(:targets AS text[])) target
LEFT JOIN accountsync.planned_rules r ON r.system = target
WHERE EXISTS (
  SELECT FROM accountsync.account
  WHERE system = target
    AND (r.fingerprint IS DISTINCT FROM '' OR provenance = 'adopted')
)
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


def settled_targets(connection: Connection, *, targets: Sequence[str]) -> list[str]:
    """Targets in which a new account needs an explanation: they were planned for everybody, even if
    they were taken out of the configuration since, and have an account, or accounts were adopted
    there. Before, everybody gets one; single persons may have been planned (no fingerprint)."""
    return list(connection.scalars(_SETTLED, {"targets": list(targets)}))
