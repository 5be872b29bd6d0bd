"""sync_hr_persons: reads HR and keeps the store's persons in step with it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from airflow.sdk import Param, TriggerRule, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from accountsync.review_requests import ask_for_decisions
from accountsync.scheduling import (
    HR_PERSONS,
    READ_TIMEOUT,
    airflow_run_id,
    check_form,
    dag_defaults,
    data_interval,
    documentation,
    end,
    every,
)
from accountsync.settings import process_settings

NONE_OR_TIME: dict[str, Any] = {"type": ["null", "string"], "format": "date-time"}
MODES = ["auto", "incremental", "full", "window", "person"]

SOURCES = [source.name for source in process_settings().hr]


@dag(
    dag_id="sync_hr_persons",
    schedule=every("*/10 * * * *"),
    description="HR system → persons",
    doc_md=documentation(__file__),
    params={
        "mode": Param(
            "auto", enum=MODES, description="auto: changes, or everything when that is due"
        ),
        "from": Param(None, description="window: changed at or after", **NONE_OR_TIME),
        "to": Param(None, description="window: changed before", **NONE_OR_TIME),
        "numbers": Param([], type="array", description="person: employee numbers, one a line"),
        "sources": Param([], type="array", examples=SOURCES, description="empty: all"),
        "dry_run": Param(False, type="boolean", description="compare, and change nothing"),
    },
    **dag_defaults(queue="hr_sync"),
)
def sync_hr_persons() -> None:
    @task(map_index_template="{{ task.op_kwargs['source'] }}", execution_timeout=READ_TIMEOUT)
    def read(source: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns what changed: counts, differences by field, examples by employee number."""
        from accountsync import wiring
        from accountsync.jobs.persons.run_request import request_of, sources_of

        check_form()
        settings, form = process_settings(), params or {}
        request = request_of(form, interval=data_interval(), zone=settings.zone)
        if source not in sources_of(form, known=SOURCES):
            raise AirflowSkipException("not among the `sources` asked for")
        run = wiring.sync_source(settings, source, request=request, airflow_run_id=airflow_run_id())
        newest = run.newest_change and str(run.newest_change)
        return asdict(run) | {"newest_change": newest}

    @task(outlets=[HR_PERSONS], retries=5, trigger_rule=TriggerRule.ALL_DONE)
    def announce(results: list[dict[str, Any]], *, outlet_events: Any = None) -> None:
        """Starts `create_account_tasks` where a source changed persons, even if others failed."""
        written = [
            run for run in results if not run["dry_run"] and run["inserted"] + run["updated"]
        ]
        if not written:
            raise AirflowSkipException("no source that was read has changed anything in the store")
        changed = sum(run["inserted"] + run["updated"] for run in written)
        runs = {run["source"]: run["run_id"] for run in written}
        outlet_events[HR_PERSONS].extra = {"changed": changed, "runs": runs}

    announce(results := read.expand(source=SOURCES))  # type: ignore[arg-type]
    ask_for_decisions(after=results)


end(sync_hr_persons())
