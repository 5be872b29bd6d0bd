"""A directory server of this machine, while a test run needs it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from accountsync.wire.endpoint import Endpoint

_START_S, _STOP_S = 60.0, 10.0


@dataclass(frozen=True, kw_only=True)
class DirectoryServer:
    """`name`: what its certificate and itself call it, where that is not the host."""

    host: str
    plain: int
    encrypted: int
    ca: Path
    login: str
    password: str
    name: str | None = None

    def endpoint(
        self,
        *,
        tls: str = "ldaps",
        port: int | None = None,
        server_name: str | None = None,
        **changed: Any,
    ) -> Endpoint:
        """`port`: of a line on this machine that leads to it."""
        own = f"{self.host}:{self.encrypted if tls == 'ldaps' else self.plain}"
        facts: dict[str, Any] = {
            "conn_id": "directory",
            "base_url": f"https://127.0.0.1:{port}" if port else f"https://{own}",
            "login": self.login,
            "password": self.password,
            "verify": str(self.ca),
            "extra": {"tls": tls, "server_name": server_name or self.name},
        }
        return Endpoint(**{**facts, **changed})


def program(name: str, package: str) -> str:
    """CI must have it; elsewhere what needs it is left out."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found:
        return found
    return unavailable(f"no {name}: install it (apt-get install {package})")


def unavailable(why: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


@contextmanager
def serving(
    command: list[str],
    server: DirectoryServer,
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[None]:
    ports = (server.plain, server.encrypted)
    with started(command, server.host, ports, log=log, environment=environment):
        yield


@contextmanager
def started(
    command: list[str],
    host: str,
    ports: Sequence[int],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """From the moment it takes connections at its ports until it has ended."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **(environment or {})},
        )
    try:
        for port in ports:
            _until_listening(host, port, process, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_listening(host: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection((host, port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"it did not start: {log.read_text('utf-8')[-2000:]}") from None
            time.sleep(0.05)
