"""List, export and close rows of HR that were rejected and have to be corrected there."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Annotated

import typer

from accountsync.cli import screen, session
from accountsync.cli.session import Comment, Decider
from accountsync.errors import ConfigurationError
from accountsync.jobs.persons import rejected_records
from accountsync.jobs.persons.rejected_records import RejectedRecord
from accountsync.jobs.reason_texts import all_english, english

app = typer.Typer(help=__doc__, no_args_is_help=True)

_COLUMNS = ("source", "record_key", "employee_number", "since", "reasons")


def _open_records() -> list[RejectedRecord]:
    settings = session.settings()
    return rejected_records.list_rejected(engine=session.store(), sources=settings.hr)


@app.command("list")
def reject_list() -> None:
    """List the open rows: key, employee number and reasons, nothing else of the person."""
    records = _open_records()
    for record in records:
        reject, number = record.reject, record.employee_number or "no number"
        screen.say(f"{reject.source}  {reject.record_key}  {number}  since {reject.since:%F}")
        for reason in reject.reasons:
            screen.say(f"    {english(reason)}")
    typer.echo(f"{len(records)} rows are rejected")


@app.command("close")
def reject_close(
    source: Annotated[str, typer.Argument(help="the HR source, from `reject list`")],
    key: Annotated[str, typer.Argument(help="the row's key, from `reject list`")],
    comment: Comment,
    actor: Decider = "",
) -> None:
    """Close a row that no read will close. If HR sends it again, it is open again."""
    rejected_records.close(
        engine=session.store(),
        source=source,
        record_key=key,
        actor=session.actor(actor),
        comment=comment,
    )
    typer.echo(f"row {key} of {source} closed")


@app.command("export")
def reject_export(
    file: Annotated[Path | None, typer.Option(help="default: standard output")] = None,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="with the rows as HR sent them: personal data, needs --file"),
    ] = False,
) -> None:
    """Write the open rows as CSV, for HR."""
    if raw and file is None:
        raise ConfigurationError("--raw needs --file: personal data is never printed")
    records = _open_records()
    if file is None:
        _write(sys.stdout, records, raw=False)
        return
    with _private_file(file) as out:
        _write(out, records, raw=raw)
    typer.echo(f"{file}: {len(records)} rows")


def _private_file(file: Path) -> IO[str]:
    try:
        out = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")
        os.fchmod(out.fileno(), 0o600)  # a file that was there already
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from error
    return out


def _write(out: IO[str], records: Iterable[RejectedRecord], *, raw: bool) -> None:
    writer = csv.writer(out)
    writer.writerow([*_COLUMNS, "raw"] if raw else _COLUMNS)
    writer.writerows(
        [_without_formula(cell) for cell in _cells(record, raw=raw)] for record in records
    )


def _cells(record: RejectedRecord, *, raw: bool) -> Iterator[str]:
    reject = record.reject
    yield reject.source
    yield reject.record_key
    yield record.employee_number or ""
    yield reject.since.isoformat(timespec="seconds")
    yield all_english(reject.reasons)
    if raw:
        yield json.dumps(reject.raw, ensure_ascii=False)


def _without_formula(cell: str) -> str:
    """Marks text that begins with such a character, as a spreadsheet would compute it."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
