"""One person, now."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from accountsync import settings as configuration
from accountsync import wiring


def provision(
    employee_number: str,
    actor: Annotated[str, typer.Option(help="default: your login", show_default=False)] = "",
) -> None:
    """Read one person from HR, plan and process now; explain each step. Exits 1 if one failed."""
    settings = configuration.load(configuration.config_path())
    is_well = True
    for step in wiring.provision_person(
        settings, employee_number, actor=actor or getpass.getuser()
    ):
        typer.echo(f"{'✓' if step.is_well else '✗'} {step.name}: {step.said}")
        is_well = is_well and step.is_well
    if not is_well:
        raise typer.Exit(1)
