"""Look at targets. Nothing is changed there."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from accountsync import wiring
from accountsync.cli import screen, session
from accountsync.errors import (
    AccountSyncError,
    ConfigurationError,
    TargetDownError,
    TransientError,
)
from accountsync.jobs.commands import inspect_target
from accountsync.jobs.commands.inspect_target import Look

app = typer.Typer(help=__doc__, no_args_is_help=True)

TargetName = Annotated[str, typer.Argument(help="its name under `targets`")]

_NEXT = {
    TargetDownError: "Check host, port and proxy of the Connection, and whether the target is up.",
    ConfigurationError: "Correct that, then check again.",
    TransientError: "Try again; if it stays like this, compare the target's answer with what its"
    " section under `targets` declares.",
}


@app.command("check")
def target_check(name: TargetName) -> None:
    """Check that the target answers and accepts the credentials."""
    settings = session.settings()
    conn_id = settings.targets[name].conn_id if name in settings.targets else None
    try:
        open_connector = wiring.target_to_check(settings, name)
        answer = asyncio.run(inspect_target.check(open_connector))
    except AccountSyncError as error:
        typer.echo(f"{name}: does not work. {type(error).__name__}: {error}", err=True)
        typer.echo(f"Next: {_next_step(error)}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{name}: works. It {answer}. (Connection {conn_id})")


def _next_step(error: AccountSyncError) -> str:
    steps = (step for kind, step in _NEXT.items() if isinstance(error, kind))
    return next(steps, "Look into the target's own log.")


@app.command("find")
def target_find(name: TargetName, employee_number: str) -> None:
    """Show one person's account as the store has it, and as the target shows it now."""
    settings = session.settings()
    look = asyncio.run(
        inspect_target.look_for(
            employee_number,
            engine=session.store(),
            target=name,
            open_connector=wiring.target_to_look_at(settings, name),
        )
    )
    for line in _described(look):
        screen.say(f"{name}: {line}")


def _described(look: Look) -> list[str]:
    known, shown = look.known, look.found
    store = f"{known.state}, id {known.remote_id or 'unknown'}" if known else "no account"
    if shown is None:
        return [f"the store has: {store}", "the target has: no account"]
    state = {True: "enabled", False: "disabled", None: "enabled or not, it does not say"}
    ownership = "carries the person's key" if shown.ours else "carries another key: somebody else's"
    id_ = shown.remote_id or "none of its own"
    return [
        f"the store has: {store}",
        f"the target has: an account, {state[shown.enabled]}, id {id_}; it {ownership}",
    ]


@app.command("list")
def target_list(name: TargetName) -> None:
    """Count all accounts of the target, and compare them with the store's."""
    settings = session.settings()
    counts = asyncio.run(
        inspect_target.count_accounts(
            engine=session.store(),
            target=name,
            open_connector=wiring.target_to_look_at(settings, name),
        )
    )
    typer.echo(
        f"{name}: {counts.total} accounts: {counts.enabled} enabled, {counts.disabled} disabled,"
        f" {counts.untold} do not say"
    )
    typer.echo(f"{name}: {counts.known} are known to the store, {counts.unknown} are not")
    if counts.gone:
        typer.echo(f"{name}: {counts.gone} of the store's accounts are not there any more")
