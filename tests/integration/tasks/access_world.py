"""What tests of access change and ask: as HR does it, and as the targets show it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Any

from accountsync.errors import SafetyStopError
from accountsync.jobs.commands import adopt_accounts
from accountsync.jobs.tasks import open_access
from accountsync.targets import catalog
from tests.integration.tasks.targets_world import TargetsWorld

TARGETS = ("idaas", "welink", "email")


def somebody(world: TargetsWorld, *, nth: int = 0) -> str:
    """An employee number of somebody with accounts."""
    return str(
        world.rows(
            "SELECT p.employee_number FROM accountsync.person p JOIN accountsync.account a"
            " ON a.person_id = p.id WHERE a.system = 'welink' ORDER BY p.id OFFSET :n LIMIT 1",
            n=nth,
        )[0]["employee_number"]
    )


def adopt(world: TargetsWorld, target: str, *, now: datetime | None = None) -> None:
    """As `bin/accountsync adopt run` does."""
    declared = world.settings.targets[target]
    opener = partial(catalog.opened, declared, world.endpoint(declared.conn_id), dry_run=True)
    adopt_accounts.adopt_accounts(
        engine=world.engine, target=target, declared=declared, actor="mia",
        now=now or datetime.now(UTC),
        read=lambda: asyncio.run(adopt_accounts.list_accounts(opener, target=target)),
    )  # fmt: skip


def change(world: TargetsWorld, number: str, **columns: Any) -> None:
    """As HR would."""
    what = ", ".join(f"{name} = CAST(:{name} AS {_KINDS.get(name, 'text')})" for name in columns)
    world.execute(
        f"UPDATE accountsync.person SET {what}, revision = revision + 1"
        " WHERE employee_number = :number",
        number=number, **columns,
    )  # fmt: skip


_KINDS = {"leave_date": "date", "hire_date": "date", "absent_since_snapshot": "bigint"}
LEFT = "2026-01-31"


def enabled(world: TargetsWorld, target: str, number: str) -> bool:
    """Whether the target itself lets the person in."""
    identifiers = {
        row["identifier"]
        for row in world.rows(
            "SELECT a.identifier FROM accountsync.account a JOIN accountsync.person p"
            " ON p.id = a.person_id WHERE p.employee_number = :number AND a.system = :target",
            number=number, target=target,
        )
    }  # fmt: skip
    (account,) = [
        one for one in world.target(target).accounts() if identifiers & set(map(str, one.values()))
    ]
    return bool(account["enabled"])


def edited(world: TargetsWorld, target: str, field: str, value: str, **changes: Any) -> None:
    """What an administrator does there by hand."""
    body = {"where": {field: value}, "changes": changes}
    world.target(target).call("PATCH", "/_sim/accounts", body)


def account(world: TargetsWorld, target: str, number: str) -> Any:
    return world.rows(
        "SELECT a.* FROM accountsync.account a JOIN accountsync.person p ON p.id = a.person_id"
        " WHERE p.employee_number = :number AND a.system = :target",
        number=number, target=target,
    )[0]  # fmt: skip


def newest(world: TargetsWorld, target: str, number: str) -> Any:
    return world.rows(
        "SELECT t.* FROM accountsync.account_task t JOIN accountsync.person p ON p.id = t.person_id"
        " WHERE p.employee_number = :number AND t.system = :target ORDER BY t.id DESC LIMIT 1",
        number=number, target=target,
    )[0]  # fmt: skip


def told(world: TargetsWorld) -> str | None:
    """What somebody is told now of access that has not ended."""
    try:
        open_access.require_ended(engine=world.engine)
    except SafetyStopError as error:
        return str(error)
    return None


def an_hour_passes(world: TargetsWorld) -> None:
    world.execute(
        "UPDATE accountsync.account_task SET next_attempt_at = next_attempt_at - interval '1 hour'"
    )
