"""Bring the store's schema to a version, and check it."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import Engine

from accountsync.cli import session
from accountsync.domain.persons.account_request import SOURCE
from accountsync.store import schema
from accountsync.store.persons import ownership

app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("upgrade")
def db_upgrade(revision: Annotated[str, typer.Argument()] = "head") -> None:
    """Bring the schema to a version, by default the newest, while others may use the store. It can
    be interrupted and run again."""
    engine = session.store()
    before = _version(engine)
    typer.echo(f"store is at {before or 'nothing'}")
    schema.upgrade(engine, revision, say=typer.echo)
    after = _version(engine)
    if after == before:
        typer.echo("nothing to do")
    with engine.connect() as connection:
        if after == schema.head():
            schema.require_head(connection)


@app.command("downgrade")
def db_downgrade(revision: str) -> None:
    """Take the schema back to a version; `base` removes every table and all data."""
    engine = session.store()
    typer.echo(f"store is at {_version(engine) or 'nothing'}")
    schema.downgrade(engine, revision, say=typer.echo)


@app.command("current")
def db_current() -> None:
    """Print the schema's version, and the one that this code needs."""
    version, head = _version(session.store()), schema.head()
    typer.echo(version or "nothing")
    if version != head:
        typer.echo(f"this code needs {head}", err=True)


@app.command("check")
def db_check() -> None:
    """Compare the database with the models; exit 1 where they differ. Say whose HR source is not
    configured."""
    with session.transaction() as connection:
        schema.require_version(connection)
        compared = schema.compare(connection)
        for difference in compared.differences:
            typer.echo(f"differs: {difference}")
        for index in compared.added_indexes:
            typer.echo(f"look: index {index} was added; it may stay")
        if compared.differences:
            typer.echo("how they are mended: docs/deployment.md, Upgrade")
            raise typer.Exit(1)
        known = [SOURCE, *(source.name for source in session.settings().hr)]
        others = ownership.persons_of_others(connection, known=known)
    for source, count in others.items():
        typer.echo(
            f"look: {count} persons belong to the HR source {source!r}, which is not configured;"
            " their accounts are kept as they are (docs/hr-sources.md)"
        )
    typer.echo("store and models are equal")


def _version(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return schema.current(connection)
