"""The store's schema."""

from __future__ import annotations

from typing import Annotated

import typer

from accountsync.cli import store
from accountsync.store import schema
from accountsync.store.persons import ownership

app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("upgrade")
def db_upgrade(revision: Annotated[str, typer.Argument()] = "head") -> None:
    """Bring the schema to a version, by default the newest."""
    with store.transaction() as connection:
        schema.upgrade(connection, revision)
        typer.echo(f"store is at {schema.current(connection)}")


@app.command("downgrade")
def db_downgrade(revision: str) -> None:
    """Take the schema back to a version; `base` removes every table and all data."""
    with store.transaction() as connection:
        schema.downgrade(connection, revision)
        typer.echo(f"store is at {schema.current(connection) or 'nothing'}")


@app.command("current")
def db_current() -> None:
    """Print the schema's version."""
    with store.transaction() as connection:
        typer.echo(schema.current(connection) or "nothing")


@app.command("check")
def db_check() -> None:
    """Compare the database with the models; exit 1 where they differ. Say whose HR source is not
    configured."""
    with store.transaction() as connection:
        schema.require_head(connection)
        differences = schema.differences(connection)
        others = ownership.persons_of_others(connection, known=store.sources())
    for source, count in others.items():
        typer.echo(
            f"look: {count} persons belong to the HR source {source!r}, which is not configured;"
            " their accounts are kept as they are (docs/hr-sources.md)"
        )
    for difference in differences:
        typer.echo(f"differs: {difference}")
    if differences:
        raise typer.Exit(1)
    typer.echo("store and models are equal")
