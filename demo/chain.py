"""The three DAGs, run one after the other, and waited for."""

import time
from collections.abc import Callable

from .airflow_api import DagRun
from .progress import Counts, Progress
from .stack import Stack

SYNC, CREATE, PROCESS = "sync_hr_persons", "create_account_tasks", "process_account_tasks"
DAGS = (SYNC, CREATE, PROCESS)

_POLL_SECONDS = 0.5
_PARSE_SECONDS = 120
_RUN_SECONDS = 600
_PLANS = 3


class ChainError(RuntimeError):
    """A DAG cannot be run, or its run failed, or did not end."""


def await_dags(stack: Stack) -> None:
    """Wait until Airflow has parsed the DAGs. Raises ChainError with the import errors."""

    def parsed() -> bool:
        errors = stack.api.import_errors()
        if errors:
            raise ChainError("\n".join(errors))
        return set(DAGS) <= stack.api.dag_ids()

    _await(stack, parsed, _PARSE_SECONDS, f"Airflow does not know {', '.join(DAGS)}")


def run_chain(stack: Stack, say: Callable[[str], None]) -> Counts:
    """Trigger the first DAG, let assets wake the others, and wait until all is quiet."""
    progress = Progress(stack, say)
    _run_to_end(stack, SYNC, say, look=progress.look)
    return _settle(stack, progress, say)


def run_each(stack: Stack, say: Callable[[str], None]) -> Counts:
    """Trigger all DAGs in turn, each when the one before has ended, and wait until all is quiet."""
    for dag_id in DAGS:
        _run_to_end(stack, dag_id, say)
    return _settle(stack, Progress(stack, say), say)


def _settle(stack: Stack, progress: Progress, say: Callable[[str], None]) -> Counts:
    """Wait until all is quiet. Whoever is to be planned again, since a mailbox got another address
    than the person's, is so at once: the clock would do it within minutes."""
    _await_quiet(stack, progress)
    for _ in range(_PLANS):
        if not progress.look().to_plan:
            break
        _run_to_end(stack, CREATE, say)
        _await_quiet(stack, progress)
    return progress.look()


def _await_quiet(stack: Stack, progress: Progress) -> None:
    """No task moves, no run is open, and none will follow from what has happened."""

    def runs_are_open() -> bool:
        runs = [run for dag_id in DAGS for run in stack.api.runs(dag_id)]
        for run in runs:
            _refuse_failure(stack, run)
        return any(run.is_open for run in runs)

    def is_quiet() -> bool:
        if progress.look().moving_tasks or runs_are_open():
            return False
        # What the ended runs have announced is queued, or has become a run since.
        return not any(map(stack.api.has_queued_events, DAGS)) and not runs_are_open()

    _await(stack, is_quiet, _RUN_SECONDS, "account tasks are still open")


def _run_to_end(
    stack: Stack,
    dag_id: str,
    say: Callable[[str], None],
    *,
    look: Callable[[], object] = lambda: None,
) -> None:
    begin = time.monotonic()
    run = stack.api.trigger(dag_id)

    def ended() -> bool:
        look()
        latest = stack.api.run(dag_id, run.run_id)
        _refuse_failure(stack, latest)
        return not latest.is_open

    _await(stack, ended, _RUN_SECONDS, f"{dag_id} {run.run_id} does not end")
    say(f"  {dag_id} ran ({time.monotonic() - begin:.1f} s)")


def _refuse_failure(stack: Stack, run: DagRun) -> None:
    """Raise ChainError for a run that failed since we are here; earlier ones are history."""
    if run.state == "failed" and run.ended and run.ended >= stack.started:
        tasks = ", ".join(stack.api.failed_tasks(run)) or "no task"
        where = f"{stack.api.url}/dags/{run.dag_id}/runs/{run.run_id}"
        raise ChainError(f"{run.dag_id} failed in: {tasks}; see {where}")


def _await(stack: Stack, condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        stack.check()
        if time.monotonic() > end:
            raise ChainError(f"{otherwise} (waited {seconds:.0f} s)")
        time.sleep(_POLL_SECONDS)
