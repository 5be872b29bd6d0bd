"""What came back, read strictly."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.wire.answer import Answer, answer_condition, answer_value, as_utf8, retry_after

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY = 86_400.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 120 ", 120),
        ("99999999999999999999", DAY),
        ("Sat, 31 Jan 2026 12:01:00 GMT", 60),
        ("Sat, 31 Jan 2026 20:01:00 +0800", 60),
        ("Sat, 31 Jan 2026 11:00:00 GMT", 0),
        ("Fri, 31 Dec 2099 23:59:59 GMT", DAY),
        ("Sat, 31 Jan 2026 12:01:00", None),
        ("Sat, 31 Jan 2026 12:01:00 -0000", None),
        ("", None),
        ("soon", None),
        ("1.5", None),
        ("-5", None),
        ("²", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    """RFC 9110 §10.2.3. One answer parks nothing for longer than a day."""
    assert retry_after({"Retry-After": header}, now=NOW) == seconds


def test_no_header_asks_for_nothing() -> None:
    assert retry_after({}, now=NOW) is None


@given(st.text() | st.from_regex(r"\A[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ \S+\Z"))
def test_no_header_is_too_odd(header: str) -> None:
    seconds = retry_after({"Retry-After": header}, now=NOW)
    assert seconds is None or 0 <= seconds <= DAY


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status=status, headers=headers, body=body)


@pytest.mark.parametrize(
    ("text", "body", "holds"),
    [
        ("status == 200", None, True),
        ("body.code == '0'", {"code": "0"}, True),
        ("body.code == '0'", {"code": 0}, False),
        ("body.code == 201", {}, False),
        ("body.code == 201", None, False),
        ("body.code == 201", "<html>", False),
        ("body.code == 201", [], False),
        ("body.users | length == 0", {"users": []}, True),
        ("body.users | length == 0", {"users": None}, False),
        ("body.users | length == 0", {}, False),
        ("body.items | length == 2", {"items": [1, 2]}, True),
        ("body.fail[0].Message == 'x'", {"fail": []}, False),
        ("'already' in body.message", {"message": None}, False),
        ("headers.X == 'y'", None, True),
        ("not body.error", {}, False),
        ("body.error is not defined", {}, True),
    ],
)
def test_an_answer_of_another_shape_fulfils_no_condition(text: str, body: Any, holds: bool) -> None:
    """I2, I9: only what is surely so counts; anything else is no answer."""
    assert answer_condition(text)(answer(body, X="y")) is holds


@pytest.mark.parametrize(
    ("expression", "body", "value"),
    [
        ("body.data.items", {"data": {"items": [1]}}, [1]),
        ("body.data.items", {"data": None}, None),
        ("body.data.items", None, None),
        ("body['data']['total']", {"data": {"total": 3}}, 3),
        ("body.users[0].id", {"users": []}, None),
        ("body.keys", {}, None),
        ("{'a': {'b': status}}", None, {"a": {"b": 200}}),
        ("body.count or 0", {"count": None}, 0),
        ("none", {}, None),
        ("body", [1, 2], [1, 2]),
    ],
)
def test_a_value_is_read_out_of_an_answer_or_is_not_there(
    expression: str, body: Any, value: Any
) -> None:
    assert answer_value(expression)(answer(body)) == value


GBK, UTF_8 = '{"name": "李四"}'.encode("gbk"), '{"name": "李四"}'.encode()


@pytest.mark.parametrize(
    ("raw", "content_type", "read"),
    [
        (UTF_8, "application/json", UTF_8),
        (b"\xef\xbb\xbf" + UTF_8, "application/json; charset=utf-8", UTF_8),
        (GBK, "application/json;charset=GBK", UTF_8),
        (UTF_8, "application/json; charset=ISO-8859-1", UTF_8),
        (GBK, "application/json; charset=klingon", GBK),
        (GBK, "application/json", GBK),
    ],
)
def test_a_body_is_brought_into_utf_8(raw: bytes, content_type: str, read: bytes) -> None:
    """.NET writes a byte order mark, old services write GBK, and some say what is not so."""
    assert as_utf8(raw, {"Content-Type": content_type}) == read
