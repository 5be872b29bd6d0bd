"""process_account_tasks: carry the account tasks out, one processor a target."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from accountsync.scheduling import ACCOUNT_TASKS, airflow_run_id, dag_defaults, every
from accountsync.scheduling import settings as load_settings

DOC = """
### Purpose
Carries out what is due in every target: one mapped task a target, many calls at once inside it.
Each attempt is recorded before the call; a call without an answer is looked up before anything is
repeated.

### Runs
When tasks were released (by a plan, or by accounts that others waited for), every 5 minutes
besides, and by hand. By hand for some `systems`: a target that is down is looked at right now.

### If it fails
1. Look which target's `process` is red: the others went on. Its log's last line says why.
2. `TargetDownError`: the target cannot be reached. Its queue is kept and no attempt is spent. This
   is the only mail: later runs show the target as skipped, look at it now and then, and go on by
   themselves once it answers.
3. `ConfigurationError`: credentials or the configuration. Do what it says, then run by hand for
   this target.
4. `TransientError`: the run was ended, or the store was away. The next run goes on.
5. Tasks that failed or need a human are no failure of a run: `accountsync task failures`.

### 中文说明
在每个目标系统中执行到期的帐号任务：每个目标一个映射任务。每次调用之前先记录；没有得到答复的调用，
先查询结果，再决定是否重做。有任务放行时运行，另外每 5 分钟运行一次。

失败时：看哪个目标的 `process` 是红色（其他目标不受影响），以及其日志的最后一行。
1. `TargetDownError`：目标无法访问。队列保留，不消耗重试次数；恢复后自动继续，只发这一封邮件。
2. `ConfigurationError`：凭据或配置有误。按提示修正，再手工触发该目标（`systems`）。
3. `TransientError`：运行被终止，或数据库暂时不可用。下次运行会继续。
4. 个别任务失败或等待人工不算运行失败：`bin/accountsync task failures`。
"""
ONLY = {"type": "array", "examples": [*load_settings().systems]}


@dag(
    dag_id="process_account_tasks",
    schedule=every("*/5 * * * *", ACCOUNT_TASKS),
    description="account tasks → targets",
    doc_md=DOC,
    params={
        "max_tasks": Param(None, type=["null", "integer"], minimum=1, description="a target"),
        "systems": Param([], items={"enum": ONLY["examples"]}, description="empty: all", **ONLY),
        "employee_numbers": Param([], type="array", description="empty: everybody"),
        "dry_run": Param(False, type="boolean", description="show what would be sent, masked"),
    },
    **dag_defaults(queue="account_processing"),
)
def process_account_tasks() -> None:
    @task
    def find_due_targets(params: dict[str, Any] | None = None, ti: Any = None) -> list[str]:
        from accountsync import wiring

        ti.xcom_push(key="since", value=wiring.store_time(load_settings()).isoformat())
        only = (params or {})["systems"]
        return [s for s in wiring.find_due_targets(load_settings()) if not only or s in only]

    @task(
        map_index_template="{{ task.op_kwargs['system'] }}",
        execution_timeout=timedelta(minutes=15),
    )
    def process(system: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the attempts by outcome. Skipped: the target is down, and that is known."""
        from accountsync import wiring

        said = params or {}
        summary = wiring.process_account_tasks(
            load_settings(),
            system,
            worker=airflow_run_id(),
            max_tasks=said["max_tasks"],
            employee_numbers=said["employee_numbers"] or None,
            at_once=bool(said["systems"]),
            dry_run=said["dry_run"],
        )
        if summary.breaker != "closed" and not summary.outcomes:
            raise AirflowSkipException(f"{system} is left alone: {summary.cause}")
        return asdict(summary)

    @task(outlets=[ACCOUNT_TASKS], trigger_rule="all_done", retries=5)
    def announce(ti: Any = None, outlet_events: Any = None) -> None:
        """Starts the next run at once for who is not waiting any more, also if this one failed."""
        from accountsync import wiring

        since = ti.xcom_pull(task_ids="find_due_targets", key="since")
        released = wiring.find_untried(load_settings(), since=since)
        if not released:
            raise AirflowSkipException("nobody was released")
        outlet_events[ACCOUNT_TASKS].extra = {"released": released}

    processed = process.expand(system=find_due_targets())
    processed >> announce()  # type: ignore[operator]
    # `announce` runs whatever happened, so it cannot tell: a run is as its last tasks are.
    processed >> EmptyOperator(task_id="every_target_succeeded", trigger_rule="none_failed")


process_account_tasks()
