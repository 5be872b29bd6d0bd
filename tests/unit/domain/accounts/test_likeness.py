"""What counts as applied of an account that was found: what is shown, over what was wanted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.domain.accounts.likeness import as_found, is_like, with_gaps

ADDRESS = {"value": "z@example.com", "type": "work", "primary": True}
LIKE, OTHER = True, False


@pytest.mark.parametrize(
    ("wanted", "shown", "expected"),
    [
        ("Zhang San", "zhang  san ", LIKE),
        ("ＡＢ", "ab", LIKE),
        ("Zhang San", "Li Si", OTHER),
        (7, "7", LIKE),
        (True, "TRUE", LIKE),
        (True, False, OTHER),
        ("+86 1", "1", OTHER),
        (None, "", LIKE),
        (None, "x", OTHER),
        ("x", "", OTHER),
        (["a", "b"], ["B", "a"], LIKE),
        (["a", "b"], ["a"], OTHER),
        (["a"], ["a", "b"], OTHER),
        (["a", "a"], ["a", "b"], OTHER),
        (["a", None], "a", LIKE),
        ("a", ["a"], LIKE),
        (["a"], [], OTHER),
        ([], ["a"], OTHER),
        ([], None, LIKE),
        ("CN=Boss, OU=A,DC=x", "cn=boss,ou=a,dc=x", LIKE),
        ("CN=Boss,OU=A,DC=x", "cn=boss,ou=b,dc=x", OTHER),
        ("a=b,c", "a=b,d", OTHER),
        ({"familyName": "张"}, {"familyName": "张", "formatted": "张三"}, LIKE),
        ({"familyName": "张", "givenName": "三"}, {"familyName": "张"}, LIKE),
        ({"familyName": "张"}, {"familyName": "李"}, OTHER),
        ({"familyName": "张"}, "张", OTHER),
        ("张", {"familyName": "张"}, OTHER),
        ([ADDRESS], [ADDRESS | {"display": "z", "value": "Z@example.com"}], LIKE),
        ([ADDRESS], [ADDRESS | {"value": "y@example.com"}], OTHER),
    ],
)
def test_the_same_however_a_target_spells_it_is_no_difference(
    wanted: Any, shown: Any, expected: bool
) -> None:
    assert is_like(wanted, shown) is expected
    counts = wanted if expected or shown is None else shown
    assert as_found({"a": wanted}, {"a": shown}) == {"a": counts}


def test_what_is_not_shown_counts_as_applied_and_what_nobody_wanted_is_left_out() -> None:
    wanted = {"name": "张三", "password": "x", "mobile": "1"}
    shown = {"name": "李四", "mobile": None, "nickName": "theirs"}
    assert as_found(wanted, shown) == wanted | {"name": "李四"}


def test_what_is_wanted_and_told_of_by_nothing_is_a_gap() -> None:
    wanted = {"name": "张三", "mail": "z@x", "mobile": None, "title": "", "password": "p"}
    shown = with_gaps(
        {"name": "李四", "mail": None}, wanted, always_shown=wanted.keys() - {"password"}
    )
    assert as_found(wanted, shown) == wanted | {"name": "李四", "mail": ""}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("aB中=,\\ ", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=6,
)
ATTRIBUTES = st.dictionaries(st.sampled_from("abc"), VALUES)


@given(ATTRIBUTES, ATTRIBUTES)
def test_after_the_update_that_follows_nothing_differs(
    wanted: dict[str, Any], shown: dict[str, Any]
) -> None:
    """I6: what was found differs only where it is shown otherwise; once it is as wanted, never."""
    found = as_found(wanted, shown)
    assert found.keys() == wanted.keys()
    assert all(found[name] in (wanted[name], shown.get(name)) for name in wanted)
    assert as_found(wanted, shown | wanted) == wanted
    assert as_found(wanted, found | wanted) == wanted


@pytest.mark.parametrize(
    ("wanted", "shown", "expected"),
    [
        ("/Group/Research", "ou=research,OU=Group", True),
        ("Group/Research", "ou=Group,ou=Research", False),
        ("Research", "ou=Research,ou=Group", False),
        ("a/b", "b/a", False),
        ("Group/Research", "not = a, name", False),
    ],
)
def test_a_path_of_units_is_the_name_that_a_directory_shows(
    wanted: str, shown: str, expected: bool
) -> None:
    assert is_like(wanted, shown) is expected
