"""The operator's command line. Every command says what it did, and exits 1 where it could not."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from accountsync.cli import (
    adopt,
    config,
    db,
    explain,
    feed,
    mapping,
    name,
    plan,
    provision,
    reject,
    request,
    target,
    task,
)
from accountsync.connections import log_to_stderr
from accountsync.errors import AccountSyncError

app = typer.Typer(
    name="accountsync", help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False
)
app.add_typer(adopt.app, name="adopt")
app.add_typer(config.app, name="config")
app.add_typer(db.app, name="db")
app.command("explain")(explain.explain)
app.add_typer(feed.app, name="feed")
app.add_typer(mapping.app, name="mapping")
app.add_typer(plan.app, name="plan")
app.add_typer(name.app, name="name")
app.add_typer(reject.app, name="reject")
app.add_typer(request.app, name="request")
app.add_typer(target.app, name="target")
app.add_typer(task.app, name="task")
app.command("provision")(provision.provision)


def main(run: Callable[[], None] = app) -> None:
    """Errors of ours are messages, not tracebacks."""
    try:
        run()
    except AccountSyncError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    if not {"config", "--help"}.intersection(sys.argv):  # Airflow takes a second to be imported
        log_to_stderr()
    main()
