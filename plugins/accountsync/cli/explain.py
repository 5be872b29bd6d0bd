"""Explains one person: rules, names, mapped values, accounts, tasks, attempts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import orjson
import typer

from accountsync.cli import screen, session
from accountsync.clock import utc_now
from accountsync.domain.accounts.account import US, AccountState
from accountsync.jobs.commands import explanation
from accountsync.jobs.commands.explanation import Explanation, Row, TargetExplanation
from accountsync.jobs.reason_texts import all_english, english


def explain(
    number: Annotated[str, typer.Argument(help="employee number")],
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Say why a person has what, and why not. This changes nothing.

    It prints what an operator needs and no more: the employee number, HR's codes and dates, the
    names of accounts and the values sent to targets; phone numbers by their last digits. The output
    is personal data: keep it out of tickets that others can read.
    """
    settings = session.settings()
    person = explanation.explain(
        engine=session.store(),
        settings=settings,
        number=number,
        now=utc_now(),
    )
    if as_json:
        option = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        typer.echo(orjson.dumps(asdict(person), default=str, option=option).decode())
    else:
        screen.say(*_lines(person))


def _lines(person: Explanation) -> Iterator[str]:
    facts = ", ".join(f"{name} {value}" for name, value in person.facts.items())
    since = f" since {person.since}" if person.since else ""
    yield f"{person.employee_number}: {person.lifecycle}{since}; {facts}"
    yield from _standing(person)
    for case in person.waiting:
        yield (
            f"  HR has another record with this number, which waits since {_moment(case.since)}:"
            f" {all_english(case.reasons)}; bin/accountsync person cases"
        )
    if person.unknown_source:
        yield f"  its HR source {person.unknown_source!r} is not configured: kept as it is"
    if person.absent_since:
        yield f"  absent from HR's complete reads since {_moment(person.absent_since)}"
    yield f"  next date: {_moment(person.next_at)}"
    yield from _names(person)
    for target in person.targets:
        yield from _target(target)
    yield "attempts, the newest first:" if person.attempts else "no attempts yet"
    yield from (f"  {attempt(row)}" for row in person.attempts)


def _standing(person: Explanation) -> Iterator[str]:
    """Says whether the plan has seen the person as HR has it, and why not, if HR's newest row is
    rejected."""
    changed = "changed: the next plan decides"
    if not person.rejected:
        yield "  " + ("planned as HR has it now" if person.planned else changed)
        return
    reasons = all_english(person.rejected["reasons"])
    yield f"  HR's newest row is rejected since {_moment(person.rejected['since'])}: {reasons}"
    changed_at = person.rejected["used"]
    dated = f", of {_moment(changed_at)}" if changed_at else ""
    yield f"  the one before it is used{dated}: " + ("planned" if person.planned else changed)


def _names(person: Explanation) -> Iterator[str]:
    yield "names:"
    for row in person.names:
        use = "in use" if row["current"] else "no longer used"
        yield f"  {row['namespace']}: {row['value']} ({use}; from {row['origin']}," + (
            f" given {_moment(row['given_at'])})"
        )
    owned = {row["namespace"] for row in person.names if row["current"]}
    for space, value in person.names_now.items():
        if space not in owned:
            yield f"  {space}: would be {value}"
    for space, reason in person.names_not_followed.items():
        yield f"  HR says another {space}, which is not used: {reason}"
    if person.names_problem:
        yield f"  cannot be given: {person.names_problem}"


def _target(target: TargetExplanation) -> Iterator[str]:
    answer = {True: "yes", False: "no", None: "cannot be answered"}[target.in_scope]
    until = f" until {_moment(target.next_at)}" if target.next_at else ""
    yield f"{target.target}: {_wanted(target)} ({target.reason}){until}"
    yield f"  rule: {target.rule}: {answer}"
    yield from (f"    {name} = {_shown(value, repr)}" for name, value in target.because.items())
    for relation, others in (("depends on", target.depends_on), ("comes after", target.after)):
        if others:
            yield f"  {relation}: {', '.join(others)}"
    yield f"  account: {_account(target.account)}"
    if _is_anothers_disable(target):
        yield "  stays disabled: we did not disable it; whoever did enables it in the target"
    if target.open_task:
        yield f"  open task: {_task(target.open_task)}"
    if target.last_task:
        yield f"  last task: {_task(target.last_task)}"
    if target.in_scope is not False:
        yield from (f"    {name}: {_shown(value)}" for name, value in target.attributes.items())


def _wanted(target: TargetExplanation) -> str:
    if target.account is None and not target.makes:
        return "no account is to be made"
    return f"the account should be {target.wanted}" if target.wanted else "stays as it is"


def _is_anothers_disable(target: TargetExplanation) -> bool:
    row = target.account
    disabled = (
        row is not None and row["state"] == AccountState.DISABLED and row["disabled_by"] != US
    )
    return disabled and target.wanted == AccountState.ACTIVE


def _account(row: Row | None) -> str:
    if row is None:
        return "none"
    by = f", disabled by {row['disabled_by']}" if row["disabled_by"] else ""
    why = f" ({row['disabled_reason']})" if row["disabled_reason"] else ""
    return f"{row['state']}, {row['identifier']}, {row['provenance']}{by}{why}"


def _task(row: Row) -> str:
    parts = [f"{row['operation']}, {row['state']}, planned {_moment(row['created_at'])}"]
    parts += [f"because: {row['reason']}"] if row["reason"] else []
    if row["waits_for"]:
        since = _moment(row["waiting_since"])
        parts.append(f"waits for {', '.join(row['waits_for'])} since {since}")
    parts += [f"cause: {english(row['cause'])}"] if row["cause"] else []
    parts += [f"{row['attempts']} attempts"] if row["attempts"] else []
    return "; ".join(parts)


def attempt(row: Row) -> str:
    """One attempt in one line, as `task show` prints it, too."""
    error = " ".join(str(row[name]) for name in ("error_kind", "code", "message") if row[name])
    outcome = row["outcome"] or "no answer yet"
    return (
        f"{_moment(row['started_at'])} {row['target']} {row['operation']} {row['kind']}"
        f" {row['number']}: {outcome}{' ' + error if error else ''}"
    )


def _shown(value: object, as_text: Callable[[object], str] = str) -> str:
    return "none" if value is None else as_text(value)


def _moment(moment: datetime | None) -> str:
    return f"{moment:%F %H:%M} UTC" if moment else "none"
