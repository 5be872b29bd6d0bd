"""create_account_tasks: plans the account tasks of every changed person."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from accountsync.review_requests import ask_for_decisions
from accountsync.scheduling import (
    ACCOUNT_TASKS,
    HR_PERSONS,
    airflow_run_id,
    check_form,
    dag_defaults,
    documentation,
    end,
    every,
)
from accountsync.settings import process_settings


@dag(
    dag_id="create_account_tasks",
    schedule=every("*/10 * * * *", HR_PERSONS),
    description="persons → account tasks",
    doc_md=documentation(__file__),
    params={
        "dry_run": Param(False, type="boolean", description="count only, release nothing"),
    },
    **dag_defaults(queue="account_tasks"),
)
def create_account_tasks() -> None:
    @task
    def plan(params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the plan's counts."""
        from accountsync import wiring

        check_form()
        summary = wiring.make_plan(
            process_settings(),
            dry_run=(params or {})["dry_run"],
            airflow_run_id=airflow_run_id(),
        )
        return asdict(summary)

    @task(outlets=[ACCOUNT_TASKS], retries=5)
    def announce(summary: dict[str, Any], params: dict[str, Any] | None = None) -> None:
        """Starts `process_account_tasks` where there is something to carry out."""
        if (params or {})["dry_run"] or not summary["released"]:
            raise AirflowSkipException("nothing to carry out")

    announce(summary := plan())  # type: ignore[arg-type]
    ask_for_decisions(after=summary)


end(create_account_tasks())
