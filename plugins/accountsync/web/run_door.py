"""Refuses what a run of ours could not be started with, when it is asked for.

Airflow 3.3.2 takes any number, and any name, in the `conf` of a run; any number in the `extra` of
an asset's event, which starts runs, and in an XCom. A number beyond 64 bits then ends the process
that is given it: no task starts, and nobody learns why (docs/upstream). A name
that the form does not have, such as a misspelt `dry_run`, starts a run that changes something.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from accountsync.domain.shown import one_line

log = logging.getLogger(__name__)

FORMS: Mapping[str, frozenset[str]] = {
    "sync_hr_persons": frozenset({"mode", "from", "to", "numbers", "sources", "dry_run"}),
    "create_account_tasks": frozenset({"dry_run"}),
    "process_account_tasks": frozenset({"max_tasks", "targets", "employee_numbers", "dry_run"}),
    "review_held_changes": frozenset({"kind", "number"}),
}
"""DAG → the names of its form."""

_LARGEST_BODY = 8 * 2**20
"""Bytes. Whoever asks has not been asked for a login yet."""
_LARGEST = 2**63 - 1
_TOO_LARGE = "a whole number is beyond 64 bits"
_SMALLEST = -(2**63)

_Message = dict[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


async def guarded(path: str, receive: _Receive, send: _Send) -> _Receive | None:
    """Reads the request, and returns from where Airflow reads it again; None: it was refused and
    answered. Airflow, too, reads a request as a whole.

    What is no request of ours, or cannot be read, is Airflow's to judge."""
    messages, size, more = [], 0, True
    while more and size <= _LARGEST_BODY:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    problem = "the request is larger than 8 MB" if size > _LARGEST_BODY else None
    if problem := problem or _problem_of(path, b"".join(m.get("body", b"") for m in messages)):
        log.warning("event=run_refused problem=%s", problem)
        await _refuse(send, problem)
        return None
    return _again(messages, receive)


def _again(messages: list[_Message], receive: _Receive) -> _Receive:
    kept = iter(messages)

    async def read() -> _Message:
        return next(kept, None) or await receive()

    return read


def _problem_of(path: str, body: bytes) -> str | None:
    """Why the run cannot be started, or None."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(asked, dict):
        return None
    if "/assets/" in path or "/xcomEntries" in path:
        return _TOO_LARGE if _is_too_large(asked) else None
    is_backfill = "/backfills" in path
    dag_id = asked.get("dag_id") if is_backfill else path.split("/dags/")[-1].split("/")[0]
    conf = asked.get("dag_run_conf" if is_backfill else "conf")
    if not isinstance(dag_id, str) or dag_id not in FORMS or not isinstance(conf, dict):
        return None
    return problem(dag_id, conf)


def problem(dag_id: str, conf: Mapping[str, Any]) -> str | None:
    """What is wrong with the parameters of a run of ours, or None."""
    form = FORMS[dag_id]
    if unknown := sorted(conf.keys() - form):
        names = ", ".join(repr(one_line(name)[:80]) for name in unknown[:5])
        return f"conf: there is no {names}; known: {', '.join(sorted(form))}"
    for name in sorted(conf):
        if _is_too_large(conf[name]):
            return f"conf: {name}: {_TOO_LARGE}"
    return None


def _is_too_large(value: Any) -> bool:
    return any(not _SMALLEST <= number <= _LARGEST for number in _integers(value))


def _integers(value: Any) -> Iterator[int]:
    """All whole numbers in a value, however deep. It does not call itself: a value may be nested
    deeper than Python lets it."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
        elif isinstance(one, int):
            yield one


async def _refuse(send: _Send, problem: str) -> None:
    body = json.dumps({"detail": problem}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})
