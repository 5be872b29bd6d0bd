"""RFC 4514, against its own examples and against anything at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.domain.accounts.distinguished_name import (
    escaped,
    folded,
    from_path,
    is_below,
    joined,
    parent,
    parsed,
    rdn,
    relative,
)

VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('James "Jim" Smith, III', 'James \\"Jim\\" Smith\\, III'),
        ("#hash", "\\#hash"),
        (" blanks ", "\\ blanks\\ "),
        (" ", "\\ "),
        ("a+b;c<d>e=f\\g", "a\\+b\\;c\\<d\\>e\\=f\\\\g"),
        ("nul\0", "nul\\00"),
        ("张三", "张三"),
    ],
)
def test_a_value_is_escaped(value: str, text: str) -> None:
    assert escaped(value) == text


@pytest.mark.parametrize(
    ("text", "rdns"),
    [
        (
            "UID=jsmith,DC=example,DC=net",
            ((("UID", "jsmith"),), (("DC", "example"),), (("DC", "net"),)),
        ),
        ("OU=Sales+CN=J.  Smith", ((("OU", "Sales"), ("CN", "J.  Smith")),)),
        ("CN=Before\\0dAfter", ((("CN", "Before\rAfter"),),)),
        ("1.3.6.1.4.1.1466.0=x", ((("1.3.6.1.4.1.1466.0", "x"),),)),
        ("CN=Lu\\C4\\8Di\\C4\\87", ((("CN", "Lučić"),),)),
        ("cn = a , dc = b", ((("cn", "a"),), (("dc", "b"),))),
        ("cn=", ((("cn", ""),),)),
        ("", ()),
    ],
)
def test_a_name_is_read(text: str, rdns: object) -> None:
    """The first five are RFC 4514's, §4."""
    assert parsed(text) == rdns


@pytest.mark.parametrize(
    "text", ["people", "/集团/研发", "cn=a,", "cn=a;dc=b", "cn=a\\", "=a", 'cn="a"']
)
def test_what_is_no_name_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="not a distinguished name"):
        parsed(text)


@given(VALUES, VALUES)
def test_no_value_breaks_out_of_its_part(first: str, second: str) -> None:
    name = joined(rdn("cn", first), rdn("ou", second), "dc=example")
    assert parsed(name) == ((("cn", first),), (("ou", second),), (("dc", "example"),))
    assert folded(parent(name)) == folded(joined(rdn("ou", second), "dc=example"))
    assert is_below(name, "DC=Example")


def test_names_are_compared_without_case_and_spelling() -> None:
    assert folded("CN=A\\2CB , DC=X") == folded("cn=a\\,b,dc=x")
    assert not is_below("dc=example", "ou=people,dc=example")
    assert not is_below("ou=people,dc=example2", "dc=example")


def test_a_name_is_shown_below_a_base() -> None:
    assert relative("OU=B, ou=A,DC=x", "dc=X") == "OU=B,ou=A"
    assert relative("dc=x", "DC=X") == ""
    assert relative("ou=a,dc=y", "dc=x") == "ou=a,dc=y"


def test_a_path_begins_with_the_outermost_unit() -> None:
    assert from_path("/Group/R, D/") == "OU=R\\, D,OU=Group"
    assert from_path("/") == ""
