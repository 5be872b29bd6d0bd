"""What a value loses when another one takes its place, in the shapes that targets have (I7)."""

from __future__ import annotations

from typing import Any

import pytest

from accountsync.domain.plans.losses import (
    forms_of,
    holds_name,
    is_cleared,
    is_empty,
    loses_member,
)


def work(value: Any, **parts: Any) -> dict[str, Any]:
    return {"value": value, "type": "work"} | parts


def mobile(value: Any) -> dict[str, Any]:
    return {"value": value, "type": "mobile"}


ADDRESS = {"type": "work", "street": "A", "locality": "B"}


@pytest.mark.parametrize(
    "value",
    [None, "", " ", [], [None], {}, work(None), [work("")], {"manager": {"value": None}},
     [[], {"value": [], "display": "x"}]],
)  # fmt: skip
def test_what_only_describes_a_value_is_nothing_without_it(value: Any) -> None:
    assert is_empty(value)


@pytest.mark.parametrize("value", [0, False, "0", [0], {"display": "x"}, {"type": "work"}])
def test_zero_and_false_are_values_and_so_is_a_description_alone(value: Any) -> None:
    assert not is_empty(value)


@pytest.mark.parametrize(
    ("value", "old"),
    [
        ([work(None)], [work("1")]),
        ([work(" ")], [work("1")]),
        ([work(None), mobile("2")], [work("1"), mobile("2")]),
        ([work(None), mobile("2")], [work("1"), mobile("3")]),
        ([mobile("2")], [work("1")]),
        ([mobile("2")], [work("1"), mobile("2")]),
        ([{"type": "work"}], [work("1")]),
        ([{"Value": None, "Type": "work"}], [work("1")]),
        ([work("1", extension="")], [work("1", extension="5")]),
        ([work("2")], [work("1", extension="5")]),  # a list is replaced as a whole
        ([ADDRESS | {"street": None}], [ADDRESS]),
        ([{"type": "work", "locality": "B"}], [ADDRESS]),
        (work(None), work("1")),
        (work(None), "1"),
        ({"manager": {"value": None, "displayName": "A"}}, {"manager": {"value": "7"}}),
        ([None], ["1"]),
        ([None, "2"], ["1", "2"]),
        (["2"], ["1", "2"]),
        (" ", "1"),
        ([], "1"),
        ([None], "1"),
    ],
)
def test_a_value_that_nothing_takes_the_place_of_is_cleared(value: Any, old: Any) -> None:
    assert is_cleared(value, old)


@pytest.mark.parametrize(
    ("value", "old"),
    [
        ([work("2")], [work("1")]),
        ([work("1")], [work(None)]),
        ([work(None)], [work("")]),
        ([work("2")], None),
        ([work("2")], "1"),
        ("2", [work("1")]),
        ([work("2")], [{"value": "1"}]),
        ([mobile("1")], [work("1")]),
        ([mobile("2"), work("1")], [work("1"), mobile("2")]),
        ([work("2")], [work("1", display="1", primary=True, formatted="1")]),
        ([ADDRESS | {"street": "C"}], [ADDRESS | {"formatted": "A, B"}]),
        ([ADDRESS | {"type": "home"}], [ADDRESS]),
        (["c", "d", "e"], ["a", "b"]),
        (["B", "A"], ["a", "b"]),
        (work("2"), work("1")),
        ({"given": "A"}, {"given": "B", "family": "C"}),  # not mapped any more: it stays as it is
        (False, True),
        (0, 1),
    ],
)
def test_a_value_that_another_one_takes_the_place_of_is_not(value: Any, old: Any) -> None:
    assert not is_cleared(value, old)


@pytest.mark.parametrize(
    ("value", "old"),
    [
        ([{"display": "b"}], [{"display": "a"}]),
        ([{"value": None, "display": "b"}], [{"value": None, "display": "a"}]),
        ([{"id": 8}], [{"id": 7}]),
        ([{"id": 8, "name": "A"}], [{"id": 7, "name": "A"}]),
        ([{"value": {"id": 8}}], [{"value": {"id": 7}}]),
        ([{"role": "b"}], [{"role": "a"}]),
        ([], [0]),
        (["b"], "a"),
        (None, {"display": "a"}),
        ({"admin": False, "user": True}, {"admin": True, "user": True}),
        ({"x": ["user"], "y": ["admin"]}, {"x": ["admin"], "y": ["user"]}),
    ],
)
def test_a_group_is_lost_however_it_is_named(value: Any, old: Any) -> None:
    assert loses_member(value, old)


@pytest.mark.parametrize(
    ("value", "old"),
    [
        ([{"display": "A"}], ["a "]),
        ([7], [{"id": 7}]),
        ([{"id": 7, "name": "B"}], [{"id": 7, "name": "A"}]),
        ([{"display": "a"}, {"display": "b"}], [{"value": "id1", "display": "a"}]),
        ([{"value": "a", "type": "x", "primary": True}], [{"value": "a"}]),
        ({"admin": True, "user": True}, {"admin": True, "user": False}),
        (["a"], None),
        (None, [{"value": None, "display": ""}]),
    ],
)
def test_a_group_that_is_named_in_another_way_is_not(value: Any, old: Any) -> None:
    assert not loses_member(value, old)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Wang@Example.com", True),
        ("wang", True),
        ("wang@another.example", True),
        ([{"value": "wang@example.com", "type": "work"}], True),
        ("wangwei@example.com", False),
        ("li@example.com", False),
        ("the manager is wang", False),
        (7, False),
        (None, False),
        ("", False),
        ("@", False),
    ],
)
def test_a_name_is_found_as_it_is_and_as_the_local_part_of_an_address(
    value: Any, expected: bool
) -> None:
    assert holds_name(value, forms_of(["wang@example.com", ""])) is expected
