"""Whose access is to end, and has not."""

from __future__ import annotations

from typing import Annotated

import typer

from accountsync.cli import screen, session
from accountsync.jobs.reason_texts import english
from accountsync.jobs.tasks import open_access
from accountsync.store.tasks.open_access import OpenAccess

app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("list")
def access_list(
    target: Annotated[str | None, typer.Option(help="the target; default: all")] = None,
) -> None:
    """List accounts that are to give no access and may give it, leavers first. It should be
    empty."""
    targets = list(session.settings().targets)
    found = open_access.list_open(engine=session.store(), target=target, targets=targets)
    for one in sorted(found, key=lambda one: not one.is_leavers):
        screen.say(_line(one))
    typer.echo(open_access.counted(found) if found else "all access has ended")


def _line(one: OpenAccess) -> str:
    cause = f": {english(one.cause)}" if one.cause else ""
    return (
        f"{one.employee_number}  {one.target}  {one.reason or '-'}  since {one.since:%F %H:%M} UTC"
        f"  task {one.task} {_standing(one)}{cause}"
    )


def _standing(one: OpenAccess) -> str:
    if one.state == "cancelled":
        return "refused" if one.cause else f"refused by {one.refused_by or 'an operator'}"
    if one.state == "held":
        return "held for a human"
    error = f" {one.error_kind}" if one.error_kind else ""
    return f"{one.state}{error}, {one.attempts} attempts, next {one.next_attempt_at:%F %H:%M} UTC"
