"""I20: what the task that asks believes, and what it does not."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from accountsync import review_wiring
from accountsync.errors import SafetyStopError
from tests.conftest import REPOSITORY
from tests.dags.test_dags import metadata
from tests.installation import Installation

__all__ = ["metadata"]

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow's own

REVIEW = "review_held_changes"


@pytest.fixture
def dag(metadata: None) -> Any:
    return DagBag(str(REPOSITORY / "dags" / f"{REVIEW}.py")).dags[REVIEW]


@pytest.fixture
def asked(installation: Installation) -> str:
    """The run that asks about a held plan, and has shown it."""
    installation.sync("full")
    installation.plan()
    installation.drain()
    installation.execute("UPDATE accountsync.person SET status = '9', revision = revision + 1")
    installation.plan()
    (run,) = review_wiring.ask_for_decisions(
        installation.settings, is_asking=lambda runs: False, start=lambda question: None
    )
    review = review_wiring.question_of(installation.settings, run)
    assert review
    review_wiring.show_question(installation.settings, run, reviewed=review.reviewed)
    return run


def _context(dag: Any, run_id: str, run_type: str = "operator_triggered") -> dict[str, Any]:
    run = SimpleNamespace(run_type=run_type, run_id=run_id)
    return {"run_id": run_id, "dag_run": run, "dag": dag, "task": dag.get_task("decide")}


def _event(**changes: Any) -> dict[str, Any]:
    """As Airflow's API server makes it of its record."""
    return {
        "chosen_options": ["Approve"],
        "params_input": {"comment": "HR says so"},
        "responded_at": datetime(2026, 11, 30, 10, tzinfo=UTC),
        "responded_by_user": {"id": "ann", "name": "ann"},
        "timedout": False,
        **changes,
    }


def _held(installation: Installation) -> int:
    query = "SELECT count(*) FROM accountsync.account_task WHERE state = 'held'"
    return int(installation.scalar(query))


def test_the_answer_that_airflow_recorded_is_carried_out(
    dag: Any, asked: str, installation: Installation
) -> None:
    done = dag.get_task("decide").execute_complete(_context(dag, asked), _event())
    assert done["approved"] is True
    assert _held(installation) == 0
    row = installation.rows("SELECT * FROM accountsync.review")[0]
    assert (row["answer"], row["answered_by"], row["comment"]) == ("approved", "ann", "HR says so")
    assert row["answered_at"] == datetime(2026, 11, 30, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [
        {"chosen_options": []},
        {"chosen_options": ["Approve", "Reject"]},
        {"responded_by_user": None},
        {"responded_by_user": {}},
    ],
    ids=str,
)
def test_what_is_no_answer_of_a_user_decides_nothing(
    dag: Any, asked: str, installation: Installation, changes: dict[str, Any]
) -> None:
    before = _held(installation)
    with pytest.raises(SafetyStopError):
        dag.get_task("decide").execute_complete(_context(dag, asked), _event(**changes))
    assert _held(installation) == before > 0


@pytest.mark.parametrize("run_type", ["manual", "backfill", "scheduled", "asset_triggered"])
def test_a_run_that_no_task_of_ours_started_decides_nothing(
    dag: Any, asked: str, installation: Installation, run_type: str
) -> None:
    """Even under the id that we gave: ours was deleted, and made again by hand."""
    decide, context = dag.get_task("decide"), _context(dag, asked, run_type)
    before = _held(installation)
    with pytest.raises(SafetyStopError, match="was not started by AccountSync"):
        decide.execute(context)
    with pytest.raises(SafetyStopError, match="was not started by AccountSync"):
        decide.execute_complete(context, _event())
    assert _held(installation) == before > 0


def test_a_run_by_hand_asks_nothing(dag: Any, asked: str, installation: Installation) -> None:
    kind, number, _ = asked.split("-")
    run = dag.test(run_conf={"kind": kind, "number": int(number)})
    assert run.state == "failed"
    assert run.get_task_instance("decide").state == "failed"
    assert run.get_task_instance("announce_tasks").state == "upstream_failed"
    assert _held(installation) > 0


def test_the_question_is_no_template(dag: Any) -> None:
    """What HR wrote is shown, not computed."""
    assert not dag.get_task("decide").template_fields
