"""A name, once given, is nobody else's (I8)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.domain.names.numbering import NameSet, choose_numbers, fold, numbered, stem
from accountsync.errors import NeedsDataError


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zhang", "zhang"),
        ("ｚｈａｎｇ", "zhang"),
        ("José", "Jose\u0301"),
        ("STRASSE", "straße"),
        (" zhang ", "zhang"),
        ("ﬁsch", "fisch"),
        ("a＠x.com", "A@X.com"),
    ],
)
def test_names_that_look_the_same_are_the_same(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@given(st.text())
def test_folding_again_changes_nothing(value: str) -> None:
    assert fold(fold(value)) == fold(value)


@pytest.mark.parametrize(
    ("base", "number", "value"),
    [
        ("zhangsan", 1, "zhangsan"),
        ("zhangsan", 2, "zhangsan2"),
        ("zhangsan@example.com", 1, "zhangsan@example.com"),
        ("zhangsan@example.com", 12, "zhangsan12@example.com"),
    ],
)
def test_the_number_stands_before_the_domain(base: str, number: int, value: str) -> None:
    assert numbered(base, number) == value


def name_set(person_id: int, **bases: str) -> NameSet:
    return NameSet(person_id=person_id, bases=bases)


def test_namesakes_of_one_batch_are_numbered_in_order() -> None:
    """PREDECESSOR faults 9 and 18."""
    wanted = [name_set(person, alias="zhangwei") for person in (7, 5, 9)]
    assert choose_numbers(wanted, {}) == [1, 2, 3]


def test_one_number_serves_all_names_of_a_person() -> None:
    """PREDECESSOR fault 8: the number is the lowest that is free everywhere."""
    wanted = [name_set(1, alias="li", email="li@example.com")]
    taken = {("alias", "li"): 8, ("email", "li2@example.com"): 9}
    assert choose_numbers(wanted, taken) == [3]


def test_what_differs_in_case_only_is_taken() -> None:
    assert choose_numbers([name_set(1, alias="Li")], {("alias", "li"): 8}) == [2]


def test_a_name_taken_in_one_namespace_is_free_in_another() -> None:
    assert choose_numbers([name_set(1, alias="li")], {("username", "li"): 8}) == [1]


def test_ones_own_value_is_free() -> None:
    assert choose_numbers([name_set(1, alias="li")], {("alias", "li"): 1}) == [1]


def test_ones_own_value_is_found_again_after_a_namesake() -> None:
    """The namesake's search must not become the owner's starting point."""
    wanted = [name_set(2, alias="li"), name_set(1, alias="li")]
    assert choose_numbers(wanted, {("alias", "li"): 1}) == [2, 1]


def test_a_number_that_makes_another_base_is_avoided() -> None:
    """li12 is the twelfth li and the second li1."""
    wanted = [name_set(n, alias="li1") for n in (1, 2)] + [name_set(3, alias="li")]
    taken = {("alias", "li" if n == 1 else f"li{n}"): 100 for n in range(1, 12)}
    assert choose_numbers(wanted, taken) == [1, 2, 13]


def test_where_no_number_fits_any_more_nobody_else_is_stopped() -> None:
    """I3: the ten-thousandth namesake in a name of five letters, of which each number takes one."""
    limit = {"sam": 5}
    taken = {("sam", fold(numbered("li", n, 5))): 100 for n in range(1, 10_000)}
    wanted = [
        NameSet(person_id=n, bases={"sam": base}, max_lengths=limit)
        for n, base in enumerate(("li", "wang"), start=1)
    ]
    assert choose_numbers(wanted, taken) == [None, 1]


def test_a_name_that_an_operator_chose_is_given_as_it_is_or_not_at_all() -> None:
    wanted = [NameSet(person_id=n, bases={"alias": "boss"}, is_exact=True) for n in (1, 2)]
    assert choose_numbers(wanted, {}) == [1, None]
    assert choose_numbers(wanted[:1], {}, reserved=frozenset({"boss"})) == [None]


BASES = st.sampled_from(["li", "Li", "li1", "ｌｉ", "wang", "li@x.cn", "LI@x.cn"])
SPACES = st.dictionaries(st.sampled_from(["username", "email", "alias"]), BASES, max_size=3)
REGISTRY = st.dictionaries(
    st.tuples(
        st.sampled_from(["username", "email", "alias"]),
        st.builds(numbered, BASES, st.integers(1, 5)).map(fold),
    ),
    st.integers(1, 8),
    max_size=12,
)


@st.composite
def batches(draw: st.DrawFn) -> list[NameSet]:
    persons = draw(st.lists(st.integers(1, 12), unique=True, max_size=8))
    return [NameSet(person_id=person, bases=draw(SPACES)) for person in persons]


@given(batches(), REGISTRY)
def test_no_two_persons_share_a_value(
    wanted: list[NameSet], taken: Mapping[tuple[str, str], int]
) -> None:
    owners = dict(taken)
    numbers = choose_numbers(wanted, taken)
    for names, number in zip(wanted, numbers, strict=True):
        assert number is not None
        for name in names.folded(number):
            assert owners.setdefault(name, names.person_id) == names.person_id


@given(batches(), REGISTRY)
def test_the_number_is_the_lowest_that_is_free_everywhere(
    wanted: list[NameSet], taken: Mapping[tuple[str, str], int]
) -> None:
    owners = dict(taken)
    numbers = choose_numbers(wanted, taken)
    for names, number in zip(wanted, numbers, strict=True):
        person = names.person_id
        assert number is not None
        for lower in range(1, number):
            assert any(owners.get(name, person) != person for name in names.folded(lower))
        owners.update((name, person) for name in names.folded(number))


@given(batches(), REGISTRY)
def test_the_same_question_has_the_same_answer(
    wanted: list[NameSet], taken: Mapping[tuple[str, str], int]
) -> None:
    assert choose_numbers(wanted, taken) == choose_numbers(wanted, dict(reversed(taken.items())))


@pytest.mark.parametrize(
    ("base", "number", "length", "value"),
    [
        ("zhangxiaoming", 1, 20, "zhangxiaoming"),
        ("abcdefghijklmnopqrstuvwxyz", 1, 20, "abcdefghijklmnopqrst"),
        ("abcdefghijklmnopqrstuvwxyz", 2, 20, "abcdefghijklmnopqrs2"),
        ("abcdefghijklmnopqrstuvwxyz", 123, 20, "abcdefghijklmnopq123"),
        ("abcdefghijklmnopqrst", 2, 20, "abcdefghijklmnopqrs2"),
        ("abc-", 2, 4, "abc2"),
        ("li@example.com", 10, 13, None),
        ("zhangsan@x.cn", 12, 12, "zhang12@x.cn"),
    ],
)
def test_a_name_is_cut_before_its_number(
    base: str, number: int, length: int, value: str | None
) -> None:
    """sAMAccountName: 20 characters, and the number must survive."""
    if value is None:
        with pytest.raises(NeedsDataError, match="does not fit"):
            numbered(base, number, length)
    else:
        assert numbered(base, number, length) == value


@given(
    st.text("abcdefghij.-", min_size=1, max_size=40).filter(lambda s: s[0].isalpha()),
    st.integers(1, 99999),
    st.integers(8, 30),
)
def test_a_cut_name_is_never_too_long_and_ends_in_its_number(
    base: str, number: int, length: int
) -> None:
    value = numbered(base, number, length)
    assert len(value) <= length
    assert number == 1 or value.endswith(str(number))


@given(st.text("abcdefghij", min_size=1, max_size=40), st.integers(1, 9999), st.integers(8, 30))
def test_all_numbers_of_a_base_have_its_stem_in_common(base: str, number: int, length: int) -> None:
    assert numbered(base, number, length).startswith(stem(base, length)[: length - 4])


def test_cut_names_of_different_people_differ() -> None:
    bases = ("abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrst", "abcdefghijklmnopqrstu")
    wanted = [
        NameSet(person_id=n, bases={"sam": base}, max_lengths={"sam": 20})
        for n, base in enumerate(bases)
    ]
    numbers = choose_numbers(wanted, {})
    values = [value for w, n in zip(wanted, numbers, strict=True) for _, value in w.folded(n)]
    assert values == ["abcdefghijklmnopqrst", "abcdefghijklmnopqrs2", "abcdefghijklmnopqrs3"]


@pytest.mark.parametrize("base", ["admin", "Admin", "ＡＤＭＩＮ", "admin@example.com"])
def test_a_reserved_word_is_given_with_a_number_only(base: str) -> None:
    wanted = [name_set(1, alias=base), name_set(2, alias=base)]
    assert choose_numbers(wanted, {}, frozenset({"admin"})) == [2, 3]


def test_who_has_a_name_that_became_reserved_keeps_it() -> None:
    taken = {("alias", "hr"): 1}
    assert choose_numbers([name_set(1, alias="hr")], taken, frozenset({"hr"})) == [1]


def test_a_name_kept_for_nobody_is_not_given() -> None:
    assert choose_numbers([name_set(1, alias="li")], {("alias", "li"): None}) == [2]
