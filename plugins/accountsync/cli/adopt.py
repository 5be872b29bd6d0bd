"""Adopt accounts that a target has already: the first step of an installation."""

from __future__ import annotations

from typing import Annotated

import typer

from accountsync import wiring
from accountsync.cli import screen, session
from accountsync.cli.session import Actor, Comment
from accountsync.clock import utc_now
from accountsync.errors import ConfigurationError
from accountsync.jobs.commands import account_cases
from accountsync.jobs.reason_texts import all_english

app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("run")
def adopt_run(
    target: Annotated[str, typer.Argument(help="its name under `targets`")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would be adopted, and keep nothing")
    ] = False,
    actor: Actor = "",
) -> None:
    """List the target's accounts and adopt those that are sure. It may be repeated."""
    settings = session.settings()
    who = session.actor(actor)
    adoption = wiring.adopt_accounts_of(settings, target, actor=who, dry_run=dry_run)
    typer.echo(
        f"{target}: {adoption.listed} accounts: {adoption.known} known before,"
        f" {adoption.adopted} adopted, {adoption.doubtful} doubtful, {adoption.ignored} ignored,"
        f" {adoption.foreign} nobody's of ours"
    )
    if adoption.examples:
        screen.say(f"adopted, for example: {', '.join(adoption.examples)}")
    if dry_run:
        typer.echo("dry run, nothing was kept")
    elif adoption.doubtful:
        typer.echo(f"next: bin/accountsync adopt cases {target}")


@app.command("cases")
def adopt_cases(
    target: Annotated[str | None, typer.Argument(help="default: all targets")] = None,
) -> None:
    """List the accounts of which a human has to say whose they are."""
    engine = session.store()
    cases = account_cases.list_cases(engine=engine, target=target)
    for case in cases:
        typer.echo(f"{case.id}  {case.target}  account {case.account}")
        screen.say(f"    may belong to {', '.join(case.candidates)}: {all_english(case.reasons)}")
    if not cases:
        typer.echo("no case is open")


@app.command("resolve")
def adopt_resolve(
    case: Annotated[
        int, typer.Argument(min=1, max=session.LARGEST, help="its number, from `adopt cases`")
    ],
    comment: Comment,
    person: Annotated[
        str | None, typer.Option(help="the employee number of the person to whom it belongs")
    ] = None,
    ignore: Annotated[
        bool, typer.Option("--ignore", help="it belongs to nobody whom we know")
    ] = False,
    actor: Actor = "",
) -> None:
    """Say whose an account is."""
    if (person is None) != ignore:
        raise ConfigurationError("say either --person NUMBER or --ignore")
    settings = session.settings()
    engine, who, now = session.store(), session.actor(actor), utc_now()
    if person is None:
        account_cases.ignore_case(engine=engine, case=case, actor=who, comment=comment, now=now)
        typer.echo(f"case {case}: ignored from now on")
        return
    account_cases.adopt_case(
        engine=engine,
        case=case,
        employee_number=person,
        targets=settings.targets,
        actor=who,
        comment=comment,
        now=now,
    )
    typer.echo(f"case {case}: the account is {person}'s")
