"""A declared request, and what becomes of a person's values in it."""

from __future__ import annotations

from typing import Any

import pytest

from accountsync.errors import ConfigurationError, InvalidPersonError
from accountsync.settings.parts import Request
from accountsync.wire.endpoint import Endpoint
from accountsync.wire.request import Rendered, RequestTemplate, encoded

ROOTS = frozenset({"conn", "attributes", "key"})
ATTRIBUTES = {"name": "单小明", "mobile": None, "codes": ["D1"], "level": 7}


def rendered(key: Any = "E1", **parts: Any) -> Rendered:
    template = RequestTemplate(Request.model_validate({"path": "/"} | parts), roots=ROOTS)
    point = Endpoint(conn_id="target", base_url="http://h", extra={"enterprise": "x y"})
    return template.render({"conn": point.as_context(), "attributes": ATTRIBUTES, "key": key})


def test_every_part_is_rendered() -> None:
    found = rendered(
        method="POST",
        path="/{{ conn.extra.enterprise }}/user/{{ key }}",
        headers={"X-Level": "{{ attributes.level }}"},
        query={"n": "{{ attributes.level }}", "key": "{{ key }}"},
        body={"user": {"name": "attributes.name", "codes": "attributes.codes"}, "const": "+86"},
    )
    assert found == Rendered(
        method="POST",
        path="/x%20y/user/E1",
        headers={"X-Level": "7"},
        query={"n": "7", "key": "E1"},
        body={"user": {"name": "单小明", "codes": ["D1"]}, "const": "+86"},
        route="/***/user/***",
    )


def test_what_has_no_value_is_not_sent() -> None:
    found = rendered(
        headers={"X-M": "{{ attributes.mobile }}"},
        query={"m": "attributes.mobile"},
        body={"m": "attributes.mobile", "l": [{"m": "attributes.mobile", "n": 1}], "z": 0, "e": ""},
    )
    assert (found.headers, found.query) == ({}, {})
    assert found.body == {"l": [{"n": 1}], "z": 0, "e": ""}


@pytest.mark.parametrize("key", ["../admin", "E1?x=1", "E1#", "a/b", "http://evil/"])
def test_a_key_stays_in_its_segment(key: str) -> None:
    path = rendered(key, path="/users/{{ key }}/groups").path
    assert path.startswith("/users/")
    assert path.endswith("/groups")
    assert path.count("/") == 3
    assert not set("?#:") & set(path)


@pytest.mark.parametrize("key", [None, "", "..", "."])
def test_a_look_up_without_a_key_is_not_made(key: str | None) -> None:
    """`/users/` is everybody, and somebody would be found."""
    with pytest.raises(InvalidPersonError):
        rendered(key, path="/users/{{ key }}")


@pytest.mark.parametrize("key", ["E1\r\nX-Admin: 1", "E1\n", "\x00"])
def test_a_line_break_never_reaches_a_header(key: str) -> None:
    """It is that person's problem, and not the end of the run for the others."""
    with pytest.raises(InvalidPersonError, match="control character") as raised:
        rendered(key, headers={"X-Key": "{{ key }}"})
    assert "Admin" not in str(raised.value)


def test_a_name_with_a_full_width_space_may_stand_in_a_header() -> None:
    assert rendered("单\u3000明", headers={"X-Key": "{{ key }}"}).headers == {"X-Key": "单\u3000明"}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/{{ conn.extra.project }}", "Connection 'target': extra has no 'project'"),
        ("/{{ conn.user }}", "Connection 'target' has no 'user'"),
        ("/{{ conn.extra.enterprise }}/{{ conn.extra['tenant'] }}", "extra has no 'tenant'"),
    ],
)
def test_a_gap_of_the_connection_is_never_one_persons_fault(path: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        rendered(path=path)


@pytest.mark.parametrize(
    ("extra", "expression"),
    [
        ({"a": None}, "conn.extra.a"),
        ({"a": {"b": 1}}, "conn.extra.a.c"),
        ({}, "conn.extra.a"),
    ],
)
def test_an_extra_without_a_value_is_a_gap(extra: dict[str, Any], expression: str) -> None:
    point = Endpoint(conn_id="target", base_url="http://h", extra=extra)
    template = RequestTemplate(Request(path=f"/{{{{ {expression} }}}}"), roots=ROOTS)
    with pytest.raises(ConfigurationError, match="Connection 'target': extra"):
        template.render({"conn": point.as_context()})


def test_an_optional_extra_can_be_asked_for() -> None:
    assert rendered(path="/{{ conn.extra.get('nope', 'x') }}").path == "/x"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"user": {"name": "单小明", "codes": ["D1", 2**64]}}, "user.codes.1"),
        ({"urn:a:2.0:User": {"cost": -(2**63) - 1}, "n": 2**64 - 1}, "urn:a:2.0:User.cost"),
        ({7: "a"}, "the whole"),
    ],
)
def test_a_body_that_json_cannot_carry_is_one_persons_trouble_and_names_the_field(
    body: Any, place: str
) -> None:
    """I15: the field, never its value."""
    sent = Rendered(method="POST", path="/", headers={}, query={}, body=body)
    with pytest.raises(InvalidPersonError, match=f"field {place}: .*map it as a text") as raised:
        encoded(sent)
    assert not any(said in str(raised.value) for said in ("单小明", str(2**64), "D1"))
