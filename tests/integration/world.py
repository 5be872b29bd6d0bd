"""AccountSync without Airflow: a real PostgreSQL, simulators, the real jobs, here or in a process
of their own that a test may kill.

    python -m tests.integration.world '{"job": "process", …}'     (see World.worker)
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from sqlalchemy import Engine, RowMapping, text

from accountsync import connections
from accountsync.clock import Clock, utc_now
from accountsync.jobs.persons.run_request import Mode, RunRequest, Window
from accountsync.jobs.persons.sync_hr_persons import SyncResult, sync_hr_persons
from accountsync.jobs.plans.create_account_tasks import PlanSummary, create_account_tasks
from accountsync.jobs.tasks import preview
from accountsync.jobs.tasks.process_account_tasks import (
    ProcessSummary,
    find_due_targets,
    process_account_tasks,
    rules_of,
)
from accountsync.jobs.tasks.task_queue import Limits
from accountsync.settings import Settings, parse
from accountsync.store.engine import database_clock, make_engine
from accountsync.targets import catalog
from accountsync.wire.endpoint import Endpoint
from simulators.run import Sims
from tests.databases import as_superuser
from tests.installation import FAST_BREAKER, FAST_RETRY

REPOSITORY = Path(__file__).parents[2]
SHANGHAI = ZoneInfo("Asia/Shanghai")
Changes = Mapping[str, Mapping[str, Any]]
HrRow = dict[str, Any]

_SIMULATOR_OF = {"hr_api": "hr", "idaas": "idaas", "welink": "welink", "exchange": "exchange"}
_EXTRA = {"project": "P1", "enterprise": "E1", "tenant_id": "T1", "enterprise_id": "E1"}
_SMALL_PAGES = {"page_size": 7, "rate": {"concurrency": 3}}


def settings_with(changes: Changes | None = None) -> Settings:
    """The example configuration with small pages and retries that do not wait.

    `changes`: by HR source or system, over what the example says; under `settings`, the rest.
    """
    return _settings(json.dumps(changes or {}, sort_keys=True))


@lru_cache
def _settings(changed: str) -> Settings:
    changes = json.loads(changed)
    document = yaml.safe_load((REPOSITORY / "config" / "accountsync.yaml").read_text("utf-8"))
    document |= {"retry": FAST_RETRY, "breaker": FAST_BREAKER} | changes.get("settings", {})
    document["hr"][0] |= _SMALL_PAGES | changes.get("hieds", {})
    for name, declared in document["targets"].items():
        declared |= changes.get(name, {})
    return parse(document, origin="test")


def stamp(moment: datetime) -> str:
    """As HR writes it: in China, without a zone."""
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def until(condition: Callable[[], Any], *, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not after {seconds:.0f} s")
        time.sleep(0.01)


@dataclass(frozen=True, kw_only=True)
class World:
    engine: Engine
    sims: Sims
    changes: Changes = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return settings_with(self.changes)

    def sync(
        self,
        mode: Mode = "auto",
        *,
        window: Window | None = None,
        numbers: Iterable[str] = (),
        dry_run: bool = False,
        now: datetime | None = None,
        clock: Clock = utc_now,
        takes_over: Iterable[str] = (),
        overlap: timedelta | None = None,
        **changes: Any,
    ) -> SyncResult:
        """`changes`: to the source, for this run; `overlap`: also one that the settings refuse."""
        source = settings_with({"hieds": {**self.changes.get("hieds", {}), **changes}}).hr[0]
        reach = source.overlap if overlap is None else overlap
        source = source.model_copy(update={"takes_over": list(takes_over), "overlap": reach})
        asked: Mode = "window" if window else "person" if numbers else mode
        return sync_hr_persons(
            engine=self.engine,
            settings=source,
            open_source=partial(connections.http_source, source, self.endpoint(source.conn_id)),
            clock=(lambda: now) if now else clock,
            request=RunRequest(
                mode=asked, window=window, numbers=frozenset(numbers), dry_run=dry_run
            ),
            airflow_run_id="test",
        )

    def plan(
        self, *, now: datetime | None = None, dry_run: bool = False, only: str | None = None
    ) -> PlanSummary:
        return create_account_tasks(
            engine=self.engine,
            settings=self.settings,
            now=now or utc_now(),
            airflow_run_id="test",
            dry_run=dry_run,
            only=only,
        )

    def process(
        self,
        target: str,
        *,
        worker: str = "test",
        clock: Clock | None = None,
        at_once: bool = False,
        dry_run: bool = False,
        **limits: Any,
    ) -> ProcessSummary:
        declared = self.settings.targets[target]
        point = self.endpoint(declared.conn_id)
        open_connector = partial(catalog.opened, declared, point, dry_run=dry_run)
        asked = Limits(
            concurrency=declared.rate.concurrency,
            call_timeout=declared.timeout,
            **{"seconds": 20} | limits,
        )
        rules = rules_of(engine=self.engine, settings=self.settings, target=target)
        if dry_run:
            return preview.preview_account_tasks(
                engine=self.engine,
                target=target,
                open_connector=open_connector,
                rules=rules,
                limits=asked,
            )
        return process_account_tasks(
            engine=self.engine,
            target=target,
            open_connector=open_connector,
            rules=rules,
            limits=asked,
            worker=worker,
            clock=clock or database_clock(self.engine),
            at_once=at_once,
        )

    def due(self, *, dry_run: bool = False) -> list[str]:
        return find_due_targets(engine=self.engine, targets=self.settings.targets, dry_run=dry_run)

    def endpoint(self, conn_id: str) -> Endpoint:
        simulator = _SIMULATOR_OF[conn_id]
        return Endpoint(
            conn_id=conn_id,
            base_url=self.sims.url(simulator),
            login="accountsync",
            password=f"{simulator}-secret",
            extra=_EXTRA,
        )

    def rows(self, query: str, **bound: Any) -> list[RowMapping]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(query), bound).mappings())

    def scalar(self, query: str, **bound: Any) -> Any:
        with self.engine.connect() as connection:
            return connection.scalar(text(query), bound)

    def execute(self, statement: str, **bound: Any) -> None:
        with as_superuser(self.engine) as connection:
            connection.execute(text(statement), bound)

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Whoever writes to this table waits until the block ends."""
        with self.engine.begin() as connection:
            connection.execute(text(f"LOCK TABLE accountsync.{table} IN EXCLUSIVE MODE"))
            yield

    def somebody_waits(self) -> bool:
        """Whether a statement waits for a lock on a table."""
        query = (
            "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
            " WHERE NOT granted AND locktype = 'relation' AND datname = current_database()"
        )
        return bool(self.scalar(query))

    @contextmanager
    def worker(self, job: str, **arguments: Any) -> Iterator[subprocess.Popen[bytes]]:
        """A job in a process of its own; whatever is left of it at the end is killed."""
        order = {
            "job": job,
            "arguments": arguments,
            "database": self.engine.url.render_as_string(hide_password=False),
            "ports": self.sims.ports,
            "changes": self.changes,
        }
        command = [sys.executable, "-m", __name__, json.dumps(order)]
        path = f"{REPOSITORY}:{REPOSITORY / 'plugins'}"
        with subprocess.Popen(command, cwd=REPOSITORY, env={"PYTHONPATH": path}) as running:
            try:
                yield running
            finally:
                running.kill()


def _carry_out(order: Mapping[str, Any]) -> None:
    sims = Sims()
    sims.ports = order["ports"]
    world = World(engine=make_engine(order["database"]), sims=sims, changes=order["changes"])
    getattr(world, order["job"])(**order["arguments"])


if __name__ == "__main__":
    _carry_out(json.loads(sys.argv[1]))
