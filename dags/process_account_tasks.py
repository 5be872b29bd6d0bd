"""process_account_tasks: carry the account tasks out, one processor a target."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from accountsync.scheduling import ACCOUNT_TASKS, airflow_run_id, dag_defaults, every
from accountsync.scheduling import settings as load_settings

DOC = """
### Purpose
Carries out what is due in every target: one mapped task a target, many calls at once inside it.
Each attempt is recorded before the call; a call without an answer is looked up before anything is
repeated.

### Runs
When tasks were released (by a plan, or by accounts that others waited for), every 5 minutes
besides, and by hand, with a limit or for some targets only.

### If it fails
1. Look which target's `process` is red: the others went on. Its log's last line says why.
2. `TargetDownError`: the target cannot be reached. Its queue is kept, no attempt was spent; the
   next run tries again.
3. `ConfigurationError`: credentials or the configuration. Do what it says; the next run goes on.
4. Tasks in state `needs_human` are no failure of a run: somebody else's account is in the way.
"""


@dag(
    dag_id="process_account_tasks",
    schedule=every("*/5 * * * *", ACCOUNT_TASKS),
    description="account tasks → targets",
    doc_md=DOC,
    params={
        "max_tasks": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            description="a target; empty: all that is due",
        ),
        "systems": Param(
            [],
            type="array",
            items={"enum": [*load_settings().systems]},
            examples=[*load_settings().systems],
            description="only these targets; empty: all",
        ),
    },
    **dag_defaults(queue="account_processing"),
)
def process_account_tasks() -> None:
    @task
    def find_due_targets(params: dict[str, Any] | None = None) -> list[str]:
        from accountsync import wiring

        only = (params or {})["systems"]
        due = wiring.find_due_targets(load_settings())
        return [system for system in due if not only or system in only]

    @task(
        map_index_template="{{ task.op_kwargs['system'] }}",
        execution_timeout=timedelta(minutes=15),
    )
    def process(system: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the attempts by outcome."""
        from accountsync import wiring

        summary = wiring.process_account_tasks(
            load_settings(),
            system,
            max_tasks=(params or {})["max_tasks"],
            worker=airflow_run_id(),
        )
        return asdict(summary)

    @task(outlets=[ACCOUNT_TASKS], trigger_rule="none_skipped", retries=5)
    def announce(summaries: list[dict[str, Any]]) -> None:
        """Starts the next run at once when accounts that others waited for are there."""
        if not any(summary and summary["released"] for summary in summaries):
            raise AirflowSkipException("nobody was released")

    processed = process.expand(system=find_due_targets())
    announce(processed)  # type: ignore[arg-type]
    # `announce` runs whatever happened, so it cannot tell: a run is as its last tasks are.
    processed >> EmptyOperator(task_id="every_target_succeeded", trigger_rule="none_failed")


process_account_tasks()
