"""What a SCIM service provider says it did, and what it did: the second counts (I17, I18)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountsync.domain.accounts.account import Account, RemoteAccount
from accountsync.errors import (
    AccountExistsError,
    AccountMissingError,
    AccountSyncError,
    ConfigurationError,
    ForeignAccountError,
    NeedsHumanError,
    RejectedByTargetError,
    TransientError,
    UnknownOutcomeError,
)
from accountsync.targets.connector import Connector
from accountsync.testing import Act, known
from accountsync.testing.subject import changing
from tests.connectors.lying_scim import LyingScim, lying
from tests.connectors.recorder import Answer, recording
from tests.connectors.scim_targets import acted

PERSON: Mapping[str, Any] = {
    "externalId": "1001",
    "userName": "zhang.san",
    "displayName": "Zhang San",
    "name": {"familyName": "Zhang", "givenName": "San"},
    "emails": [{"value": "zhang.san@example.com", "primary": True}],
}
MOVED = {**PERSON, "emails": [{"value": "zs@example.com", "primary": True}]}
STAFF = {**PERSON, "groups": ["staff"]}
_MAPPED = {**PERSON, "groups": ["staff", "{{ 'sales' if person.person_type == '10' else none }}"]}


def _do(service: LyingScim, act: Act, **options: Any) -> Any:
    return acted(service.url, act, _MAPPED, **options)


def _made(service: LyingScim, person: Mapping[str, Any] = PERSON) -> Account:
    if not service.groups:
        for name in ("staff", "sales"):
            service.make_group(name)
    made: RemoteAccount = _do(service, lambda c: c.create(person))
    service.calls.clear()
    return known(made, person)


# enabled and disabled


def test_a_disable_that_is_answered_and_not_done_is_no_disable() -> None:
    """A.7a: 200 with `active: true`, in every way that it can be said."""
    with lying(active_is_ignored=("PATCH", "PUT")) as service:
        account = _made(service)
        shown = _do(service, changing("disable", account))
    assert (shown.was_enabled, shown.enabled) == (True, True)


def test_a_disable_without_an_answer_is_looked_at() -> None:
    """204: whether it was done is seen only by a look."""
    for ignored, enabled in (((), False), (("PATCH",), True)):
        with lying(answers_nothing=True, active_is_ignored=ignored) as service:
            account = _made(service)
            assert _do(service, changing("disable", account)).enabled is enabled


def test_a_future_hire_is_disabled_where_the_state_is_ignored_at_creation() -> None:
    with lying(active_is_ignored=("POST",)) as service:
        made = _do(service, lambda c: c.create(PERSON, enabled=False))
        assert made.enabled is False
        assert service.user()["active"] is False


def test_a_future_hire_who_stays_enabled_is_shown_as_enabled() -> None:
    with lying(active_is_ignored=("POST", "PATCH", "PUT")) as service:
        assert _do(service, lambda c: c.create(PERSON, enabled=False)).enabled is True


def test_an_account_made_and_not_yet_disabled_is_an_unknown_outcome() -> None:
    """I9: it is there, and somebody could log in."""
    with lying(active_is_ignored=("POST",), fails_paths=400, fails_pathless=400) as service:

        def refused() -> None:
            service.lies.fails_with = (403, {})

        service.before_change = refused
        with pytest.raises(UnknownOutcomeError, match="created, but not yet as wanted"):
            _do(service, lambda c: c.create(PERSON, enabled=False))


def test_a_state_that_is_a_text_is_understood() -> None:
    with lying(active_as_text=True) as service:
        account = _made(service)
        gone = _do(service, changing("disable", account))
        assert (gone.was_enabled, gone.enabled) == (True, False)
        assert _do(service, changing("enable", account)).enabled is True


def test_who_is_disabled_already_is_not_disabled_by_us() -> None:
    """A.3: what was there before tells whose disable it is."""
    with lying() as service:
        account = _made(service)
        service.user()["active"] = False
        gone = _do(service, changing("disable", account))
        assert (gone.was_enabled, gone.enabled) == (False, False)
        assert service.changes() == []


def test_what_is_answered_as_deleted_and_is_still_there_is_unknown() -> None:
    with lying(deletes_nothing=True) as service:
        account = _made(service)
        with pytest.raises(UnknownOutcomeError, match="still there"):
            _do(service, changing("delete", account))


# whose it is


OPERATIONS = ["update", "rename", "enable", "disable", "delete"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_is_sent_to_an_account_that_carries_another_key(operation: str) -> None:
    """I18."""
    with lying() as service:
        account = _made(service)
        service.user()["externalId"] = "7777"
        with pytest.raises(ForeignAccountError):
            _do(service, changing(operation, account, MOVED))
        assert service.changes() == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_provider_that_shows_no_key_is_believed_by_its_id(operation: str) -> None:
    with lying(shows_keys=False) as service:
        account = _made(service)
        _do(service, changing(operation, account, MOVED))
        assert service.changes() != [] or operation == "enable"


def test_the_key_last_seen_and_the_wanted_one_are_both_the_persons() -> None:
    with lying() as service:
        account = _made(service)
        wanted = {**PERSON, "externalId": "E777"}
        assert _do(service, changing("update", account, wanted)).attributes["externalId"] == "E777"
        for attributes in (PERSON, wanted):
            late = replace(account, attributes=attributes)
            assert _do(service, changing("disable", late, wanted)).enabled is False


@pytest.mark.parametrize("shown", ["e777", " E777", "\uff25\uff17\uff17\uff17"])
def test_a_key_that_is_spelt_otherwise_is_the_persons(shown: str) -> None:
    """I17: as an adoption sees it, so that a leaver's access ends without a human."""
    person = {**PERSON, "externalId": "E777"}
    with lying() as service:
        account = _made(service, person)
        service.user()["externalId"] = shown
        assert _do(service, lambda c: c.find(person)).ours
        assert _do(service, changing("disable", account, person)).enabled is False


def test_an_answer_that_shows_another_user_is_no_answer() -> None:
    """I18: a cache or a proxy mixed them up."""
    with lying() as service:
        account = _made(service)
        service.user()["id"] = "another"
        with pytest.raises(TransientError, match="another id than was asked for"):
            _do(service, changing("disable", account, PERSON))
        assert service.changes() == []


def test_an_account_is_never_reached_by_a_key_that_it_never_carried() -> None:
    """A.5: the wanted number is another person's, and our own account has gone."""
    with lying() as service:
        account = _made(service)
        service.user()["externalId"] = "1002"
        service.user()["userName"] = "li.si"
        for lost in (replace(account, remote_id="99"), replace(account, remote_id=None)):
            wanted = {**PERSON, "externalId": "1002"}
            with pytest.raises(ForeignAccountError):
                _do(service, changing("disable", lost, wanted))
            shown = _do(service, lambda c, lost=lost, wanted=wanted: c.look(lost, wanted))
            assert shown is not None
            assert not shown.ours
        assert service.changes() == []


def test_a_name_that_somebody_else_has_by_now_does_not_hide_that_the_account_has_gone() -> None:
    with lying() as service:
        account = replace(_made(service), remote_id="99")
        service.user()["externalId"] = "2002"
        assert _do(service, lambda c: c.look(account, PERSON)) is None
        with pytest.raises(AccountMissingError):
            _do(service, changing("disable", account))


def test_what_changed_between_the_look_and_the_change_is_not_overwritten() -> None:
    with lying(etags=True) as service:
        account = _made(service)

        def handed_over() -> None:
            service.user()["externalId"] = "7777"
            service.user()["meta"] = {"version": 'W/"99"'}

        service.before_change = handed_over
        with pytest.raises(TransientError, match="somebody else"):
            _do(service, changing("disable", account))
        assert service.user()["active"] is True
        with pytest.raises(ForeignAccountError):
            _do(service, changing("disable", account))


@pytest.mark.parametrize("bad", ["..", ".", "", " ", "../Groups/g-staff", "1/..", "a\\..\\b"])
def test_an_id_that_would_leave_its_place_is_never_sent(bad: str) -> None:
    with lying() as service:
        account = replace(_made(service), remote_id=bad)
        for operation in OPERATIONS:
            with pytest.raises(RejectedByTargetError, match="no part of a path"):
                _do(service, changing(operation, account))
        assert service.calls == []


def test_what_our_login_may_not_see_is_not_taken_for_gone() -> None:
    """A.5."""
    answers: dict[str, Answer] = {"/Users/1": (403, {}), "/Users": (200, {"totalResults": 0})}
    account = Account(state="active", identifier="z", remote_id="1", attributes=PERSON)
    with recording(answers) as recorder, pytest.raises(NeedsHumanError, match="our login"):
        acted(recorder.url, changing("disable", account), PERSON)


# dialects


@pytest.mark.parametrize(
    "lies",
    [
        {"fails_pathless": 500},
        {"fails_pathless": 400},
        {"appends": True},
        {"fails_paths": 500},
        {"fails_paths": 400},
        {"fails_paths": 501, "fails_pathless": 501},
        {"fails_paths": 500, "fails_pathless": 500},
    ],
    ids=str,
)
def test_the_form_that_is_understood_is_found_out(lies: dict[str, Any]) -> None:
    """B.4: a leaver and a rehire do not depend on which dialect somebody guessed."""
    with lying(**lies) as service:
        account = _made(service)
        gone = _do(service, changing("disable", account))
        assert gone.enabled is False
        back = _do(service, changing("enable", account, MOVED))
        assert back.enabled is True
        assert [one["value"] for one in service.user()["emails"]] == ["zs@example.com"]
        assert back.attributes["emails"] == service.user()["emails"]


def test_the_form_that_is_understood_is_remembered() -> None:
    with lying(fails_paths=400) as service:
        account = _made(service)

        async def act(connector: Connector) -> None:
            for n in range(3):
                await connector.update(account, {**PERSON, "displayName": f"Zhang {n}"})

        _do(service, act)
        assert len(service.changes()) == 4, "one that was refused, three that were made"


def test_a_refusal_that_is_about_the_value_is_said_once() -> None:
    """A form that worked is not doubted."""
    with lying() as service:
        account = _made(service)

        async def act(connector: Connector) -> None:
            await connector.update(account, MOVED)
            service.lies.fails_with = (400, {"scimType": "invalidValue"})
            with pytest.raises(RejectedByTargetError):
                await connector.update(account, {**PERSON, "displayName": "X"})

        _do(service, act)
        assert len(service.changes()) == 2


def test_names_of_attributes_have_no_case() -> None:
    """RFC 7643 §2.1."""
    with lying(lower_case=True) as service:
        account = _made(service, STAFF)
        assert (account.identifier, account.remote_id) == ("zhang.san", "1")
        found = _do(service, lambda c: c.find(STAFF))
        assert found.ours
        assert found.attributes == {**STAFF}
        (listed,) = _do(service, _listed)
        assert listed == found
        assert _do(service, changing("disable", account)).enabled is False
        service.user()["externalId"] = "7777"
        with pytest.raises(ForeignAccountError):
            _do(service, changing("disable", account))


async def _listed(connector: Connector) -> list[RemoteAccount]:
    return [one async for one in connector.list()]


@pytest.mark.parametrize(
    "scim_type", ["uniqueness", "Uniqueness", "UNIQUENESS", "urn:scim:uniqueness", "notUnique"]
)
def test_a_duplicate_may_be_told_as_a_bad_request(scim_type: str) -> None:
    refusal = {"scimType": scim_type, "detail": "exists"}
    with lying(fails_with=(400, refusal)) as service, pytest.raises(AccountExistsError):
        _do(service, lambda c: c.create(PERSON))


def test_a_refusal_says_why_and_nothing_about_anybody() -> None:
    """I15."""
    detail = (
        "Attribute emails is invalid: the address of Zhang, 'zhang.san@example.com', conflicts with"
        " user Li Si (1002), see zhang or 李四"
    )
    refusal = (400, {"scimType": "invalidValue", "detail": detail})
    with lying(fails_with=refusal) as service, pytest.raises(RejectedByTargetError) as caught:
        _do(service, lambda c: c.create(PERSON))
    said = str(caught.value)
    assert said == (
        "HTTP 400: Attribute emails is invalid: the address of *** conflicts with user *** see"
        " *** or ***"
    )


def test_what_is_kept_is_not_sent_again() -> None:
    """An alias that was added in the target survives."""
    with lying() as service:
        account = _made(service)
        service.user()["emails"].append({"value": "alias@example.com"})
        moved = {**MOVED, "displayName": "Zhang"}
        _do(service, changing("update", account, moved), keep=["emails"])
        assert [one["value"] for one in service.user()["emails"]] == [
            "zhang.san@example.com",
            "alias@example.com",
        ]
        assert service.user()["displayName"] == "Zhang"


def test_what_the_provider_does_not_show_is_not_said_to_be_there() -> None:
    with lying() as service:
        account = _made(service)

        def drops() -> None:
            del service.user()["displayName"]

        service.before_change = drops
        changed = _do(service, changing("update", account, MOVED))
    assert "displayName" not in changed.attributes


# groups


@pytest.mark.parametrize("status", [409, 400])
def test_a_member_that_is_there_already_is_no_error(status: int) -> None:
    """It joined between our look and our change."""
    with lying(member_again=status, shows_groups=False) as service:
        account = _made(service)
        service.lies.shows_members = False
        service.groups["g-staff"]["members"] = [{"value": "1"}]

        async def act(connector: Connector) -> RemoteAccount:
            service.lies.shows_members = status == 400
            return await connector.update(account, STAFF)

        changed = _do(service, act)
        assert changed.attributes.get("groups", ["staff"]) == ["staff"]
        assert service.members("staff") == ["1"]


def test_only_differences_are_sent() -> None:
    with lying(member_again=409) as service:
        account = _made(service, STAFF)
        _do(service, changing("update", account, {**MOVED, "groups": ["staff"]}))
        _do(service, changing("enable", account, {**MOVED, "groups": ["staff"]}))
        assert service.changes("/Groups/") == []
        assert service.members("staff") == ["1"]


@pytest.mark.parametrize("shows_groups", [True, False])
def test_a_member_that_is_removed_in_one_way_only_is_removed(shows_groups: bool) -> None:
    """authentik#24173: the filtered removal is answered 2xx."""
    for ignored in (("path",), ("value",)):
        with lying(removal_ignored=ignored, shows_groups=shows_groups) as service:
            account = _made(service, STAFF)
            changed = _do(service, changing("update", account, {**PERSON, "groups": []}))
            assert service.members("staff") == []
            assert changed.attributes["groups"] == []


@pytest.mark.parametrize("shows_groups", [True, False])
def test_who_stays_a_member_is_shown_as_one(shows_groups: bool) -> None:
    """A.10: 2xx, and not done in any way."""
    with lying(removal_ignored=("path", "value"), shows_groups=shows_groups) as service:
        account = _made(service, STAFF)
        changed = _do(service, changing("update", account, {**PERSON, "groups": []}))
        assert changed.attributes["groups"] == ["staff"]


@pytest.mark.parametrize("shows_groups", [True, False])
def test_who_is_not_added_is_shown_as_no_member(shows_groups: bool) -> None:
    with lying(adds_nobody=True, shows_groups=shows_groups) as service:
        service.make_group("staff", "5")
        service.make_group("sales", "5")
        account = _made(service)
        changed = _do(service, changing("update", account, STAFF))
        assert changed.attributes["groups"] == []


def test_where_nothing_shows_memberships_none_is_said() -> None:
    """I18: what was not shown is missing, and not assumed as wanted."""
    with lying(shows_groups=False, shows_members=False) as service:
        account = _made(service)
        changed = _do(service, changing("update", account, STAFF))
        assert "groups" not in changed.attributes
        assert service.members("staff") == ["1"]
        put_in = replace(account, attributes=STAFF)
        assert "groups" not in _do(service, lambda c: c.look(put_in, STAFF)).attributes
        changed = _do(service, changing("update", put_in, {**PERSON, "groups": []}))
        assert "groups" not in changed.attributes
        assert service.members("staff") == [], "it leaves what it was put into, seen or not"


def test_those_who_join_at_once_are_all_members() -> None:
    """fleet#50724: the provider reads, changes and writes a group without a lock."""
    people = [{**STAFF, "externalId": str(n), "userName": f"u{n}"} for n in range(30)]

    async def act(connector: Connector) -> list[RemoteAccount]:
        return await asyncio.gather(*(connector.create(person) for person in people))

    with lying(slow_groups=True) as service:
        service.make_group("staff")
        service.make_group("sales")
        made = _do(service, act)
        assert sorted(service.members("staff")) == sorted(str(one.remote_id) for one in made)


def test_a_group_of_ours_that_an_adopted_account_should_not_be_in_is_left() -> None:
    """B.2: `sales` is a group that the mapping can name."""
    with lying() as service:
        account = _made(service)
        for name in ("staff", "sales", "theirs"):
            service.make_group(name, "1")
        found = _do(service, lambda c: c.find(STAFF))
        (listed,) = _do(service, _listed)
        for shown in (found, listed):
            assert sorted(shown.attributes["groups"]) == ["sales", "staff"]
        _do(service, changing("update", replace(account, attributes=STAFF), STAFF))
        assert [service.members(name) for name in ("staff", "sales", "theirs")] == [
            ["1"],
            [],
            ["1"],
        ]


@pytest.mark.parametrize("shows_groups", [True, False])
def test_a_list_shows_memberships_as_a_look_up_does(shows_groups: bool) -> None:
    with lying(shows_groups=shows_groups) as service:
        for name in ("staff", "sales"):
            service.make_group(name)
        _made(service)
        _made(service, {**STAFF, "externalId": "1002", "userName": "li.si"})
        listed = _do(service, _listed)
        assert [one.attributes["groups"] for one in listed] == [[], ["staff"]]
        groups = [path for _, path, _ in service.calls if path.startswith("/Groups/")]
        assert len(groups) == (0 if shows_groups else 2) or len(groups) <= 2, "once for each group"


def test_a_group_that_is_spelt_anew_is_not_left() -> None:
    with lying() as service:
        account = _made(service, {**PERSON, "groups": ["STAFF"]})
        assert service.members("staff") == ["1"]
        _do(service, changing("update", account, STAFF))
        assert service.members("staff") == ["1"]
        assert service.changes() == []


def test_a_group_that_was_deleted_has_been_left() -> None:
    with lying() as service:
        account = _made(service, STAFF)
        del service.groups["g-staff"]
        changed = _do(service, changing("update", account, {**PERSON, "groups": []}))
        assert changed.attributes["groups"] == []


@pytest.mark.parametrize("filters", [True, False])
def test_a_big_group_is_asked_for_one_member_where_that_is_understood(filters: bool) -> None:
    """A filter that is ignored answers with the group, too: it is tried for a member and nobody."""
    with lying(shows_groups=False, filters_members=filters) as service:
        service.make_group("staff", *(f"other-{n}" for n in range(300)))
        service.make_group("sales")
        account = _made(service)

        async def act(connector: Connector) -> None:
            for groups in (["staff"], [], ["staff"]):
                person = {**PERSON, "groups": groups}
                changed = await connector.update(account, person)
                assert changed.attributes["groups"] == groups

        _do(service, act)
        whole = [path for _, path, _ in service.calls if path.startswith("/Groups/g-staff?")]
        assert len(whole) == 1 if filters else len(whole) > 3
        assert "1" in service.members("staff")


# the connection test


def test_a_check_names_the_groups_that_are_not_there() -> None:
    """A.8: one that somebody deleted or renamed."""
    with lying() as service:
        service.make_group("staff")
        with pytest.raises(ConfigurationError, match="no group 'sales'"):
            _do(service, lambda c: c.check())
        service.make_group("sales")
        said = _do(service, lambda c: c.check())
        assert "finds by externalId and userName" in said
        assert "in the dialect auto" in said
        assert service.changes() == []


def test_a_check_may_change_the_user_that_is_declared_for_it_and_finds_the_dialect_out() -> None:
    """B.4."""
    for lies, dialect in (({}, "auto"), ({"fails_paths": 400}, "standard")):
        with lying(**lies) as service:
            _made(service)
            before = service.user()
            said = _do(service, lambda c: c.check(), check_user="Zhang.San")
            assert f"were understood in the dialect {dialect}" in said
            after = service.user()
            assert {**after, "meta": before["meta"], "phoneNumbers": None} == {
                **before,
                "phoneNumbers": None,
            }
            assert not after.get("phoneNumbers")


@pytest.mark.parametrize(
    ("lies", "said"),
    [
        ({"active_is_ignored": ("PATCH", "PUT")}, "changes of active were answered and not made"),
        ({}, "no user of the name"),
    ],
)
def test_a_check_says_what_no_dialect_brings_about(lies: dict[str, Any], said: str) -> None:
    with lying(**lies) as service:
        _made(service)
        name = "zhang.san" if lies else "nobody"
        with pytest.raises(ConfigurationError, match=said):
            _do(service, lambda c: c.check(), check_user=name)


def test_a_check_says_that_groups_need_patch() -> None:
    answers: dict[str, Answer] = {
        "/ServiceProviderConfig": (200, {"patch": {"supported": False}}),
        "/Users": (200, {"totalResults": 0}),
    }
    with recording(answers) as recorder:
        with pytest.raises(ConfigurationError, match="no PATCH, so nobody can be put into a group"):
            acted(recorder.url, lambda c: c.check(), _MAPPED)
        assert "PUT only" in acted(recorder.url, lambda c: c.check(), PERSON)


# all of it


_LIES = st.fixed_dictionaries(
    {},
    optional={
        "active_is_ignored": st.sets(st.sampled_from(["POST", "PATCH", "PUT"])).map(tuple),
        "active_as_text": st.booleans(),
        "answers_nothing": st.booleans(),
        "appends": st.booleans(),
        "fails_pathless": st.sampled_from([400, 500, 501]),
        "fails_paths": st.sampled_from([400, 500, 501]),
        "member_again": st.sampled_from([400, 409]),
        "removal_ignored": st.sets(st.sampled_from(["path", "value"])).map(tuple),
        "adds_nobody": st.booleans(),
        "shows_groups": st.booleans(),
        "shows_members": st.booleans(),
        "shows_keys": st.booleans(),
        "filters_members": st.booleans(),
        "lower_case": st.booleans(),
        "etags": st.booleans(),
    },
)
_PEOPLE = st.builds(
    lambda name, address, groups: {
        **PERSON,
        "displayName": name,
        "emails": [{"value": address, "primary": True}],
        "groups": sorted(groups),
    },
    st.sampled_from(["Zhang", "Li", None]),
    st.sampled_from(["a@example.com", "b@example.com"]),
    st.sets(st.sampled_from(["staff", "sales"])),
)
_CHANGES = st.tuples(st.sampled_from(["update", "rename", "enable", "disable"]), _PEOPLE)


@settings(max_examples=30, deadline=None)
@given(lies=_LIES, changes=st.lists(_CHANGES, min_size=1, max_size=4))
def test_whatever_it_lies_about_what_is_returned_is_what_is_there(
    lies: dict[str, Any], changes: list[tuple[str, dict[str, Any]]]
) -> None:
    """I18: held against the provider's own store, after every operation that returns."""
    with lying(**lies) as service:
        service.make_group("staff", "other")
        service.make_group("sales", "other")
        account = Account(state="active", identifier="z", remote_id="1", attributes=STAFF)

        async def act(connector: Connector) -> None:
            with suppress(AccountSyncError):
                _require_truth(service, await connector.create(STAFF))
            for operation, person in changes:
                with suppress(AccountSyncError):
                    changed = await getattr(connector, operation)(account, person)
                    _require_truth(service, changed)

        _do(service, act)


def _require_truth(service: LyingScim, shown: RemoteAccount) -> None:
    user = service.users[str(shown.remote_id)]
    assert shown.enabled is user["active"]
    own = {name: value for name, value in shown.attributes.items() if name != "groups"}
    assert own == {name: user.get(name) for name in own}
    if "groups" in shown.attributes:
        there = [name for name in ("staff", "sales") if user["id"] in service.members(name)]
        told: Any = shown.attributes["groups"]
        assert sorted(told) == sorted(there)
