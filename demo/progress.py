"""How far things are: one look into the store and into the targets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg

from .environment import SCIM_TOKEN
from .http_json import call
from .settings import TARGETS
from .stack import Stack

# The engine goes on with these by itself; all other states are final or wait for a human.
_MOVING = ("planned", "waiting", "ready", "running", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Persons in the store and those of them to plan, tasks by state, accounts that really exist in
    each target."""

    persons: int
    to_plan: int
    tasks: Mapping[str, int]
    accounts: Mapping[str, int]

    @property
    def moving_tasks(self) -> int:
        return sum(self.tasks.get(state, 0) for state in _MOVING)

    def line(self) -> str:
        """The counts on one line."""
        tasks, accounts = listed(self.tasks), listed(self.accounts)
        return f"persons {self.persons} | tasks: {tasks} | accounts: {accounts}"


def read_counts(stack: Stack) -> Counts:
    with psycopg.connect(stack.store) as connection:
        persons, to_plan = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE revision > planned_revision)"
            " FROM accountsync.person"
        ).fetchone() or (0, 0)
        tasks = connection.execute(
            "SELECT state, count(*) FROM accountsync.account_task GROUP BY state"
        ).fetchall()
    return Counts(
        persons=int(persons),
        to_plan=int(to_plan),
        tasks={str(state): int(count) for state, count in tasks},
        accounts=_accounts(stack),
    )


class Progress:
    """Says the counts whenever they have changed."""

    def __init__(self, stack: Stack, say: Callable[[str], None], *, shown: str = "") -> None:
        self._stack = stack
        self._say = say
        self._shown = shown

    def look(self) -> Counts:
        counts = read_counts(self._stack)
        if counts.line() != self._shown:
            self._shown = counts.line()
            self._say(f"  {self._shown}")
        return counts


def listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {counts[name]}" for name in sorted(counts)) or "none"


def _accounts(stack: Stack) -> dict[str, int]:
    found = {name: call("GET", f"{stack.url(name)}/_sim/state")["accounts"] for name in TARGETS}
    if stack.scim:
        query = f"{stack.url('scim')}/Users?count=0"
        found["scim"] = call("GET", query, token=SCIM_TOKEN)["totalResults"]
    return found
