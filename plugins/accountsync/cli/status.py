"""How things are, in a few lines: what waits for a human, and whose access has not ended."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Engine

from accountsync.cli import screen, session
from accountsync.jobs.plans import held_plans
from accountsync.jobs.tasks import open_access
from accountsync.store.tasks import breakers, task_view


def status() -> None:
    """Print what waits for a human, which targets are down, and whose access has not ended."""
    engine = session.store()
    lines = [line for part in (_access, _held, _tasks, _targets) for line in part(engine)]
    screen.say(*lines or ["nothing waits for anybody"])


def _access(engine: Engine) -> Iterator[str]:
    found = open_access.list_open(engine=engine)
    if found:
        yield f"access has not ended: {open_access.counted(found)}; bin/accountsync access list"
    for who, people in open_access.kept_by_rejection(engine=engine).items():
        yield f"{people} leavers keep access by a rejection of {who}"


def _held(engine: Engine) -> Iterator[str]:
    for plan in held_plans.list_held(engine=engine):
        yield f"plan {plan.id} holds {plan.held} tasks; bin/accountsync plan show {plan.id}"


def _tasks(engine: Engine) -> Iterator[str]:
    with engine.connect() as connection:
        groups = task_view.failures(connection)
    for_humans = sum(group.tasks for group in groups if group.state == "needs_human")
    if for_humans:
        yield f"{for_humans} tasks need a human; bin/accountsync task failures"


def _targets(engine: Engine) -> Iterator[str]:
    with engine.connect() as connection:
        known = breakers.every(connection)
    for target, breaker in known.items():
        if breaker.state != "closed":
            since = f" since {breaker.since:%F %H:%M} UTC" if breaker.since else ""
            yield f"{target} is {breaker.state}{since}: {breaker.cause}"
