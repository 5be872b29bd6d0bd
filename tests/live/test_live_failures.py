"""A failed run sends one mail that its receiver can act on, and that gives nothing away."""

from __future__ import annotations

import os
import re
import signal
import time
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from tests.live.running import PROCESS, SYNC, DagRun, Live

pytestmark = pytest.mark.slow

PERSONS_PATH = "/hr_person_info$"
SECRETS = ("hr-secret", "idaas-secret", "welink-secret", "exchange-secret")


def test_wrong_credentials_send_one_mail_that_says_what_to_correct(live: Live) -> None:
    """HR answers a wrong secret with HTTP 200 and a code in the body."""
    live.hr.fault("ok_with_error", path="/auth/token$")
    run = live.ended(live.trigger(SYNC))
    assert run.state == "failed"
    mail = _only_mail(live, run)
    assert mail["subject"] == "[AccountSync] sync_hr_persons failed / 运行失败: ConfigurationError"
    _expect(mail, "read [hieds]", "attempt 1 of at most 3", "第 1 次尝试")
    _expect(mail, "ConfigurationError: hr_api: no token (HTTP 200); check login, password")
    _expect(mail, "Correct what the cause names", "请按上述原因修正", run.run_id)
    _expect_nothing_private(live, mail)
    url = f"{live.stack.api.url}/dags/{SYNC}/runs/{quote(run.run_id, safe='')}"
    assert re.findall(r' href="([^"]+)"', mail["html"]) == [f"{url}/tasks/read/mapped/0", url]


def test_a_run_with_two_failed_targets_sends_one_mail_about_both(live: Live) -> None:
    live.targets["welink"].fault("status", code=401)
    live.targets["exchange"].fault("status", code=401)
    live.hr.events(join=1)
    live.ended(live.trigger(SYNC))
    live.wait("idaas to be done", lambda: _failed(live, PROCESS))
    run = _failed(live, PROCESS)
    assert run
    mail = _only_mail(live, run)
    _expect(mail, "process [welink]", "process [email]", "ConfigurationError: exchange: HTTP 401")
    _expect_nothing_private(live, mail)


def test_a_killed_task_sends_one_mail_though_it_could_say_nothing(live: Live) -> None:
    """SIGKILL, as the kernel does for want of memory: no task-level callback runs. What the run was
    to read no other one does, and the mail says so."""
    live.hr.fault("latency", path=PERSONS_PATH, seconds=60)
    window = {"from": "2024-06-03T10:00:00+08:00", "to": "2024-06-03T11:00:00+08:00"}
    run = live.trigger(SYNC, mode="window", **window)
    for attempt in (1, 2, 3):
        os.kill(live.wait("HR to be read", partial(_pid, live, run, attempt)), signal.SIGKILL)
        _skip_retry_delay(live, run)
    assert live.ended(run).state == "failed"
    mail = _only_mail(live, run)
    assert mail["subject"].endswith("killed / 被终止")
    _expect(mail, "read [0]", "attempt 3 of at most 3", "The process was killed", "进程被强制终止")
    _expect(mail, "Look for what killed it", "请查明终止原因")
    _expect(mail, "No other run reads what this one was to read", "不会由其他运行读取")


def _only_mail(live: Live, run: DagRun) -> Any:
    """The mail; a second one would come within the time that is waited."""
    live.wait("a mail", lambda: live.mails(run))
    time.sleep(3)
    mails = live.mails(run)
    assert len(mails) == 1
    (live.folder / f"mail-{run.dag_id}-{mails[0]['id']}.html").write_text(mails[0]["html"])
    assert mails[0]["to"] == ["ops@example.com"]
    return mails[0]


def _expect(mail: Any, *texts: str) -> None:
    seen = " ".join(re.sub(r"<[^>]+>", "", mail["html"]).split())
    for text in texts:
        assert text in seen


def _expect_nothing_private(live: Live, mail: Any) -> None:
    """I15."""
    text = mail["subject"] + mail["html"]
    for person in live.hr.persons():
        for private in ("fullName", "englishName", "telephoneNumber1", "birthDay"):
            assert not person[private] or person[private] not in text
    for secret in (*SECRETS, live.stack.secrets.admin_password, live.stack.database.password):
        assert secret not in text


def _failed(live: Live, dag_id: str) -> DagRun | None:
    runs = [run for run in live.stack.api.runs(dag_id) if run.state == "failed"]
    return runs[0] if runs else None


def _pid(live: Live, run: DagRun, attempt: int) -> int:
    """The task's process, once it waits for HR."""
    task = live.rows(
        "SELECT pid FROM task_instance WHERE dag_id = %s AND run_id = %s AND task_id = 'read'"
        " AND state = 'running' AND try_number = %s",
        run.dag_id, run.run_id, attempt,
        database="airflow",
    )  # fmt: skip
    return int(task[0]["pid"] or 0) if task and live.hr.state()["in_flight"] else 0


def _skip_retry_delay(live: Live, run: DagRun) -> None:
    """The clock is moved, not Airflow: it would wait 30 seconds."""
    of_run = "FROM task_instance WHERE run_id = %s AND task_id = 'read'"

    def seen() -> bool:
        states = {
            row["state"]
            for row in live.rows(f"SELECT state {of_run}", run.run_id, database="airflow")
        }
        return bool(states & {"up_for_retry", "failed"})

    live.wait("the death to be noticed", seen)
    live.rows(
        "UPDATE task_instance SET end_date = end_date - interval '1 minute'"
        " WHERE run_id = %s AND state = 'up_for_retry'",
        run.run_id,
        database="airflow",
    )
