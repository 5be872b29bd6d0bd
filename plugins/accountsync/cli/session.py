"""What every command needs: the settings, the store, who acts, and the comment."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer
from sqlalchemy import Engine

from accountsync import connections
from accountsync.errors import ConfigurationError
from accountsync.settings import Settings, process_settings
from accountsync.store import rights


def _not_blank(comment: str) -> str:
    if not comment.strip():
        raise typer.BadParameter("say why: a blank tells nobody anything later")
    return comment


LARGEST = 2**63 - 1
"""No row of the store has a higher number."""

Comment = Annotated[str, typer.Option(help="why; kept in the audit trail", callback=_not_blank)]
Decider = Annotated[str, typer.Option(help="who decides; default: your login", show_default=False)]
Actor = Annotated[str, typer.Option(help="who acts; default: your login", show_default=False)]


def settings() -> Settings:
    """Raises ConfigurationError as `settings.load` does."""
    return process_settings()


def store() -> Engine:
    """Raises ConfigurationError where its tables are not those of this code."""
    return connections.open_store(settings())


def any_store() -> Engine:
    """Whatever its tables are."""
    return connections.open_any_store(settings())


def owned_store() -> Engine:
    """As its owner, whatever its tables are."""
    return connections.open_owned_store(settings())


def run_time_login() -> str | None:
    """None where the store's owner is used at run time, too."""
    if not connections.has_owner(settings()):
        return None
    with any_store().connect() as connection:
        return rights.login(connection)


def actor(named: str) -> str:
    """The name for the audit trail: `named`, as the option gives it, or else the login.

    Raises ConfigurationError where the system has no name for the user, as in a container whose
    user has no entry in passwd.
    """
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError) as error:  # OSError from Python 3.13 on
        raise ConfigurationError(
            "your login has no name on this machine; say who acts: --actor NAME"
        ) from error
