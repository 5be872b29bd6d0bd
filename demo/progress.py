"""How far things are: one look into the store."""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

# The engine goes on with these by itself; all other states are final or wait for a human.
_MOVING = ("planned", "waiting", "ready", "running", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the store holds: persons, tasks by state, accounts by target."""

    persons: int
    tasks: Mapping[str, int]
    accounts: Mapping[str, int]

    @property
    def moving_tasks(self) -> int:
        return sum(self.tasks.get(state, 0) for state in _MOVING)

    def line(self) -> str:
        """The counts on one line."""
        tasks, accounts = listed(self.tasks), listed(self.accounts)
        return f"persons {self.persons} | tasks: {tasks} | accounts: {accounts}"


def read_counts(store: str) -> Counts:
    """Look into the store with this DSN."""
    with psycopg.connect(store) as connection:
        persons = connection.execute("SELECT count(*) FROM accountsync.person").fetchone()
        tasks = connection.execute(
            "SELECT state, count(*) FROM accountsync.account_task GROUP BY state"
        )
        accounts = connection.execute(
            "SELECT system, count(*) FROM accountsync.account"
            " WHERE state IN ('active', 'disabled') GROUP BY system"
        )
        return Counts(
            persons=persons[0] if persons else 0,
            tasks={str(state): int(count) for state, count in tasks},
            accounts={str(system): int(count) for system, count in accounts},
        )


def listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {counts[name]}" for name in sorted(counts)) or "none"
