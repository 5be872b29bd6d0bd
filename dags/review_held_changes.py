"""review_held_changes: asks a human to approve or reject what a guard held."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from accountsync.review_requests import ask_for_decisions, decision
from accountsync.scheduling import (
    ACCOUNT_TASKS,
    HR_PERSONS,
    airflow_run_id,
    dag_defaults,
    documentation,
    end,
)
from accountsync.settings import process_settings

LARGEST = 2**63 - 1


@dag(
    dag_id="review_held_changes",
    schedule=None,
    description="what a guard held → a human's decision",
    doc_md=documentation(__file__),
    params={  # to be read by people: what a run asks is known to the store
        "kind": Param("plan", enum=["plan", "feed"]),
        "number": Param(0, type="integer", minimum=0, maximum=LARGEST, description="of it"),
    },
    **dag_defaults(queue="account_tasks") | {"max_active_runs": 64},
)
def review_held_changes() -> None:
    @task(outlets=[ACCOUNT_TASKS], retries=5)
    def announce_tasks() -> None:
        if not was_approved("plan"):
            raise AirflowSkipException("no account task goes on")

    @task(outlets=[HR_PERSONS], retries=5)
    def announce_persons() -> None:
        if not was_approved("feed"):
            raise AirflowSkipException("no person changed")

    decide: Any = decision()
    decide >> [announce_tasks(), announce_persons()]
    ask_for_decisions(after=decide)


def was_approved(kind: str) -> bool:
    """Whether this run's decision let something of that kind through, as the store knows it."""
    from accountsync import review_wiring

    decided = review_wiring.decided_in(process_settings(), airflow_run_id())
    return decided is not None and decided.approved and decided.kind == kind


end(review_held_changes())
