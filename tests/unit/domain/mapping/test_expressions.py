"""What is evaluated without Jinja's machinery comes out as Jinja would evaluate it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Undefined

from accountsync.domain.mapping import values
from accountsync.domain.mapping.expressions import direct, direct_template
from accountsync.domain.persons.person import Unavailable

SANDBOX = values._SANDBOX
CONTEXT = {
    "person": {
        "full_name": "欧阳小明",
        "status": "1",
        "number": 7,
        "nothing": None,
        "type": Unavailable("no mapping"),
        "attributes": {"items": "a key, not the method", "place": ""},
    },
    "statuses": ["1", "2"],
}

_LEAVES = st.sampled_from(
    [
        "person.full_name", "person.status", "person.number", "person.nothing", "person.missing",
        "person.missing.deeper", "person.type.email_domain", "person.attributes.items",
        "person.attributes.place", "statuses", "unknown", "'1'", "7", "none", "true", "['1', 7]",
        "('a', 'b')", "person.full_name.__class__", "person.attributes.keys",
    ]
)  # fmt: skip
_FILTERS = st.sampled_from(
    ["pinyin", "pinyin_initials", "surname", "default('x', true)", "lower", "length", "string",
     "pinyin('yu')", "default('y')", "fold", "map('upper')"]
)  # fmt: skip
_TESTS = st.sampled_from(["defined", "none", "string", "eq('1')", "in(['1'])"])
_OPERATORS = st.sampled_from(["==", "!=", "<", ">=", "in", "not in", "and", "or"])


def _bigger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, inner, _OPERATORS, inner),
        st.builds("({} | {})".format, inner, _FILTERS),
        st.builds("({} is {})".format, inner, _TESTS),
        st.builds("(not {})".format, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
    )


EXPRESSIONS = st.recursive(_LEAVES, _bigger, max_leaves=6)


def _outcome(evaluate: Any, context: Mapping[str, Any]) -> tuple[str, Any]:
    """Undefined values are alike when they complain alike."""
    try:
        found = evaluate(context)
        return ("undefined", type(found)) if isinstance(found, Undefined) else ("value", found)
    except Exception as error:  # noqa: BLE001 (whatever it is, it has to be the same)
        return "error", type(error)


@given(EXPRESSIONS)
def test_an_expression_means_what_it_means_in_jinja(text: str) -> None:
    ours = direct(SANDBOX, text)
    if ours is None:
        return
    jinjas = SANDBOX.compile_expression(text, undefined_to_none=False)
    assert _outcome(ours, CONTEXT) == _outcome(lambda context: jinjas(context), CONTEXT)


@given(
    st.lists(st.one_of(EXPRESSIONS.map("{{{{ {} }}}}".format), st.sampled_from(["@", " ä", "-"])))
)
def test_a_text_with_expressions_means_what_it_means_in_jinja(parts: list[str]) -> None:
    text = "".join(parts)
    ours = direct_template(SANDBOX, text)
    if ours is None:
        return
    assert _outcome(ours, CONTEXT) == _outcome(SANDBOX.from_string(text).render, CONTEXT)


@pytest.mark.parametrize(
    "text",
    ["person.status in statuses", "person.full_name | pinyin",
     "person.attributes.place | default('', true)", "person.nothing is none or not person.status"],
)  # fmt: skip
def test_what_mappings_are_made_of_does_not_take_jinja(text: str) -> None:
    assert direct(SANDBOX, text) is not None
    assert direct_template(SANDBOX, f"{{{{ {text} }}}}@x") is not None


@pytest.mark.parametrize(
    "text",
    ["person.full_name()", "person.number + 1", "person['status']", "statuses | map('upper')",
     "1 < person.number < 9", "person.full_name | lower if person.status", "person.status }} x"],
)  # fmt: skip
def test_what_it_does_not_know_is_left_to_jinja(text: str) -> None:
    assert direct(SANDBOX, text) is None
