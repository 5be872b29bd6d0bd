"""The Compose file's own commands, run as local processes: they start, are healthy, and work."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import compose_file
import compose_stack
import pytest
from deploy_document import filled_env

from demo import http_json
from demo.airflow_api import AirflowApi
from demo.processes import Supervisor

_PROBE = Path(__file__).with_name("queue_probe.py")
_CHECKED_SECONDS = 90


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_composed_services_start_are_healthy_and_run_tasks_on_their_queues(tmp_path: Path) -> None:
    variables = filled_env(tmp_path)
    environment = compose_file.services(variables)["postgres"]["environment"]
    password = json.loads(variables["AIRFLOW_PASSWORDS"])["admin"]
    with (
        compose_stack.database(tmp_path / "postgres", environment) as database,
        Supervisor(tmp_path) as supervisor,
    ):
        stack = compose_stack.Stack(tmp_path, variables, database)
        shutil.copy(_PROBE, stack.dags)
        api = AirflowApi(stack.url, "admin", password)
        compose_stack.start(stack, supervisor, api)
        _wait(api.is_healthy, supervisor)
        checked = [name for name, one in stack.services.items() if "healthcheck" in one]
        supervisor.finish(*(stack.check(name) for name in checked))
        run = api.trigger("queue_probe")
        _wait(lambda: not api.run("queue_probe", run.run_id).is_open, supervisor)


def _wait(condition: Any, supervisor: Supervisor) -> None:
    end = time.monotonic() + _CHECKED_SECONDS
    while not condition():
        supervisor.check()
        assert time.monotonic() < end
        time.sleep(0.5)
