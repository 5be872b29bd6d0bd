"""Find account tasks that are stuck, and move them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer
from sqlalchemy import Engine

from accountsync.cli import explain, screen, session
from accountsync.cli.session import Comment, Decider
from accountsync.domain.accounts.account import Operation
from accountsync.domain.task_states import TaskState
from accountsync.errors import ConfigurationError
from accountsync.jobs.reason_texts import all_english, english
from accountsync.jobs.tasks import task_commands
from accountsync.jobs.tasks.task_commands import CommandEffect
from accountsync.settings import Settings
from accountsync.store.persons import person_view
from accountsync.store.tasks import task_view
from accountsync.store.tasks.task_commands import TaskFilter
from accountsync.store.tasks.task_view import TaskView

app = typer.Typer(help=__doc__, no_args_is_help=True)

Task = Annotated[
    int | None, typer.Option(min=1, max=session.LARGEST, help="its number, from `task list`")
]
Target = Annotated[str | None, typer.Option("--target", "--system", help="the target")]
OfOperation = Annotated[str | None, typer.Option(help="create, update, rename, enable, …")]
State = Annotated[str | None, typer.Option(help="ready, waiting, failed, needs_human, …")]
Error = Annotated[str | None, typer.Option(help="the kind of error, as `task failures` shows it")]
Person = Annotated[str | None, typer.Option(help="an employee number")]
Request = Annotated[
    int | None,
    typer.Option(
        min=1, max=session.LARGEST, help="the number of an account request, from `request list`"
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="do it; without this the tasks are only counted")]


def _store(settings: Settings, chosen: TaskFilter) -> Engine:
    """Raises ConfigurationError where the filter names something that does not exist."""
    engine = session.store()
    task_commands.require_known(engine=engine, settings=settings, chosen=chosen)
    return engine


@app.command("list")
def task_list(
    task: Task = None,
    target: Target = None,
    operation: OfOperation = None,
    state: State = None,
    error: Error = None,
    person: Person = None,
    request: Request = None,
    limit: Annotated[int, typer.Option(min=1, max=session.LARGEST, help="at most so many")] = 50,
) -> None:
    """List tasks, the newest first."""
    chosen = _filter(task, target, operation, state, error, person, request)
    with _store(session.settings(), chosen).connect() as connection:
        tasks = task_view.find(connection, chosen, limit=limit)
    for view in tasks:
        screen.say(_line(view))
    more = "; there may be more: --limit" if len(tasks) == limit else ""
    typer.echo(f"{len(tasks)} tasks{more}")


def _line(task: TaskView) -> str:
    return (
        f"{task.id}  {task.employee_number}  {task.target}  {task.operation}"
        f"  {task.state}  {task.error_kind or ''}  {_why(task)}".rstrip()
    )


def _why(task: TaskView) -> str:
    cause = english(task.cause) if task.cause else ""
    if not task.waits_for:
        return cause
    waits = f"for {', '.join(task.waits_for)} since {task.waiting_since:%F %H:%M} UTC"
    return f"{waits}; {cause}" if cause else waits


@app.command("show")
def task_show(
    task: Annotated[
        int, typer.Argument(min=1, max=session.LARGEST, help="its number, from `task list`")
    ],
) -> None:
    """Print one task: why it was planned, what it waits for and since when, and all its
    attempts."""
    with session.store().connect() as connection:
        matches = task_view.find(connection, TaskFilter(task=task), limit=1)
        if not matches:
            raise ConfigurationError(
                f"there is no task {task}; list them: bin/accountsync task list"
            )
        (view,) = matches
        attempts = person_view.attempts(connection, view.person_id, limit=100, task=task)
    screen.say(_line(view))
    for line in _details(view):
        screen.say(f"  {line}")
    for attempt in attempts:
        screen.say(f"  {explain.attempt(dict(attempt))}")


_DETAILS = (
    "plan_id", "reason", "account_state", "attempts", "created_at", "next_attempt_at",
    "finished_at",
)  # fmt: skip


def _details(task: TaskView) -> Iterator[str]:
    if task.held_because:
        yield f"held because: {all_english(task.held_because)}"
    for name in _DETAILS:
        value = getattr(task, name)
        if value is not None:
            text = f"{value:%F %H:%M} UTC" if isinstance(value, datetime) else value
            yield f"{name.replace('_', ' ')}: {text}"


@app.command("failures")
def task_failures(target: Target = None) -> None:
    """Group tasks that failed or need a human by their error, the largest group first."""
    with _store(session.settings(), TaskFilter(target=target)).connect() as connection:
        groups = task_view.failures(connection, target=target)
    for group in groups:
        code = f" code {group.code}" if group.code else ""
        screen.say(
            f"{group.tasks:6d}  {group.target} {group.operation} {group.state}"
            f"  {group.error_kind or ''}{code}: {english(group.cause) if group.cause else ''}"
            f"  (e.g. task {group.example}, person {group.person})"
        )
    if not groups:
        typer.echo("nothing failed, and nothing needs a human")


def _add_command(name: str, help_text: str) -> None:
    """Adds a task command. All of them choose their tasks by the same options."""

    @app.command(name, help=help_text)
    def command(
        comment: Comment,
        task: Task = None,
        target: Target = None,
        operation: OfOperation = None,
        state: State = None,
        error: Error = None,
        person: Person = None,
        request: Request = None,
        yes: Yes = False,
        actor: Decider = "",
    ) -> None:
        chosen = _filter(task, target, operation, state, error, person, request)
        _carry_out(name, chosen, yes, actor, comment)


_add_command(
    "retry",
    "Try tasks again that failed or needed a human, with those that failed because of them. An"
    " unknown outcome is looked up first.",
)
_add_command("cancel", "Give up tasks that nobody has begun, and those that wait for them.")
_add_command("hold", "Keep tasks from being carried out until they are released.")
_add_command(
    "release",
    "Release tasks that `task hold` keeps. What the guard holds is released with its plan.",
)


@app.command("done")
def task_done(
    task: Annotated[int, typer.Option(min=1, max=session.LARGEST, help="its number")],
    comment: Comment,
    actor: Decider = "",
) -> None:
    """Say that a human has done at the target what the task asked for."""
    settings = session.settings()
    task_commands.done(
        engine=session.store(),
        settings=settings,
        task=task,
        actor=session.actor(actor),
        comment=comment,
    )
    typer.echo(f"task {task} is done")


def _filter(
    task: int | None,
    target: str | None,
    operation: str | None,
    state: str | None,
    error: str | None,
    person: str | None,
    request: int | None,
) -> TaskFilter:
    for option, value, known in (
        ("operation", operation, list(Operation)),
        ("state", state, list(TaskState)),
    ):
        if value is not None and value not in known:
            raise ConfigurationError(f"--{option} {value}: known are {', '.join(known)}")
    return TaskFilter(
        task=task,
        target=target,
        operation=operation,
        state=state,
        error_kind=error,
        person=person,
        request=request,
    )


def _carry_out(command: str, chosen: TaskFilter, yes: bool, actor: str, comment: str) -> None:
    settings = session.settings()
    engine = _store(settings, chosen)
    if not yes:
        _print_effect(
            task_commands.preview(engine=engine, settings=settings, command=command, chosen=chosen),
            "would change",
        )
        typer.echo("nothing was changed; add --yes to do it")
        return
    effect = task_commands.carry_out(
        engine=engine,
        settings=settings,
        command=command,
        chosen=chosen,
        actor=session.actor(actor),
        comment=comment,
    )
    _print_effect(effect, "changed")


def _print_effect(effect: CommandEffect, verb: str) -> None:
    for (target, operation, state), count in sorted(effect.counts.items()):
        typer.echo(f"{count:6d}  {target} {operation} {state}")
    typer.echo(
        f"{effect.command} {verb} {effect.tasks} tasks, {effect.follow} of them because they depend"
        " on others"
    )
    if effect.gone:
        typer.echo(f"{effect.gone} tasks of targets that are not configured any more: left alone")
