"""Say whose a record of HR is: the same person, another one, or two persons that are one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from accountsync.cli import session
from accountsync.cli.session import Comment, Decider
from accountsync.clock import utc_now
from accountsync.errors import ConfigurationError
from accountsync.jobs.commands import person_commands
from accountsync.jobs.commands.person_commands import Effect, PersonCase
from accountsync.jobs.reason_texts import all_english

app = typer.Typer(help=__doc__, no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", help="do it; without this it is only shown")]
_ANSWER = {True: "the same", False: "another", None: "not known of both"}


@app.command("cases")
def person_cases() -> None:
    """List the records of HR that wait because somebody has their number already."""
    cases = person_commands.list_cases(
        engine=session.store(), settings=session.settings(), now=utc_now()
    )
    for case in cases:
        _show(case)
    if cases:
        typer.echo("next: bin/accountsync person link NUMBER --same|--another, or wait for HR")
    else:
        typer.echo("no record waits")


def _show(case: PersonCase) -> None:
    typer.echo(f"{case.employee_number}  {case.source}  record {case.record_key}")
    typer.echo(f"    waits since {case.since:%F}: {all_english(case.reasons)}")
    stands = "has left" if case.has_left else "is at work"
    typer.echo(
        f"    who has the number, of {case.holder_source}, {stands}:"
        f" {_ANSWER[case.same_name]} name, e-mail address {_ANSWER[case.same_address]};"
        f" accounts: {_accounts(case.accounts)}"
    )


def _accounts(accounts: Mapping[str, str]) -> str:
    return ", ".join(f"{target} {state}" for target, state in accounts.items()) or "none"


@app.command("link")
def person_link(
    number: Annotated[str, typer.Argument(help="the employee number, from `person cases`")],
    comment: Comment,
    same: Annotated[
        bool, typer.Option("--same", help="the record is about the person who has the number")
    ] = False,
    another: Annotated[
        bool,
        typer.Option("--another", help="it is about somebody else, who gets the number"),
    ] = False,
    key: Annotated[str | None, typer.Option(help="the record's, where several wait")] = None,
    yes: Yes = False,
    actor: Decider = "",
) -> None:
    """Answer a case. The next read of HR brings the record in."""
    if same == another:
        raise ConfigurationError("say either --same or --another; to wait, do nothing")
    effect = person_commands.link(
        engine=session.store(),
        settings=session.settings(),
        number=number,
        same=same,
        key=key,
        actor=session.actor(actor),
        comment=comment,
        now=utc_now(),
        dry_run=not yes,
    )
    accounts = _accounts(effect.accounts)
    if same:
        typer.echo(f"{number} is the person of the new record, with the accounts: {accounts}")
    else:
        typer.echo(f"{number} becomes another person's, who gets accounts of their own")
        typer.echo(f"who had it is {effect.number}, has left, and keeps the accounts: {accounts}")
    _close(yes)


@app.command("merge")
def person_merge(
    older: Annotated[str, typer.Argument(help="the number of who keeps accounts and names")],
    newer: Annotated[str, typer.Argument(help="the number that HR uses by now")],
    comment: Comment,
    disable_newer: Annotated[
        bool,
        typer.Option(
            "--disable-newer",
            help="where both have an account in a target: that of NEWER is disabled as a leaver's",
        ),
    ] = False,
    yes: Yes = False,
    actor: Decider = "",
) -> None:
    """Make two persons one, such as somebody who was rehired under a new number."""
    effect: Effect = person_commands.merge(
        engine=session.store(),
        settings=session.settings(),
        older=older,
        newer=newer,
        disable_newer=disable_newer,
        actor=session.actor(actor),
        comment=comment,
        now=utc_now(),
        dry_run=not yes,
    )
    typer.echo(f"{older} is {newer} from now on, with the accounts: {_accounts(effect.accounts)}")
    typer.echo(f"taken from {newer}: {', '.join(effect.moved) or 'none'}; names stay {older}'s")
    _close(yes)


def _close(yes: bool) -> None:
    if not yes:
        typer.echo("nothing was changed; add --yes to do it")
