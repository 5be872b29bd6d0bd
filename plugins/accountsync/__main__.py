"""The operator's command line. Every command says what it did, and exits 1 where it could not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer
from psycopg import OperationalError
from psycopg.errors import (
    InsufficientPrivilege,
    InvalidSchemaName,
    UndefinedColumn,
    UndefinedTable,
)
from sqlalchemy.exc import DBAPIError

import accountsync
from accountsync.cli import (
    access,
    adopt,
    config,
    db,
    explain,
    feed,
    mapping,
    name,
    person,
    plan,
    provision,
    reject,
    request,
    screen,
    status,
    target,
    task,
)
from accountsync.connections import be_a_command
from accountsync.errors import AccountSyncError

app = typer.Typer(
    name="accountsync", help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"accountsync {accountsync.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Of the program itself."""


app.add_typer(access.app, name="access")
app.add_typer(adopt.app, name="adopt")
app.add_typer(config.app, name="config")
app.add_typer(db.app, name="db")
app.command("explain")(explain.explain)
app.add_typer(feed.app, name="feed")
app.add_typer(mapping.app, name="mapping")
app.add_typer(person.app, name="person")
app.add_typer(plan.app, name="plan")
app.add_typer(name.app, name="name")
app.add_typer(reject.app, name="reject")
app.add_typer(request.app, name="request")
app.command("status")(status.status)
app.add_typer(target.app, name="target")
app.add_typer(task.app, name="task")
app.command("provision")(provision.provision)
screen.show_on_screens(app)


def main(run: Callable[[], None] = app) -> None:
    """Errors of ours are messages, not tracebacks; so is what the store refuses, by its kind alone:
    its statements hold values (I15)."""
    try:
        run()
    except AccountSyncError as error:
        _fail(f"{type(error).__name__}: {error}")
    except DBAPIError as error:
        _fail(_refused(error.orig))


def _refused(error: BaseException | None) -> str:
    if isinstance(error, OperationalError) and error.sqlstate is None:  # no server answered
        return f"the store cannot be reached; see Connection `database.conn_id`: {error}"
    if isinstance(error, UndefinedTable | UndefinedColumn | InvalidSchemaName):
        return "the store has no tables yet, or old ones: bin/accountsync db upgrade"
    if isinstance(error, InsufficientPrivilege):
        return (
            "the login of Connection `database.conn_id` may not do that in the store; nothing was"
            " changed. Take the one that the DAGs use, or grant it"
        )
    return (
        f"the store refused: {type(error).__name__}; nothing was changed by this step. Its log"
        " says more"
    )


def _fail(said: str) -> None:
    screen.say_error(said)
    sys.exit(1)


if __name__ == "__main__":
    without_airflow = {"config", "--help", "--version"}  # importing it takes a second
    if not without_airflow.intersection(sys.argv):
        be_a_command()
    main()
