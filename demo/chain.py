"""The three DAGs, run one after the other, and waited for."""

import time
from collections.abc import Callable

from .airflow_api import AirflowApi, DagRun
from .progress import Counts, Progress, read_counts
from .stack import Stack

SYNC, CREATE, PROCESS = "sync_hr_persons", "create_account_tasks", "process_account_tasks"
DAGS = (SYNC, CREATE, PROCESS)

_POLL_SECONDS = 0.5
_PARSE_SECONDS = 120
_RUN_SECONDS = 600


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
    """Trigger the first DAG and let assets wake the others; wait until nothing moves any more."""
    progress = Progress(stack, say)
    first = _run_to_end(stack, SYNC, say, look=progress.look)

    def settled() -> bool:
        return not progress.look().moving_tasks and _has_followed(stack.api, first)

    _await(stack, settled, _RUN_SECONDS, "account tasks are still open")
    return progress.look()


def run_each(stack: Stack, say: Callable[[str], None]) -> Counts:
    """Trigger all DAGs in turn, each when the one before has ended."""
    for dag_id in DAGS:
        _run_to_end(stack, dag_id, say)
    return read_counts(stack)


def _run_to_end(
    stack: Stack,
    dag_id: str,
    say: Callable[[str], None],
    *,
    look: Callable[[], object] = lambda: None,
) -> DagRun:
    begin = time.monotonic()
    run = stack.api.trigger(dag_id)

    def ended() -> bool:
        look()
        return not _fine(stack.api, stack.api.run(dag_id, run.run_id)).is_open

    _await(stack, ended, _RUN_SECONDS, f"{dag_id} {run.run_id} does not end")
    say(f"  {dag_id} ran ({time.monotonic() - begin:.1f} s)")
    return run


def _has_followed(api: AirflowApi, first: DagRun) -> bool:
    """Whether the second DAG ran after the first, and no run is open. Raises for failed runs."""
    runs = [run for dag_id in DAGS for run in api.runs(dag_id) if run.run_after >= first.run_after]
    created = CREATE in {_fine(api, run).dag_id for run in runs}
    return created and not any(run.is_open for run in runs)


def _fine(api: AirflowApi, run: DagRun) -> DagRun:
    if run.state == "failed":
        tasks = ", ".join(api.failed_tasks(run)) or "no task"
        where = f"{api.url}/dags/{run.dag_id}/runs/{run.run_id}"
        raise ChainError(f"{run.dag_id} failed in: {tasks}; see {where}")
    return run


def _await(stack: Stack, condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        stack.check()
        if time.monotonic() > end:
            raise ChainError(f"{otherwise} (waited {seconds:.0f} s)")
        time.sleep(_POLL_SECONDS)
