"""Takes one person through the whole chain at once: read, plan, process; explains every step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Engine

from accountsync.domain.task_states import TaskState
from accountsync.domain.tasks.outcomes import Outcome
from accountsync.errors import AccountSyncError
from accountsync.jobs.plans.create_account_tasks import PlanSummary
from accountsync.jobs.plans.person_facts import unknown_person
from accountsync.jobs.reason_texts import all_english, english
from accountsync.jobs.tasks.process_account_tasks import ProcessSummary
from accountsync.settings import Settings
from accountsync.store import locks
from accountsync.store.accounts import accounts
from accountsync.store.engine import database_time
from accountsync.store.persons import persons
from accountsync.store.plans.plan_view import PlanLine
from accountsync.store.tasks import due_tasks, task_view
from accountsync.store.tasks.task_commands import TaskFilter
from accountsync.store.tasks.task_view import TaskView

_ROUNDS = 5
"""So many rounds are enough for a probe and a repeat. What takes longer is left to the DAG."""
_SECONDS = 20.0
"""After so many seconds nothing more is sent, because somebody waits for the answer."""
_ENDED_WELL = (TaskState.SUCCEEDED, TaskState.SUPERSEDED, TaskState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`message` is one line for the operator, which has the employee number and nothing else about
    the person (I15). `seconds` is how long the step took, or None where it only says how things
    are."""

    name: str
    message: str
    is_well: bool = True
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """The jobs behind the steps. `sync` and `plan` return a line about what they did. `process`
    carries out the tasks of one target, and sends for so many seconds."""

    sync: Callable[[], str]
    plan: Callable[[], str]
    process: Callable[[str, float], ProcessSummary]


def provision(
    *, engine: Engine, settings: Settings, employee_number: str, doing: Doing
) -> Iterator[Step]:
    """Yields a result after each step. When a step fails, the next is tried all the same: HR may be
    down, and its earlier rows may be enough. Nothing follows the read where the store lacks the
    person."""
    for source in settings.hr:
        if locks.is_taken(engine, f"hr/{source.name}"):
            yield _waits(f"{source.name} is being read by another run")
    yield _step("read", doing.sync)
    if not _is_known(engine, employee_number):
        yield Step(name="person", message=unknown_person(employee_number), is_well=False)
        return
    if locks.is_taken(engine, "plan"):
        yield _waits("a plan is being written by another run")
    yield _step("plan", doing.plan)
    yield from _process(engine, settings, employee_number, doing)
    yield from _outcome(engine, settings, employee_number)


def _is_known(engine: Engine, employee_number: str) -> bool:
    with engine.connect() as connection:
        return persons.id_of(connection, employee_number) is not None


def _waits(what: str) -> Step:
    return Step(name="wait", message=f"{what}; this goes on after it")


def _process(
    engine: Engine, settings: Settings, employee_number: str, doing: Doing
) -> Iterator[Step]:
    """Processes every target that has due tasks of the person. A target is not called again once it
    is down, asks for a pause or is busy with another run."""
    until = time.monotonic() + _SECONDS
    later: set[str] = set()
    for number in range(_ROUNDS):
        due = _make_due(engine, settings, employee_number, cut_short=number == 0)
        for target in (target for target in due if target not in later):
            if (left := until - time.monotonic()) <= 0:
                return
            summaries: list[ProcessSummary] = []
            process = partial(_processed, doing.process, target, left, summaries)
            yield _step(f"process {target}", process)
            if not any(_went_on(summary) for summary in summaries):
                later.add(target)
        if later.issuperset(due):
            return


def _processed(
    process: Callable[[str, float], ProcessSummary],
    target: str,
    left: float,
    summaries: list[ProcessSummary],
) -> str:
    summaries.append(process(target, left))
    return _describe_run(summaries[-1])


def _went_on(summary: ProcessSummary) -> bool:
    return bool(set(summary.outcomes) - {Outcome.NOT_SENT})


def _step(name: str, do: Callable[[], str]) -> Step:
    begin, is_well = time.monotonic(), True
    try:
        message = do()
    except AccountSyncError as error:
        message, is_well = f"{type(error).__name__}: {error}", False
    return Step(name=name, message=message, is_well=is_well, seconds=time.monotonic() - begin)


def describe_plan(plan: PlanSummary) -> str:
    """One line about the tasks that a plan has for the person, and why."""
    wrote = [
        f"{line.operation} in {line.target} ({_because(line)})"
        for line in sorted(plan.lines, key=lambda line: line.target)
    ]
    return f"plan {plan.plan_id}: {', '.join(wrote) or 'nothing new'}"


def _because(line: PlanLine) -> str:
    if line.held:
        return f"held for a human: {all_english(line.held_because)}"
    return ", ".join(line.reasons)


def _describe_run(summary: ProcessSummary) -> str:
    if summary.busy:
        return "another run is at work on this target, and takes the task with it"
    if not summary.outcomes and summary.cause:
        until = f" until {summary.until:%H:%M:%S} UTC" if summary.until else ""
        return f"left alone{until}: {summary.cause}"
    attempts = ", ".join(f"{count} {outcome}" for outcome, count in summary.outcomes.items())
    return attempts or "nothing was due"


def _make_due(
    engine: Engine, settings: Settings, employee_number: str, *, cut_short: bool
) -> Sequence[str]:
    """The targets with due tasks of the person, in the order of the configuration.

    `cut_short` ends back-offs, because a human waits. A pause that a target asked for is kept by
    its breaker."""
    with engine.begin() as connection:
        now = database_time(connection)
        due = due_tasks.due_now(connection, number=employee_number, now=now, cut_short=cut_short)
    return [target for target in settings.targets if target in due]


def _outcome(engine: Engine, settings: Settings, employee_number: str) -> Iterator[Step]:
    """One step for each target: the person's account and newest task there in the end."""
    with engine.connect() as connection:
        views = task_view.find(connection, TaskFilter(person=employee_number), limit=1000)
        states = accounts.states_of(connection, number=employee_number)
    newest: dict[str, TaskView] = {}
    for view in views:
        newest.setdefault(view.target, view)
    for target in settings.targets:
        yield _target_standing(target, states.get(target), newest.get(target))


def _target_standing(target: str, account: str | None, task: TaskView | None) -> Step:
    message = f"account {account}" if account else "no account"
    if task is None:
        why = "" if account else ": no rule gives one today"
        return Step(name=f"in {target}", message=message + why)
    message += f"; {task.operation} {task.state}"
    if task.waits_for:
        message += f" for {', '.join(task.waits_for)} since {task.waiting_since:%F %H:%M} UTC"
    if task.state != TaskState.SUCCEEDED and task.cause:
        message += f": {english(task.cause)}"
    is_well = task.state in _ENDED_WELL
    return Step(name=f"in {target}", message=message, is_well=is_well)
