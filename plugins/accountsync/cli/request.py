"""Submit and follow account requests, such as those for suppliers' staff."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from accountsync.cli import screen, session
from accountsync.cli.session import Actor, Comment
from accountsync.clock import utc_now
from accountsync.domain.persons.account_request import Fulfilment
from accountsync.errors import InvalidRequestError
from accountsync.jobs.commands import account_requests
from accountsync.jobs.commands.account_requests import RequestStatus

app = typer.Typer(help=__doc__, no_args_is_help=True)

Request = Annotated[
    int, typer.Argument(min=1, max=session.LARGEST, help="its number, from `request list`")
]
Header = Annotated[str | None, typer.Option(help="for a CSV file, which holds the persons only")]
AsJson = Annotated[bool, typer.Option("--json", help="for programs")]


@app.command("submit")
def request_submit(
    file: Annotated[Path, typer.Argument(help="JSON, or CSV with one line for each person")],
    origin_system: Header = None,
    business_key: Header = None,
    account_type: Header = None,
    employee_type: Header = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "--system", help="for a CSV file; may be repeated"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="check the request, and change nothing")
    ] = False,
    actor: Actor = "",
) -> None:
    """Ask for accounts. A file that is submitted again counts as the same request."""
    settings = session.settings()
    header = {
        "originSystem": origin_system,
        "businessKey": business_key,
        "accountType": account_type,
        "employeeType": employee_type,
        "systemList": target or None,
    }
    options = {name: value for name, value in header.items() if value is not None}
    submitted = account_requests.submit(
        engine=session.store(),
        document=read_file(file, options),
        targets=settings.targets,
        actor=session.actor(actor),
        now=utc_now(),
        dry_run=dry_run,
    )
    if not submitted.is_new:
        typer.echo(f"request {submitted.request_id} was submitted before, nothing was changed")
        return
    subject = "dry run, nothing was kept" if dry_run else f"request {submitted.request_id}"
    typer.echo(
        f"{subject}: {submitted.persons} persons, {submitted.made} of them new,"
        f" {submitted.renewed} changed, {submitted.of_hr} known from HR"
    )


def read_file(file: Path, header: Mapping[str, object]) -> object:
    """The document of a JSON file, or of a CSV file with the columns of `userList`.

    Raises InvalidRequestError where the file cannot be read."""
    try:
        content = file.read_text(encoding="utf-8-sig")
        if file.suffix.casefold() != ".csv":
            if header:
                raise InvalidRequestError("the options are for CSV files; JSON holds all itself")
            return json.loads(content)
    except (OSError, ValueError) as error:
        raise InvalidRequestError(f"{file}: cannot be read ({type(error).__name__})") from error
    return {**header, "userList": list(_persons(file, content))}


def _persons(file: Path, content: str) -> Iterator[dict[str, str]]:
    for row in csv.DictReader(content.splitlines()):
        if None in row or None in row.values():
            raise InvalidRequestError(f"{file}: a line has not as many cells as the first one")
        yield dict(row)


@app.command("status")
def request_status(request: Request, as_json: AsJson = False) -> None:
    """Print how far a request is, person by person."""
    status = account_requests.status(engine=session.store(), request_id=request)
    if as_json:
        typer.echo(json.dumps(status.as_dict(), ensure_ascii=False, indent=2))
        return
    screen.say(_line(status))
    for item in status.items:
        screen.say(
            f"  {item.employee_number}  {item.state}" + (f"  ({item.note})" * bool(item.note))
        )
        for target in item.targets:
            screen.say(
                f"    {target.target}: {target.state}"
                + (f", {target.cause}" if target.cause else "")
            )


@app.command("list")
def request_list(
    limit: Annotated[int, typer.Option(min=1, max=session.LARGEST, help="the newest")] = 20,
    as_json: AsJson = False,
) -> None:
    """List requests, the newest first."""
    requests = account_requests.list_newest(engine=session.store(), limit=limit)
    if as_json:
        typer.echo(
            json.dumps([request.as_dict() for request in requests], ensure_ascii=False, indent=2)
        )
        return
    for request in requests:
        screen.say(_line(request))
        for cause, accounts in request.errors.items():
            typer.echo(f"    {cause}: {accounts}")
    if not requests:
        typer.echo("there is no request")


@app.command("cancel")
def request_cancel(request: Request, comment: Comment, actor: Actor = "") -> None:
    """Cancel a request. The next plan disables the accounts that exist."""
    tasks = account_requests.cancel(
        engine=session.store(),
        request_id=request,
        actor=session.actor(actor),
        comment=comment,
        now=utc_now(),
    )
    typer.echo(f"request {request} cancelled, with {tasks} open tasks")


def _line(request: RequestStatus) -> str:
    persons = sum(request.progress.values())
    return (
        f"{request.id}  {request.origin_system}/{request.business_key}"
        f"  {request.submitted_at:%Y-%m-%d %H:%M} UTC  {request.state}"
        f"  {request.progress.get(Fulfilment.ACTIVE, 0)} of {persons} persons active"
    )
