"""What a run may be started with is judged before Airflow takes it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from accountsync.plugin import RunDoor
from accountsync.web import run_door

HUGE = 10**30


class _Airflow:
    """What lies behind the door: it reads the whole request."""

    def __init__(self) -> None:
        self.read: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.read.append(body)


def _ask(path: str, body: bytes, *, parts: int = 1, method: str = "POST") -> tuple[Any, list[Any]]:
    """What Airflow read, or None, and what was answered in its place."""
    size = max(1, -(-len(body) // parts))
    pieces = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    messages = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces) - 1}
        for number, piece in enumerate(pieces)
    ]
    airflow, answers, given = _Airflow(), list[Any](), iter(messages)

    async def receive() -> Any:
        return next(given)

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {"type": "http", "method": method, "path": path}
    asyncio.run(RunDoor(airflow)(scope, receive, send))
    return (airflow.read[0] if airflow.read else None), answers


def _trigger(dag_id: str, conf: Any, **options: Any) -> tuple[Any, list[Any]]:
    body = json.dumps({"logical_date": None, "conf": conf}).encode()
    return _ask(f"/api/v2/dags/{dag_id}/dagRuns", body, **options)


@pytest.mark.parametrize("dag_id", run_door.FORMS)
def test_a_number_beyond_64_bits_starts_no_run(dag_id: str) -> None:
    """I21: in a known name, however deep."""
    for name in run_door.FORMS[dag_id]:
        for value in (HUGE, -HUGE, 2**63, [HUGE], {"a": [{"b": HUGE}]}):
            read, answers = _trigger(dag_id, {name: value}, parts=3)
            assert read is None
            assert answers[0]["status"] == 400
            said = json.loads(answers[1]["body"])["detail"]
            assert said == f"conf: {name}: a whole number is beyond 64 bits"


@pytest.mark.parametrize("dag_id", run_door.FORMS)
def test_a_name_that_the_form_lacks_starts_no_run(dag_id: str) -> None:
    read, answers = _trigger(dag_id, {"dry-run": True, "note\n": HUGE})
    assert read is None
    said = json.loads(answers[1]["body"])["detail"]
    assert said.startswith("conf: there is no 'dry-run', 'note'; known: ")


def test_a_long_request_is_judged_as_well() -> None:
    conf = {"numbers": ["x" * 2_000_000], "mode": HUGE}
    read, answers = _trigger("sync_hr_persons", conf, parts=7)
    assert (read, answers[0]["status"]) == (None, 400)


def test_a_request_without_an_end_is_refused_without_being_read_to_it() -> None:
    """I21: whoever sends it has not logged in yet."""
    read, answers = _trigger("sync_hr_persons", {"numbers": ["x" * 30_000_000]}, parts=30_000)
    assert (read, answers[0]["status"]) == (None, 400)
    assert json.loads(answers[1]["body"]) == {"detail": "the request is larger than 8 MB"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "assets/events"),
        ("POST", "assets/1/materialize"),
        ("POST", "dags/d/dagRuns/r/taskInstances/t/xcomEntries"),
        ("PATCH", "dags/d/dagRuns/r/taskInstances/t/xcomEntries/return_value"),
    ],
)
def test_no_other_value_of_a_run_is_beyond_64_bits(method: str, path: str) -> None:
    """I21: what an event or an XCom carries is given to the process of a task as well."""
    for body, status in (({"extra": {"n": HUGE}}, 400), ({"value": [2**63]}, 400), ({"n": 1}, 0)):
        read, answers = _ask(f"/api/v2/{path}", json.dumps(body).encode(), method=method)
        assert (read is None) is bool(status)
        assert [one["status"] for one in answers[:1]] == [status][: bool(status)]


def test_a_backfill_is_judged_as_a_run_is() -> None:
    body = {"dag_id": "sync_hr_persons", "dag_run_conf": {"note": HUGE}}
    for path in ("/api/v2/backfills", "/api/v2/backfills/dry_run", "/base/api/v2/backfills/"):
        read, answers = _ask(path, json.dumps(body).encode())
        assert (read, answers[0]["status"]) == (None, 400)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v2/dags/sync_hr_persons/dagRuns", b'{"conf": {"mode": "full"}}'),
        ("/api/v2/dags/sync_hr_persons/dagRuns", b'{"conf": {"numbers": [9223372036854775807]}}'),
        ("/api/v2/dags/sync_hr_persons/dagRuns", b'{"conf": null}'),
        ("/api/v2/dags/sync_hr_persons/dagRuns", b"{}"),
        ("/api/v2/dags/sync_hr_persons/dagRuns", b"no JSON"),
        ("/api/v2/dags/sync_hr_persons/dagRuns", b"[" * 100_000),
        ("/api/v2/dags/sync_hr_persons/dagRuns", b""),
        ("/api/v2/dags/sync_hr_persons/dagRuns", b'{"conf": {"a": "' + b"x" * 2_000_000),
        ("/api/v2/dags/of_others/dagRuns", b'{"conf": {"note": 1000000000000000000000000}}'),
        ("/api/v2/dags/~/dagRuns/list", b'{"conf": {"note": 1000000000000000000000000}}'),
        ("/api/v2/backfills", b'{"dag_id": ["sync_hr_persons"], "dag_run_conf": {"a": 1}}'),
    ],
)
def test_what_is_not_to_be_refused_reaches_airflow_as_it_came(path: str, body: bytes) -> None:
    """I21."""
    for parts in (1, 4):
        read, answers = _ask(path, body, parts=parts)
        assert read == body
        assert answers == []


def test_nothing_but_a_request_that_starts_a_run_is_looked_at() -> None:
    body = b'{"conf": {"note": 1}}'
    path = "/api/v2/dags/sync_hr_persons/dagRuns"
    assert _ask(path, body, method="GET") == (body, [])
    assert _ask(f"{path}/x/clear", body) == (body, [])
