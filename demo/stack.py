"""The parts of the demo, in the order they start: PostgreSQL, simulators, Airflow."""

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from . import pids, postgres, roles
from .airflow_api import AirflowApi
from .environment import (
    ADMIN,
    SCIM_TOKEN,
    Secrets,
    environment,
    generated_secrets,
    inherited,
    owner_connection,
)
from .http_json import answers
from .ports import HOST
from .processes import ProcessDiedError, Program, Supervisor
from .secret import write_private
from .settings import CONFIG, REPOSITORY, SCIM_CONFIG, TARGETS, Ports, State

_POSTGRES = {"max_connections": "200", "shared_buffers": "128MB"}
_SIMULATORS = ("hr", *TARGETS, "mail")
_MAPPINGS = {"departments": "departments.csv", "person-types": "person_types.csv"}
_COMPONENTS = ("scheduler", "dag-processor", "triggerer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Everything that runs, and how to talk to it."""

    ports: Ports
    database: postgres.Server
    secrets: Secrets
    api: AirflowApi
    supervisor: Supervisor
    scim: bool
    started: datetime

    @property
    def store(self) -> str:
        return self.database.dsn("accountsync")

    def url(self, name: str) -> str:
        return f"http://{HOST}:{getattr(self.ports, name)}"

    def check(self) -> None:
        """Raise when a part has died or somebody wants us to stop."""
        self.supervisor.check()
        if pids.identity(self.database.pid) is None:
            raise ProcessDiedError("PostgreSQL ended")


@contextmanager
def running(
    state: State, ports: Ports, supervisor: Supervisor, *, persons: int, scim: bool = False
) -> Iterator[Stack]:
    """Start everything; stop it again on the way out, whatever happened."""
    try:
        database = postgres.start(
            state.postgres, port=ports.postgres, settings=_POSTGRES, databases=()
        )
        secrets = generated_secrets(state.secrets)
        addresses = roles.prepare(database, state.secrets)
        ours = environment(
            home=state.airflow,
            ports=ports,
            databases={
                "airflow": addresses.airflow.replace("postgresql:", "postgresql+psycopg2:", 1),
                "accountsync": addresses.store,
            },
            secrets=secrets,
            config=SCIM_CONFIG if scim else CONFIG,
        )
        owner = owner_connection(addresses.owner)
        _write_environment(state, ours | owner)
        api = AirflowApi(f"http://{HOST}:{ports.airflow}", ADMIN, secrets.admin_password)
        stack = Stack(
            ports=ports,
            database=database,
            secrets=secrets,
            api=api,
            supervisor=supervisor,
            scim=scim,
            started=datetime.now(UTC),
        )
        with supervisor:
            _start(stack, state, inherited() | ours, persons, owner)
            yield stack
    finally:
        postgres.stop(state.postgres)


def _start(
    stack: Stack,
    state: State,
    variables: Mapping[str, str],
    persons: int,
    owner: Mapping[str, str],
) -> None:
    """Migrations and simulators at the same time, then Airflow, API server first. `owner`: what is
    told besides to who upgrades the store.

    A task that is queued while no API server answers fails.
    """
    state.airflow.mkdir(mode=0o700, exist_ok=True)
    supervisor, ports = stack.supervisor, stack.ports
    supervisor.start(_simulators(state, ports, persons, variables))
    if stack.scim:
        supervisor.start(_scim(state, ports, variables))
    supervisor.finish(
        _command("migrate-airflow", variables, "airflow", "db", "migrate"),
        _command("migrate-store", {**variables, **owner}, "accountsync", "db", "upgrade"),
    )
    supervisor.finish(*_mappings(variables))
    server = _command("api-server", variables, "airflow", "api-server", ready=stack.api.is_up)
    supervisor.start(server)
    supervisor.start(*(_component(name, stack.api, variables) for name in _COMPONENTS))


def _write_environment(state: State, variables: Mapping[str, str]) -> None:
    """For a shell: `set -a; . .demo/environment; set +a`."""
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in variables.items()]
    lines.append(f'PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"\n')
    write_private(state.root / "environment", "".join(lines))


def _command(
    name: str,
    variables: Mapping[str, str],
    *words: str,
    ready: Callable[[], bool] = lambda: True,
) -> Program:
    """A program that is a Python module, with its arguments."""
    return Program(
        name=name,
        command=[sys.executable, "-m", *words],
        environment=variables,
        folder=REPOSITORY,
        ready=ready,
    )


def _component(name: str, api: AirflowApi, variables: Mapping[str, str]) -> Program:
    """Logs are read from the folder by the API server, so nobody needs to serve them."""
    options = [] if name == "dag-processor" else ["--skip-serve-logs"]
    return _command(name, variables, "airflow", name, *options, ready=api.is_healthy)


def _mappings(variables: Mapping[str, str]) -> Iterator[Program]:
    data = REPOSITORY / "simulators" / "data"
    for kind, file in _MAPPINGS.items():
        words = ("accountsync", "mapping", "import", kind, str(data / file))
        yield _command(f"mapping-{kind}", variables, *words)


def _simulators(state: State, ports: Ports, persons: int, variables: Mapping[str, str]) -> Program:
    options = ["--state", str(state.simulators), "--persons", str(persons)]
    for name in (*_SIMULATORS, "smtp"):
        options += [f"--{name}-port", str(getattr(ports, name))]
    urls = [f"http://{HOST}:{getattr(ports, name)}/_sim/state" for name in _SIMULATORS]
    ready = lambda: all(answers(url) for url in urls)  # noqa: E731
    return _command("simulators", variables, "simulators", "all", *options, ready=ready)


def _scim(state: State, ports: Ports, variables: Mapping[str, str]) -> Program:
    """The fourth target, chosen by SCIM_CONFIG."""
    words = ("demo.scim", str(ports.scim), SCIM_TOKEN, str(state.root / "scim.json"))
    url = f"http://{HOST}:{ports.scim}/ServiceProviderConfig"
    return _command("scim", variables, *words, ready=lambda: answers(url))
