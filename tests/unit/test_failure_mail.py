"""The mail about a failed run: what its receiver is told to do."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined

from accountsync import failure_mail
from accountsync.errors import TargetDownError

TEMPLATE = Path(failure_mail.__file__).parent / "web" / "templates" / "failure_mail.html"


def _mail(kind: str | None, *, run_type: str = "scheduled", mode: str | None = None) -> str:
    dag = SimpleNamespace(dag_id="sync_hr_persons", description="HR")
    run = SimpleNamespace(run_type=run_type, conf={"mode": mode} if mode else {})
    failure = {"task": "read", "label": "hieds", "attempt": 1, "attempts": 3, "kind": kind}
    failure |= {"message": "hr_api POST: HTTP 503", "log_url": "http://localhost/log"}
    facts: dict[str, Any] = {
        "dag": dag,
        "run_id": "manual__1",
        "run_url": "http://localhost/run",
        "started": None,
        "failures": [failure],
        "once": failure_mail._reads_once({"dag_run": run, "dag": dag}),
    }
    template = TEMPLATE.read_text(encoding="utf-8")
    page = Environment(undefined=StrictUndefined, autoescape=True).from_string(template)
    return " ".join(re.sub("<[^>]+>", "", page.render(facts)).split())


@pytest.mark.parametrize(
    "kind", ["TargetDownError", "TransientError", "IncompleteReadError", "builtins.KeyError", None]
)
@pytest.mark.parametrize(
    "run", [{"run_type": "backfill"}, {"mode": "window"}, {"mode": "person"}], ids=str
)
def test_what_no_other_run_reads_has_to_be_read_by_this_one(
    kind: str | None, run: dict[str, str]
) -> None:
    """I1: nobody is told that nothing has to be done."""
    mail = _mail(kind, **run)
    assert "No other run reads what this one was to read" in mail
    assert "clear the failed task" in mail
    assert "请清除（Clear）失败的任务" in mail
    for untrue in (
        "Nothing to clear",
        "The next run",
        "the next run goes on from here",
        "从这里继续",
    ):
        assert untrue not in mail


@pytest.mark.parametrize("run", [{}, {"mode": "auto"}, {"mode": "incremental"}, {"mode": "full"}])
def test_what_the_next_run_reads_is_left_to_it(run: dict[str, str]) -> None:
    mail = _mail("TargetDownError", **run)
    assert "Nothing to clear: the next run tries again by itself" in mail
    assert "the next run goes on from here" in mail


def test_a_form_filled_in_wrongly_breaks_no_other_run() -> None:
    mail = _mail("InvalidRunRequestError", mode="window")
    assert "Trigger the DAG again" in mail
    assert "every run fails" not in mail


def test_the_last_line_of_the_log_names_the_source(caplog: pytest.LogCaptureFixture) -> None:
    error = TargetDownError("hr_api POST: HTTP 503")
    error.add_note("HR source hieds, sync run 7")
    failure_mail.log_failure({"exception": error})
    said = "Failed: TargetDownError: hr_api POST: HTTP 503; HR source hieds, sync run 7"
    assert caplog.messages[-1] == said


def test_a_run_of_another_dag_reads_nothing_that_could_be_lost() -> None:
    run = SimpleNamespace(run_type="backfill", conf={})
    dag = SimpleNamespace(dag_id="create_account_tasks")
    assert not failure_mail._reads_once({"dag_run": run, "dag": dag})
