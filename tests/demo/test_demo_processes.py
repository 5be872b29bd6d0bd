"""The supervisor: real processes, started and stopped; nothing foreign is ever touched."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo import pids
from demo.processes import (
    CommandFailedError,
    InterruptedRunError,
    NotReadyError,
    ProcessDiedError,
    Program,
    Supervisor,
    stop_leftovers,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

SLEEP = "import time; time.sleep(60)"
STUBBORN = (
    "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "pathlib.Path('ready').touch(); time.sleep(60)"
)
FAMILY = (
    "import pathlib, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "half = pathlib.Path('child.half'); half.write_text(str(child.pid)); half.rename('child')\n"
    "time.sleep(60)"
)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path, say=lambda line: None, grace_seconds=5) as supervisor:
        yield supervisor


def program(folder: Path, code: str, name: str = "one", **more: object) -> Program:
    return Program(
        name=name,
        command=[sys.executable, "-c", code],
        environment={"PATH": os.environ["PATH"]},
        folder=folder,
        **more,  # type: ignore[arg-type]
    )


def started(folder: Path) -> dict[str, int]:
    return {one["name"]: one["pid"] for one in json.loads((folder / "processes.json").read_text())}


def await_(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_leaving_stops_everything_in_reverse_order(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor(tmp_path, say=said.append) as supervisor:
        supervisor.start(program(tmp_path, SLEEP, "first"), program(tmp_path, SLEEP, "second"))
        running = started(tmp_path)
    assert said[-2:] == ["  second stopped", "  first stopped"]
    assert [pids.identity(pid) for pid in running.values()] == [None, None]
    assert started(tmp_path) == {}


def test_children_of_a_program_are_stopped_with_it(tmp_path: Path, supervisor: Supervisor) -> None:
    supervisor.start(program(tmp_path, FAMILY, ready=(tmp_path / "child").exists))
    child = int((tmp_path / "child").read_text())
    assert pids.identity(child)
    supervisor.stop()
    assert pids.identity(child) is None


def test_a_program_that_ignores_term_is_killed(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, say=lambda line: None, grace_seconds=0.3)
    supervisor.start(program(tmp_path, STUBBORN, ready=(tmp_path / "ready").exists))
    pid = started(tmp_path)["one"]
    supervisor.stop()
    assert pids.identity(pid) is None


def test_a_dying_program_is_reported_with_the_tail_of_its_log(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    code = "print('line 1'); print('the reason'); raise SystemExit(3)"
    with pytest.raises(ProcessDiedError, match=r"one ended \(exit code 3\); (.|\n)*the reason"):
        supervisor.start(program(tmp_path, code, ready=lambda: False))


def test_a_program_that_dies_later_is_noticed(tmp_path: Path, supervisor: Supervisor) -> None:
    supervisor.start(program(tmp_path, SLEEP))
    os.kill(started(tmp_path)["one"], signal.SIGKILL)

    def noticed() -> bool:
        try:
            supervisor.check()
        except ProcessDiedError as exc:
            return "killed by SIGKILL" in str(exc)
        return False

    await_(noticed)


def test_a_program_that_never_becomes_ready_is_given_up(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    slow = program(tmp_path, SLEEP, ready=lambda: False, seconds=0.2)
    with pytest.raises(NotReadyError, match="one not ready after"):
        supervisor.start(slow)


def test_a_command_that_fails_is_reported(tmp_path: Path, supervisor: Supervisor) -> None:
    supervisor.finish(program(tmp_path, "print('well')"))
    with pytest.raises(CommandFailedError, match=r"one failed \(exit code 1\); (.|\n)*Oops"):
        supervisor.finish(program(tmp_path, "raise RuntimeError('Oops')"))


def test_a_wish_to_stop_ends_the_waiting(tmp_path: Path) -> None:
    with (
        Supervisor(tmp_path, say=lambda line: None, interrupted=lambda: True) as supervisor,
        pytest.raises(InterruptedRunError),
    ):
        supervisor.start(program(tmp_path, SLEEP, ready=lambda: False))
    assert started(tmp_path) == {}


def test_leftovers_of_a_killed_owner_are_stopped(tmp_path: Path) -> None:
    owner = (
        "import os, signal, sys; from pathlib import Path\n"
        "from demo.processes import Program, Supervisor\n"
        "folder = Path(sys.argv[1])\n"
        "command = [sys.executable, '-c', sys.argv[2]]\n"
        "program = Program(name='one', command=command, environment={}, folder=folder,\n"
        "                  ready=(folder / 'child').exists)\n"
        "Supervisor(folder).start(program)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", owner, str(tmp_path), FAMILY], check=False)
    child = int((tmp_path / "child").read_text())
    assert pids.identity(child)
    assert stop_leftovers(tmp_path) == ["one"]
    assert pids.identity(child) is None
    assert stop_leftovers(tmp_path) == []


def test_children_that_outlived_their_program_and_its_owner_are_stopped(tmp_path: Path) -> None:
    leader = subprocess.Popen([sys.executable, "-c", FAMILY], cwd=tmp_path, start_new_session=True)
    await_((tmp_path / "child").exists)
    remember(tmp_path, leader.pid, pids.identity(leader.pid) or "")
    leader.kill()
    leader.wait()
    child = int((tmp_path / "child").read_text())
    assert pids.identity(child)
    assert stop_leftovers(tmp_path) == ["one"]
    assert pids.identity(child) is None


def test_a_foreign_process_with_a_remembered_pid_is_left_alone(tmp_path: Path) -> None:
    foreign = subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True)
    remember(tmp_path, foreign.pid, f"{foreign.pid}:1:an earlier boot")
    assert stop_leftovers(tmp_path) == []
    assert foreign.poll() is None
    foreign.kill()
    foreign.wait()


def test_foreign_members_of_a_reused_session_are_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    leader = subprocess.Popen([sys.executable, "-c", FAMILY], cwd=elsewhere, start_new_session=True)
    await_((elsewhere / "child").exists)
    remember(tmp_path, leader.pid, f"{leader.pid}:1:an earlier boot")
    leader.kill()
    leader.wait()
    child = int((elsewhere / "child").read_text())
    assert stop_leftovers(tmp_path) == []
    assert pids.identity(child)
    os.kill(child, signal.SIGKILL)


def remember(folder: Path, pid: int, identity: str) -> None:
    line = {"name": "one", "pid": pid, "identity": identity, "folder": str(folder.resolve())}
    (folder / "processes.json").write_text(json.dumps([line]))
