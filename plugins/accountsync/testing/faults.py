"""Tests of what a connector over HTTP makes of a target that misbehaves."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from accountsync.domain.accounts.account import Account, AccountState
from accountsync.errors import (
    AccountSyncError,
    ConfigurationError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.targets.connector import Connector
from accountsync.testing.subject import (
    NUMBER,
    Fault,
    FaultySubject,
    Place,
    changing,
    create_account,
    find_account,
    list_accounts,
    only_account,
    perform,
)

UNKNOWN: Mapping[str, tuple[Fault, bool]] = {
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
"""What leaves open whether a change was made → the fault, and whether the change was made."""
_FAULTS = [fault for fault, _ in UNKNOWN.values()]
_PLACES: Sequence[Place] = ("create", "find")


def _create(subject: FaultySubject, **options: Any) -> Any:
    person = subject.person(NUMBER)
    return perform(subject, lambda c: c.create(person), **options)


def _find(subject: FaultySubject, **options: Any) -> Any:
    return find_account(subject, subject.person(NUMBER), **options)


_ACTS: tuple[Callable[..., Any], ...] = (_create, _find)


class FaultContract:
    """An error is never taken for an answer (I2, I9). Waiting costs no attempt (I13). Logs and
    errors tell nothing about anybody (I15)."""

    @pytest.mark.parametrize(("fault", "is_done"), UNKNOWN.values(), ids=UNKNOWN)
    def test_after_an_unknown_outcome_a_look_decides(
        self, faulty: FaultySubject, fault: Fault, is_done: bool
    ) -> None:
        """I9."""
        faulty.misbehave(fault, "create", times=1)
        with pytest.raises(UnknownOutcomeError):
            _create(faulty, timeout_s=0.5)
        account = _find(faulty)
        assert (account is not None) == is_done == (len(faulty.accounts()) == 1)
        assert account is None or account.ours

    @pytest.mark.parametrize("fault", _FAULTS, ids=UNKNOWN)
    def test_a_look_that_fails_never_says_absent(self, faulty: FaultySubject, fault: Fault) -> None:
        """I9: an error is not an absence."""
        faulty.misbehave(fault, "find")
        with pytest.raises(TransientError):
            _find(faulty, timeout_s=0.5)

    def test_an_error_in_the_body_of_a_look_never_says_absent(self, faulty: FaultySubject) -> None:
        """I9: HTTP 200, in the target's own style."""
        faulty.misbehave({"kind": "ok_with_error"}, "find")
        with pytest.raises(TransientError):
            _find(faulty)

    @pytest.mark.parametrize("fault", _FAULTS, ids=UNKNOWN)
    def test_a_list_that_breaks_off_never_ends_normally(
        self, faulty: FaultySubject, fault: Fault
    ) -> None:
        """I2: who is missing from the list would be taken for somebody without an account."""
        _create(faulty)
        faulty.misbehave(fault, "list")
        with pytest.raises(TransientError):
            list_accounts(faulty, timeout_s=0.5)

    def test_an_error_in_the_body_of_a_list_is_no_empty_list(self, faulty: FaultySubject) -> None:
        faulty.misbehave({"kind": "ok_with_error"}, "list")
        with pytest.raises(TransientError):
            list_accounts(faulty)

    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_a_target_says_when_to_come_back(self, faulty: FaultySubject, form: str) -> None:
        """I13, RFC 9110 §10.2.3."""
        for place in _PLACES:
            wait = {"kind": "too_many_requests", "retry_after": 30, "form": form}
            faulty.misbehave(wait, place)
        for act in _ACTS:
            with pytest.raises(TransientError) as caught:
                act(faulty)
            assert caught.value.retry_after is not None
            assert 27 < caught.value.retry_after <= 30
        assert len(faulty.accounts()) == 0

    @pytest.mark.parametrize("code", [408, 503])
    def test_not_now_is_not_an_unknown_outcome(self, faulty: FaultySubject, code: int) -> None:
        faulty.misbehave({"kind": "status", "code": code}, "create")
        with pytest.raises(TransientError):
            _create(faulty)

    def test_a_redirect_is_not_followed(self, faulty: FaultySubject) -> None:
        for place in _PLACES:
            faulty.misbehave({"kind": "redirect"}, place)
        for act in _ACTS:
            with pytest.raises(TransientError, match="redirects are refused"):
                act(faulty)

    def test_a_token_that_expires_on_the_way_is_renewed_and_the_call_made_once(
        self, faulty: FaultySubject
    ) -> None:
        if not faulty.renews:
            pytest.skip("its credentials are fixed: there is nothing to renew")

        async def act(connector: Connector) -> None:
            await connector.create(faulty.person("20001"))
            faulty.misbehave({"kind": "expired_token"}, "create", times=1)
            await connector.create(faulty.person("20002"))
            await connector.find(faulty.person("20002"))

        perform(faulty, act)
        assert len(faulty.accounts()) == 2

    def test_credentials_that_are_never_accepted_are_a_matter_of_configuration(
        self, faulty: FaultySubject
    ) -> None:
        """Fixed credentials are not sent twice, because that gets accounts locked."""
        faulty.misbehave({"kind": "status", "code": 401}, "create")
        with pytest.raises(ConfigurationError, match="401"):
            _create(faulty)
        assert faulty.felt() == (2 if faulty.renews else 1)

    def test_many_at_once_share_one_token_and_keep_to_the_limit(
        self, faulty: FaultySubject
    ) -> None:
        """RFC 6749 §4.4: single flight."""

        async def act(connector: Connector) -> None:
            people = [faulty.person(str(number)) for number in range(30_000, 30_024)]
            faulty.misbehave({"kind": "latency", "seconds": 0.03}, "create")
            await asyncio.gather(*(connector.create(person) for person in people))

        perform(faulty, act, concurrency=6)
        traffic = faulty.traffic()
        assert len(faulty.accounts()) == 24
        assert traffic.in_flight_max <= 6
        assert traffic.tokens == (1 if faulty.renews else 0)

    def test_a_slow_answer_is_given_up_in_time(self, faulty: FaultySubject) -> None:
        faulty.misbehave({"kind": "latency", "seconds": 0.9}, "create", times=1)
        with pytest.raises(UnknownOutcomeError):
            _create(faulty, timeout_s=0.3)

    def test_a_change_without_an_answer_is_an_unknown_outcome(self, faulty: FaultySubject) -> None:
        """I9: the change may have been made or not, and the account is there in any case."""
        account = create_account(faulty)
        for kind, is_done in (("drop_before", False), ("drop_after", True)):
            faulty.misbehave({"kind": kind}, "disable", times=1)
            with pytest.raises(UnknownOutcomeError):
                perform(faulty, changing("disable", account))
            shown = _find(faulty)
            assert shown is not None
            assert shown.enabled is only_account(faulty).enabled is not is_done

    def test_neither_log_nor_error_tells_anything_about_anybody(
        self, faulty: FaultySubject, caplog: pytest.LogCaptureFixture
    ) -> None:
        """I15: no name, no address, no phone number, no secret; whatever happens, in any logger."""
        caplog.set_level(logging.DEBUG)
        acts = _all_acts(faulty)
        error_texts = [_error_text(act, faulty, reachable=False) for act in acts]
        _create(faulty)
        refused = {"kind": "ok_with_error", "code": 400, "message": f"{faulty.secrets[0]} is bad"}
        for fault in [refused, *_FAULTS]:
            faulty.misbehave(fault, "anywhere")
            error_texts += [_error_text(act, faulty, timeout_s=0.2) for act in acts]
            faulty.heal()
        error_texts += [_error_text(act, faulty) for act in acts]
        everything = "".join(error_texts) + "".join(
            record.getMessage()
            for record in caplog.records
            if not record.name.startswith(faulty.other_loggers)
        )
        for kind in ("UnknownOutcomeError", "TransientError", "TargetDownError"):
            assert kind in everything
        for secret in faulty.secrets:
            assert secret not in everything


def _all_acts(subject: FaultySubject) -> list[Callable[..., Any]]:
    person = subject.person(NUMBER)
    account = Account(
        state=AccountState.ACTIVE, identifier="unknown", remote_id="1", attributes=person
    )
    wanted = {"update": person | subject.change}

    def changed(operation: str) -> Callable[..., Any]:
        act = changing(operation, account, wanted.get(operation))
        return lambda faulty, **options: perform(faulty, act, **options)

    changes = [changed(operation) for operation in ("update", "enable", "disable", "delete")]
    checked: Callable[..., Any] = lambda faulty, **options: perform(  # noqa: E731
        faulty, lambda c: c.check(), **options
    )
    return [_create, *changes, _find, list_accounts, checked]


def _error_text(act: Callable[..., Any], subject: FaultySubject, **options: Any) -> str:
    """The error and all its causes as a log shows them; empty where the act succeeds."""
    try:
        act(subject, **options)
    except AccountSyncError as error:
        chain: list[BaseException] = [error]
        while chain[-1].__cause__ or chain[-1].__context__:
            chain.append(chain[-1].__cause__ or chain[-1].__context__ or error)
        return "".join(
            line for cause in chain for line in traceback.format_exception_only(type(cause), cause)
        )
    return ""
