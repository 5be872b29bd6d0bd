"""A real PostgreSQL out of a wheel, for the demo and the tests: loopback only, scram, fsync on.

The state folder holds `password` (0600), `lock` and `home` (data, log; see postgres_home).
`start` is re-entrant: a server that already runs for the folder is reused, whoever started it,
and one that was killed is recovered. The server outlives its starter until `stop`.
"""

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from . import pids, ports, postgres_home
from .postgres_home import Home, NoSpaceError, PortBusyError, PostgresError
from .secret import secret

DATABASES = ("airflow", "accountsync")

HOST = ports.HOST
USER = "postgres"
_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server and how to reach it."""

    host: str
    port: int
    password: str = field(repr=False)
    pid: int

    def dsn(self, database: str = "postgres") -> str:
        """For psycopg and libpq."""
        return f"postgresql://{USER}:{self.password}@{self.host}:{self.port}/{database}"

    def url(self, database: str, driver: str = "psycopg") -> str:
        """For SQLAlchemy."""
        return self.dsn(database).replace("postgresql://", f"postgresql+{driver}://", 1)


def start(
    folder: Path,
    *,
    port: int | None = None,
    settings: Mapping[str, str] | None = None,
    databases: tuple[str, ...] = DATABASES,
) -> Server:
    """Start the server of the state folder, or reuse the one that runs; make missing databases.

    Without a port a free one is taken. Settings are server options such as
    `{"max_connections": "200"}`; a running server keeps those it was started with.
    Raises PostgresError or one of its kinds.
    """
    with _locked(folder):
        home = postgres_home.prepare(folder)
        password = _password(folder)
        _initialise(home, password)
        server = _running(home, password) or _launch(home, password, port, settings or {})
    for database in databases:
        ensure_database(server, database)
    return server


def running(folder: Path) -> Server | None:
    """The server of the state folder if it runs."""
    home = postgres_home.existing(folder)
    return _running(home, _password(folder)) if home else None


def stop(folder: Path) -> None:
    """Stop the server of the state folder; nothing happens if it does not run."""
    if not folder.is_dir():
        return
    with _locked(folder):
        home = postgres_home.existing(folder)
        if home and _postmaster(home):
            _halt(home)


def remove(folder: Path) -> None:
    """Stop the server and delete its data, wherever they lie."""
    stop(folder)
    postgres_home.delete(folder)


def ensure_database(server: Server, name: str) -> None:
    """Create a database unless it exists."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if found.fetchone() is None:
            with contextlib.suppress(psycopg.errors.DuplicateDatabase):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


@contextlib.contextmanager
def shared(folder: Path, *, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """One server for several processes (pytest workers): the first starts it, the last removes it.

    Users that died without a word are not counted, so a folder that outlives a killed run heals.
    """
    users = folder.with_name(folder.name + ".users")
    with _locked(users):
        server = start(folder, settings=settings, databases=())
        (users / str(os.getpid())).write_text(pids.identity(os.getpid()) or "")
    try:
        yield server
    finally:
        with _locked(users):
            (users / str(os.getpid())).unlink(missing_ok=True)
            if not _living(users):
                remove(folder)


def _living(users: Path) -> list[int]:
    files = [file for file in users.iterdir() if file.name.isdigit()]
    return [int(file.name) for file in files if pids.identity(int(file.name)) == file.read_text()]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _password(folder: Path) -> str:
    return secret(folder / "password")


def _initialise(home: Home, password: str) -> None:
    """Make the data folder. It gets its name when complete: a killed initdb leaves no half one."""
    if (home.data / "PG_VERSION").exists():
        _check_version(home)
        return
    half, pwfile = home.root / "data.half", home.root / "password.half"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(mode=0o700)
    pwfile.unlink(missing_ok=True)
    pwfile.touch(mode=0o600)
    pwfile.write_text(password)
    home.own(half)
    home.own(pwfile)
    try:
        _initdb(home, half, pwfile)
    finally:
        pwfile.unlink()
    half.rename(home.data)


def _initdb(home: Home, data: Path, pwfile: Path) -> None:
    modern = _major_version(home) >= 17
    builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    locale = builtin if modern else ["--locale=C.UTF-8"]
    options = [f"--username={USER}", "--auth=scram-sha-256", f"--pwfile={pwfile}"]
    try:
        home.run("initdb", "-D", str(data), "--encoding=UTF8", *locale, *options)
    except PostgresError as exc:
        if postgres_home.no_space(str(exc)):
            raise NoSpaceError(f"no space left in {home.root}") from exc
        raise


def _major_version(home: Home) -> int:
    found = re.search(r"(\d+)", home.run("postgres", "--version"))
    return int(found.group(1)) if found else 0


def _check_version(home: Home) -> None:
    made, have = (home.data / "PG_VERSION").read_text().strip(), str(_major_version(home))
    if made != have:
        message = f"{home.data} was made by PostgreSQL {made}, the programs are {have}"
        raise PostgresError(f"{message}: delete the state (`make demo-reset`) and start again")


def _launch(home: Home, password: str, port: int | None, settings: Mapping[str, str]) -> Server:
    _clear_the_way(home)
    if port is not None and not ports.is_free(port):
        raise PortBusyError(f"port {port} on {HOST} is taken by another program")
    for attempt in range(3):
        try:
            _pg_ctl_start(home, port or ports.free(1)[0], settings)
            break
        except PortBusyError:
            if port is not None or attempt == 2:
                raise
    server = _running(home, password)
    if server is None:
        raise PostgresError(f"PostgreSQL stopped right after its start, see {home.log}")
    return server


def _pg_ctl_start(home: Home, port: int, settings: Mapping[str, str]) -> None:
    home.log.unlink(missing_ok=True)
    home.log.touch()
    home.own(home.log)
    loopback = {"listen_addresses": HOST, "port": str(port), "unix_socket_directories": ""}
    options = " ".join(
        f"-c {shlex.quote(f'{name}={value}')}" for name, value in {**settings, **loopback}.items()
    )
    wait = ["-w", "-t", str(int(_START_SECONDS))]
    try:
        home.run("pg_ctl", "start", "-D", str(home.data), "-l", str(home.log), *wait, "-o", options)
    except PostgresError as exc:
        raise _explained(home, port) from exc


def _explained(home: Home, port: int) -> PostgresError:
    tail = home.log.read_text(errors="replace")[-2000:].strip()
    if "could not bind" in tail or "could not create any TCP/IP sockets" in tail:
        return PortBusyError(f"port {port} on {HOST} is taken by another program")
    if postgres_home.no_space(tail):
        return NoSpaceError(f"no space left in {home.root}")
    return PostgresError(f"PostgreSQL did not start; {home.log} ends with:\n{tail}")


def _halt(home: Home) -> None:
    command = ["stop", "-D", str(home.data), "-w", "-t", "20", "-m"]
    try:
        home.run("pg_ctl", *command, "fast")
    except PostgresError:
        if _postmaster(home):
            home.run("pg_ctl", *command, "immediate")


def _running(home: Home, password: str) -> Server | None:
    """The server once it is ready to answer: a starting one is awaited, a stopping one too."""

    def settled() -> bool:
        return _postmaster(home) is None or _status(home) == "ready"

    _wait(settled, f"PostgreSQL in {home.data} neither becomes ready nor ends")
    pid = _postmaster(home)
    if pid is None:
        return None
    port = int(_pid_file(home)[3])
    return Server(host=HOST, port=port, password=password, pid=pid)


def _pid_file(home: Home) -> list[str]:
    """Lines of postmaster.pid: pid, data folder, start time, port, socket, address, shm, status."""
    try:
        return (home.data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _postmaster(home: Home) -> int | None:
    """The pid of the living server of this data folder; a stale or foreign pid counts as none."""
    lines = _pid_file(home)
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    ours = pids.identity(pid) is not None and f"-D {home.data} " in pids.command_line(pid) + " "
    return pid if ours else None


def _status(home: Home) -> str:
    lines = _pid_file(home)
    return lines[7].strip() if len(lines) > 7 else "starting"


def _clear_the_way(home: Home) -> None:
    """After a kill: wait for its last backends, then drop its pid file.

    PostgreSQL drops it itself only when the pid is dead, not when it is a zombie or given anew.
    """
    _wait(
        lambda: not pids.working_in(home.data),
        f"processes of a killed server still use {home.data}",
    )
    (home.data / "postmaster.pid").unlink(missing_ok=True)


def _wait(condition: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + _START_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise PostgresError(otherwise)
        time.sleep(0.05)
