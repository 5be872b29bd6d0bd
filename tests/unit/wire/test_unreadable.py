"""JSON in which some values are none."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.wire import unreadable
from accountsync.wire.unreadable import Unreadable, parse

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.text(st.characters(categories=["Cs", "Lu"])),
    lambda children: st.lists(children, max_size=3)
    | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(DOCUMENTS)
def test_whatever_is_beside_a_bad_value_is_read_as_without_it(document: Any) -> None:
    """I3: the same values, so the same hash, whichever parser had to read the page."""
    alone = parse(json.dumps(document).encode())
    beside = parse(b"[NaN, %b]" % json.dumps(document).encode())
    assert beside == [Unreadable("NaN", unreadable.NO_NUMBER), alone]
    assert unreadable.written(beside).decode()


@pytest.mark.parametrize("document", [b"", b"<html>", b'{"a": ', b"[" * 10_000, b"\xef\xbb\xbf1"])
def test_what_is_no_json_at_all_is_none(document: bytes) -> None:
    """I2."""
    with pytest.raises(json.JSONDecodeError):
        parse(document)


@pytest.mark.parametrize("row", [{"a": "\ud800"}, {"a\udcff": "\\"}, [1]])
def test_what_is_kept_of_a_row_is_the_row(row: Any) -> None:
    kept = orjson.loads(unreadable.written(row))
    assert unreadable.read_again(kept) == parse(json.dumps(row))
