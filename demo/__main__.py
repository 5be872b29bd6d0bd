"""`python -m demo run`: everything on this machine; `smoke`: the same, proven and cleaned up."""

import argparse
import contextlib
import fcntl
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg

from . import run, smoke
from .chain import ChainError
from .checks import UnfitMachineError
from .http_json import AnswerError
from .postgres_home import PostgresError
from .processes import (
    CommandFailedError,
    InterruptedRunError,
    NotReadyError,
    ProcessDiedError,
)
from .settings import REPOSITORY, BadPortError, Ports, State

_EXPECTED = (
    AnswerError,
    BadPortError,
    ChainError,
    CommandFailedError,
    NotReadyError,
    PostgresError,
    ProcessDiedError,
    UnfitMachineError,
    psycopg.OperationalError,
)


class BusyStateError(RuntimeError):
    """Another demo uses the state folder."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 when it did what it says, 1 with a reason when not."""
    arguments = _parser().parse_args(argv)
    interrupted = _on_signals()
    name = ".demo-smoke" if arguments.command == "smoke" else ".demo"
    state = State(root=REPOSITORY / name)
    try:
        with _alone(state.root):
            return _act(arguments, state, interrupted)
    except InterruptedRunError:
        return 0 if arguments.command == "run" else 1
    except (BusyStateError, *_EXPECTED) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1


def _act(arguments: argparse.Namespace, state: State, interrupted: Callable[[], bool]) -> int:
    if arguments.command == "reset":
        run.reset(state, say)
        return 0
    if arguments.command == "smoke":
        return smoke.smoke(state, say, interrupted, persons=arguments.persons)
    ports = Ports.from_environment()
    run.run(state, ports, say, interrupted, persons=arguments.persons, scim=arguments.scim)
    return 0


def say(line: str) -> None:
    """Print a line. A terminal that has gone away must not keep us from stopping properly."""
    with contextlib.suppress(OSError):
        print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run_ = commands.add_parser("run", help="start everything and stay until Ctrl-C")
    run_.add_argument("--persons", type=int, default=1000, help="how many HR has at first")
    run_.add_argument("--scim", action="store_true", help="a real SCIM server as a fourth target")
    smoke_ = commands.add_parser("smoke", help="run unattended, prove the result, clean up")
    smoke_.add_argument("--persons", type=int, default=300)
    commands.add_parser("reset", help="stop leftovers and delete the state")
    return parser


def _on_signals() -> Callable[[], bool]:
    """Turn Ctrl-C, TERM and a closed terminal into a wish that the waiting loops look at."""
    wish = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: wish.set())
    return wish.is_set


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the state folder; raises BusyStateError while another demo holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise BusyStateError(f"another demo runs in {folder}: stop it with Ctrl-C") from exc
        try:
            yield
        finally:
            _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    if [path.name for path in folder.iterdir()] == ["lock"]:
        (folder / "lock").unlink()
        folder.rmdir()


if __name__ == "__main__":
    sys.exit(main())
