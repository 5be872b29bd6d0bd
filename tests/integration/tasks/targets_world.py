"""The store on one side, the targets on the other, and the ways to compare them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import text

from accountsync.cli.mapping import read_csv
from accountsync.errors import AccountSyncError
from accountsync.store import audit
from accountsync.store.audit import AuditAction
from accountsync.store.persons import mappings
from simulators.client import TargetClient
from tests.installation import DATA
from tests.integration.world import World

_CSV = {"departments": "departments.csv", "person-types": "person_types.csv"}
_CREATE = {"idaas": "/user/onboarding", "welink": "/user/create", "email": "/EnableMailbox"}
_FIND = {"idaas": "/user", "welink": "/user/detail", "email": "/GetMailbox"}
_KEY = {
    "directory": "employeeNumber",
    "idaas": "employeeNumber",
    "welink": "corpUserId",
    "email": "SAMAccountName",
}
CHAOS: list[dict[str, Any]] = [
    {"kind": "drop_before", "probability": 0.08},
    {"kind": "drop_after", "probability": 0.08},
    {"kind": "latency", "seconds": 0.05, "jitter": 0.05, "probability": 0.5},
    {"kind": "latency", "seconds": 1.6, "probability": 0.03},
    {"kind": "too_many_requests", "retry_after": 0, "probability": 0.06},
    *({"kind": "status", "code": code, "probability": 0.02} for code in (500, 502, 503)),
    {"kind": "html", "probability": 0.03},
    {"kind": "truncated", "probability": 0.03},
    {"kind": "truncated", "cut": "connection", "probability": 0.04},
]
"""Whatever a target can do wrong, now and then."""


class TargetsWorld(World):
    def import_mappings(self) -> None:
        with self.engine.begin() as connection:
            for kind, file in _CSV.items():
                table = mappings.TABLES[kind]
                mappings.write(connection, table, read_csv(DATA / file, table))

    def unmap(self, department: str) -> bool:
        """Whether it was mapped."""
        with self.engine.begin() as connection:
            table = mappings.TABLES["departments"]
            is_mapped = department in mappings.read(connection, table)
            mappings.remove(connection, table, [department])
        return is_mapped

    def was_adopted(self, target: str) -> None:
        """Somebody has looked for the accounts that it had before: a create looks no more."""
        with self.engine.begin() as connection:
            audit.record(
                connection, actor="mia", action=AuditAction.ACCOUNTS_ADOPTED,
                details={"target": target},
            )  # fmt: skip

    def target(self, target: str) -> TargetClient:
        return self.sims.exchange if target == "email" else getattr(self.sims, target)

    def drain(self, *, rounds: int = 40) -> None:
        """Every target that has something due, until none has; a target that gives up is left."""
        for _ in range(rounds):
            due = self.due()
            if not due:
                return
            for target in due:
                with suppress(AccountSyncError):
                    self.process(target)

    def ask(
        self,
        target: str,
        operation: str,
        *,
        waits_for: Sequence[str] = (),
        reason: str | None = None,
        persons: int = 10_000,
        **changed: Any,
    ) -> int:
        """Tasks for accounts that are there, as a plan would write them. Returns how many.
        `changed`: attributes, over those last applied."""
        with self.engine.begin() as connection:
            return connection.execute(
                text(
                    "INSERT INTO accountsync.account_task (plan_id, person_id, system, operation,"
                    " desired, account_state, reason, state, waits_for) SELECT (SELECT max(id) FROM"
                    " accountsync.plan), person_id, system, :operation, attributes ||"
                    " CAST(:changed AS jsonb), CASE :operation WHEN 'disable' THEN 'disabled'"
                    " WHEN 'delete' THEN 'deleted' WHEN 'enable' THEN 'active' ELSE state END,"
                    " :reason, :state, :waits_for FROM accountsync.account WHERE system = :system"
                    " AND state IN ('active', 'disabled') ORDER BY person_id LIMIT :persons"
                ),
                {
                    "system": target,
                    "operation": operation,
                    "changed": json.dumps(changed),
                    "reason": reason,
                    "state": "waiting" if waits_for else "ready",
                    "waits_for": list(waits_for),
                    "persons": persons,
                },
            ).rowcount

    def known(self, target: str) -> Counter[str]:
        """State → accounts, as the store knows them."""
        rows = self.rows(
            "SELECT state, count(*) AS accounts FROM accountsync.account WHERE system = :s"
            " GROUP BY state",
            s=target,
        )
        return Counter({row["state"]: row["accounts"] for row in rows})

    def states(self, target: str, operation: str) -> Counter[str]:
        """State → tasks of an operation."""
        rows = self.rows(
            "SELECT state, count(*) AS tasks FROM accountsync.account_task WHERE system = :s"
            " AND operation = :o GROUP BY state",
            s=target,
            o=operation,
        )
        return Counter({row["state"]: row["tasks"] for row in rows})

    def let_leases_run_out(self) -> None:
        self.execute(
            "UPDATE accountsync.account_task SET lease_until = now() - interval '1 second'"
            " WHERE state = 'running'"
        )

    def entitled(self) -> set[str]:
        """Employee numbers of those who should have everything."""
        return {p["employeeNumber"] for p in self.sims.hr.persons() if p["employeeStatus"] == "1"}

    def there(self, target: str) -> Counter[str]:
        """Employee number, or whatever the target is keyed by → accounts that really exist."""
        return Counter(account[_KEY[target]] for account in self.target(target).accounts())

    def tasks(self, target: str) -> Mapping[str, str]:
        """Key at the target → state of the task."""
        rows = self.rows(
            "SELECT desired->>:key AS key, p.employee_number AS number, t.state"
            " FROM accountsync.account_task t JOIN accountsync.person p ON p.id = t.person_id"
            " WHERE t.system = :target ORDER BY t.id",
            target=target,
            key=_KEY[target],
        )
        return {row["key"] or row["number"]: row["state"] for row in rows}

    def requests(self, target: str) -> tuple[int, int]:
        """Creations and look-ups that reached the target."""
        counted = self.target(target).state()["requests"]
        routes = (_CREATE[target], _FIND[target])
        creations, lookups = (
            sum(n for route, n in counted.items() if route.endswith(suffix)) for suffix in routes
        )
        return creations, lookups

    def story(self) -> str:
        """For a test that fails: what every target holds, and how tasks and attempts stand."""
        held = {target: len(self.target(target).accounts()) for target in _CREATE}
        stand = self.rows(
            "SELECT system, state, coalesce(t.cause, t.cause_kind) AS cause, kind, outcome,"
            " a.error_kind, count(*) AS attempts,"
            " count(DISTINCT t.id) AS tasks FROM accountsync.account_task t"
            " LEFT JOIN accountsync.task_attempt a ON a.task_id = t.id GROUP BY 1, 2, 3, 4, 5, 6"
            " ORDER BY 1, 2"
        )
        return "\n".join([f"accounts: {held}", *(str(dict(row)) for row in stand)])

    def unexplained(self) -> list[str]:
        """What may be in no store after the work: attempts without an outcome, tasks that are
        neither over nor say what they wait for."""
        return [
            f"{row['what']} {row['id']}"
            for row in self.rows(
                "SELECT 'attempt' AS what, id FROM accountsync.task_attempt WHERE outcome IS NULL"
                " OR finished_at IS NULL UNION ALL SELECT 'task ' || state, id"
                " FROM accountsync.account_task WHERE NOT (state = 'succeeded'"
                "  OR state = 'waiting' AND cardinality(waits_for) > 0"
                "  OR state IN ('failed', 'superseded', 'needs_human')"
                "   AND coalesce(cause, cause_kind) IS NOT NULL)"
            )
        ]
