"""Whom a plan holds: what is known of the persons whose tasks wait for a human."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from accountsync.store.plans.guard_facts import GUARD_HOLDS

# Rides on ix_account_task_plan_id.
_BY_STATUS = text(f"""
SELECT
  t.system AS target, t.operation, t.reason, p.source, p.status,
  count(*) AS tasks, count(p.leave_date) AS with_last_day
FROM accountsync.account_task t
JOIN accountsync.person p ON p.id = t.person_id
WHERE t.plan_id = :plan_id AND {GUARD_HOLDS}
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPersons:
    """Held tasks of one target and operation that have one reason, of persons of one source and
    status. `with_last_day`: of how many a last working day is known."""

    target: str
    operation: str
    reason: str | None
    source: str
    status: str | None
    tasks: int
    with_last_day: int


def by_status(connection: Connection, *, plan_id: int) -> list[HeldPersons]:
    rows = connection.execute(_BY_STATUS, {"plan_id": plan_id}).mappings()
    return [HeldPersons(**row) for row in rows]
