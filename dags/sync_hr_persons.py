"""sync_hr_persons: read HR, keep the store of persons in step."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from airflow.sdk import Param, TriggerRule, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from accountsync.scheduling import (
    HR_PERSONS,
    READ_TIMEOUT,
    airflow_run_id,
    ask_for_decisions,
    dag_defaults,
    data_interval,
    every,
    fail_with,
)
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
2. `SafetyStopError`: the feed looks broken and is held. `accountsync feed show` tells what it would
   change; approve it if HR says so, else reject it, there or in `review_held_changes`. Meanwhile
   runs go on reading changes.
3. `IncompleteReadError`: HR's pages moved or its totals lied three times in a row. Nothing was
   changed. Wait for the next run; if it persists, show HR's operators the message.
4. `TargetDownError`, `TransientError`: HR did not answer. The next run reads the same changes.
5. `ConfigurationError`: do what it says, then clear the task.

### 中文说明
读取每个 HR 数据源，把变化合并到人员库：要么完整，要么不变。每 10 分钟读取增量，每天读取一次全量；
也可用表单手工触发，或用 backfill 补读指定区间（时间请写明时区）。

失败时：先看红色任务日志的最后一行，它说明哪个数据源、什么原因、是否有改动。
1. `SafetyStopError`：数据可疑，已暂缓。用 `bin/accountsync feed show` 查看，在
   `review_held_changes` 中批准或拒绝；其间增量读取照常进行。
2. `IncompleteReadError`：分页变动或总数不符，没有任何改动。等待下次运行；持续出现请联系 HR 运维。
3. `TargetDownError`、`TransientError`：HR 没有响应，下次运行会读取同样的变化。
4. `ConfigurationError`：按提示修正，然后清除（Clear）该任务。
"""
NONE_OR_TIME: dict[str, Any] = {"type": ["null", "string"], "format": "date-time"}
MODES = ["auto", "incremental", "full", "window", "person"]


@dag(
    dag_id="sync_hr_persons",
    schedule=every("*/10 * * * *"),
    description="HR system → persons",
    doc_md=DOC,
    params={
        "mode": Param("auto", enum=MODES, description="auto: everything when that is due"),
        "from": Param(None, description="window: changed at or after", **NONE_OR_TIME),
        "to": Param(None, description="window: changed before", **NONE_OR_TIME),
        "numbers": Param([], type="array", description="person: employee numbers, one a line"),
        "sources": Param([], type="array", examples=[source.name for source in load_settings().hr]),
        "dry_run": Param(False, type="boolean", description="compare, and change nothing"),
    },
    **dag_defaults(queue="hr_sync"),
)
def sync_hr_persons() -> None:
    @task(map_index_template="{{ task.op_kwargs['source'] }}", execution_timeout=READ_TIMEOUT)
    def read(source: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns what changed: counts, differences by field, examples by employee number."""
        from accountsync import wiring
        from accountsync.jobs.sync_order import order_of, sources_of

        settings, said = load_settings(), params or {}
        order = order_of(said, interval=data_interval(), zone=settings.zone)
        if source not in sources_of(said, known=[source.name for source in settings.hr]):
            raise AirflowSkipException("not among the `sources` asked for")
        run = wiring.sync_hr_persons(settings, source, order=order, airflow_run_id=airflow_run_id())
        return asdict(run) | {"newest_change": str(run.newest_change)}

    @task(outlets=[HR_PERSONS], retries=5, trigger_rule=TriggerRule.ALL_DONE)
    def announce(results: list[dict[str, Any]], *, outlet_events: Any = None) -> None:
        """Tells `create_account_tasks` what changed, whatever became of the other sources."""
        done = [one for one in results if not one["dry_run"] and one["inserted"] + one["updated"]]
        if not done:
            raise AirflowSkipException("nothing changed")
        changed = sum(one["inserted"] + one["updated"] for one in done)
        runs = {one["source"]: one["run_id"] for one in done}
        outlet_events[HR_PERSONS].extra = {"changed": changed, "runs": runs}

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def find_held() -> list[dict[str, Any]]:
        from accountsync import wiring

        return wiring.pending_reviews(load_settings())

    announce(done := read.expand(source=[source.name for source in load_settings().hr]))  # type: ignore[arg-type]
    done >> (held := find_held())  # type: ignore[operator]
    ask_for_decisions(held)
    fail_with(done)


sync_hr_persons()
