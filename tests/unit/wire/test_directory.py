"""Result codes of LDAP become our errors in one place: every row of the table, over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import accountsync.wire.ldap_refusals
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    ConfigurationError,
    ForeignAccountError,
    IncompleteReadError,
    RejectedByTargetError,
    TargetDownError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.settings.parts import Rate
from accountsync.wire import ldap_messages
from accountsync.wire.directory import Directory
from accountsync.wire.endpoint import Endpoint

_BIND, _UNBIND = 0x60, 0x42
_ANSWER_TO = {0x60: 0x61, 0x63: 0x65, 0x66: 0x67, 0x68: 0x69, 0x4A: 0x6B, 0x6C: 0x6D}
SECRET = "张三"
Act = Callable[[Directory], Awaitable[Any]]


def _tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content


class _Server:
    """Says `code` and `diagnostic` to everything but the bind; or to that alone."""

    def __init__(self, code: int, diagnostic: str, *, at_bind: bool) -> None:
        self._code, self._diagnostic, self._at_bind = code, diagnostic.encode(), at_bind

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(2):
            length = head[1]
            if length & 0x80:
                length = int.from_bytes(await reader.readexactly(length & 0x7F), "big")
            content = await reader.readexactly(length)
            number, operation = content[:3], content[3]
            if operation == _UNBIND:
                break
            code = self._code if (operation == _BIND) == self._at_bind else 0
            result = bytes([0x0A, 1, code]), _tlv(0x04), _tlv(0x04, self._diagnostic)
            writer.write(_tlv(0x30, number, _tlv(_ANSWER_TO[operation], *result)))
        writer.close()


def _error(act: Act, code: int, diagnostic: str = SECRET, *, at_bind: bool = False) -> Any:
    async def run() -> Exception | None:
        served = _Server(code, diagnostic, at_bind=at_bind)
        server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
        endpoint = Endpoint(
            conn_id="d",
            base_url=f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}",
            login="cn=us",
            password="pw",
            extra={"tls": "none"},
        )
        async with server, Directory(endpoint, rate=Rate(), timeout_s=5) as directory:
            try:
                await act(directory)
            except AccountSyncError as error:
                return error
        return None

    return asyncio.run(run())


async def _look(directory: Directory) -> None:
    await directory.search("dc=x", scope="subtree", tests={"uid": b"a"}, attributes=["cn"])


async def _change(directory: Directory) -> None:
    await directory.change(ldap_messages.delete("uid=a"))


CODES: dict[int, tuple[type[AccountSyncError], type[AccountSyncError]]] = {
    1: (TransientError, TransientError),
    3: (TransientError, UnknownOutcomeError),
    4: (IncompleteReadError, TransientError),
    7: (ConfigurationError, ConfigurationError),
    8: (ConfigurationError, ConfigurationError),
    10: (ConfigurationError, ConfigurationError),
    11: (IncompleteReadError, TransientError),
    12: (ConfigurationError, ConfigurationError),
    13: (ConfigurationError, ConfigurationError),
    16: (TransientError, TransientError),
    17: (TransientError, RejectedByTargetError),
    19: (TransientError, RejectedByTargetError),
    21: (TransientError, RejectedByTargetError),
    32: (ConfigurationError, AccountMissingError),
    48: (ConfigurationError, ConfigurationError),
    49: (ConfigurationError, ConfigurationError),
    50: (ConfigurationError, RejectedByTargetError),
    51: (TransientError, TransientError),
    52: (TargetDownError, TargetDownError),
    53: (TransientError, RejectedByTargetError),
    54: (ConfigurationError, ConfigurationError),
    65: (TransientError, RejectedByTargetError),
    66: (TransientError, RejectedByTargetError),
    68: (TransientError, AccountExistsError),
    80: (TransientError, UnknownOutcomeError),
    122: (TransientError, ForeignAccountError),
}


@pytest.mark.parametrize("code", CODES)
def test_a_result_code_means_what_the_table_says(code: int) -> None:
    """Exactly that kind, its number for grouping, and nothing of the server's words (I15)."""
    for act, kind in zip((_look, _change), CODES[code], strict=True):
        error = _error(act, code)
        assert type(error) is kind
        assert f"{code}" in str(error)
        assert SECRET not in str(error)


def test_success_is_no_error() -> None:
    assert _error(_look, 0) is None
    assert _error(_change, 0) is None


def test_the_table_in_the_module_names_every_code_it_treats_apart() -> None:
    table = accountsync.wire.ldap_refusals.__doc__ or ""
    apart = set(CODES) - {17, 21, 53, 65, 66}  # anything else
    assert {code for code in apart if f"{code}" not in table} == set()


@pytest.mark.parametrize(
    ("diagnostic", "code"),
    [
        ("80090308: LdapErr: DSID-0C090447, comment: error, data 52e, v4563", "49/52e"),
        ("80090308: LdapErr: DSID-0C090447, comment: error, data 775, v4563", "49/775"),
        (f"no such user {SECRET}", "49"),
    ],
)
def test_why_active_directory_refuses_a_bind_is_told_by_its_number(
    diagnostic: str, code: str
) -> None:
    error = _error(_look, 49, diagnostic, at_bind=True)
    assert type(error) is ConfigurationError
    assert f"bind: {code};" in str(error)
    assert SECRET not in str(error)


@pytest.mark.parametrize(("code", "kind"), [(51, TargetDownError), (52, TargetDownError)])
def test_a_server_that_is_too_busy_for_a_bind_is_down(code: int, kind: type[Exception]) -> None:
    """Nothing was sent: no attempt is burnt (I13)."""
    assert type(_error(_change, code, at_bind=True)) is kind


@pytest.mark.parametrize(
    "diagnostic",
    [
        "some attributes not unique",
        "non-unique attributes found with (|(employeeNumber=1))",
        "000021C8: AtrErr: DSID-03200EBC, #1: 0: 000021C8: DSID-03200EBC, problem 1005",
    ],
)
def test_a_rule_of_uniqueness_says_that_it_exists(diagnostic: str) -> None:
    """slapo-unique, old and new; a userPrincipalName in Active Directory."""
    assert type(_error(_change, 19, diagnostic)) is AccountExistsError


_MODIFY = ldap_messages.modify("uid=a", [("replace", "employeeID", [b"1"])])


@pytest.mark.parametrize(
    ("diagnostic", "is_named"),
    [
        (
            "0000200B: AtrErr: DSID-0315, #1: 0: problem 1005, data 0, Att 23 (employeeID):len 40",
            True,
        ),
        ("0000200B: objectclass_attrs: attribute 'employeeID' on entry 'CN=x' is invalid!", True),
        ("employeeid: value #0 invalid per syntax", True),
        ("zhangsan: value #0 invalid per syntax", False),
        (f"attribute '{SECRET}' is bad", False),
    ],
)
def test_a_refused_attribute_is_named_if_it_was_sent(diagnostic: str, is_named: bool) -> None:
    """I15: any other word of the server may be about a person."""
    error = _error(lambda directory: directory.change(_MODIFY), 21, diagnostic)
    assert ("attribute employeeID: too long" in str(error)) is is_named
    assert "zhangsan" not in str(error)
    assert SECRET not in str(error)


@pytest.mark.parametrize(("code", "is_answer"), [(0, True), (32, True), (50, True), (53, False)])
def test_a_base_that_cannot_be_read_is_no_empty_one(code: int, is_answer: bool) -> None:
    """I9: None says that nothing is known of it; an error is an error."""
    answers: list[Any] = []

    async def act(directory: Directory) -> None:
        tests = {"uid": b"a"}
        answers.append(
            await directory.search_if_readable("dc=x", tests=tests, attributes=["cn"], size_limit=1)
        )

    assert (_error(act, code) is None) is is_answer
    assert answers == ([[] if code == 0 else None] if is_answer else [])
