"""What all tests share: one real PostgreSQL a session, one migrated database a test."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, make_url
from sqlalchemy.engine import URL
from xdist.scheduler import LoadScopeScheduling

from accountsync.store.engine import make_engine
from demo import postgres
from tests.databases import Databases, execute
from tests.installation import Installation, installed

REPOSITORY = Path(__file__).parents[1]
DATABASE_VARIABLE = "ACCOUNTSYNC_DATABASE_URL"

_MEMORY = Path("/dev/shm")  # noqa: S108 (folders of random names in it, as in any temporary one)
_NEEDED = 4 * 2**30


def _in_memory() -> None:
    """Databases' files come and go by the thousand: on a disk that costs the kernel more than they
    cost PostgreSQL."""
    with suppress(OSError):
        room = os.statvfs(_MEMORY)
        if room.f_bavail * room.f_frsize > _NEEDED and not room.f_flag & os.ST_NOEXEC:
            os.environ.setdefault("TMPDIR", str(_MEMORY))
            tempfile.tempdir = None


_in_memory()
AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="accountsync-airflow-"))
os.environ |= {  # before anybody imports Airflow
    "AIRFLOW_HOME": str(AIRFLOW_HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(AIRFLOW_HOME / "logs"),
}


_ONE_WORKER = {  # part of a test's id → the group that shares something dear
    "tests/live/": "live",
    "tests/browser/": "live",
    "tests/dags/": "airflow",
    "tests/connectors/test_connector_ldap": "directories",
    "[openldap": "directories",
    "[active_directory": "directories",
}


_TURNS = ("live", "directories", "airflow", "slow", "")
"""What takes longest begins first: no worker ends alone with it. Most of `live` is waiting."""


def _group(nodeid: str) -> str:
    return next((name for part, name in _ONE_WORKER.items() if part in nodeid), "")


def _turn(item: pytest.Item) -> int:
    return _TURNS.index(_group(item.nodeid) or ("slow" if item.get_closest_marker("slow") else ""))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)


class _Groups(LoadScopeScheduling):
    """As `--dist loadgroup`, whose marks pytest-xdist 3.8 does not see under pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid) or nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _Groups:
    config.option.loadscopereorder = False  # not the largest first, but by turns
    return _Groups(config, log)


def pytest_unconfigure() -> None:
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _log_to_what_stays() -> None:
    """Else Airflow logs to whatever stdout is when it is first imported: that of a command under
    test, which is closed after it."""
    from airflow.sdk.log import configure_logging

    configure_logging(output=sys.__stderr__)


_SETTINGS = {
    "max_connections": "300",
    "fsync": "off",
    "synchronous_commit": "off",
    "scram_iterations": "1",  # a test logs in dozens of times: 4096 take longer than many a query
}


def _session_folder(config: pytest.Config) -> Path:
    """The same for all workers of one pytest run."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    return Path(tempfile.gettempdir()) / f"accountsync-tests-{run[:12]}"


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> Iterator[URL]:
    """A server on which databases may be made: ACCOUNTSYNC_DATABASE_URL's, else an embedded one."""
    given = os.environ.get(DATABASE_VARIABLE)
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg")
        return
    with postgres.shared(_session_folder(request.config), settings=_SETTINGS) as server:
        url = make_url(server.url("postgres"))
        with suppress(psycopg.errors.InternalError_):  # another worker is at it
            execute(url, f"ALTER ROLE CURRENT_USER PASSWORD '{url.password}'")
        yield url


@pytest.fixture(scope="session")
def _databases(server_url: URL) -> Iterator[Databases]:
    databases = Databases(server_url)
    yield databases
    databases.drop()


@pytest.fixture
def database_url(_databases: Databases) -> Iterator[str]:
    """A database of this test alone, with the newest schema and no rows."""
    with _databases.one() as url:
        yield url.render_as_string(hide_password=False)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def empty(_databases: Databases) -> Iterator[Engine]:
    """Of a database without our schema."""
    with _databases.empty() as url:
        engine = make_engine(url.render_as_string(hide_password=False))
        yield engine
        engine.dispose()


@pytest.fixture
def installation(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    with installed(engine, monkeypatch) as installation:
        yield installation
