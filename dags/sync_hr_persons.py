"""sync_hr_persons: read HR, keep the store of persons in step."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from accountsync.scheduling import HR_PERSONS, airflow_run_id, dag_defaults, data_interval, every
from accountsync.scheduling import settings as load_settings

DOC = """
### Purpose
Reads every HR source and merges what changed into the store of persons: complete or nothing.

### Runs
Every 10 minutes from the watermark (the newest change time HR has sent), completely once a day, by
hand with the form, and as a backfill over exactly the backfill's intervals, from the first start to
the last start. Airflow takes a time without a zone for UTC, so say yours; `--dry-run` lists first:

    airflow backfill create --dag-id sync_hr_persons --max-active-runs 1 \\
      --from-date 2026-01-31T10:00+08:00 --to-date 2026-01-31T11:50+08:00

### If it fails
1. Open the log of the red task: its last line says which source, what, whether anything changed.
2. `IncompleteReadError`: HR's pages moved or its totals lied three times in a row. Nothing was
   changed. Wait for the next run; if it persists, show HR's operators the message.
3. `TargetDownError`, `TransientError`: HR did not answer. The next run reads the same changes.
4. `ConfigurationError`: do what it says, then clear the task.
"""


@dag(
    dag_id="sync_hr_persons",
    schedule=every("*/10 * * * *"),
    description="HR system → persons",
    doc_md=DOC,
    params={
        "mode": Param(
            "auto",
            enum=["auto", "incremental", "full"],
            description="auto: changes since the watermark, everything when that is due",
        )
    },
    **dag_defaults(queue="hr_sync"),
)
def sync_hr_persons() -> None:
    @task(map_index_template="{{ task.op_kwargs['source'] }}")
    def read(source: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the run's counts."""
        from accountsync import wiring
        from accountsync.jobs.sync_hr_persons import require_bounds

        start, end = data_interval() or (None, None)
        counts = wiring.sync_hr_persons(
            load_settings(),
            source,
            mode=(params or {})["mode"],
            window=require_bounds(start, end),
            airflow_run_id=airflow_run_id(),
        )
        return asdict(counts) | {"newest_change": str(counts.newest_change)}

    @task(outlets=[HR_PERSONS], retries=5)
    def announce(counts: list[dict[str, Any]], *, outlet_events: Any = None) -> None:
        """Tells `create_account_tasks`, if anything changed."""
        changed = sum(source["inserted"] + source["updated"] for source in counts)
        if not changed:
            raise AirflowSkipException("nothing changed")
        outlet_events[HR_PERSONS].extra = {"changed": changed}

    announce(read.expand(source=[source.name for source in load_settings().hr]))  # type: ignore[arg-type]


sync_hr_persons()
