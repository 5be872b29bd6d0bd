"""SCIM service providers that are not ours, each with a look at its store that goes past SCIM.

scim2-server keeps to the RFCs. SCIMMY (Node) appends what a `replace` without a path shall replace,
ignores filters on members, and adds a member twice. django-scim2 announces PATCH and has it for few
attributes, fails for some with HTTP 500, finds nobody by externalId and no group by its name, and
removes a member in one of the two ways.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from demo import ports
from simulators.run import HOST
from tests.connectors import scim_service
from tests.connectors.directory_server import program, started, unavailable
from tests.connectors.scim_service import TOKEN

_SCIMMY = Path(__file__).parent / "scimmy"
_INSTALL_S = 180.0


@dataclass(frozen=True, kw_only=True)
class ScimServer:
    """`content`: users and groups of the server's own store, under their names in SCIM."""

    url: str
    content: Callable[[], Mapping[str, list[dict[str, Any]]]]
    reset: Callable[[], None]

    def make_group(self, name: str) -> None:
        scim_service.make(self.url, "/Groups", {"displayName": name})

    def users(self) -> dict[str, dict[str, Any]]:
        """externalId → user."""
        return {user["externalId"]: user for user in self.content()["users"]}

    def user(self) -> dict[str, Any]:
        (user,) = self.content()["users"]
        return user

    def members(self) -> dict[str, list[str]]:
        """Name of a group → the ids of its members."""
        return {
            group["displayName"]: [str(one["value"]) for one in group.get("members") or []]
            for group in self.content()["groups"]
        }


@contextmanager
def _scim2_server() -> Iterator[ScimServer]:
    with scim_service.running() as service:

        def content() -> Mapping[str, list[dict[str, Any]]]:
            there = service.call("GET", "/_sim/accounts")["accounts"]
            return {
                "users": [one for one in there if "userName" in one],
                "groups": [one for one in there if "userName" not in one],
            }

        yield ScimServer(url=service.url, content=content, reset=lambda: _forget(service))


def _forget(service: Any) -> None:
    service.reset()


@contextmanager
def _scimmy() -> Iterator[ScimServer]:
    node = program("node", "nodejs")
    _install_scimmy()
    with _process([node, str(_SCIMMY / "server.mjs")]) as server:
        yield server


def _install_scimmy() -> None:
    """By its own lock file, once for all workers of a test run."""
    npm = program("npm", "npm")
    locked = (_SCIMMY / "package-lock.json").read_text("utf-8")
    stamp = _SCIMMY / "node_modules" / "installed.json"
    with (_SCIMMY / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text("utf-8") == locked:
            return
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=_SCIMMY, capture_output=True, text=True, timeout=_INSTALL_S, check=False
        )
        if done.returncode:
            unavailable(f"npm cannot install SCIMMY: {done.stderr[-500:]}")
        stamp.write_text(locked, "utf-8")


@contextmanager
def _django_scim2() -> Iterator[ScimServer]:
    if importlib.util.find_spec("django_scim") is None:
        unavailable("no django-scim2: install it (make install)")
    with _process([sys.executable, "-m", "tests.connectors.django_service"]) as server:
        yield server


@contextmanager
def _process(command: list[str]) -> Iterator[ScimServer]:
    """A server that takes its port and token, and shows its store at /_store."""
    (port,) = ports.free(1)
    url = f"http://{HOST}:{port}"
    with (
        TemporaryDirectory() as folder,
        started([*command, str(port), TOKEN], HOST, [port], log=Path(folder) / "log"),
    ):
        yield ScimServer(
            url=url,
            content=lambda: _asked(port, "GET"),
            reset=lambda: _asked(port, "DELETE"),
        )


def _asked(port: int, method: str) -> Any:
    connection = HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request(method, "/_store")
        raw = connection.getresponse().read()
        return json.loads(raw) if raw else None
    finally:
        connection.close()


SERVERS: Mapping[str, Callable[[], AbstractContextManager[ScimServer]]] = {
    "scim2-server": _scim2_server,
    "scimmy": _scimmy,
    "django-scim2": _django_scim2,
}
