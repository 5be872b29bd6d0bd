"""Service providers that take the standard lightly (LANDSCAPE §4; RFC 7644 §3.3, §3.4.2, §3.12)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from accountsync.domain.accounts.account import Account, RemoteAccount
from accountsync.domain.tasks.outcomes import ClaimedTask, Outcome, Result, Rules
from accountsync.domain.tasks.retry import RetryRule
from accountsync.errors import (
    AccountExistsError,
    RejectedByTargetError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.jobs.tasks.operations import carry_out
from accountsync.targets.connector import Connector
from tests.connectors.recorder import Answer, Recorder, recording
from tests.connectors.subjects import connected, endpoint, example

OURS = {"id": "7", "externalId": "00100001", "userName": "z1"}
PERSON = {"externalId": "00100001", "userName": "z1"}
INVALID_FILTER = {
    "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
    "scimType": "invalidFilter",
    "status": "400",
}


def _ask(answer: Answer | Callable[[str], Answer], act: str) -> tuple[Any, Recorder]:
    """Every request gets this answer, or the one for its query."""
    target = example().targets["scim"]

    async def run(url: str) -> Any:
        async with connected(target, endpoint("scim", url)) as connector:
            return await _call(connector, act)

    with recording({"/Users": answer}) as recorder:
        return asyncio.run(run(recorder.url)), recorder


async def _call(connector: Connector, act: str) -> RemoteAccount | None:
    return await (connector.create(PERSON) if act == "create" else connector.find(PERSON))


def _filters(recorder: Recorder) -> list[str]:
    return [parse_qs(one.target.partition("?")[2])["filter"][0] for one in recorder.requests]


def _listed(*resources: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, {"totalResults": len(resources), "Resources": list(resources)}


def test_it_is_looked_up_by_our_key_and_then_by_name() -> None:
    found, recorder = _ask(_listed(), "find")
    assert found is None
    assert _filters(recorder) == ['externalId eq "00100001"', 'userName eq "z1"']


def test_an_empty_list_may_come_without_resources() -> None:
    assert _ask((200, {"totalResults": 0}), "find")[0] is None


STRANGERS = _listed({"id": "8", "externalId": "1", "userName": "x"})


@pytest.mark.parametrize("by_key", [(400, INVALID_FILTER), (400, None), (501, {}), STRANGERS])
@pytest.mark.parametrize(
    ("by_name", "found"),
    [
        (_listed(OURS), RemoteAccount(identifier="z1", remote_id="7", ours=True)),
        (
            _listed({"id": "8", "userName": "Z1"}),
            RemoteAccount(identifier="Z1", remote_id="8", ours=False),
        ),
        (_listed(), None),
    ],
    ids=["ours", "somebody else's", "nobody's"],
)
def test_one_that_cannot_filter_by_our_key_is_asked_by_name(
    by_key: Answer, by_name: Answer, found: RemoteAccount | None
) -> None:
    """`userName` is case-insensitive (RFC 7643 §4.1.1)."""
    assert _ask(lambda query: by_key if "externalId" in query else by_name, "find")[0] == found


def test_one_that_cannot_filter_at_all_gives_no_answer() -> None:
    """A 400 for both: the second look must not say absent."""
    with pytest.raises(TransientError, match="HTTP 400"):
        _ask((400, INVALID_FILTER), "find")


def test_one_that_ignores_the_filter_but_shows_ours_is_believed() -> None:
    others = [{"id": str(n), "userName": f"x{n}"} for n in range(9)]
    found, _ = _ask(_listed(*others, OURS), "find")
    assert found == RemoteAccount(identifier="z1", remote_id="7", ours=True)


def test_one_that_ignores_the_filter_says_nothing_about_absence() -> None:
    """idp-scim-sync, authentik: everybody comes back, ours may be on another page."""
    with pytest.raises(TransientError, match="ignored"):
        _ask(STRANGERS, "find")


def test_hits_that_are_declared_and_not_delivered_are_no_absence() -> None:
    with pytest.raises(TransientError, match="not delivered"):
        _ask((200, {"totalResults": 3, "Resources": []}), "find")


@pytest.mark.parametrize("body", [[], {}, {"Resources": []}, None, "ok"])
def test_an_answer_that_is_no_list_is_no_absence(body: Any) -> None:
    with pytest.raises(TransientError):
        _ask((200, body), "find")


@pytest.mark.parametrize(
    ("status", "body"), [(201, None), (201, {}), (201, {"userName": "z1"}), (200, OURS), (202, {})]
)
def test_a_success_without_the_user_is_an_unknown_outcome(status: int, body: Any) -> None:
    """I9: it may have been made. RFC 9967: a 202 only says that it will be tried."""
    with pytest.raises(UnknownOutcomeError):
        _ask((status, body), "create")


@pytest.mark.parametrize("body", [{"scimType": "uniqueness"}, {}, None])
def test_a_conflict_may_come_without_a_type(body: Any) -> None:
    with pytest.raises(AccountExistsError):
        _ask((409, body), "create")


def test_a_refusal_tells_its_type() -> None:
    with pytest.raises(RejectedByTargetError) as caught:
        _ask((400, {"scimType": "invalidValue", "detail": "userName z1 is bad"}), "create")
    assert caught.value.code == "invalidValue"
    assert "z1" not in str(caught.value)


def test_what_the_server_made_of_the_name_is_kept() -> None:
    """Some normalise it."""
    made, _ = _ask((201, OURS | {"userName": "Z1@corp"}), "create")
    assert made == RemoteAccount(identifier="Z1@corp", remote_id="7", ours=True)


def test_a_rename_that_was_not_made_is_found_under_the_old_name() -> None:
    """I9: django-scim2 finds nobody by externalId. Taken for absent, it would be created anew."""

    def answer(query: str) -> Answer:
        return _listed(OURS) if "z1" in query else _listed()

    account = Account(state="active", identifier="z1", remote_id="7", attributes=PERSON)
    task = ClaimedTask(
        id=1,
        attempt_id=1,
        person_id=1,
        employee_number="00100001",
        operation="rename",
        attributes=PERSON | {"userName": "z2"},
        account_state="active",
        account=account,
        attempts=1,
        absences=1,
        probe=True,
    )
    retry = RetryRule(max_attempts=5, base=timedelta(seconds=1), cap=timedelta(hours=1))
    rules = Rules(retry=retry, probe_gap=timedelta(seconds=1))
    now = datetime(2026, 1, 1, tzinfo=UTC)

    async def probe(url: str) -> Result:
        async with connected(example().targets["scim"], endpoint("scim", url)) as connector:
            return await carry_out(connector, task, rules=rules, clock=lambda: now)

    with recording({"/Users": answer}) as recorder:
        result = asyncio.run(probe(recorder.url))
    assert (result.outcome, result.state) == (Outcome.RETRY, "ready")
