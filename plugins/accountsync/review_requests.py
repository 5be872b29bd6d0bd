"""Asks humans about what a guard held, by a run of `review_held_changes` and by mail.

Every parse of a DAG file imports this module, so it imports little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import TriggerRule, get_current_context, task

from accountsync.review_mails import tell_missed
from accountsync.settings import process_settings

REVIEWS = "review_held_changes"
_DECIDE = "decide"
_OPEN = ["queued", "running"]
_OVER = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


def decision() -> Any:
    """The task that asks, and carries out the answer."""
    from accountsync import decision_operator

    return decision_operator.decision(_DECIDE)


def ask_for_decisions(*, after: Any) -> None:
    """Starts a run of `review_held_changes` for each held plan or feed about which no run of ours
    asks. It does so whether the tasks before succeeded or not, and nothing waits for the answer.

    The same task chooses the run and starts it: an XCom between the two could be rewritten by
    whoever may edit runs.
    """

    @task(trigger_rule=TriggerRule.ALL_DONE, task_id="ask_for_decisions")
    def ask() -> list[str]:
        from accountsync import review_wiring

        asked = review_wiring.ask_for_decisions(
            process_settings(), is_asking=_is_asking, start=_start
        )
        if missed := review_wiring.missed_questions(process_settings()):
            tell_missed(get_current_context(), runs=missed)
        return asked

    after >> ask()


def _is_asking(runs: Sequence[str]) -> bool:
    """Whether one of these runs asks now, or is about to. A run that is over does not, nor one
    whose question is: somebody set its state by hand, or this is that run."""
    ti = get_current_context()["ti"]
    states = ti.get_task_states(dag_id=REVIEWS, task_ids=[_DECIDE], run_ids=list(runs))
    return any(
        states.get(run, {}).get(_DECIDE) not in _OVER
        and ti.get_dr_count(dag_id=REVIEWS, run_ids=[run], states=_OPEN)
        for run in runs
    )


def _start(question: Any) -> None:
    """Raises an error of Airflow where the run cannot be started; then nobody is asked yet, and the
    next run of ours asks. `conf` only tells people what the run is about."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import TriggerDagRun

    task_runner.SUPERVISOR_COMMS.send(
        TriggerDagRun(
            dag_id=REVIEWS,
            run_id=question.run_id,
            conf={"kind": question.kind, "number": question.number},
        )
    )
