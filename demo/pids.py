"""Who is behind a process id: a number alone may have been given to a foreign process since.

On Linux everything is read from /proc; elsewhere from `ps`, which is slower and knows less.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_HAS_PROC = (_PROC / "self" / "stat").exists()


def identity(pid: int) -> str | None:
    """A text that no other process ever has, or None when the process is gone (or a zombie)."""
    if not _HAS_PROC:
        started, state = _ps(pid, "lstart"), _ps(pid, "stat")
        return None if not started or state.startswith("Z") else f"{pid}:{started}"
    fields = _stat(pid)
    if fields is None or fields[0] in "ZX":
        return None
    # ticks since boot, and which boot: steady when the wall clock is corrected
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{pid}:{fields[19]}:{boot}"


def command_line(pid: int) -> str:
    """The command of a process as one text, arguments separated by spaces; empty when gone."""
    if not _HAS_PROC:
        return _ps(pid, "command")
    try:
        return (_PROC / str(pid) / "cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def place(pid: int) -> tuple[Path, Path] | None:
    """Program file and working folder of a process; None when gone or not ours to see."""
    try:
        process = _PROC / str(pid)
        return (process / "exe").readlink(), (process / "cwd").readlink()
    except OSError:
        return None


def group_lives(group: int) -> bool:
    """Whether a process group has a member that is not a zombie."""
    if _HAS_PROC:
        return any(fields[2] == str(group) for _, fields in _living())
    return identity(group) is not None


def session_members(session: int) -> list[int]:
    """Living processes of a session; empty where there is no /proc."""
    return [pid for pid, fields in _living() if fields[3] == str(session)]


def working_in(folder: Path) -> list[int]:
    """Living processes whose working folder is this one; empty where there is no /proc."""
    found = []
    for pid, _ in _living():
        with contextlib.suppress(OSError):
            if (_PROC / str(pid) / "cwd").readlink() == folder:
                found.append(pid)
    return found


def _living() -> Iterator[tuple[int, list[str]]]:
    for process in _PROC.glob("[0-9]*"):
        fields = _stat(int(process.name))
        if fields is not None and fields[0] not in "ZX":
            yield int(process.name), fields


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third on: state, parent, group, session, ..."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets


def _ps(pid: int, column: str) -> str:
    command = ["ps", "-p", str(pid), "-o", f"{column}="]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
