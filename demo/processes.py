"""Starts programs, watches them, and stops all it started and nothing else.

Every program gets a session (and so a process group) of its own and a log `logs/NAME.log`.
`processes.json` remembers who was started, so that after a kill -9 of the demo itself the next
start finds what is left (`stop_leftovers`). A pid counts only together with its start time.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from . import pids

_POLL_SECONDS = 0.1
_TAIL_LINES = 20


class ProcessDiedError(RuntimeError):
    """A program ended although it should run on. The text holds the tail of its log."""


class CommandFailedError(RuntimeError):
    """A command that has to end well did not. The text holds the tail of its log."""


class InterruptedRunError(RuntimeError):
    """Somebody asked the demo to stop (Ctrl-C, TERM) while it waited for something."""


class NotReadyError(RuntimeError):
    """A program runs but did not become ready in time. The text holds the tail of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to start. `ready` is asked again and again until it says yes."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    ready: Callable[[], bool] = lambda: True
    seconds: float = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The line of processes.json: enough to find the group again, and only that one."""

    name: str
    pid: int
    identity: str
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A program of ours, running or just ended."""

    process: subprocess.Popen[bytes]
    started: Started


class Supervisor:
    """Use as a context manager: leaving it stops everything, last started first."""

    def __init__(
        self,
        state: Path,
        *,
        say: Callable[[str], None] = print,
        interrupted: Callable[[], bool] = lambda: False,
        grace_seconds: float = 20,
    ) -> None:
        self._state = state
        self._say = say
        self._interrupted = interrupted
        self._grace = grace_seconds
        self._children: list[Child] = []
        (state / "logs").mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def log(self, name: str) -> Path:
        return self._state / "logs" / f"{name}.log"

    def start(self, *programs: Program) -> None:
        """Start programs at the same time and wait until all are ready.

        Raises ProcessDiedError if any program dies meanwhile, NotReadyError after its seconds.
        """
        begin = time.monotonic()
        for program in programs:
            self._launch(program)
        waiting = list(programs)
        while waiting:
            self.check()
            for program in [program for program in waiting if program.ready()]:
                waiting.remove(program)
                self._say(f"  {program.name} is ready ({time.monotonic() - begin:.1f} s)")
            self._refuse_late(waiting, time.monotonic() - begin)
            time.sleep(_POLL_SECONDS if waiting else 0)

    def finish(self, *programs: Program) -> None:
        """Run commands at the same time until all have ended well, else CommandFailedError."""
        begin = time.monotonic()
        for program in programs:
            self._launch(program)
        left = {program.name for program in programs}
        while left:
            self.check(besides=left)
            for child in [child for child in self._children if child.started.name in left]:
                code = child.process.poll()
                if code is not None:
                    self._forget(child)
                    left.discard(child.started.name)
                    self._expect_success(child.started.name, code)
                    self._say(f"  {child.started.name} is done ({time.monotonic() - begin:.1f} s)")
            time.sleep(_POLL_SECONDS if left else 0)

    def check(self, *, besides: Collection[str] = ()) -> None:
        """Raise ProcessDiedError if a program has ended, InterruptedRunError if we are to stop."""
        if self._interrupted():
            raise InterruptedRunError("stopped on request")
        for child in self._children:
            code, name = child.process.poll(), child.started.name
            if code is not None and name not in besides:
                raise ProcessDiedError(f"{name} ended ({_cause(code)}); {_tail(self.log(name))}")

    def stop(self) -> None:
        """Stop all programs in reverse order: TERM, then KILL after the grace time."""
        while self._children:
            child = self._children[-1]
            if child.process.returncode is None or _still_ours(child.started):
                _stop_group(child.process.pid, self._grace, reap=child.process.poll)
            child.process.wait()
            self._forget(child)
            self._say(f"  {child.started.name} stopped")

    def _launch(self, program: Program) -> None:
        with self.log(program.name).open("wb") as log:
            process = subprocess.Popen(
                list(program.command),
                env=dict(program.environment),
                cwd=program.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = Started(
            name=program.name,
            pid=process.pid,
            identity=pids.identity(process.pid) or "",
            folder=str(program.folder.resolve()),
        )
        self._children.append(Child(process=process, started=started))
        self._remember()

    def _forget(self, child: Child) -> None:
        self._children.remove(child)
        self._remember()

    def _expect_success(self, name: str, code: int) -> None:
        if code != 0:
            raise CommandFailedError(f"{name} failed ({_cause(code)}); {_tail(self.log(name))}")

    def _remember(self) -> None:
        _write(self._state, [child.started for child in self._children])

    def _refuse_late(self, waiting: Sequence[Program], passed: float) -> None:
        for program in waiting:
            if passed > program.seconds:
                log = _tail(self.log(program.name))
                raise NotReadyError(f"{program.name} not ready after {passed:.0f} s; {log}")


def stop_leftovers(state: Path, *, grace_seconds: float = 10) -> list[str]:
    """Stop what a killed demo left running; return the names. Foreign processes are not touched."""
    stopped = []
    for started in reversed(_read(state)):
        if _still_ours(started):
            _stop_group(started.pid, grace_seconds)
            stopped.append(started.name)
    _write(state, [])
    return stopped


def _still_ours(started: Started) -> bool:
    """Whether the group is the one we started: its leader lives, or it left members behind.

    The kernel gives a number away again only when no group has it any more; members without a
    leader must also run the same Python in the same folder.
    """
    identity = pids.identity(started.pid)
    if identity is not None:
        return identity == started.identity
    members = pids.session_members(started.pid)
    python = Path(sys.executable).resolve()
    return bool(members) and all(
        pids.place(member) == (python, Path(started.folder)) for member in members
    )


def _stop_group(
    group: int, grace_seconds: float, *, reap: Callable[[], object] = lambda: None
) -> None:
    for number, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
        if not _signal_group(group, number):
            return
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            reap()
            if not pids.group_lives(group):
                return
            time.sleep(0.05)


def _signal_group(group: int, number: signal.Signals) -> bool:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says this of a group of zombies
        return pids.group_lives(group)
    return True


def _cause(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _tail(log: Path) -> str:
    with log.open(errors="replace") as lines:
        last = "".join(f"  | {line}" for line in deque(lines, maxlen=_TAIL_LINES))
    return f"{log} ends with:\n{last}"


def _write(state: Path, started: Sequence[Started]) -> None:
    half = state / "processes.json.half"
    half.write_text(json.dumps([asdict(one) for one in started], indent=1))
    half.replace(state / "processes.json")


def _read(state: Path) -> list[Started]:
    try:
        return [Started(**one) for one in json.loads((state / "processes.json").read_text())]
    except FileNotFoundError:
        return []
