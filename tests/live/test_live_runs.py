"""Every DAG runs, whoever starts it, and refuses parameters that mean nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from demo.http_json import AnswerError
from tests.live.running import CREATE, DAGS, PROCESS, SYNC, Live

pytestmark = pytest.mark.slow

PARAMS: dict[str, dict[str, Any]] = {
    SYNC: {"mode": "full"},
    CREATE: {"dry_run": True},
    PROCESS: {"max_tasks": 3, "targets": ["welink"]},
}
WRONG: list[tuple[str, dict[str, Any]]] = [
    (SYNC, {"mode": "sideways"}),
    (CREATE, {"dry_run": "perhaps"}),
    (PROCESS, {"max_tasks": 0}),
    (PROCESS, {"targets": "welink"}),
    (PROCESS, {"targets": ["wellink"]}),
]


@pytest.mark.parametrize("with_params", [False, True], ids=["plain", "params"])
def test_every_dag_runs_when_triggered_through_rest(live: Live, with_params: bool) -> None:
    params: dict[str, dict[str, Any]] = PARAMS if with_params else dict.fromkeys(DAGS, {})
    runs = [live.trigger(dag_id, **params[dag_id]) for dag_id in DAGS]
    assert [live.ended(run).state for run in runs] == ["success"] * 3


def test_parameters_arrive_at_the_jobs(live: Live) -> None:
    run = live.trigger(SYNC, mode="full")
    assert live.ended(run).state == "success"
    found = live.rows("SELECT mode FROM accountsync.sync_run WHERE airflow_run_id = %s", run.run_id)
    assert found == [{"mode": "full"}]


@pytest.mark.parametrize(("dag_id", "conf"), WRONG, ids=[str(conf) for _, conf in WRONG])
def test_rest_refuses_wrong_parameters(live: Live, dag_id: str, conf: dict[str, Any]) -> None:
    with pytest.raises(AnswerError, match=rf": 400 .*{next(iter(conf))}"):
        live.trigger(dag_id, **conf)


def test_every_dag_runs_when_triggered_through_the_command_line(live: Live) -> None:
    """`airflow dags trigger`, with parameters; and a wrong one is refused."""
    calls = [(dag_id, json.dumps(PARAMS[dag_id])) for dag_id in DAGS]
    calls.append((SYNC, '{"mode": "sideways"}'))
    with ThreadPoolExecutor(2) as pool:
        trigger = lambda call: live.airflow(  # noqa: E731
            "dags", "trigger", call[0], "--conf", call[1], "-o", "json"
        )
        *done, refused = pool.map(trigger, calls)
    for dag_id, one in zip(DAGS, done, strict=True):
        assert one.returncode == 0, one.stderr
        made = json.loads(one.stdout.splitlines()[-1])[0]  # warnings come before it
        assert live.ended(live.stack.api.run(dag_id, made["dag_run_id"])).state == "success"
    assert refused.returncode != 0
    assert "mode" in refused.stderr
    assert "sideways" in refused.stderr


def test_every_dag_runs_with_airflow_dags_test(live: Live) -> None:
    """The run happens in the command's own process; its log is what the operator reads. While it
    goes on, the scheduler must leave its tasks alone: of a paused DAG it starts none."""
    with _paused(live, DAGS), ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda dag_id: live.airflow("dags", "test", dag_id), DAGS))
    for one in done:
        assert one.returncode == 0, one.stdout[-3000:] + one.stderr[-3000:]
        assert "state=success" in one.stdout + one.stderr


@contextmanager
def _paused(live: Live, dag_ids: Iterable[str]) -> Iterator[None]:
    for dag_id in dag_ids:
        live.rest("PATCH", f"dags/{dag_id}", {"is_paused": True})
    try:
        yield
    finally:
        for dag_id in dag_ids:
            live.rest("PATCH", f"dags/{dag_id}", {"is_paused": False})
