"""How a declared request becomes one that can be sent, and what cannot be (I13)."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from accountsync.errors import AccountSyncError, InvalidPersonError
from accountsync.settings.parts import Request, checked_request
from accountsync.wire.request import Rendered, RequestTemplate, encoded, shown

ROOTS = frozenset({"attributes"})


def rendered(attributes: dict[str, Any], **declared: Any) -> Rendered:
    request = checked_request(Request.model_validate({"path": "/x", **declared}), ROOTS)
    return RequestTemplate(request, roots=ROOTS).render({"attributes": attributes})


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (None, b""),
        ({"groups[]": ["staff", "all"]}, b"groups%5B%5D=staff&groups%5B%5D=all"),
        ({"on": True, "off": False, "n": 7}, b"on=true&off=false&n=7"),
        ({"name": "attributes.name", "gone": "attributes.gone"}, b"name=%E5%BC%A0"),
        ({"members": "{{ [] }}"}, b""),
    ],
)
def test_a_form_carries_texts_numbers_and_lists_of_them(body: Any, sent: bytes) -> None:
    """A list went out as Python writes one: everybody was in a group called ['staff', 'all']."""
    request = rendered({"name": "张", "gone": None}, method="POST", body_as="form", body=body)
    assert encoded(request) == ("application/x-www-form-urlencoded", sent)


def test_a_form_may_say_that_there_is_nothing() -> None:
    attributes = {"gone": None}
    body = {"tel": "attributes.gone"}
    request = rendered(attributes, method="POST", body_as="form", nulls="send", body=body)
    assert encoded(request)[1] == b"tel="


@pytest.mark.parametrize(
    "body",
    ["{{ attributes.name }}", {"a": "{{ attributes.nested }}"}, {"a": ["attributes.nested"]}],
)
def test_what_no_form_can_carry_is_this_persons_fault_only(body: Any) -> None:
    """I13: one task that raised something else ended the run of the whole target."""
    request = rendered({"name": "x", "nested": {"a": 1}}, method="POST", body_as="form", body=body)
    with pytest.raises(InvalidPersonError, match="mapping"):
        encoded(request)


@pytest.mark.parametrize(
    ("declared", "place"),
    [
        ({"body_as": "form", "body": [1]}, "a form is a mapping"),
        ({"body_as": "form", "body": "text"}, "a form is a mapping"),
        ({"body_as": "form", "body": {"a": {"b": 1}}}, "must be a text, a number"),
        ({"query": {"a": {"b": 1}}}, "must be a text, a number"),
        ({"body": {True: 1}}, "in quotes"),
        ({"body": {"users": [{7: 1}]}}, "in quotes"),
        ({"headers": {"X Y": "1"}}, "a header's name"),
        ({"headers": {"X-Y\n": "1"}}, "a header's name"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_load(declared: dict[str, Any], place: str) -> None:
    with pytest.raises((ValueError, ValidationError), match=place):
        rendered({}, **declared)


def test_a_list_in_the_query_is_there_several_times() -> None:
    request = rendered(
        {"groups": ["a", None, "b"]}, query={"group": "attributes.groups", "on": True}
    )
    assert request.query == {"group": ["a", "b"], "on": "true"}
    masked = '{"group":["***","***"],"on":"***"}'
    assert shown(request) == f"GET /x with the query {masked} without a body"


@pytest.mark.parametrize("part", ["headers", "query"])
def test_half_a_character_is_not_sent(part: str) -> None:
    with pytest.raises(InvalidPersonError, match="half a character"):
        rendered({"name": "\ud800"}, **{part: {"X-Name": "attributes.name"}})


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6
)
SLOTS = st.sampled_from(
    ["attributes.a", "{{ attributes.a }}", "x{{ attributes.a }}", "{{ attributes.a | upper }}", "c"]
)
BODIES = st.none() | SLOTS | st.dictionaries(st.text(min_size=1), SLOTS | st.lists(SLOTS) | SCALARS)


@given(
    value=VALUES,
    body=BODIES,
    body_as=st.sampled_from(["json", "form"]),
    nulls=st.sampled_from(["omit", "send"]),
    header=SLOTS,
    query=st.dictionaries(st.text(min_size=1), SLOTS | st.lists(SLOTS) | SCALARS),
    path=st.sampled_from(
        ["/x", "/{{ attributes.a }}", "/{{ attributes.a }}/y?z={{ attributes.a }}"]
    ),
)
def test_whatever_is_declared_and_whatever_comes_only_our_errors_leave(
    value: Any, **parts: Any
) -> None:
    """I13: what is raised for one person is that person's failure, and of the tree."""
    declared = {**parts, "method": "POST", "headers": {"X-A": parts.pop("header")}}
    declared.pop("header", None)
    try:
        request = checked_request(Request.model_validate(declared), ROOTS)
    except ValueError:
        return
    template = RequestTemplate(request, roots=ROOTS)
    try:
        sendable = template.render({"attributes": {"a": value}})
        _, content = encoded(sendable)
        shown(sendable)
    except AccountSyncError:
        return
    assert content is None or isinstance(content, bytes)
    for text in [*sendable.headers.values(), sendable.path]:
        text.encode()
    assert not (isinstance(value, float) and math.isnan(value) and content == b"NaN")
