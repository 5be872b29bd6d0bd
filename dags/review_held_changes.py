"""review_held_changes: asks a human to approve or reject what a guard held."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from accountsync.review_requests import ask_for_decisions, whom_to_ask
from accountsync.scheduling import (
    ACCOUNT_TASKS,
    HR_PERSONS,
    dag_defaults,
    documentation,
    fail_with,
)
from accountsync.settings import process_settings

LOOK = "ti.xcom_pull(task_ids='look')"
COMMENT = Param("", type="string", description="why; kept in the audit trail")


@dag(
    dag_id="review_held_changes",
    schedule=None,
    description="what a guard held → a human's decision",
    doc_md=documentation(__file__),
    params={
        "kind": Param("plan", enum=["plan", "feed"]),
        "number": Param(0, type="integer", description="of the plan or the feed"),
    },
    **dag_defaults(queue="account_tasks") | {"max_active_runs": 64},
)
def review_held_changes() -> None:
    @task
    def look(params: dict[str, Any] | None = None) -> dict[str, str]:
        from accountsync import wiring

        form = params or {}
        return wiring.describe_review(process_settings(), form["kind"], form["number"])

    decide = HITLOperator(
        task_id="decide",
        subject=f"{{{{ {LOOK}['subject'] }}}}",
        body=f"{{{{ {LOOK}['body'] }}}}",
        options=["Approve", "Reject"],
        params={"comment": COMMENT},
        response_timeout=timedelta(days=7),
        **whom_to_ask(),
    )

    @task
    def carry_out(shown: dict[str, str], answer: Any, params: dict[str, Any] | None = None) -> bool:
        """Returns whether it was approved."""
        from accountsync import wiring

        form, user = params or {}, answer["responded_by_user"] or {}
        return wiring.decide_review(
            process_settings(),
            form["kind"],
            form["number"],
            approved=answer["chosen_options"] == ["Approve"],
            actor=str(user.get("name") or user.get("id") or "unknown"),
            comment=str((answer["params_input"] or {}).get("comment", "")),
            reviewed=shown["reviewed"],
        )

    @task(outlets=[ACCOUNT_TASKS], retries=5)
    def announce_tasks(approved: bool, params: dict[str, Any] | None = None) -> None:
        if not approved or (params or {})["kind"] != "plan":
            raise AirflowSkipException("no account task goes on")

    @task(outlets=[HR_PERSONS], retries=5)
    def announce_persons(approved: bool, params: dict[str, Any] | None = None) -> None:
        if not approved or (params or {})["kind"] != "feed":
            raise AirflowSkipException("no person changed")

    shown = look()
    shown >> decide
    approved = carry_out(shown, decide.output)  # type: ignore[arg-type]
    announce_tasks(approved)  # type: ignore[arg-type]
    announce_persons(approved)  # type: ignore[arg-type]
    ask_for_decisions(after=approved)
    fail_with(approved)


review_held_changes()
