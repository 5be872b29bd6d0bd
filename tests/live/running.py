"""A whole Airflow that really runs: PostgreSQL, simulators, API server, scheduler, DAG processor.

One a session, shared by `tests/live` and `tests/browser`. Everything it starts is stopped again;
what a killed session left behind is stopped by the next one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.rows import dict_row

from demo import http_json, pids, postgres, stack
from demo.airflow_api import DagRun
from demo.chain import CREATE, DAGS, PROCESS, SYNC, await_dags
from demo.environment import ADMIN, inherited
from demo.processes import Program, Supervisor, stop_leftovers
from demo.settings import CONFIG, REPOSITORY, TARGETS, Ports, State
from demo.stack import Stack
from demo.verdict import World, read_world
from simulators.client import HrClient, MailClient, TargetClient

PERSONS = 80
PATIENCE = 240.0
"""Seconds for anything that is waited for: also a slow machine gets there."""

_MOVING = ("planned", "waiting", "ready", "running", "unknown")
ROLES = {"vera": "viewer", "uma": "user", "otto": "op", "ada": "admin"}
"""Users beside the admin, none of whom is among `reviews.users` → their roles."""
_SOONER = {  # what a test would otherwise wait for; each is a setting of Airflow's own
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "12",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",  # `configure` asks for it
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
        f"{user}:{role}" for user, role in {ADMIN: "admin", **ROLES}.items()
    ),
    "PGOPTIONS": "-c idle_in_transaction_session_timeout=10s",  # docs/deployment.md
}
_IMPORTED = """from contextlib import suppress

import accountsync.review_wiring
import accountsync.wiring
from accountsync.errors import ConfigurationError
from accountsync.settings import config_path, load

with suppress(ConfigurationError):
    load(config_path())  # its texts are compiled; each task still reads the file itself

__all__ = []
"""
"""airflow_local_settings.py: what every process of Airflow imports. Tasks are forked from the
scheduler: else each of them spends most of its time on importing and compiling the same again."""
_NOT_SYNCED = {"fsync": "off", "synchronous_commit": "off"}  # PostgreSQL itself is never killed


class Killer(Supervisor):
    """A supervisor that can also lose a program and start it again."""

    def __init__(self, state: Path, **options: Any) -> None:
        super().__init__(state, **options)
        self._programs: dict[str, Program] = {}

    def _launch(self, program: Program) -> None:
        self._programs[program.name] = program
        super()._launch(program)

    def kill(self, name: str) -> int:
        """SIGKILL for the program alone, not for its children. Returns its process group."""
        child = next(child for child in self._children if child.started.name == name)
        child.process.send_signal(signal.SIGKILL)
        child.process.wait()
        self._forget(child)
        return child.process.pid

    def restart(self, name: str) -> None:
        self.start(self._programs[name])


@dataclass(frozen=True, kw_only=True)
class Live:
    """What the tests do with it. Waiting raises at once when a part of it has died."""

    stack: Stack
    supervisor: Killer
    variables: Mapping[str, str]
    config: Path
    folder: Path
    sound_config: str = field(repr=False)

    @cached_property
    def hr(self) -> HrClient:
        return HrClient(self.stack.url("hr"))

    @cached_property
    def targets(self) -> dict[str, TargetClient]:
        return {name: TargetClient(self.stack.url(name)) for name in TARGETS}

    @cached_property
    def mail(self) -> MailClient:
        return MailClient(self.stack.url("mail"), self.stack.ports.smtp)

    @cached_property
    def token(self) -> str:
        return self.login(ADMIN)

    def login(self, user: str) -> str:
        """A token of one of ROLES or of the admin. Airflow itself writes the others' passwords into
        the file."""
        passwords = json.loads(self.stack.secrets.passwords_file.read_text(encoding="utf-8"))
        login = {"username": user, "password": passwords[user]}
        url = f"{self.stack.api.url}/auth/token"
        return str(http_json.call("POST", url, body=login)["access_token"])

    @cached_property
    def file_tokens(self) -> list[str]:
        return [str(dag["file_token"]) for dag in self.rest("GET", "dags")["dags"]]

    def rest(self, method: str, path: str, body: object = None, *, token: str = "") -> Any:
        """Airflow's REST API. Raises AnswerError, with the status and the answer in its text."""
        url = f"{self.stack.api.url}/api/v2/{path}"
        return http_json.call(method, url, body=body, token=token or self.token)

    def airflow(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The command line, as an operator on this machine types it."""
        return subprocess.run(
            [sys.executable, "-m", "airflow", *words],
            env=inherited() | self.variables | {"COLUMNS": "200"} | variables,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    def rows(self, query: str, *bound: object, database: str = "accountsync") -> list[Any]:
        dsn = self.stack.database.dsn(database)
        with psycopg.connect(dsn, row_factory=dict_row) as connection:
            done = connection.execute(query.encode(), bound)
            return done.fetchall() if done.description else []

    def wait(self, what: str, condition: Callable[[], Any]) -> Any:
        """The first true answer of the condition."""
        end = time.monotonic() + PATIENCE
        while not (found := condition()):
            self.stack.check()
            assert time.monotonic() < end, f"{what}: not after {PATIENCE:.0f} s"
            time.sleep(0.25)
        return found

    def trigger(self, dag_id: str, **conf: Any) -> DagRun:
        body = {"logical_date": None, "conf": conf}
        made = self.rest("POST", f"dags/{dag_id}/dagRuns", body)
        return self.stack.api.run(dag_id, made["dag_run_id"])

    def ended(self, run: DagRun) -> DagRun:
        """The run, once it is over."""

        def over() -> DagRun | None:
            if self._is_open(run):
                return None
            latest = self.stack.api.run(run.dag_id, run.run_id)
            return None if latest.is_open else latest

        found: DagRun = self.wait(f"the end of {run.dag_id} {run.run_id}", over)
        return found

    def _is_open(self, run: DagRun) -> bool:
        """As the database says: the API server, at which tasks wait, needs far longer for it."""
        query = (
            "SELECT 1 FROM dag_run"
            " WHERE dag_id = %s AND run_id = %s AND state IN ('queued', 'running')"
        )
        return bool(self.rows(query, run.dag_id, run.run_id, database="airflow"))

    def in_step(self) -> None:
        """Everything that HR knows has arrived in the targets."""
        self.ended(self.trigger(SYNC))
        self.settle()

    def task(self, run: DagRun, task_id: str, map_index: int = -1) -> Any:
        path = f"dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task_id}"
        return self.rest("GET", path if map_index < 0 else f"{path}/{map_index}")

    def moving(self) -> int:
        """Account tasks that the engine goes on with by itself."""
        query = "SELECT count(*) AS n FROM accountsync.account_task WHERE state = ANY(%s)"
        return int(self.rows(query, list(_MOVING))[0]["n"])

    def _to_plan(self) -> int:
        """Persons about whom something is new, such as the address that a mailbox got."""
        query = "SELECT count(*) AS n FROM accountsync.person WHERE revision > planned_revision"
        return int(self.rows(query)[0]["n"])

    def is_quiet(self) -> bool:
        """No run is open, and no asset event waits for one: it becomes a run in one transaction.

        An event that an open run answers besides has no run of its own: its list stays empty.
        """
        query = (
            "SELECT 1 FROM asset_dag_run_queue"
            " UNION ALL SELECT 1 FROM dag_run"
            " WHERE dag_id = ANY(%s) AND state IN ('queued', 'running')"
        )
        return not self.rows(query, list(DAGS), database="airflow")

    def skip_retry_delays(self) -> None:
        """The clock is moved, not Airflow: it would wait 30 seconds."""
        self.rows(
            "UPDATE task_instance SET end_date = end_date - interval '1 minute'"
            " WHERE state = 'up_for_retry' AND end_date > now() - interval '1 minute'",
            database="airflow",
        )

    def _is_quiet_soon(self) -> bool:
        self.skip_retry_delays()
        return self.is_quiet()

    def _await_quiet(self) -> None:
        try:
            self.wait("quiet", self._is_quiet_soon)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self._what_is_open()}") from None

    def _what_is_open(self) -> list[Any]:
        runs = (
            "SELECT run.dag_id, run.run_id, run.state, ti.task_id, ti.map_index, ti.state AS task,"
            " ti.try_number, ti.queued_dttm, ti.last_heartbeat_at FROM dag_run run"
            " LEFT JOIN task_instance ti USING (dag_id, run_id)"
            " WHERE run.state IN ('queued', 'running')"
        )
        events = "SELECT * FROM asset_dag_run_queue"
        return [self.rows(query, database="airflow") for query in (runs, events)]

    def woken(self, dag_id: str, *by: str) -> list[DagRun]:
        """Runs of a DAG that follow from asset events of other runs.

        Airflow 3.3.2's own answer (`assets/events`) is a 500 while one of them is queued.
        """
        query = (
            "SELECT DISTINCT run.run_id FROM asset_event event"
            " JOIN dagrun_asset_event pair ON pair.event_id = event.id"
            " JOIN dag_run run ON run.id = pair.dag_run_id"
            " WHERE event.source_run_id = ANY(%s) AND run.dag_id = %s"
        )
        found = self.rows(query, list(by), dag_id, database="airflow")
        return [self.stack.api.run(dag_id, row["run_id"]) for row in found]

    def settle(self) -> None:
        """Until nothing moves: not by waiting for the next schedule, by running what it would."""
        self._await_quiet()
        end = time.monotonic() + PATIENCE
        while (to_plan := self._to_plan()) or self.moving():
            assert time.monotonic() < end, f"{self.moving()} account tasks are still open"
            self.ended(self.trigger(CREATE if to_plan else PROCESS))
            self._await_quiet()

    def heal(self) -> None:
        """Nothing misbehaves any more, and the configuration is as it was."""
        for client in (self.hr, *self.targets.values()):
            client.heal()
        if self.config.read_text() != self.sound_config:
            self.configure(self.sound_config)
            self.wait("sound DAG files", lambda: not self.stack.api.import_errors())
            await_dags(self.stack)

    def configure(self, text: str) -> None:
        """The configuration, and DAG files that are read anew at once."""
        self.config.write_text(text)
        for token in self.file_tokens:
            self.rest("PUT", f"parseDagFile/{token}")

    def world(self) -> World:
        return read_world({name: self.stack.url(name) for name in ("hr", *TARGETS)})

    def mails(self, run: DagRun) -> list[Any]:
        """The mails about one run."""
        return [mail for mail in self.mail.mails() if run.run_id in mail["html"]]


_SHARED: pytest.StashKey[Live] = pytest.StashKey()


@contextmanager
def shared(config: pytest.Config) -> Iterator[Live]:
    """The one of this session: the first who asks starts it, and stops it."""
    if _SHARED in config.stash:
        yield config.stash[_SHARED]
        return
    with _running() as live:
        config.stash[_SHARED] = live
        yield live


@contextmanager
def _running() -> Iterator[Live]:
    folder = Path(tempfile.mkdtemp(prefix="accountsync-live-"))
    with _guarded(folder):
        try:
            with _started(folder) as live:
                await_dags(live.stack)
                live.settle()
                yield live
        finally:
            _clear(folder)


@contextmanager
def _guarded(folder: Path) -> Iterator[None]:
    """If this process is killed, another one stops what it started."""
    words = [sys.executable, "-m", "tests.live.running", str(folder), pids.identity(os.getpid())]
    guard = subprocess.Popen(words, cwd=REPOSITORY, start_new_session=True)
    try:
        yield
    finally:
        guard.kill()
        guard.wait()


def _guard(folder: Path, owner: str) -> None:
    while pids.identity(int(owner.partition(":")[0])) == owner:
        time.sleep(1)
    stop_leftovers(folder)
    _clear(folder)


def _clear(folder: Path) -> None:
    """ACCOUNTSYNC_KEEP_LIVE keeps the logs."""
    postgres.remove(State(root=folder).postgres)
    if not os.environ.get("ACCOUNTSYNC_KEEP_LIVE"):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _started(folder: Path) -> Iterator[Live]:
    """`demo.stack`, with our configuration and less patience."""
    config, variables = folder / "accountsync.yaml", dict[str, str]()
    config.write_text(_configuration())
    usual = stack.environment

    def ours(**given: Any) -> dict[str, str]:
        variables.update(usual(**given | {"config": config}) | _SOONER)
        return variables

    state, supervisor = State(root=folder), Killer(folder, say=lambda line: None)
    (state.airflow / "config").mkdir(parents=True)
    (state.airflow / "config" / "airflow_local_settings.py").write_text(_IMPORTED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stack, "environment", ours)
        patch.setattr(stack, "_POSTGRES", stack._POSTGRES | _NOT_SYNCED)
        with stack.running(state, Ports.free(), supervisor, persons=PERSONS) as parts:
            yield Live(
                stack=parts,
                supervisor=supervisor,
                variables=variables,
                config=config,
                folder=folder,
                sound_config=config.read_text(),
            )


def _configuration() -> str:
    """The example's, with short waits: leases, probes, retries and breakers end within a test."""
    document = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    document["retry"] = {"max_attempts": 5, "base": "1s", "cap": "2s", "probe_gap": "1s"}
    document["breaker"] |= {"base": "1s", "cap": "2s"}
    document["reviews"] = {"users": [ADMIN]}
    for target in document["targets"].values():
        target |= {"timeout": "2s", "rate": {"concurrency": 8}}
    return yaml.safe_dump(document, allow_unicode=True)


__all__ = ["CREATE", "DAGS", "PROCESS", "SYNC", "DagRun", "Live", "shared"]

if __name__ == "__main__":
    _guard(Path(sys.argv[1]), sys.argv[2])
