"""The operator that asks a human, and carries the answer out in the same task instance (I20).

Between the answer and what it does lies nothing that a user of Airflow may write: the question is
computed here and is no template, the run has to be one that we started, and the answer arrives as
Airflow's API server recorded it (docs/adr/0027). Setting the state of the task, writing XComs, and
clearing do not reach `execute_complete`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param

from accountsync import review_mails
from accountsync.errors import SafetyStopError
from accountsync.settings import process_settings

APPROVE, REJECT = "Approve", "Reject"
_COMMENT = Param("", type="string", maxLength=2000, description="why; kept in the audit trail")
_OURS = "operator_triggered"
"""How Airflow calls a run that a task of another run started."""


def decision(task_id: str) -> DecisionOperator:
    """The task that asks. Where nobody is named in `reviews.users`, everybody may answer who may
    answer Required Actions."""
    users = [{"id": user, "name": user} for user in process_settings().reviews.users]
    return DecisionOperator(
        task_id=task_id,
        subject="What a guard held",
        options=[APPROVE, REJECT],
        params={"comment": _COMMENT},
        response_timeout=timedelta(days=7),
        notifiers=[review_mails.ask_reviewers],  # type: ignore[list-item]
        assigned_users=users or None,  # type: ignore[arg-type]
    )


class DecisionOperator(HITLOperator):
    """Asks about the plan or feed for which we started this run."""

    template_fields: Collection[str] = ()

    def execute(self, context: Any) -> Any:
        """Shows the question. Where the answer is recorded already, because a worker died while it
        was carried out, it only does that."""
        from accountsync import review_wiring

        _refuse_others(context)
        review = review_wiring.question_of(process_settings(), context["run_id"])
        if review is None:
            return _told(
                context, review_wiring.carry_out_answer(process_settings(), context["run_id"])
            )
        self.subject, self.body = review.subject, review.body
        self._refuse_an_older_question(context["ti"].id)
        review_wiring.show_question(process_settings(), context["run_id"], reviewed=review.reviewed)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Carries out what Airflow recorded: who answered, when, and what."""
        from accountsync import review_wiring

        _refuse_others(context)
        given = super().execute_complete(context, event)
        decided = review_wiring.answer_question(process_settings(), context["run_id"], _read(given))
        return _told(context, decided)

    def _refuse_an_older_question(self, ti_id: Any) -> None:
        """Airflow keeps what a cleared task showed before, and shows that again. Raises
        SafetyStopError where it is not what this question says."""
        from airflow.sdk.execution_time import task_runner
        from airflow.sdk.execution_time.comms import CreateHITLDetailPayload

        kept: Any = task_runner.SUPERVISOR_COMMS.send(
            CreateHITLDetailPayload(
                ti_id=ti_id,
                options=self.options,
                subject=self.subject,
                body=self.body,
                params=self.serialized_params,
                assigned_users=self.assigned_users or [],
            )
        )
        if (kept.subject, kept.body) != (self.subject, self.body):
            raise SafetyStopError(
                "Airflow still shows what this run asked before it was cleared, and something else"
                " is held by now; it is asked about in a run of its own"
            )


def _refuse_others(context: Mapping[str, Any]) -> None:
    """Raises SafetyStopError where a human, a schedule or a backfill started the run."""
    run_type = str(getattr(context["dag_run"].run_type, "value", context["dag_run"].run_type))
    if run_type != _OURS:
        raise SafetyStopError(
            "this run was not started by AccountSync, so it asks nothing and decides nothing. What"
            " is held is asked about in runs that create_account_tasks and sync_hr_persons start"
        )


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    """What Airflow recorded, as the fields of an Answer."""
    chosen, user = given["chosen_options"], given["responded_by_user"] or {}
    if chosen not in ([APPROVE], [REJECT]):
        raise SafetyStopError("neither Approve nor Reject was chosen, so nothing is decided")
    at = given["responded_at"]
    return {
        "approved": chosen == [APPROVE],
        "user_id": user.get("id"),
        "user_name": str(user.get("name") or user.get("id") or ""),
        "answered_at": at if isinstance(at, datetime) else datetime.fromisoformat(str(at)),
        "comment": str((given["params_input"] or {}).get("comment", "")),
    }


def _told(context: Any, decided: Any) -> dict[str, Any] | None:
    """Tells everybody what stands. What it returns is for those who look at the run."""
    if decided is None:
        return None
    review_mails.tell_decision(context, decided=decided)
    return {"kind": decided.kind, "number": decided.number, "approved": decided.approved}
