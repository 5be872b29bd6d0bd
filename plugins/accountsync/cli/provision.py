"""Takes one person through the whole chain at once."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from accountsync import wiring
from accountsync.cli import session


def provision(
    employee_number: str,
    actor: Annotated[str, typer.Option(help="default: your login", show_default=False)] = "",
) -> None:
    """Read one person from HR, plan and process now, and explain each step. It exits with 1 if a
    step failed."""
    settings = session.settings()
    is_well = True
    begin = time.monotonic()
    for step in wiring.provision_person(settings, employee_number, actor=session.actor(actor)):
        took = "" if step.seconds is None else f" ({step.seconds:.1f} s)"
        typer.echo(f"{'✓' if step.is_well else '✗'} {step.name}{took}: {step.message}")
        is_well = is_well and step.is_well
    typer.echo(f"after {time.monotonic() - begin:.1f} s")
    if not is_well:
        raise typer.Exit(1)
