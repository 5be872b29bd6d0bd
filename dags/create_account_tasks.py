"""create_account_tasks: derive what every changed person should have."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from airflow.sdk import Param, TriggerRule, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from accountsync.scheduling import (
    ACCOUNT_TASKS,
    HR_PERSONS,
    airflow_run_id,
    ask_for_decisions,
    dag_defaults,
    every,
)
from accountsync.scheduling import settings as load_settings

DOC = """
### Purpose
Compares every changed person with the rules and writes one plan: the account tasks to carry out.

### Runs
When `sync_hr_persons` changed somebody, every 10 minutes besides, and by hand. With `dry_run`
nothing is released; `bin/accountsync plan show|release` tells what it would have done, and does it.
What the guard holds is decided in a run of `review_held_changes`; everything else goes on.

### If it fails
1. Open the log of `plan`: its last line says what. The plan is one transaction: nothing half-done
   stays.
2. Clear the task; planning again gives the same plan.
3. Tasks in state `needs_data` are no failure: their `cause` names the mapping to import
   (`bin/accountsync mapping import …`); they continue by themselves.

### 中文说明
把有变化的人员与规则比较，写出一份计划：需要执行的帐号任务。
人员有变化时运行，另外每 10 分钟运行一次。
勾选 `dry_run` 只计划、不放行（`bin/accountsync plan show|release`）。
被防护规则暂缓的部分在 `review_held_changes` 中审批，其余照常执行。

失败时：看 `plan` 日志的最后一行。计划是一个事务，不会留下一半；清除（Clear）该任务即可重新计划。
`needs_data` 的任务不是失败：按其 `cause` 导入映射（`bin/accountsync mapping import …`）后自动继续。
"""


@dag(
    dag_id="create_account_tasks",
    schedule=every("*/10 * * * *", HR_PERSONS),
    description="persons → account tasks",
    doc_md=DOC,
    params={
        "dry_run": Param(False, type="boolean", description="count only, release nothing"),
    },
    **dag_defaults(queue="account_tasks"),
)
def create_account_tasks() -> None:
    @task
    def plan(params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the plan's counts."""
        from accountsync import wiring

        summary = wiring.create_account_tasks(
            load_settings(),
            dry_run=(params or {})["dry_run"],
            airflow_run_id=airflow_run_id(),
        )
        return asdict(summary)

    @task(outlets=[ACCOUNT_TASKS], retries=5)
    def announce(summary: dict[str, Any], params: dict[str, Any] | None = None) -> None:
        """Tells `process_account_tasks`, if there is something to carry out."""
        if (params or {})["dry_run"] or not summary["released"]:
            raise AirflowSkipException("nothing to carry out")

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def find_held() -> list[dict[str, Any]]:
        from accountsync import wiring

        return wiring.pending_reviews(load_settings())

    planned, held = plan(), find_held()
    announce(planned)  # type: ignore[arg-type]
    planned >> held  # type: ignore[operator]
    ask_for_decisions(held)


create_account_tasks()
