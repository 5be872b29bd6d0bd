"""The embedded PostgreSQL: real servers in throw-away folders, as root and as an ordinary user."""

import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from demo import pids, ports, postgres, postgres_home
from demo.postgres_home import NoSpaceError, PortBusyError, UnsupportedPlatformError

SYSTEM_PYTHON = Path(f"/usr/bin/python3.{sys.version_info.minor}")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kills processes by /proc")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "postgres"
    postgres.remove(tmp_path / "postgres")


def test_a_new_server_has_its_databases_and_keeps_what_was_written(folder: Path) -> None:
    server = postgres.start(folder, databases=("airflow", "accountsync"))
    with psycopg.connect(server.dsn("accountsync"), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (word text)")
    postgres.stop(folder)
    again = postgres.start(folder)
    with psycopg.connect(again.dsn("accountsync")) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_texts_are_unicode_and_writes_are_synced(folder: Path) -> None:
    server = postgres.start(folder, settings={"max_connections": "37"}, databases=())
    query = (
        "SELECT upper('é'), current_setting('server_encoding'), current_setting('fsync'),"
        " current_setting('max_connections'), current_setting('listen_addresses')"
    )
    with psycopg.connect(server.dsn()) as connection:
        assert connection.execute(query).fetchone() == ("É", "UTF8", "on", "37", "127.0.0.1")


def test_starting_twice_reuses_the_running_server(folder: Path) -> None:
    assert postgres.start(folder, databases=()) == postgres.start(folder, databases=())


def test_stopping_leaves_no_process_and_may_be_repeated(folder: Path) -> None:
    server = postgres.start(folder, databases=())
    postgres.stop(folder)
    postgres.stop(folder)
    assert pids.identity(server.pid) is None
    assert postgres.running(folder) is None


def test_the_server_outlives_a_killed_owner_and_is_reused(folder: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from demo import postgres\n"
        "server = postgres.start(Path(sys.argv[1]), databases=())\n"
        "print(server.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    owner = subprocess.run(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True, check=False
    )
    assert owner.returncode == -signal.SIGKILL
    assert postgres.start(folder, databases=()).pid == int(owner.stdout)


def test_a_killed_server_is_recovered_with_its_data(folder: Path) -> None:
    server = postgres.start(folder, databases=())
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    os.kill(server.pid, signal.SIGKILL)
    again = postgres.start(folder, databases=())
    assert again.pid != server.pid
    with psycopg.connect(again.dsn()) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


def test_a_pid_file_that_names_a_foreign_process_does_not_matter(folder: Path) -> None:
    postgres.start(folder, databases=())
    pid_file = folder / "home" / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    postgres.stop(folder)
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert postgres.running(folder) is None
    assert postgres.start(folder, databases=()).pid != os.getpid()


def test_an_interrupted_initdb_is_begun_anew(folder: Path) -> None:
    (postgres_home.prepare(folder).root / "data.half" / "base").mkdir(parents=True)
    assert postgres.start(folder, databases=()).port


def test_a_missing_database_is_made_once(folder: Path) -> None:
    server = postgres.start(folder, databases=())
    postgres.ensure_database(server, "Odd; --")
    postgres.ensure_database(server, "Odd; --")
    with psycopg.connect(server.dsn()) as connection:
        found = connection.execute("SELECT count(*) FROM pg_database WHERE datname = 'Odd; --'")
        assert found.fetchone() == (1,)


def test_the_password_is_private_and_needed(folder: Path) -> None:
    server = postgres.start(folder, databases=())
    assert (folder / "password").stat().st_mode & 0o777 == 0o600
    assert server.password not in repr(server)
    wrong = server.dsn().replace(server.password, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_a_busy_port_is_named(folder: Path) -> None:
    with socket.create_server((ports.HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortBusyError, match=f"port {port} .* is taken by another program"):
            postgres.start(folder, port=port)


def test_no_space_is_said_before_anything_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_home, "_NEEDED_MB", 10**12)
    with pytest.raises(NoSpaceError, match="MB are needed in .*, .* MB are free"):
        postgres.start(folder)


def test_missing_programs_are_explained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(postgres_home.BIN_VARIABLE, "/nowhere")
    with pytest.raises(UnsupportedPlatformError, match="set ACCOUNTSYNC_POSTGRES_BIN to"):
        postgres.start(folder)


def test_workers_share_one_server_and_the_last_removes_it(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from demo import postgres\n"
        "with postgres.shared(Path(sys.argv[1])) as server:\n"
        "    print(server.pid)"
    )
    with postgres.shared(folder) as first:
        worker = [sys.executable, "-c", script, str(folder)]
        second = subprocess.run(worker, capture_output=True, text=True, check=True)
        assert int(second.stdout) == first.pid
        assert pids.identity(first.pid) is not None
    assert pids.identity(first.pid) is None
    assert not folder.exists()


def test_a_worker_that_was_killed_does_not_keep_the_server_alive(folder: Path) -> None:
    with postgres.shared(folder) as server:
        (folder.with_name("postgres.users") / "1").write_text("1:0:an earlier boot")
    assert pids.identity(server.pid) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by PostgreSQL")
class TestAsRoot:
    def test_the_server_runs_as_nobody(self, folder: Path) -> None:
        server = postgres.start(folder, databases=())
        owner = Path(f"/proc/{server.pid}").stat().st_uid
        assert owner == pwd.getpwnam("nobody").pw_uid

    def test_data_below_a_closed_folder_lie_elsewhere_and_are_found_again(
        self, folder: Path
    ) -> None:
        folder.parent.chmod(0o700)
        postgres.start(folder, databases=())
        private = (folder / "home").readlink()
        assert folder.parent not in private.parents
        postgres.stop(folder)
        postgres.start(folder, databases=())
        assert (folder / "home").readlink() == private
        postgres.remove(folder)
        assert not private.exists()

    def test_no_folder_above_is_opened(self, folder: Path) -> None:
        folder.parent.chmod(0o700)
        postgres.start(folder, databases=())
        assert folder.parent.stat().st_mode & 0o777 == 0o700

    def test_closed_binaries_are_copied_once(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres_home, "_reachable", lambda path: False)
        server = postgres.start(folder, databases=())
        binary = Path(f"/proc/{server.pid}/exe").readlink()
        assert (folder / "home").resolve() in binary.parents


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.skipif(not SYSTEM_PYTHON.exists(), reason="root's own Python is closed to others")
def test_an_ordinary_user_needs_no_other_user() -> None:
    script = (
        "import sys; from pathlib import Path; from demo import postgres\n"
        "folder = Path(sys.argv[1]); server = postgres.start(folder, databases=('x',))\n"
        "print(Path(f'/proc/{server.pid}').stat().st_uid); postgres.remove(folder)"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, 65534, 65534)
        run = subprocess.run(
            [str(SYSTEM_PYTHON), "-c", script, f"{folder}/postgres"],
            user="nobody",
            env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
    if "ModuleNotFoundError" in run.stderr:
        pytest.skip("the repository is closed to others")
    assert run.stdout.split() == ["65534"], run.stderr
