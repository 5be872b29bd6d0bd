"""The DAG files: loaded, held to the house's rules, and run."""

from __future__ import annotations

import ast
import json
import re
import socket
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError

from accountsync import scheduling
from accountsync.web import run_door
from tests.conftest import REPOSITORY
from tests.installation import Installation

DAGS = {
    "sync_hr_persons": "hr_sync",
    "create_account_tasks": "account_tasks",
    "process_account_tasks": "account_processing",
    "review_held_changes": "account_tasks",
}
FILES = sorted((REPOSITORY / "dags").glob("*.py"))

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow's own


@pytest.fixture(scope="session")
def metadata() -> None:
    """Airflow's own database, for `dag.test()`."""
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True
    )


@pytest.fixture
def nobody_is_asked(metadata: None) -> None:
    """Each test has a store of its own, whose feeds have the numbers of another's."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        for run in DagRun.find(dag_id="review_held_changes", session=session):
            session.delete(run)


@pytest.fixture(scope="session")
def bag(metadata: None) -> DagBag:
    return DagBag(str(REPOSITORY / "dags"))


def test_all_dags_load_without_errors(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert set(bag.dags) == set(DAGS)


@pytest.mark.parametrize("dag_id", DAGS)
def test_every_dag_keeps_the_house_rules(bag: DagBag, dag_id: str) -> None:
    dag = bag.dags[dag_id]
    assert Path(dag.fileloc).stem == dag_id
    assert dag.max_active_runs == (64 if dag_id == "review_held_changes" else 1)
    assert dag.catchup is False
    assert dag.tags == {"accountsync"}
    assert dag.description
    assert "### Purpose" in dag.doc_md
    assert "### If it fails" in dag.doc_md
    assert "### 中文说明" in dag.doc_md
    # What carries a run's `conf` into the DAG processor, which one number can end.
    assert not dag.has_on_failure_callback
    assert not dag.has_on_success_callback
    assert dag.dagrun_timeout is None
    tells = dag.get_task("report_failures")
    last = dag.get_task("every_task_succeeded")
    others = {task.task_id for task in dag.tasks} - {"report_failures", "every_task_succeeded"}
    assert tells.upstream_task_ids == last.upstream_task_ids == others
    for task in dag.tasks:
        assert not task.has_on_failure_callback
        assert not task.has_on_retry_callback
        assert task.queue == DAGS[dag_id]
        assert task.retries >= 1
        assert task.retry_policy is not None
        assert task.owner == "accountsync"
        assert task.execution_timeout is not None


def test_a_first_read_of_a_slow_hr_has_time(bag: DagBag) -> None:
    """I1: it is complete or nothing."""
    read = bag.dags["sync_hr_persons"].get_task("read")
    assert read.execution_timeout == scheduling.READ_TIMEOUT


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dag_file_only_wires(file: Path) -> None:
    """At most 100 lines, and at the top no import of what does I/O."""
    source = file.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 100
    modules = {
        node.module
        for node in ast.parse(source).body
        if isinstance(node, ast.ImportFrom) and node.module and "accountsync" in node.module
    }
    assert modules <= {
        "accountsync.review_requests",
        "accountsync.scheduling",
        "accountsync.settings",
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dag_file_does_not_load_the_heavy_parts(file: Path) -> None:
    """The causes of slow parsing; the time itself is only shown."""
    script = (
        "import runpy, sys, time; import airflow.sdk; begin = time.perf_counter();"
        f"runpy.run_path({str(file)!r}); print(f'{{time.perf_counter() - begin:.3f}} s');"
        "print([m for m in ('aiohttp', 'pypinyin', 'psycopg', 'fastapi') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env=_environment(),
    )
    took, heavy = done.stdout.splitlines()[-2:]
    sys.stdout.write(f"{file.stem}: parsed in {took}\n")
    assert heavy == "[]"


def _environment() -> dict[str, str]:
    import os

    return os.environ | {"PYTHONPATH": str(REPOSITORY / "plugins")}


def _run(bag: DagBag, dag_id: str, **conf: Any) -> Any:
    return bag.dags[dag_id].test(run_conf=conf or None)


def test_the_three_dags_run(bag: DagBag, installation: Installation) -> None:
    """With `dag.test()`: Airflow's task runner in this process, our real store and servers."""
    assert _run(bag, "sync_hr_persons", mode="full").state == "success"
    assert _run(bag, "create_account_tasks").state == "success"
    assert _run(bag, "process_account_tasks").state == "success"
    assert _run(bag, "process_account_tasks", targets=["welink"], max_tasks=3).state == "success"
    count = "SELECT count(*) FROM accountsync.account WHERE system = :s"
    assert installation.scalar(count, s="idaas") == len(installation.sims.idaas.accounts()) > 0
    assert installation.scalar(count, s="welink") == 3
    run = installation.rows("SELECT airflow_run_id, mode FROM accountsync.sync_run")[0]
    assert run["mode"] == "full"
    assert run["airflow_run_id"].startswith("manual__")


def test_a_run_wakes_the_next_one_for_whom_it_released_though_it_failed(
    bag: DagBag, installation: Installation
) -> None:
    """I12: a target that goes down in the middle has made accounts that others waited for."""
    installation.sync("full")
    installation.plan()
    installation.sims.idaas.fault("status", code=503, path="/user/onboarding", skip=5)
    # Said, for in one process Airflow makes the form of a run the next one's default.
    blank = {"targets": [], "max_tasks": None}
    run = _run(bag, "process_account_tasks", **blank)
    assert (run.state, _state(run, "announce")) == ("failed", "success")
    installation.sims.idaas.heal()
    installation.drain()
    assert _state(_run(bag, "process_account_tasks", **blank), "announce") == "skipped"


def _state(run: Any, task_id: str) -> str:
    return str(run.get_task_instance(task_id).state)


@pytest.mark.usefixtures("nobody_is_asked")
def test_a_held_plan_starts_a_review(bag: DagBag, installation: Installation) -> None:
    """I7: once, however often planning runs meanwhile."""
    installation.sync("full")
    installation.plan()
    installation.drain()
    installation.execute("UPDATE accountsync.person SET status = '9', revision = revision + 1")
    for _ in range(2):
        run = _run(bag, "create_account_tasks")
        assert run.state == "success"
    plan = installation.scalar("SELECT id FROM accountsync.plan WHERE state = 'held'")
    (asked,) = _run_ids("review_held_changes", "plan-")
    assert re.fullmatch(rf"plan-{plan}-[0-9a-f]{{16}}", asked)


def test_only_the_users_that_the_configuration_names_may_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I16: Airflow checks it; being an admin is not enough."""
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    document = (REPOSITORY / "config" / "accountsync.yaml").read_text(encoding="utf-8")
    file = tmp_path / "accountsync.yaml"
    file.write_text(document.replace("users: []", "users: [ann]"), encoding="utf-8")
    monkeypatch.setenv("ACCOUNTSYNC_CONFIG", str(file))
    bag = DagBag(str(REPOSITORY / "dags" / "review_held_changes.py"))
    assigned = bag.dags["review_held_changes"].get_task("decide").assigned_users
    may = {
        name: SimpleAuthManager().is_authorized_hitl_task(
            assigned_users={user["id"] for user in assigned},
            user=SimpleAuthManagerUser(username=name, role="ADMIN"),
        )
        for name in ("ann", "ben")
    }
    assert may == {"ann": True, "ben": False}


@pytest.mark.usefixtures("nobody_is_asked")
def test_a_held_feed_starts_a_review(
    bag: DagBag, installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    """I7: the run that read it fails, and asks. In a run by hand there is nobody whom the failure
    mail could ask what failed: a line of the log stands for it."""
    installation.sync("full")
    hr = installation.sims.hr
    hr.put_persons(*(row | {"personDept": []} for row in hr.persons()[:30]))
    assert _run(bag, "sync_hr_persons", mode="full").state == "failed"
    feed = installation.scalar("SELECT id FROM accountsync.sync_run WHERE state = 'held'")
    (asked,) = _run_ids("review_held_changes", "feed-")
    assert asked.startswith(f"feed-{feed}-")
    assert "event=run_failed dag=sync_hr_persons run=manual__" in caplog.text
    assert "Callback failed" not in caplog.text


@pytest.mark.usefixtures("nobody_is_asked")
def test_nobody_is_asked_about_a_feed_while_the_question_about_its_forerunner_is_open(
    bag: DagBag, installation: Installation
) -> None:
    """I7: it is asked about as soon as that one was answered, or nobody did in time."""
    installation.sync("full")
    hr = installation.sims.hr
    hr.put_persons(*(row | {"personDept": []} for row in hr.persons()[:30]))
    assert _run(bag, "sync_hr_persons", mode="full").state == "failed"
    first = _run_ids("review_held_changes", "feed-")
    hr.put_persons(hr.persons()[40] | {"fullName": "王五"})
    assert _run(bag, "sync_hr_persons", mode="full").state == "failed"
    assert _run_ids("review_held_changes", "feed-") == first
    _close(first)
    _run(bag, "create_account_tasks")
    feed = installation.scalar("SELECT id FROM accountsync.sync_run WHERE state = 'held'")
    known, another = _run_ids("review_held_changes", "feed-")
    assert [known] == first
    assert another.startswith(f"feed-{feed}-")


@pytest.mark.usefixtures("nobody_is_asked")
def test_a_held_feed_keeps_no_other_source_from_waking_the_planner(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: None
) -> None:
    """I7: the second source has the numbers of the first one's persons, all of which are rejected:
    its feed is held, and the run fails. Held still, it fails no other."""
    document = yaml.safe_load((REPOSITORY / "config" / "accountsync.yaml").read_text())
    document["hr"] = [document["hr"][0], document["hr"][0] | {"name": "contractors"}]
    path = tmp_path / "two_sources.yaml"
    path.write_text(yaml.safe_dump(document))
    monkeypatch.setenv("ACCOUNTSYNC_CONFIG", str(path))
    two = DagBag(str(REPOSITORY / "dags" / "sync_hr_persons.py"))
    states = [_states(_run(two, "sync_hr_persons", mode="full")) for _ in range(2)]
    # Which one reads first, and has the persons then, is left to Airflow.
    reads = [sorted((one.pop("read 0"), one.pop("read 1"))) for one in states]
    assert reads == [["failed", "success"], ["success", "success"]]
    assert states == [
        {"announce": "success", "run": "failed"},
        {"announce": "skipped", "run": "success"},
    ]
    assert installation.scalar("SELECT count(*) FROM accountsync.person") == 60


def _states(run: Any) -> dict[str, str]:
    tasks = run.get_task_instances()
    found = {f"read {ti.map_index}": ti.state for ti in tasks if ti.task_id == "read"}
    found |= {ti.task_id: ti.state for ti in tasks if ti.task_id == "announce"}
    return found | {"run": run.state}


def test_a_mail_server_that_is_down_does_not_keep_a_review_from_being_asked(
    bag: DagBag, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens
        down = {"conn_type": "smtp", "host": "127.0.0.1", "port": closed.getsockname()[1]}
        down["extra"] = {"disable_ssl": True, "disable_tls": True, "retry_limit": 1}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(down))
        decide = bag.dags["review_held_changes"].get_task("decide")
        shown = {"subject": "Plan 1: 3 account tasks are held", "body": "| {{ 1 }} |"}
        for ask in decide.notifiers:
            ask({"task": SimpleNamespace(**shown), "dag": decide.dag, "run_id": "plan-1"})
    assert "event=mail_not_sent run=plan-1 error=ConnectionRefusedError" in caplog.text


def _run_ids(dag_id: str, begin: str) -> list[str]:
    from airflow.models.dagrun import DagRun

    return [run.run_id for run in DagRun.find(dag_id=dag_id) if run.run_id.startswith(begin)]


def _close(reviews: list[str]) -> None:
    """As if somebody had answered, or nobody in time."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        for run in DagRun.find(dag_id="review_held_changes", run_id=reviews, session=session):
            run.state = "failed"


def test_the_form_of_sync_hr_persons_reaches_the_job(
    bag: DagBag, installation: Installation
) -> None:
    """As the web page sends it, with every field."""
    form = {"mode": "auto", "from": None, "to": None, "numbers": [], "sources": []}
    form |= {"dry_run": False}
    number = installation.sims.hr.persons()[0]["employeeNumber"]
    window = {"from": "2024-01-01T00:00:00+08:00", "to": "2024-06-01T00:00:00+08:00"}
    orders: list[dict[str, Any]] = [
        {"mode": "full", "dry_run": True},
        {"mode": "person", "numbers": [number], "sources": ["hieds"]},
        {"mode": "window", **window},
        {"sources": ["nobody"]},
        {"mode": "window"},
        {"mode": "full", "dry-run": True},
    ]
    states = [_run(bag, "sync_hr_persons", **form | order).state for order in orders]
    assert states == ["success", "success", "success", "failed", "failed", "failed"]
    runs = installation.rows("SELECT * FROM accountsync.sync_run ORDER BY id")
    assert [(run["mode"], run["dry_run"]) for run in runs] == [
        ("full", True),
        ("person", False),
        ("window", False),
    ]
    assert (runs[1]["inserted"], runs[2]["read_from"].year) == (1, 2023)


@pytest.mark.parametrize(
    "wrong",
    [{"mode": "some"}, {"from": 5}, {"numbers": "1"}, {"dry_run": "yes"}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_form_that_is_filled_in_wrongly_starts_no_run(bag: DagBag, wrong: dict[str, Any]) -> None:
    """Airflow refuses it when it is triggered, by whatever way."""
    params = deepcopy(bag.dags["sync_hr_persons"].params)
    with pytest.raises(ParamValidationError):
        params.update(wrong)


def test_a_broken_configuration_is_an_import_error_that_says_what_is_wrong(
    tmp_path: Path, metadata: None
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("hr: []\ntargets: {idaas: {preset: idaaas}}\ntimezone: Mars/Base\n")
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "dags", "list-import-errors", "-l", "-o", "plain"],
        check=False,
        capture_output=True,
        text=True,
        env=_environment() | {"ACCOUNTSYNC_CONFIG": str(broken), "COLUMNS": "400"},
    )
    assert "no preset 'idaaas'" in done.stdout
    assert "known: ['active_directory'" in done.stdout


@pytest.mark.parametrize("dag_id", DAGS)
def test_the_door_knows_the_form_of_every_dag(bag: DagBag, dag_id: str) -> None:
    assert run_door.FORMS[dag_id] == set(bag.dags[dag_id].params)
