"""review_held_changes: a human approves or rejects what a guard held."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from accountsync.scheduling import ACCOUNT_TASKS, HR_PERSONS, dag_defaults, whom_to_ask
from accountsync.scheduling import settings as load_settings

DOC = """
### Purpose
One run for each held plan and each held feed: shows under Required Actions what is held, how much,
whom it concerns (employee numbers) and why; the answer is carried out and audited.

### Runs
Started by `create_account_tasks` and `sync_hr_persons` when a guard held something. No schedule
waits for it: everything else goes on meanwhile. A mail goes to the receivers of `alerts`.

### If it fails
1. An answer within the second in which the question came up may get lost; you are asked again.
2. Nobody answered in time (`HITLTimeoutError`): nothing happened, it stays held. Clear `decide`, or
   use `bin/accountsync plan` and `bin/accountsync feed`: list, show, approve, reject.
3. 403 on answering: `reviews.users` of the configuration names others, and admins are no exception.
4. `SafetyStopError` in `look` or `carry_out`: it was decided elsewhere, or is not what was shown.
   Nothing was changed; what is held now has a run of its own.

### 中文说明
每份被暂缓的计划或 HR 数据对应一次运行：在“待操作的任务实例”中列出暂缓的内容、数量、涉及的工号和
原因；批准或拒绝后照此执行，并记入审计。其他运行不会等待它。

失败时：
1. 刚提问就回答的答复可能丢失，系统会再问一次。
2. `HITLTimeoutError`：无人按时回答，什么也没有发生，仍然暂缓。清除（Clear）`decide`，或使用
   `bin/accountsync plan`、`bin/accountsync feed`。
3. 回答时出现 403：配置的 `reviews.users` 只允许其中的人回答，管理员也不例外。
4. `SafetyStopError`：已在别处决定，或已不是当时展示的内容；没有任何改动。
"""
LOOK = "ti.xcom_pull(task_ids='look')"
COMMENT = Param("", type="string", description="why; kept in the audit trail")


@dag(
    dag_id="review_held_changes",
    schedule=None,
    description="what a guard held → a human's decision",
    doc_md=DOC,
    params={
        "kind": Param("plan", enum=["plan", "feed"]),
        "number": Param(0, type="integer", description="of the plan or the feed"),
    },
    **dag_defaults(queue="account_tasks") | {"max_active_runs": 16},
)
def review_held_changes() -> None:
    @task
    def look(params: dict[str, Any] | None = None) -> dict[str, str]:
        from accountsync import wiring

        said = params or {}
        return wiring.describe_review(load_settings(), said["kind"], said["number"])

    decide = HITLOperator(
        task_id="decide",
        subject=f"{{{{ {LOOK}['subject'] }}}}",
        body=f"{{{{ {LOOK}['body'] }}}}",
        options=["Approve", "Reject"],
        params={"comment": COMMENT},
        response_timeout=timedelta(days=7),
        **whom_to_ask(),
    )

    @task
    def carry_out(shown: dict[str, str], answer: Any, params: dict[str, Any] | None = None) -> bool:
        """Returns whether it was approved."""
        from accountsync import wiring

        said, user = params or {}, answer["responded_by_user"] or {}
        return wiring.decide_review(
            load_settings(),
            said["kind"],
            said["number"],
            approved=answer["chosen_options"] == ["Approve"],
            actor=str(user.get("name") or user.get("id") or "unknown"),
            comment=str((answer["params_input"] or {}).get("comment", "")),
            reviewed=shown["reviewed"],
        )

    @task(outlets=[ACCOUNT_TASKS], retries=5)
    def announce_tasks(approved: bool, params: dict[str, Any] | None = None) -> None:
        if not approved or (params or {})["kind"] != "plan":
            raise AirflowSkipException("no account task goes on")

    @task(outlets=[HR_PERSONS], retries=5)
    def announce_persons(approved: bool, params: dict[str, Any] | None = None) -> None:
        if not approved or (params or {})["kind"] != "feed":
            raise AirflowSkipException("no person changed")

    shown = look()
    shown >> decide
    approved = carry_out(shown, decide.output)  # type: ignore[arg-type]
    announce_tasks(approved)  # type: ignore[arg-type]
    announce_persons(approved)  # type: ignore[arg-type]


review_held_changes()
