"""What every connector keeps, whatever its target is (DESIGN §7; I9, I10, I13, I15)."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from accountsync.domain.accounts.account import Account, RemoteAccount
from accountsync.errors import (
    AccountExistsError,
    AccountSyncError,
    ConfigurationError,
    NeedsDataError,
    SafetyStopError,
    TargetDownError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.settings.parts import TokenAuth
from accountsync.targets.connector import Connector
from tests.connectors.subjects import NAME, PHONE, PINYIN, HttpSubject, Subject, do

NUMBER = "20001"


def _create(subject: Subject, number: str = NUMBER, **options: Any) -> RemoteAccount:
    made: RemoteAccount = do(subject, lambda c: c.create(subject.person(number)), **options)
    return made


def _find(subject: Subject, number: str = NUMBER, **options: Any) -> RemoteAccount | None:
    found: RemoteAccount | None = do(subject, lambda c: c.find(subject.person(number)), **options)
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
    if subject.change_key is None:
        pytest.skip("this target knows its accounts by their key alone")
    other = subject.person(NUMBER) | subject.change_key
    do(subject, lambda c: c.create(other))
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
    http: HttpSubject, fault: dict[str, Any], done: bool
) -> None:
    """I9."""
    http.server.faults(fault | {"path": http.kind.create_path, "times": 1})
    with pytest.raises(UnknownOutcomeError):
        _create(http, timeout_s=0.5)
    found = _find(http)
    assert (found is not None) == done == (http.accounts() == 1)
    assert found is None or found.ours


@pytest.mark.parametrize("fault", [fault for fault, _ in UNKNOWN.values()], ids=UNKNOWN)
def test_a_look_that_fails_never_says_absent(http: HttpSubject, fault: dict[str, Any]) -> None:
    """I9, ssosync#194: an error is not an absence."""
    http.server.faults(fault | {"path": http.kind.find_path})
    with pytest.raises(TransientError):
        _find(http, timeout_s=0.5)


def test_an_error_in_the_body_of_a_look_never_says_absent(http: HttpSubject) -> None:
    """I9: HTTP 200, in the target's own style. Exchange lists both under `fail`."""
    http.server.fault("ok_with_error", path=http.kind.find_path)
    with pytest.raises(TransientError):
        _find(http)


def test_nothing_is_sent_to_a_target_that_is_down(subject: Subject) -> None:
    """I13: no attempt is burnt."""
    for act in (_create, _find):
        with pytest.raises(TargetDownError, match="cannot connect"):
            act(subject, reachable=False)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_target_says_when_to_come_back(http: HttpSubject, form: str) -> None:
    """I13, RFC 9110 §10.2.3."""
    path = f"{http.kind.create_path}|{http.kind.find_path}"
    http.server.fault("too_many_requests", path=path, retry_after=30, form=form)
    for act in (_create, _find):
        with pytest.raises(TransientError) as caught:
            act(http)
        assert caught.value.retry_after is not None
        assert 27 < caught.value.retry_after <= 30
    assert http.accounts() == 0


@pytest.mark.parametrize("code", [408, 503])
def test_not_now_is_not_an_unknown_outcome(http: HttpSubject, code: int) -> None:
    http.server.fault("status", code=code, path=http.kind.create_path)
    with pytest.raises(TransientError):
        _create(http)


def test_a_redirect_is_not_followed(http: HttpSubject) -> None:
    """SailPoint 200651."""
    http.server.fault("redirect", path=f"{http.kind.create_path}|{http.kind.find_path}")
    for act in (_create, _find):
        with pytest.raises(TransientError, match="redirects are refused"):
            act(http)


def test_a_token_that_expires_on_the_way_is_renewed_and_the_call_made_once(
    http: HttpSubject,
) -> None:
    """user-sync#546."""
    if not isinstance(http.target.auth, TokenAuth):
        pytest.skip("its credentials are fixed: there is nothing to renew")

    async def act(connector: Connector) -> None:
        await connector.create(http.person("20001"))
        http.server.fault("expired_token", path=http.kind.create_path, times=1)
        await connector.create(http.person("20002"))
        await connector.find(http.person("20002"))

    do(http, act)
    assert http.accounts() == 2


def test_credentials_that_are_never_accepted_are_a_matter_of_configuration(
    http: HttpSubject,
) -> None:
    """The same fixed ones are not sent twice: accounts get locked by that."""
    http.server.fault("status", code=401, path=http.kind.create_path)
    with pytest.raises(ConfigurationError, match="401"):
        _create(http)
    is_token = isinstance(http.target.auth, TokenAuth)
    assert [rule["fired"] for rule in http.server.faults()] == [2 if is_token else 1]


def test_many_at_once_share_one_token_and_keep_to_the_limit(http: HttpSubject) -> None:
    """RFC 6749 §4.4: single flight."""

    async def act(connector: Connector) -> None:
        people = [http.person(str(number)) for number in range(30_000, 30_024)]
        http.server.fault("latency", path=http.kind.create_path, seconds=0.03)
        await asyncio.gather(*(connector.create(person) for person in people))

    do(http, act, concurrency=6)
    state = http.server.state()
    assert http.accounts() == 24
    assert state["in_flight_max"] <= 6
    tokens = [n for route, n in state["requests"].items() if route.endswith(("token", "tickets"))]
    assert tokens in ([], [1])


def test_a_task_without_the_key_is_refused_before_anything_is_sent(subject: Subject) -> None:
    """It was planned before the configuration asked for it."""
    person = subject.person(NUMBER)
    del person[subject.target.key]
    for act in ("create", "find"):
        with pytest.raises(NeedsDataError, match=subject.target.key):
            do(subject, lambda c, act=act: getattr(c, act)(person))
    assert subject.accounts() == 0


def test_a_slow_answer_is_given_up_in_time(http: HttpSubject) -> None:
    http.server.fault("latency", path=http.kind.create_path, seconds=0.9, times=1)
    with pytest.raises(UnknownOutcomeError):
        _create(http, timeout_s=0.3)


ITS_SERVERS = ("aiohttp.server", "scim2_server")
"""Loggers of the simulators and servers that run in this process."""


def test_neither_log_nor_error_tells_anything_about_anybody(
    http: HttpSubject, caplog: pytest.LogCaptureFixture
) -> None:
    """I15: no name, no address, no phone number, no secret; whatever happens, in any logger."""
    caplog.set_level(logging.DEBUG)
    told = [_told(http, act, reachable=False) for act in ALL_ACTS]
    _create(http)
    refused = {"kind": "ok_with_error", "code": 400, "message": f"{NAME} is malformed"}
    for fault in [refused, *(fault for fault, _ in UNKNOWN.values())]:
        http.server.faults(fault | {"path": "/(?!_sim).*(?<!token)(?<!tickets)$"})
        told += [_told(http, act, timeout_s=0.2) for act in ALL_ACTS]
        http.server.heal()
    told += [_told(http, act) for act in (_create, _enable, _delete, _disable)]
    everything = "".join(told) + "".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(ITS_SERVERS)
    )
    for kind in ("UnknownOutcomeError", "TransientError", "TargetDownError"):
        assert kind in everything
    for secret in (NAME, PHONE, PINYIN, f"o{NUMBER}", "-secret", "example.com"):
        assert secret not in everything


def _account(subject: Subject) -> Account:
    return Account(
        state="active",
        identifier="unknown",
        remote_id="1",
        attributes=subject.person(NUMBER),
    )


def _enable(subject: Subject, **options: Any) -> None:
    account = _account(subject)
    do(subject, lambda c: c.enable(account, account.attributes), **options)


def _disable(subject: Subject, **options: Any) -> None:
    account = _account(subject)
    do(subject, lambda c: c.disable(account, account.attributes), **options)


def _update(subject: Subject, **options: Any) -> None:
    account = _account(subject)
    do(subject, lambda c: c.update(account, account.attributes | subject.change), **options)


def _delete(subject: Subject, **options: Any) -> None:
    do(subject, lambda c: c.delete(_account(subject)), **options)


def _list(subject: Subject, **options: Any) -> None:
    async def act(connector: Connector) -> None:
        async for _ in connector.list():
            pass

    do(subject, act, **options)


def _check(subject: Subject, **options: Any) -> None:
    do(subject, lambda c: c.check(), **options)


CHANGES = (_create, _update, _enable, _disable, _delete)
ALL_ACTS = (*CHANGES, _find, _list, _check)


@pytest.mark.parametrize("operation", ["create", "update", "enable", "disable", "delete"])
def test_a_dry_run_looks_and_sends_no_change(subject: Subject, operation: str) -> None:
    """HOUSE: refused at the wire, below everything that could forget to ask. A connector may look
    first whether there is anything to change: there is."""
    person = subject.person(NUMBER)
    made = do(subject, lambda c: c.create(person, enabled=operation != "enable"))
    account = replace(_account(subject), identifier=made.identifier, remote_id=made.remote_id)
    before = _find(subject)

    async def act(connector: Connector) -> None:
        if operation == "create":
            await connector.create(subject.person("20002"))
        elif operation == "delete":
            await connector.delete(account)
        else:
            await getattr(connector, operation)(account, person | subject.change)

    with pytest.raises(SafetyStopError, match="dry run"):
        do(subject, act, dry_run=True)
    found = _find(subject, dry_run=True)
    assert (found, found and found.attributes) == (before, before and before.attributes)
    assert subject.accounts() == 1


@pytest.mark.parametrize("fault", [fault for fault, _ in UNKNOWN.values()], ids=UNKNOWN)
def test_a_list_that_breaks_off_never_ends_normally(
    http: HttpSubject, fault: dict[str, Any]
) -> None:
    """I2: who is missing from it would be taken for somebody without an account."""
    _create(http)
    http.server.faults(fault | {"path": http.kind.list_path})
    with pytest.raises(TransientError):
        _list(http, timeout_s=0.5)


def test_an_error_in_the_body_of_a_list_is_no_empty_list(http: HttpSubject) -> None:
    http.server.fault("ok_with_error", path=http.kind.list_path)
    with pytest.raises(TransientError):
        _list(http)


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
