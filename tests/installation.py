"""A whole AccountSync without Airflow's scheduler: a real PostgreSQL, simulators, the real jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from sqlalchemy import Engine, RowMapping, text

from accountsync import wiring
from accountsync.cli.mapping import read_csv
from accountsync.jobs.persons.run_request import RunRequest
from accountsync.jobs.persons.sync_hr_persons import SyncResult
from accountsync.jobs.plans.create_account_tasks import PlanSummary
from accountsync.jobs.tasks.process_account_tasks import ProcessSummary
from accountsync.settings import Settings, parse
from accountsync.store.persons import mappings
from simulators import run
from simulators.run import HrOptions, Sims, TargetOptions
from tests.databases import as_superuser, at_run_time

DATA = Path(run.__file__).parent / "data"
FAST_RETRY = {"max_attempts": 5, "base": "0s", "cap": "0s", "probe_gap": "0s"}
FAST_BREAKER = {"base": "0s", "cap": "0s"}


@dataclass(frozen=True, kw_only=True)
class Installation:
    settings: Settings
    engine: Engine
    sims: Sims

    def sync(self, mode: Any = "auto", **options: Any) -> SyncResult:
        request = RunRequest(mode=mode, **options)
        return wiring.sync_source(self.settings, "hieds", request=request, airflow_run_id="test")

    def plan(self, **options: Any) -> PlanSummary:
        return wiring.make_plan(self.settings, airflow_run_id="test", **options)

    def process(self, target: str, **options: Any) -> ProcessSummary:
        return wiring.process_target(self.settings, target, worker="test", **options)

    def drain(self, rounds: int = 20) -> list[ProcessSummary]:
        """Until nothing is due; what is due later stays."""
        summaries = []
        for _ in range(rounds):
            due = wiring.find_due_targets(self.settings)
            if not due:
                break
            summaries += [self.process(target) for target in due]
        return summaries

    def rows(self, query: str, **bound: Any) -> list[RowMapping]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(query), bound).mappings())

    def execute(self, statement: str, **bound: Any) -> None:
        with as_superuser(self.engine) as connection:
            connection.execute(text(statement), bound)

    def scalar(self, query: str, **bound: Any) -> Any:
        with self.engine.connect() as connection:
            return connection.scalar(text(query), bound)


def example_settings(**changes: Any) -> Settings:
    """The shipped example configuration, with retries that do not wait."""
    return _parsed(json.dumps(changes))


@lru_cache
def _parsed(changes: str) -> Settings:
    path = Path(__file__).parents[1] / "config" / "accountsync.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    ours = {"retry": FAST_RETRY, "breaker": FAST_BREAKER, **json.loads(changes)}
    return parse(document | ours, origin="test")


@contextmanager
def installed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, *, persons: int = 60, **changes: Any
) -> Iterator[Installation]:
    """Simulators up, Connections set, mappings imported."""
    target = TargetOptions()
    with run.running(
        hr=HrOptions(persons=persons), idaas=target, welink=target, exchange=target
    ) as sims:
        monkeypatch.setenv("ACCOUNTSYNC_DATABASE_URL", at_run_time(engine.url))
        for name, value in connections(sims).items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(value))
        with engine.begin() as connection:
            for kind, file in (
                ("departments", "departments.csv"),
                ("person-types", "person_types.csv"),
            ):
                table = mappings.TABLES[kind]
                mappings.write(connection, table, read_csv(DATA / file, table))
        yield Installation(settings=example_settings(**changes), engine=engine, sims=sims)


def connections(sims: Sims) -> dict[str, dict[str, Any]]:
    hr_extra = {"project": "P1", "enterprise": "E1", "tenant_id": "T1"}
    return {
        "HR_API": http_connection(sims.url("hr"), "hr-secret", hr_extra),
        "IDAAS": http_connection(sims.url("idaas"), "idaas-secret", {"enterprise_id": "E1"}),
        "WELINK": http_connection(sims.url("welink"), "welink-secret", {}),
        "EXCHANGE": http_connection(sims.url("exchange"), "exchange-secret", {}),
    }


def http_connection(url: str, password: str, extra: dict[str, Any]) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "conn_type": "http",
        "schema": "http",
        "host": parts.hostname,
        "port": parts.port,
        "login": "accountsync",
        "password": password,
        "extra": extra,
    }
