"""LDAP messages, to the byte (RFC 4511, RFC 2696)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.errors import IncompleteReadError
from accountsync.wire import ldap_controls, ldap_messages
from accountsync.wire.ldap_messages import Entry, MessageError, Reference, Request, Result

REQUESTS: dict[str, tuple[Request, str]] = {
    "bind": (ldap_messages.bind("cn=a", "p"), "3011020105600c0201030404636e3d61800170"),
    "unbind": (ldap_messages.unbind(), "30050201054200"),
    "start_tls": (
        ldap_messages.start_tls(),
        "301d02010577188016312e332e362e312e342e312e313436362e3230303337",
    ),
    "search": (
        ldap_messages.search(
            "dc=x",
            scope="subtree",
            tests={"uid": b"*", "mail": None},
            attributes=["cn"],
            size_limit=2,
        ),
        "3032020105632d040464633d780a01020a0100020102020100010100a0"
        "1087046d61696ca308040375696404012a30040402636e",
    ),
    "add": (
        ldap_messages.add("uid=a", {"uid": [b"a"], "x": [b"1", b"2"]}),
        "3027020105682204057569643d613019300a04037569643103040161300b0401783106040131040132",
    ),
    "modify": (
        ldap_messages.modify("uid=a", [("replace", "x", []), ("add", "y", [b"1"])]),
        "3029020105662404057569643d61301b300a0a010230050401783100300d0a010030080401793103040131",
    ),
    "move": (
        ldap_messages.move("uid=a", rdn="uid=b", parent="dc=x"),
        "301c0201056c1704057569643d6104057569643d620101ff800464633d78",
    ),
    "delete": (ldap_messages.delete("uid=a"), "300a0201054a057569643d61"),
}


@pytest.mark.parametrize(("request_", "expected"), REQUESTS.values(), ids=REQUESTS)
def test_a_request(request_: Request, expected: str) -> None:
    """TRUE is 0xFF (§5.1), an asterisk is a value and not a pattern."""
    assert ldap_messages.encode(5, request_).hex() == expected


def test_a_page_is_asked_for_and_cannot_be_ignored() -> None:
    request = ldap_messages.search("", scope="entry", tests={"uid": None}, attributes=[])
    raw = ldap_messages.encode(5, request, controls=[ldap_controls.page(500, b"more")]).hex()
    control = "0416" + ldap_controls.PAGED_RESULTS.encode().hex() + "0101ff" + "040c"
    assert raw.endswith(control + "300a020201f404046d6f7265")


ANSWERS = {
    "success": ("300c02010161070a010004000400", Result(code=0)),
    "refused": (
        "300e02010769090a014404000402c3a9",
        Result(code=68, diagnostic="é"),
    ),
    "reference": ("300c02010273070405" + b"ldap:".hex(), Reference()),
    "extended": ("300c02010178070a013404000400", Result(code=52)),
}


@pytest.mark.parametrize(("raw", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer(raw: str, expected: ldap_messages.Answer) -> None:
    _, answer = ldap_messages.decode(bytes.fromhex(raw))
    assert answer == expected


def _long(tag: int, content: bytes) -> bytes:
    return bytes([tag, 0x84]) + len(content).to_bytes(4, "big") + content


def test_an_entry_with_lengths_as_active_directory_writes_them() -> None:
    values = _long(0x31, b"\x04\x02\xc3\xa9")
    attributes = _long(0x30, _long(0x30, b"\x04\x01C" + values))
    entry = _long(0x64, b"\x04\x03n=a" + attributes)
    number, answer = ldap_messages.decode(_long(0x30, b"\x02\x01\x02" + entry))
    assert number == 2
    assert isinstance(answer, Entry)
    assert (answer.dn, answer.text("c")) == ("n=a", "é")


@given(st.binary(max_size=60))
def test_noise_is_no_answer(raw: bytes) -> None:
    """And is told so in one way, without a word of it."""
    with pytest.raises(MessageError, match=r"^not an LDAP answer$"):
        ldap_messages.decode(raw)


def test_what_a_message_holds_is_not_shown() -> None:
    """I15."""
    shown = repr(Entry(dn="cn=secret", attributes={})) + repr(Result(code=1, diagnostic="secret"))
    assert "secret" not in shown


def test_an_assertion_is_a_filter_that_cannot_be_ignored() -> None:
    """RFC 4528 §3, RFC 4511 §4.5.1."""
    control = ldap_controls.only_if({"uid": b"a"})
    raw = ldap_messages.encode(5, ldap_messages.delete("uid=a"), controls=[control]).hex()
    value = "a00aa308040375696404" + "0161"
    assert raw.endswith("0101ff" + f"04{len(value) // 2:02x}" + value)
    assert b"1.3.6.1.1.12".hex() in raw


@pytest.mark.parametrize(
    ("value", "expected"),
    [("3000", False), ("3003810101", True), ("3003810100", False), ("3006a004800205dc", False)],
    ids=["nothing", "accountLocked", "passwordExpired", "a warning"],
)
def test_a_server_says_whether_a_login_is_locked(value: str, expected: bool) -> None:
    """draft-behera-ldap-password-policy §6.2, as slapd 2.5 sends it."""
    controls = {ldap_controls.POLICY: bytes.fromhex(value)}
    assert ldap_controls.says_locked(Result(code=49, controls=controls)) is expected


def test_a_server_without_password_policies_says_nothing_of_locks() -> None:
    assert ldap_controls.says_locked(Result(code=49)) is None


@given(st.binary(max_size=40))
def test_a_control_that_is_noise_is_no_lock_and_no_page(raw: bytes) -> None:
    result = Result(code=49, controls={ldap_controls.POLICY: raw, ldap_controls.PAGED_RESULTS: raw})
    assert ldap_controls.says_locked(result) in (True, False)
    with contextlib.suppress(IncompleteReadError):
        ldap_controls.cookie(result)
