"""Mapping values: three forms, one sandbox, and what happens where a value is missing."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.domain.mapping.values import (
    compile_condition,
    compile_expression,
    compile_tree,
    compile_url_path,
    compile_value,
    named_texts,
    reads,
    roots_in,
)
from accountsync.domain.persons.person import Unavailable
from accountsync.errors import ConfigurationError, InvalidPersonError, NeedsDataError

ROOTS = frozenset({"person", "body", "status"})
PERSON: dict[str, Any] = {
    "full_name": "单小明",
    "employee_number": "E1",
    "phone": None,
    "hire_date": date(2026, 1, 2),
    "level": 7,
    "departments": [{"code": "D1"}, {"code": "D2"}],
    "attributes": {"items": ["a"], "0": "zero"},
    "type": Unavailable("person type '12' has no active mapping; import one"),
}
CONTEXT = {"person": PERSON, "body": {"items": [1, 2], "values": "v"}, "status": 200}


def value_of(text: str) -> Any:
    return compile_value(text, roots=ROOTS)(CONTEXT)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("person.full_name", "单小明"),
        ("person.level", 7),
        ("person.phone", None),
        ("person.hire_date", date(2026, 1, 2)),
        ("person.departments.1.code", "D2"),
        ("person.attributes.items", ["a"]),
    ],
)
def test_a_path_is_read_directly_and_keeps_its_type(text: str, value: Any) -> None:
    assert value_of(text) == value
    assert value_of(f"{{{{ {text} }}}}") == value


@pytest.mark.parametrize(
    "text", ["", "example.com", "person", "status", "+86", "a.b", "{x}", "201"]
)
def test_anything_else_is_a_constant(text: str) -> None:
    assert value_of(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ person.level }}", 7),
        ("{{- person.level -}}", 7),
        ("{{-5}}", 5),
        ("{{ -5 }}", -5),
        ("  {{ person.level }}  ", 7),
        ("{{ person.departments }}", PERSON["departments"]),
        ("{{ person.departments | map(attribute='code') }}", ["D1", "D2"]),
        ("{{ person.phone }}", None),
        ("{{ person.phone or 'none' }}", "none"),
        ("{{ person.nope | default('x') }}", "x"),
        ("{{ person.level * 2 + 1 }}", 15),
        ("{{ body.items }}", [1, 2]),
        ("{{ body.values }}", "v"),
        ("{{ person.full_name.replace('单', '李') }}", "李小明"),
    ],
)
def test_a_single_expression_keeps_the_type_of_its_value(text: str, value: Any) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ person.full_name | pinyin }}@x.cn", "shanxiaoming@x.cn"),
        ("{{ person.full_name | pinyin_initial }}{{ person.employee_number }}", "sE1"),
        ("{{ 'Łódź' | ascii }}-{{ 'ＡＢ' | fold }}", "Lodz-ab"),
        ("{% if person.level > 5 %}senior{% else %}junior{% endif %}", "senior"),
        ("{{ 'u:p' | base64 }}", "dTpw"),
        ("#{{ person.level }}", "#7"),
    ],
)
def test_a_longer_text_is_rendered(text: str, value: str) -> None:
    assert value_of(text) == value


def test_a_tree_is_mapped_leaf_by_leaf() -> None:
    tree = {"a": ["person.level", {"b": "{{ person.employee_number }}!"}], "c": 5, "d": None}
    compiled = compile_tree(tree, roots=ROOTS)
    assert compiled(CONTEXT) == {"a": [7, {"b": "E1!"}], "c": 5, "d": None}


@pytest.mark.parametrize(
    "text",
    [
        "person.nope",
        "person.departments.7.code",
        "person.full_name.upper",
        "person.phone.x",
        "{{ person.nope }}",
        "{{ person.phone.x }}",
        "{{ [person.nope] }}",
        "{{ person.nope | pinyin }}",
        "{{ person.departments | map(attribute='nope') }}",
        "{{ person.nope }}@x.cn",
    ],
)
def test_what_a_person_lacks_is_said_without_the_persons_data(text: str) -> None:
    with pytest.raises(InvalidPersonError, match="has no value here") as raised:
        value_of(text)
    assert "单" not in str(raised.value)


@pytest.mark.parametrize("text", ["{{ person.phone }}@x.cn", "+86{{ person.phone }}"])
def test_an_empty_value_never_becomes_the_word_none(text: str) -> None:
    """An address None@… would be given, and kept, for ever."""
    with pytest.raises(InvalidPersonError, match="has no value here"):
        value_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "person.type.email_domain",
        "{{ person.type.email_domain }}",
        "{{ person.type['email_domain'] }}",
        "{{ person.type.email_domain | default('x.cn') }}",
        "zhang@{{ person.type.email_domain }}",
        "{{ person.type.message }}",
        "person.type.message",
        "{{ person.type.items }}",
    ],
)
def test_missing_data_says_what_to_add_in_every_form(text: str) -> None:
    """PREDECESSOR fault 10: no silent fall-back."""
    with pytest.raises(NeedsDataError, match="person type '12' has no active mapping"):
        value_of(text)


def test_a_template_can_ask_whether_data_is_there() -> None:
    assert value_of("{% if person.type %}there{% else %}missing{% endif %}") == "missing"


@pytest.mark.parametrize(
    "text",
    [
        "{{ none | dictsort }}",
        "{{ person.full_name.encode('nope') }}",
        "{{ '{a}'.format() }}",
        "{{ person.phone | pinyin }}",
        "{{ person.departments | pinyin }}",
        "{{ 1 / 0 }}",
        "{{ 'x' + 1 }}",
        "{{ person.full_name.upper }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
)
def test_whatever_an_expression_does_with_a_person_is_about_that_person(text: str) -> None:
    """One odd row must not stop the plan of everybody (I3)."""
    with pytest.raises(InvalidPersonError, match="failed"):
        value_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ '' | attr('__class__') }}",
        "{{ [''] | map(attribute='__class__') | list }}",
        "{{ '{0.__class__}'.format(1) }}!",
        "{{ person.departments.append(1) }}",
        "{{ person.attributes.update({}) }}",
        "{{ person.full_name.upper.__self__ }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ 'a' * 999999999999 }}",
        "{{ [0] * 999999999999 }}",
        "{{ 999999999999 * (0,) }}",
    ],
)
def test_the_sandbox_lets_nothing_out_and_nothing_grow(text: str) -> None:
    with pytest.raises(InvalidPersonError, match="SecurityError"):
        value_of(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ range(9) }}", "uses range, which does not exist here; known: body, person, status"),
        ("{{ cycler }}", "uses cycler"),
        ("{{ conn.password }}", "uses conn"),
        ("{% for x in y %}{{ x }}{% endfor %}", "uses y"),
        ("{{ person", "not a valid expression"),
        ("{{ person.x | nope }}", "No filter named 'nope'"),
        ("{{ person.x is nope }}", "No test named 'nope'"),
        ("{{ [1] | random }}", "No filter named 'random'"),
        ("{% include 'x' %}", "refers to another template"),
        ("{% extends 'x' %}", "refers to another template"),
        ("{% from 'x' import y %}", "refers to another template"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_compiled(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        compile_value(text, roots=ROOTS)
    assert said in str(raised.value)
    assert "<introspection>" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("status == 200", True),
        ("status in (200, 201)", True),
        ("body.items | length == 3", False),
        ("body.values", True),
        ("not body.items", False),
    ],
)
def test_a_condition_is_an_expression_without_braces(text: str, holds: bool) -> None:
    assert compile_condition(text, roots=ROOTS)(CONTEXT) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ status == 200 }}", "write it without {{ }}"),
        ("status }} x {{ body", "write it without {{ }}"),
        ("status }} x", "not a valid expression"),
        ("status = 200", "not a valid expression"),
        ("status ==", "not a valid expression"),
        ("", "not a valid expression"),
        ("nope == 1", "uses nope"),
    ],
)
def test_a_wrong_condition_is_refused_when_it_is_compiled(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        compile_condition(text, roots=ROOTS)
    assert said in str(raised.value)


def test_an_expression_gives_a_value_of_any_shape() -> None:
    assert compile_expression("{'a': {'b': body.items}}", roots=ROOTS)(CONTEXT) == {
        "a": {"b": [1, 2]}
    }


@pytest.mark.parametrize(
    ("number", "path"),
    [
        ("E1", "/users/E1"),
        ("a/../b", "/users/a%2F..%2Fb"),
        ("1?admin=1#x", "/users/1%3Fadmin%3D1%23x"),
        ("张 三", "/users/%E5%BC%A0%20%E4%B8%89"),
        (7, "/users/7"),
    ],
)
def test_a_value_stays_in_its_segment_of_a_path(number: Any, path: str) -> None:
    compiled = compile_url_path("/users/{{ person.number }}", roots=ROOTS)
    assert compiled({"person": {"number": number}}) == path


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (None, "has no value here"),
        ("", "no part of a path"),
        (" ", "no part of a path"),
        (".", "no part of a path"),
        ("..", "no part of a path"),
    ],
)
def test_a_path_without_a_value_is_never_called(number: str | None, problem: str) -> None:
    """`/users/` would be everybody."""
    compiled = compile_url_path("/users/{{ person.number }}", roots=ROOTS)
    with pytest.raises(InvalidPersonError, match=problem):
        compiled({"person": {"number": number}})


@given(st.text(min_size=1))
def test_no_value_adds_a_segment_a_query_or_a_fragment(number: str) -> None:
    compiled = compile_url_path("/users/{{ person.number }}", roots=ROOTS)
    try:
        path = compiled({"person": {"number": number}})
    except InvalidPersonError:
        return
    assert path.count("/") == 2
    assert not set("?#\\ \r\n") & set(path)


@pytest.mark.parametrize(
    ("node", "read"),
    [
        ("person.full_name", {("person", "full_name")}),
        ("person.attributes.x", {("person", "attributes")}),
        ("example.com", set()),
        ("{{ person.a }}{{ body.b.c }}", {("person", "a"), ("body", "b")}),
        ("{{ person }}", {("person", None)}),
        ("{{ person['a'] }}{{ body['b'].c[0] }}", {("person", "a"), ("body", "b")}),
        ("{{ person[body.b] }}{{ person.a }}", {("person", None), ("person", "a"), ("body", "b")}),
        ("{{ x", set()),
        (["person.a", {"k": "person.b"}, 5], {("person", "a"), ("person", "b")}),
    ],
)
def test_what_a_tree_reads_is_known_beforehand(node: Any, read: set[tuple[str, str]]) -> None:
    assert reads(node, roots=ROOTS) == read
    assert roots_in(node, roots=ROOTS) == {root for root, _ in read}


@given(st.text())
def test_any_text_compiles_or_is_refused(text: str) -> None:
    for compile_ in (compile_value, compile_condition, compile_url_path):
        try:
            compile_(text, roots=ROOTS)
        except ConfigurationError:
            continue


@given(st.text(alphabet="{}%#-.|'\" aperson()[]1"))
def test_any_braces_compile_or_are_refused_and_then_run_or_are_about_the_person(text: str) -> None:
    try:
        compiled = compile_value(text, roots=ROOTS)
    except ConfigurationError:
        return
    try:
        compiled(CONTEXT)
    except (InvalidPersonError, NeedsDataError):
        return


@pytest.mark.parametrize(
    ("mapped", "named"),
    [
        (["staff", "person.level"], {"staff"}),
        (["{{ 'vpn' if person.level == 'high' else none }}"], {"vpn"}),
        (["{{ 'a' if person.level > 3 else 'b' }}"], {"a", "b"}),
        ("{{ ['a', person.level] + (['b'] if person.phone else []) }}", {"a", "b"}),
        (["{% if person.phone %}caller{% endif %}"], {"caller"}),
        (["team-{{ person.level }}", "{{ 'x' ~ person.level }}", 7, None], set()),
        ([" {{ 'broken"], set()),
        (None, set()),
    ],
)
def test_the_texts_that_a_mapping_can_name_are_seen(mapped: Any, named: set[str]) -> None:
    """What is only compared is no result: nobody leaves a group because of it."""
    assert named_texts(mapped, roots=ROOTS) == named


@pytest.mark.parametrize("text", ["{{ person.name }}", "{{ person.name }} of {{ person.office }}"])
def test_a_text_is_compiled_once_and_judged_by_the_roots_of_each_place(text: str) -> None:
    """Settings and everybody who opens a target ask for the same texts."""
    once = compile_value(text, roots={"person"})
    assert compile_value(text, roots=["person"]) is once
    with pytest.raises(ConfigurationError, match="person, which does not exist here"):
        compile_value(text, roots={"names"})
