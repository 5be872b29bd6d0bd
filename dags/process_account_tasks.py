"""process_account_tasks: carries account tasks out, with one processor for each target."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from accountsync.scheduling import (
    ACCOUNT_TASKS,
    airflow_run_id,
    check_form,
    dag_defaults,
    documentation,
    end,
    every,
)
from accountsync.settings import process_settings

COUNT: dict[str, Any] = {"minimum": 1, "maximum": 1_000_000_000}
ONLY = {"type": "array", "examples": [*process_settings().targets]}


@dag(
    dag_id="process_account_tasks",
    schedule=every("*/5 * * * *", ACCOUNT_TASKS),
    description="account tasks → targets",
    doc_md=documentation(__file__),
    params={
        "max_tasks": Param(None, type=["null", "integer"], description="a target", **COUNT),
        "targets": Param([], items={"enum": ONLY["examples"]}, description="empty: all", **ONLY),
        "employee_numbers": Param([], type="array", description="empty: everybody"),
        "dry_run": Param(False, type="boolean", description="show what would be sent, masked"),
    },
    **dag_defaults(queue="account_processing"),
)
def process_account_tasks() -> None:
    @task
    def find_due_targets(params: dict[str, Any] | None = None, ti: Any = None) -> list[str]:
        from accountsync import wiring

        ti.xcom_push(key="since", value=wiring.store_time(process_settings()).isoformat())
        check_form()
        form = params or {}
        due = wiring.find_due_targets(process_settings(), dry_run=form["dry_run"])
        return [target for target in due if not form["targets"] or target in form["targets"]]

    @task(
        map_index_template="{{ task.op_kwargs['target'] }}",
        execution_timeout=timedelta(minutes=15),
    )
    def process(target: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the attempts by outcome. It is skipped while the target is known to be down."""
        from accountsync import wiring

        form = params or {}
        summary = wiring.process_target(
            process_settings(),
            target,
            worker=airflow_run_id(),
            max_tasks=form["max_tasks"],
            employee_numbers=form["employee_numbers"] or None,
            at_once=bool(form["targets"]),
            dry_run=form["dry_run"],
        )
        if summary.breaker != "closed" and not summary.outcomes:
            until = f" until {summary.until:%F %T} UTC" if summary.until else ""
            raise AirflowSkipException(f"{target} is left alone{until}: {summary.cause}")
        return asdict(summary)

    @task(outlets=[ACCOUNT_TASKS], trigger_rule="all_done", retries=5)
    def announce(ti: Any = None, outlet_events: Any = None) -> None:
        """Starts the next run at once for tasks that wait no more, even if this run failed."""
        from accountsync import wiring

        since = ti.xcom_pull(task_ids="find_due_targets", key="since")
        released = wiring.find_untried(process_settings(), since=since)
        if not released:
            raise AirflowSkipException("nobody was released")
        outlet_events[ACCOUNT_TASKS].extra = {"released": released}

    @task(trigger_rule="all_done")
    def require_access_ended(params: dict[str, Any] | None = None) -> None:
        """Fails, at once and then once a day, while access that is to end has not ended."""
        from accountsync import wiring

        if (params or {})["dry_run"]:
            raise AirflowSkipException("a dry run changes nothing")
        wiring.require_access_ended(process_settings())

    processed = process.expand(target=find_due_targets())
    processed >> require_access_ended()  # type: ignore[operator]
    processed >> announce()  # type: ignore[operator]


end(process_account_tasks())
