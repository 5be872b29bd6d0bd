"""What a message may say of a refusal (I15), and what of a user has to be sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.targets import scim_messages
from accountsync.targets.scim_details import masked_detail
from accountsync.targets.scim_differences import contradicted, lacking

PERSON: dict[str, Any] = {
    "externalId": "1001",
    "userName": "zhangsan",
    "name": {"familyName": "Zhang", "givenName": "San"},
    "emails": [{"value": "zhang.san@example.com", "type": "work"}],
    "title": "engineer",
}
SECRETS = ("1001", "zhangsan", "zhang", "san", "example", "engineer", "abc-77")
WORDS = (
    "the value of",
    "userName",
    "emails",
    "is",
    "invalid:",
    "must be unique",
    "(",
    ").",
    "'",
    '"',
)


@given(st.lists(st.sampled_from((*SECRETS, *(s.upper() for s in SECRETS), *WORDS)), max_size=12))
def test_no_value_that_was_sent_is_in_a_detail(parts: list[str]) -> None:
    """I15: alone, in quotes, glued to others, in any case."""
    body = scim_messages.new_user(PERSON, enabled=True)
    request = scim_messages.request("PUT", "/Users/abc-77", body=body)
    for joint in (" ", "", ",", "-"):
        said = masked_detail({"detail": joint.join(parts)}, request).casefold()
        for attribute in ("username", "emails"):
            said = said.replace(attribute, "")
        assert not [secret for secret in SECRETS if secret in said]


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("User name must be unique", ": User name must be unique"),
        ("Attribute emails.type is not supported here.", ": Attribute *** is not supported here."),
        ("value of title is too long", ": value of title is too long"),
        ("Li Si has it already", ": *** has it already"),
        ("conflict with id 77 (li@example.org)", ": conflict with id ***"),
        ("见 emails", ": *** emails"),
        (7, ""),
        ("  ", ""),
    ],
)
def test_plain_words_and_names_of_attributes_stay(detail: object, said: str) -> None:
    body = scim_messages.new_user(PERSON, enabled=True)
    request = scim_messages.request("POST", "/Users", body=body)
    assert masked_detail({"detail": detail}, request) == said


@pytest.mark.parametrize(
    ("wanted", "shown", "parts"),
    [
        ({"title": "a"}, {"title": "a"}, {}),
        ({"title": "a"}, {"title": "A"}, {"title": "a"}),
        ({"title": "a"}, {}, {"title": "a"}),
        ({"title": None}, {"title": "a"}, {"title": None}),
        ({"title": None}, {}, {}),
        ({"title": ""}, {}, {}),
        ({"emails": []}, {}, {}),
        (
            {"name": {"familyName": "a", "givenName": "b"}},
            {"name": {"familyName": "a"}},
            {"name": {"givenName": "b"}},
        ),
        ({"name": {"givenName": None}}, {"name": {"familyName": "a"}}, {}),
        ({"emails": [{"value": "a"}]}, {"emails": [{"value": "a", "type": "work"}]}, {}),
        (
            {"emails": [{"value": "a"}]},
            {"emails": [{"value": "a"}, {"value": "b"}]},
            {"emails": [{"value": "a"}]},
        ),
        ({"active2": True}, {"active2": "True"}, {"active2": True}),
    ],
)
def test_only_what_is_lacking_is_sent(wanted: Any, shown: Any, parts: Any) -> None:
    assert lacking(wanted, shown) == parts


@pytest.mark.parametrize(
    ("sent", "shown", "enabled", "names"),
    [
        ({"userName": "ZhangSan"}, {"userName": "zhangsan"}, None, set()),
        (
            {"name": {"familyName": "a"}},
            {"name": {"familyName": "a", "formatted": "a"}},
            None,
            set(),
        ),
        ({"title": "a"}, {"title": "b"}, None, {"title"}),
        ({"title": "a"}, {}, None, set()),
        ({"title": None}, {"title": "b"}, None, {"title"}),
        (
            {"emails": [{"value": "a"}]},
            {"emails": [{"value": "b"}, {"value": "a"}]},
            None,
            {"emails"},
        ),
        ({}, {"active": "true"}, False, {"active"}),
        ({}, {"active": False}, False, set()),
        ({}, {}, False, set()),
    ],
)
def test_what_is_shown_otherwise_speaks_against_the_change(
    sent: Any, shown: Any, enabled: bool | None, names: set[str]
) -> None:
    """B.5: by the same rule as everywhere; what is not shown says nothing."""
    assert contradicted(sent, shown, enabled=enabled) == names
