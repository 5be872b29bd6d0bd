"""The few calls of Airflow's REST API that the demo needs."""

import urllib.parse
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .http_json import AnswerError, call

_COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


@dataclass(frozen=True, slots=True, kw_only=True)
class DagRun:
    dag_id: str
    run_id: str
    state: str
    ended: datetime | None

    @property
    def is_open(self) -> bool:
        return self.state in ("queued", "running")


class AirflowApi:
    """Logs in on the first call that needs it."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._token: str | None = None

    def is_up(self) -> bool:
        """Whether the API server answers, with its database behind it."""
        return self._healthy("metadatabase")

    def is_healthy(self) -> bool:
        """Whether all components report a fresh heartbeat (the status code says 200 always)."""
        return self._healthy(*_COMPONENTS)

    def import_errors(self) -> list[str]:
        """What is wrong with DAG files, one text per file."""
        found = self._call("GET", "importErrors")["import_errors"]
        return [f"{one['filename']}: {one['stack_trace']}" for one in found]

    def dag_ids(self) -> set[str]:
        """DAGs that are known and not paused."""
        return {dag["dag_id"] for dag in self._call("GET", "dags?paused=false&limit=100")["dags"]}

    def trigger(self, dag_id: str) -> DagRun:
        return _run(self._call("POST", f"dags/{dag_id}/dagRuns", {"logical_date": None}))

    def run(self, dag_id: str, run_id: str) -> DagRun:
        quoted = urllib.parse.quote(run_id, safe="")
        return _run(self._call("GET", f"dags/{dag_id}/dagRuns/{quoted}"))

    def runs(self, dag_id: str) -> list[DagRun]:
        """The newest runs of a DAG, newest first."""
        found = self._call("GET", f"dags/{dag_id}/dagRuns?order_by=-run_after&limit=20")
        return [_run(one) for one in found["dag_runs"]]

    def has_queued_events(self, dag_id: str) -> bool:
        """Whether an asset changed and the DAG's run that follows from it does not exist yet.

        The events themselves do not tell: one that comes while another is queued shares its run,
        and Airflow notes it at a later run only."""
        return bool(self._call("GET", f"dags/{dag_id}/assets/queuedEvents")["queued_events"])

    def failed_tasks(self, run: DagRun) -> list[str]:
        quoted = urllib.parse.quote(run.run_id, safe="")
        path = f"dags/{run.dag_id}/dagRuns/{quoted}/taskInstances?state=failed"
        return [one["task_id"] for one in self._call("GET", path)["task_instances"]]

    def _healthy(self, *components: str) -> bool:
        try:
            health = call("GET", f"{self.url}/api/v2/monitor/health", seconds=5)
        except AnswerError:
            return False
        return all(health.get(name, {}).get("status") == "healthy" for name in components)

    def _call(self, method: str, path: str, body: object = None) -> Any:
        if self._token is None:
            self._token = call("POST", f"{self.url}/auth/token", body=self._login)["access_token"]
        return call(method, f"{self.url}/api/v2/{path}", body=body, token=self._token)


def _run(raw: dict[str, Any]) -> DagRun:
    return DagRun(
        dag_id=raw["dag_id"],
        run_id=raw["dag_run_id"],
        state=raw["state"],
        ended=datetime.fromisoformat(raw["end_date"]) if raw["end_date"] else None,
    )
