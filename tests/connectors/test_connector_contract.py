"""What every connector keeps, whatever its target is (DESIGN §7; I9, I10, I13, I15)."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from accountsync.domain.account import RemoteAccount
from accountsync.errors import (
    AccountExistsError,
    AccountSyncError,
    ConfigurationError,
    NeedsDataError,
    TargetDownError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.settings import Settings
from accountsync.settings.parts import TokenAuth
from accountsync.targets.connector import Connector
from simulators.client import SimClient
from tests.connectors.subjects import KINDS, NAME, PHONE, PINYIN, Kind, Subject, example, servers
from tests.integration.world import until

NUMBER = "20001"
DEAD_PORT = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def _servers() -> Iterator[dict[str, SimClient]]:
    with servers() as running:
        yield running


@pytest.fixture(scope="module")
def _example() -> Settings:
    return example()


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def subject(
    request: pytest.FixtureRequest, _servers: dict[str, SimClient], _example: Settings
) -> Subject:
    kind: Kind = request.param
    server = _servers[kind.name]
    server.heal()
    until(lambda: server.state()["in_flight"] == 0)
    server.reset()
    return Subject(kind=kind, server=server, target=_example.systems[kind.name])


def _with(subject: Subject, act: Callable[[Connector], Awaitable[Any]], **options: Any) -> Any:
    async def run() -> Any:
        async with subject.connector(**options) as connector:
            return await act(connector)

    return asyncio.run(run())


def _create(subject: Subject, number: str = NUMBER, **options: Any) -> RemoteAccount:
    made: RemoteAccount = _with(subject, lambda c: c.create(subject.kind.person(number)), **options)
    return made


def _find(subject: Subject, number: str = NUMBER, **options: Any) -> RemoteAccount | None:
    found: RemoteAccount | None = _with(
        subject, lambda c: c.find(subject.kind.person(number)), **options
    )
    return found


def test_what_is_not_there_is_not_found(subject: Subject) -> None:
    assert _find(subject) is None
    _create(subject, "20002")
    assert _find(subject) is None


def test_what_was_created_is_found_as_ours(subject: Subject) -> None:
    made = _create(subject)
    found = _find(subject)
    assert found == made
    assert found is not None
    assert found.ours
    assert subject.accounts() == 1


def test_creating_twice_says_that_it_exists(subject: Subject) -> None:
    """I10."""
    _create(subject)
    with pytest.raises(AccountExistsError):
        _create(subject)
    assert subject.accounts() == 1


def test_somebody_elses_account_with_the_same_names_is_not_ours(subject: Subject) -> None:
    """I10: the name is taken, and the one who has it has another key."""
    if subject.kind.change_key is None:
        pytest.skip("this target knows its accounts by their key alone")
    other = subject.kind.person(NUMBER) | dict(subject.kind.change_key)
    _with(subject, lambda c: c.create(other))
    with pytest.raises(AccountExistsError):
        _create(subject)
    found = _find(subject)
    assert found is None or not found.ours


UNKNOWN: dict[str, tuple[dict[str, Any], bool]] = {
    "dropped, nothing was done": ({"kind": "drop_before"}, False),
    "dropped, it was done": ({"kind": "drop_after"}, True),
    "the body broke off": ({"kind": "truncated", "cut": "connection"}, True),
    "half a body": ({"kind": "truncated"}, True),
    "the answer is slow": ({"kind": "slow_body", "seconds": 1.2}, True),
    "a page instead of an answer": ({"kind": "html"}, False),
    "an empty answer": ({"kind": "status", "code": 200, "body": ""}, False),
    "HTTP 500": ({"kind": "status", "code": 500}, False),
    "HTTP 502": ({"kind": "status", "code": 502}, False),
    "HTTP 504": ({"kind": "status", "code": 504}, False),
}


@pytest.mark.parametrize(("fault", "done"), UNKNOWN.values(), ids=UNKNOWN)
def test_after_an_unknown_outcome_a_look_decides(
    subject: Subject, fault: dict[str, Any], done: bool
) -> None:
    """I9."""
    subject.server.faults(fault | {"path": subject.kind.create_path, "times": 1})
    with pytest.raises(UnknownOutcomeError):
        _create(subject, timeout_s=0.5)
    found = _find(subject)
    assert (found is not None) == done == (subject.accounts() == 1)
    assert found is None or found.ours


@pytest.mark.parametrize("fault", [fault for fault, _ in UNKNOWN.values()], ids=UNKNOWN)
def test_a_look_that_fails_never_says_absent(subject: Subject, fault: dict[str, Any]) -> None:
    """I9, ssosync#194: an error is not an absence."""
    subject.server.faults(fault | {"path": subject.kind.find_path})
    with pytest.raises(TransientError):
        _find(subject, timeout_s=0.5)


def test_an_error_in_the_body_of_a_look_never_says_absent(subject: Subject) -> None:
    """I9: HTTP 200, in the target's own style. Exchange lists both under `fail`."""
    subject.server.fault("ok_with_error", path=subject.kind.find_path)
    with pytest.raises(TransientError):
        _find(subject)


def test_nothing_is_sent_to_a_target_that_is_down(subject: Subject) -> None:
    """I13: no attempt is burnt."""
    for act in (_create, _find):
        with pytest.raises(TargetDownError, match="cannot connect"):
            act(subject, url=DEAD_PORT)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_target_says_when_to_come_back(subject: Subject, form: str) -> None:
    """I13, RFC 9110 §10.2.3."""
    path = f"{subject.kind.create_path}|{subject.kind.find_path}"
    subject.server.fault("too_many_requests", path=path, retry_after=30, form=form)
    for act in (_create, _find):
        with pytest.raises(TransientError) as caught:
            act(subject)
        assert caught.value.retry_after is not None
        assert 27 < caught.value.retry_after <= 30
    assert subject.accounts() == 0


@pytest.mark.parametrize("code", [408, 503])
def test_not_now_is_not_an_unknown_outcome(subject: Subject, code: int) -> None:
    subject.server.fault("status", code=code, path=subject.kind.create_path)
    with pytest.raises(TransientError):
        _create(subject)


def test_a_redirect_is_not_followed(subject: Subject) -> None:
    """SailPoint 200651."""
    subject.server.fault("redirect", path=f"{subject.kind.create_path}|{subject.kind.find_path}")
    for act in (_create, _find):
        with pytest.raises(TransientError, match="redirects are refused"):
            act(subject)


def test_a_token_that_expires_on_the_way_is_renewed_and_the_call_made_once(
    subject: Subject,
) -> None:
    """user-sync#546."""
    if not isinstance(subject.target.auth, TokenAuth):
        pytest.skip("its credentials are fixed: there is nothing to renew")

    async def act(connector: Connector) -> None:
        await connector.create(subject.kind.person("20001"))
        subject.server.fault("expired_token", path=subject.kind.create_path, times=1)
        await connector.create(subject.kind.person("20002"))
        await connector.find(subject.kind.person("20002"))

    _with(subject, act)
    assert subject.accounts() == 2


def test_credentials_that_are_never_accepted_are_a_matter_of_configuration(
    subject: Subject,
) -> None:
    """The same fixed ones are not sent twice: accounts get locked by that."""
    subject.server.fault("status", code=401, path=subject.kind.create_path)
    with pytest.raises(ConfigurationError, match="401"):
        _create(subject)
    is_token = isinstance(subject.target.auth, TokenAuth)
    assert [rule["fired"] for rule in subject.server.faults()] == [2 if is_token else 1]


def test_many_at_once_share_one_token_and_keep_to_the_limit(subject: Subject) -> None:
    """RFC 6749 §4.4: single flight."""

    async def act(connector: Connector) -> None:
        people = [subject.kind.person(str(number)) for number in range(30_000, 30_024)]
        subject.server.fault("latency", path=subject.kind.create_path, seconds=0.03)
        await asyncio.gather(*(connector.create(person) for person in people))

    _with(subject, act, concurrency=6)
    state = subject.server.state()
    assert subject.accounts() == 24
    assert state["in_flight_max"] <= 6
    tokens = [n for route, n in state["requests"].items() if route.endswith(("token", "tickets"))]
    assert tokens in ([], [1])


def test_a_task_without_the_key_is_refused_before_anything_is_sent(subject: Subject) -> None:
    """It was planned before the configuration asked for it."""
    person = subject.kind.person(NUMBER)
    del person[subject.target.key]
    for act in ("create", "find"):
        with pytest.raises(NeedsDataError, match=subject.target.key):
            _with(subject, lambda c, act=act: getattr(c, act)(person))
    assert subject.accounts() == 0


def test_a_slow_answer_is_given_up_in_time(subject: Subject) -> None:
    subject.server.fault("latency", path=subject.kind.create_path, seconds=0.9, times=1)
    start = time.monotonic()
    with pytest.raises(UnknownOutcomeError):
        _create(subject, timeout_s=0.3)
    assert time.monotonic() - start < 0.8


def test_neither_log_nor_error_tells_anything_about_anybody(
    subject: Subject, caplog: pytest.LogCaptureFixture
) -> None:
    """I15: no name, no address, no phone number, no secret; whatever happens."""
    for logger in ("accountsync", "aiohttp.client", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=logger)
    told = [_told(subject, _create, url=DEAD_PORT), _told(subject, _find, url=DEAD_PORT)]
    path = f"{subject.kind.create_path}|{subject.kind.find_path}"
    refused = {"kind": "ok_with_error", "code": 400, "message": f"{NAME} is malformed"}
    for fault in [refused, *(fault for fault, _ in UNKNOWN.values())]:
        subject.server.faults(fault | {"path": path})
        told += [_told(subject, _create, timeout_s=0.3), _told(subject, _find, timeout_s=0.3)]
        subject.server.heal()
    _told(subject, _create)
    told.append(_told(subject, _create))
    everything = "".join(told) + "".join(
        record.getMessage() for record in caplog.records if record.name != "aiohttp.server"
    )
    assert "UnknownOutcomeError" in everything
    for secret in (NAME, PHONE, PINYIN, f"o{NUMBER}", "-secret", "example.com"):
        assert secret not in everything


def _told(subject: Subject, act: Callable[..., Any], **options: Any) -> str:
    """The lines of a log that show the error and all its causes, without the code around."""
    try:
        act(subject, **options)
    except AccountSyncError as error:
        chain: list[BaseException] = [error]
        while chain[-1].__cause__ or chain[-1].__context__:
            chain.append(chain[-1].__cause__ or chain[-1].__context__ or error)
        return "".join(
            line for one in chain for line in traceback.format_exception_only(type(one), one)
        )
    return ""
