"""I21: no parameter of a run ends a process of Airflow's."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from accountsync.web.run_door import FORMS
from demo.http_json import AnswerError
from tests.live.running import PROCESS, DagRun, Live

pytestmark = pytest.mark.slow

HUGE = 10**30


def test_a_number_that_no_process_can_carry_starts_no_run(live: Live) -> None:
    """By the API and the web page, with every role that may trigger, in known and unknown names."""
    tokens = [live.login(user) for user in ("uma", "otto", "ada")]
    for dag_id, names in FORMS.items():
        before = len(live.stack.api.runs(dag_id))
        for conf in ({"note": HUGE}, {sorted(names)[0]: HUGE}, {"a": [{"b": -HUGE}]}):
            for token in tokens:
                said = _refused(live, f"dags/{dag_id}/dagRuns", {"conf": conf}, token)
                assert "beyond 64 bits" in said or "there is no" in said
        assert len(live.stack.api.runs(dag_id)) == before
    backfill = {
        "dag_id": PROCESS,
        "from_date": "2026-11-01T00:00:00Z",
        "to_date": "2026-11-01T00:10:00Z",
        "dag_run_conf": {"note": HUGE},
    }
    assert "there is no 'note'" in _refused(live, "backfills", backfill, tokens[-1])


def test_a_run_that_was_started_past_the_door_ends_nothing_but_itself(live: Live) -> None:
    """The command line writes Airflow's database itself. No task of such a run can be started, by
    whatever Airflow; the DAG processor, which is told of no failure, goes on."""
    conf = json.dumps({"note": HUGE})
    done = live.airflow("dags", "trigger", PROCESS, "--run-id", "too-large", "--conf", conf)
    assert done.returncode == 0, done.stderr
    run = live.stack.api.run(PROCESS, "too-large")

    def over() -> DagRun | None:
        live.skip_retry_delays()
        latest = live.stack.api.run(PROCESS, run.run_id)
        return None if latest.is_open else latest

    assert live.wait("its end", over).state == "failed"
    told = "SELECT 1 FROM callback WHERE data::text LIKE %s"
    assert live.rows(told, "%too-large%", database="airflow") == []
    _expect_parsing(live)
    assert live.ended(live.trigger(PROCESS)).state == "success"
    log = (live.folder / "logs" / "dag-processor.log").read_text(encoding="utf-8")
    assert "OverflowError" not in log
    live.rest("DELETE", f"dags/{PROCESS}/dagRuns/{run.run_id}")


def _refused(live: Live, path: str, body: dict[str, Any], token: str) -> str:
    with pytest.raises(AnswerError, match=": 400 ") as refused:
        live.rest("POST", path, {"logical_date": None, **body}, token=token)
    return re.sub(r"\s+", " ", str(refused.value))


def _expect_parsing(live: Live) -> None:
    """The DAG processor still reads what it is asked to."""
    query = "SELECT min(last_parsed_time) AS t FROM dag WHERE NOT is_stale"
    before = live.rows(query, database="airflow")[0]["t"]
    live.configure(live.sound_config)

    def parsed() -> bool:
        return bool(live.rows(query, database="airflow")[0]["t"] > before)

    live.wait("DAG files read anew", parsed)
