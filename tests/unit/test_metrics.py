"""Numbers are a courtesy: their backend decides nothing about a run."""

from __future__ import annotations

import pytest
from airflow.sdk.observability import stats
from sqlalchemy import create_engine

from accountsync import metrics
from accountsync.errors import TargetDownError
from accountsync.jobs.tasks.process_account_tasks import ProcessSummary


def test_a_backend_that_fails_makes_no_good_run_red(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """I14: a run is as its work was."""

    def fail(*_: object) -> None:
        raise OSError("no route to the collector")

    monkeypatch.setattr(stats, "incr", fail)
    metrics.send_run(ProcessSummary(target="idaas", outcomes={"succeeded": 2}))
    assert "event=metrics_not_sent error=OSError" in caplog.text


def test_numbers_that_cannot_be_had_hide_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """I14: after a store that went away, its depth is not what anybody wants to hear of."""
    with pytest.raises(TargetDownError):
        _run_of_a_target_that_is_down()
    assert "event=metrics_not_sent error=OperationalError" in caplog.text


def _run_of_a_target_that_is_down() -> None:
    try:
        raise TargetDownError("refused")
    finally:
        nowhere = create_engine("postgresql+psycopg://127.0.0.1:1/nowhere")
        metrics.send_queue(nowhere, "idaas")
