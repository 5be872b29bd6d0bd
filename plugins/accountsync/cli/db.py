"""Bring the store's schema to a version, and check it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from sqlalchemy import Engine

from accountsync.cli import session
from accountsync.domain.persons.account_request import SOURCE
from accountsync.errors import ConfigurationError
from accountsync.store import rights, schema
from accountsync.store.persons import ownership
from accountsync.store.schema import Comparison

app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("upgrade")
def db_upgrade(revision: Annotated[str, typer.Argument()] = "head") -> None:
    """Bring the schema to a version, by default the newest, while others may use the store. It can
    be interrupted and run again."""
    engine = _owned()
    before = _version(engine)
    typer.echo(f"store is at {before or 'nothing'}")
    with _goes_on_when_run_again("upgrade"):
        schema.upgrade(engine, revision, say=typer.echo)
    after = _version(engine)
    with engine.connect() as connection:
        if after == schema.head():
            schema.require_our_tables(connection)
    if after == schema.head():
        _give_rights(engine)
    if after == before:
        typer.echo("nothing to do")


@app.command("repair")
def db_repair() -> None:
    """Make again what somebody took from the tables, or changed in them, while others may use the
    store. `db check` lists what that is. What others added stays."""
    engine = _owned()
    with _goes_on_when_run_again("repair"):
        schema.repair(engine, say=typer.echo)
    _give_rights(engine)
    with engine.connect() as connection:
        compared = schema.compare(connection)
    _tell(compared)
    if compared.differences:
        typer.echo("these are not mended: what stands in the way was put there by others")
        raise typer.Exit(1)
    typer.echo("store and models are equal")


@app.command("downgrade")
def db_downgrade(revision: str) -> None:
    """Take the schema back to a version; `base` removes every table and all data."""
    engine = _owned()
    typer.echo(f"store is at {_version(engine) or 'nothing'}")
    schema.downgrade(engine, revision, say=typer.echo)


@app.command("current")
def db_current() -> None:
    """Print the schema's version. Exit 1 where this code needs another one."""
    version, head = _version(session.any_store()), schema.head()
    typer.echo(version or "nothing")
    if version != head:
        typer.echo(f"this code needs {head}; run: bin/accountsync db upgrade", err=True)
        raise typer.Exit(1)


@app.command("check")
def db_check() -> None:
    """Compare the database with the models; exit 1 where they differ. Say what others added, and
    whose HR source is not configured."""
    with session.any_store().connect() as connection:
        schema.require_version(connection)
        compared = schema.compare(connection)
        compared.differences.extend(rights.differences(connection))
        _tell(compared)
        if compared.differences:
            typer.echo("to mend them: bin/accountsync db repair")
            raise typer.Exit(1)
        known = [SOURCE, *(source.name for source in session.settings().hr)]
        others = ownership.persons_of_others(connection, known=known)
        is_owner = rights.may_switch_off(connection)
    for source, count in others.items():
        typer.echo(
            f"look: {count} persons belong to the HR source {source!r}, which is not configured;"
            " their accounts are kept as they are (docs/hr-sources.md)"
        )
    if is_owner:
        typer.echo(
            "look: the run-time login owns the store, so triggers can be switched off by it"
            " (docs/deployment.md, Roles of the database)"
        )
    typer.echo("store and models are equal")


def _owned() -> Engine:
    """The store of whoever may change it. Raises ConfigurationError where it is somebody else's, or
    both logins are one."""
    engine, run_time = session.owned_store(), session.run_time_login()
    if run_time is None:
        return engine
    with engine.connect() as connection:
        rights.require_ownership(connection)
        if run_time == rights.login(connection):
            raise ConfigurationError(
                f"{run_time} is the login of both Connections to the store, of the owner and at run"
                " time: give the run-time one a login that owns nothing (docs/deployment.md, Roles"
                " of the database)"
            )
    return engine


def _give_rights(engine: Engine) -> None:
    """In one transaction, so that whoever works meanwhile never lacks one."""
    run_time, reports = session.run_time_login(), session.settings().database.report_role
    with engine.begin() as connection:
        rights.give(connection, run_time=run_time, reports=reports)
    for role, may in ((run_time, "work with"), (reports, "read")):
        if role is not None:
            typer.echo(f"{role} may {may} the store")


def _tell(compared: Comparison) -> None:
    for difference in compared.differences:
        typer.echo(f"differs: {difference}")
    for addition in compared.added:
        typer.echo(f"look: {addition} was added; it may stay")


@contextmanager
def _goes_on_when_run_again(command: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(
            "interrupted: what was done is kept, and the rest follows when it is run again:"
            f" bin/accountsync db {command}",
            err=True,
        )
        raise typer.Exit(130) from None


def _version(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return schema.current(connection)
