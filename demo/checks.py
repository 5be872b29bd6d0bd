"""What must hold before anything is started, said in words that name the cure."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from .ports import is_free
from .settings import Ports, variable

_OLDEST_PYTHON = (3, 11)
_NEEDED_MB = 1000


class UnfitMachineError(RuntimeError):
    """The demo cannot run here as things are; the text lists everything that is in the way."""


def check_machine(ports: Ports, state: Path, *, needed: frozenset[str]) -> None:
    """Raise UnfitMachineError with all problems at once. `needed` names the ports to be taken."""
    problems = [*_python(), *_disk(state), *_ports(ports, needed)]
    if problems:
        raise UnfitMachineError("\n".join(problems))


def _python() -> Iterator[str]:
    if sys.version_info < _OLDEST_PYTHON:
        wanted = ".".join(map(str, _OLDEST_PYTHON))
        yield f"Python {wanted} or newer is needed, this is {sys.version.split()[0]}"
    if os.name != "posix":
        yield "the demo runs on Linux and macOS (on Windows: in WSL)"


def _disk(state: Path) -> Iterator[str]:
    free = shutil.disk_usage(state).free // 1_000_000
    if free < _NEEDED_MB:
        yield f"{_NEEDED_MB} MB of disk space are needed in {state}, {free} MB are free"


def _ports(ports: Ports, needed: frozenset[str]) -> Iterator[str]:
    numbers = {name: int(getattr(ports, name)) for name in ports.names() if name in needed}
    for name, number in numbers.items():
        same = [other for other in numbers if other < name and numbers[other] == number]
        if same:
            yield f"port {number} is meant for both {same[0]} and {name}: {_cure(name)}"
        elif not is_free(number):
            yield f"port {number} ({name}) is taken by another program: stop it, or {_cure(name)}"


def _cure(name: str) -> str:
    return f"choose another one with {variable(name)}"
