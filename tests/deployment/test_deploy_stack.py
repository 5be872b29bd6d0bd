"""The Compose file's own commands, run as local processes: they start, are healthy, and work."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import compose_file
import compose_stack
import deploy_document
import psycopg
import pytest
from compose_stack import Stack

from demo import http_json, pids
from demo.airflow_api import AirflowApi, DagRun
from demo.environment import connections
from demo.postgres import Server
from demo.processes import Program, Supervisor
from demo.settings import REPOSITORY, Ports

_PROBE = Path(__file__).with_name("queue_probe.py")
_PERSONS = 5
_PATIENCE = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    stack: Stack
    supervisor: Supervisor
    database: Server
    api: AirflowApi
    password: str

    def wait(self, what: str, condition: Callable[[], object]) -> None:
        end = time.monotonic() + _PATIENCE
        while not condition():
            self.supervisor.check()
            assert time.monotonic() < end, f"{what}: not after {_PATIENCE:.0f} s"
            time.sleep(0.5)

    def call(self, method: str, path: str, body: object = None) -> Any:
        login = {"username": "admin", "password": self.password}
        token = http_json.call("POST", f"{self.api.url}/auth/token", body=login)["access_token"]
        return http_json.call(method, f"{self.api.url}/api/v2/{path}", body=body, token=token)


@pytest.mark.slow
def test_composed_services_are_healthy_and_each_queue_has_its_worker(tmp_path: Path) -> None:
    with _running(tmp_path) as stack:
        _expect_health(stack)
        _expect_dags(stack)
        probe = stack.api.trigger("queue_probe")
        stack.call("PATCH", "dags/sync_hr_persons", {"is_paused": False})
        stack.wait("queue_probe", lambda: not stack.api.run("queue_probe", probe.run_id).is_open)
        _expect_workers(stack, probe)
        _expect_persons(stack)
        stack.supervisor.finish(stack.stack.program("init"))  # as every `up` does
        home = stack.stack.home
    assert pids.working_in(home) == [], "processes were left behind"


@contextmanager
def _running(folder: Path) -> Iterator[Running]:
    """All services and an HR system; gone again on the way out."""
    ports = Ports.free()
    deploy_document.fill_env(folder)
    with (folder / ".env").open("a") as env:
        hr = connections(ports, "postgresql://unused@host/db")["AIRFLOW_CONN_HR_API"]
        env.write(f"AIRFLOW_CONN_HR_API='{hr}'\n")
    variables = deploy_document.read_env(folder)
    password = json.loads(variables["AIRFLOW_PASSWORDS"])["admin"]
    postgres = compose_file.services(variables)["postgres"]["environment"]
    with (
        compose_stack.guarded(folder),
        compose_stack.database(folder, postgres) as database,
        Supervisor(folder) as supervisor,
    ):
        stack = Stack(folder, variables, database)
        shutil.copy(_PROBE, stack.home / "dags")
        supervisor.start(_hr_system(ports.hr))
        compose_stack.start(stack, supervisor)
        yield Running(
            stack=stack,
            supervisor=supervisor,
            database=database,
            api=AirflowApi(stack.url, "admin", password),
            password=password,
        )


def _hr_system(port: int) -> Program:
    command = [sys.executable, "-m", "simulators", "hr", "--port", str(port)]
    return Program(
        name="hr",
        command=[*command, "--persons", str(_PERSONS)],
        environment={"LANG": "C.UTF-8"},
        folder=REPOSITORY,
        ready=lambda: http_json.answers(f"http://127.0.0.1:{port}/_sim/state"),
    )


def _expect_health(running: Running) -> None:
    """Every service's own check ends with 0, once Airflow and Celery say that all are there."""
    services = running.stack.services
    workers = [name for name in services if name.startswith("worker-")]
    logs = [running.supervisor.log(name) for name in workers]
    running.wait("heartbeats", running.api.is_healthy)
    running.wait("Celery workers", lambda: all(" ready." in log.read_text() for log in logs))
    checked = [name for name, service in services.items() if "healthcheck" in service]
    running.supervisor.finish(*(running.stack.check(name) for name in checked))


def _expect_dags(running: Running) -> None:
    """The DAG processor has read every file of the image, and the probe."""
    expected = {file.stem for file in (running.stack.home / "dags").glob("*.py")}

    def known() -> set[str]:
        return {dag["dag_id"] for dag in running.call("GET", "dags?limit=100")["dags"]}

    running.wait("DAGs", lambda: running.api.import_errors() or known() == expected)
    assert running.api.import_errors() == []


def _expect_workers(running: Running, probe: DagRun) -> None:
    for name, service in running.stack.services.items():
        if name.startswith("worker-"):
            node = service["command"][-1].removesuffix("%h")
            for queue in compose_file.queues(service["command"]):
                path = f"dags/queue_probe/dagRuns/{probe.run_id}/taskInstances/{queue}"
                found = running.call("GET", f"{path}/xcomEntries/return_value")
                assert node in found["value"], f"{queue} was not carried out by {node}"


def _expect_persons(running: Running) -> None:
    """The scheduler ran the real DAG: HR's people are in the store that `init` made."""

    def ended() -> list[DagRun]:
        return [run for run in running.api.runs("sync_hr_persons") if not run.is_open]

    running.wait("a run of sync_hr_persons", ended)
    run = ended()[0]
    tasks, logs = running.api.failed_tasks(run), running.stack.home / "logs"
    assert run.state == "success", f"sync_hr_persons: {tasks} failed, see {logs}"
    with psycopg.connect(running.database.dsn("accountsync")) as connection:
        found = connection.execute("SELECT count(*) FROM accountsync.person").fetchone()
    assert found == (_PERSONS,)
