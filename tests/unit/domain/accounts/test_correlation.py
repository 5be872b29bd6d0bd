"""Whose an account is: one to one and sure, or a case for a human (I10, I11)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.domain.accounts.account import RemoteAccount
from accountsync.domain.accounts.correlation import Correlated, Matcher, Rule, values
from accountsync.domain.reasons import Kind, Reason

RULES = (
    Rule(attribute="number", is_sure=True),
    Rule(attribute="user", is_sure=True),
    Rule(attribute="mail", is_sure=False),
)


def _account(remote_id: str, **attributes: Any) -> RemoteAccount:
    return RemoteAccount(
        identifier=remote_id, remote_id=remote_id, ours=False, attributes=attributes
    )


def _correlated(
    accounts: list[RemoteAccount], persons: dict[int, tuple[Any, Any, Any]]
) -> list[Correlated]:
    matcher = Matcher(rules=RULES, key="number", accounts=accounts)
    for person_id, found in persons.items():
        matcher.add_person(person_id, found)
    return matcher.correlated()


@pytest.mark.parametrize(
    ("account", "persons", "candidates", "reasons"),
    [
        ({"number": "1"}, {7: ("1", None, None)}, [7], []),
        ({"number": "２"}, {7: ("2", None, None)}, [7], []),
        ({"user": "Li"}, {7: ("1", "lI ", None)}, [7], []),
        ({"number": "1", "user": "li"}, {7: ("1", "li", None)}, [7], []),
        ({"number": "9"}, {7: ("1", "li", None)}, [], []),
        ({"user": ""}, {7: ("1", "", None)}, [], []),
        (
            {"mail": [{"value": "A@x"}]},
            {7: ("1", None, "a@X")},
            [7],
            [Reason.of(Kind.MATCH_IS_NOT_SURE, attribute="mail")],
        ),
        (
            {"user": "li"},
            {7: ("1", "li", None), 8: ("2", "li", None)},
            [7, 8],
            [Reason.of(Kind.MATCHES_SEVERAL_PERSONS, persons=2)],
        ),
        (
            {"number": "1", "user": "li"},
            {7: ("1", None, None), 8: ("2", "li", None)},
            [7, 8],
            [Reason.of(Kind.MATCHES_SEVERAL_PERSONS, persons=2)],
        ),
        (
            {"number": "9", "user": "li"},
            {7: ("1", "li", None)},
            [7],
            [Reason.of(Kind.HAS_ANOTHER_KEY, attribute="number")],
        ),
    ],
)
def test_an_account_is_somebodys_for_sure_or_there_is_a_reason(
    account: dict[str, Any],
    persons: dict[int, tuple[Any, Any, Any]],
    candidates: list[int],
    reasons: list[Reason],
) -> None:
    (found,) = _correlated([_account("a", **account)], persons)
    assert (list(found.persons), list(found.reasons)) == (candidates, reasons)


def test_of_two_accounts_of_one_person_none_is_sure() -> None:
    accounts = [_account("a", number="1"), _account("b", user="li")]
    for found in _correlated(accounts, {7: ("1", "li", None)}):
        assert list(found.reasons) == [Reason.of(Kind.ANOTHER_ACCOUNT_MATCHES)]


def test_values_of_all_shapes_are_folded() -> None:
    shape = [{"value": "Ａ", "primary": True}, "b ", None, 3, {"type": "x"}]
    assert list(values(shape)) == ["a", "b", "3"]


_TEXT = st.sampled_from([None, "1", "2", "3"])
_ACCOUNTS = st.lists(st.fixed_dictionaries({"number": _TEXT, "user": _TEXT, "mail": _TEXT}))


@given(_ACCOUNTS, st.dictionaries(st.integers(1, 4), st.tuples(_TEXT, _TEXT, _TEXT)))
def test_sure_ones_are_one_to_one_whatever_the_data(
    accounts: list[dict[str, Any]], persons: dict[int, tuple[Any, Any, Any]]
) -> None:
    """I9."""
    listed = [_account(str(n), **account) for n, account in enumerate(accounts)]
    found = _correlated(listed, persons)
    assert [one.account for one in found] == listed
    sure = [one.persons[0] for one in found if one.persons and not one.reasons]
    assert len(sure) == len(set(sure))
    for one in found:
        assert len(one.persons) <= 1 or one.reasons
