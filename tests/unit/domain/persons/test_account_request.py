"""What became of an account that was asked for, as a specification."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.domain.persons.account_request import (
    SOURCE,
    Fulfilment,
    Progress,
    entitles,
    fulfilment,
    together,
)

F = Fulfilment
NOTHING: dict[str, Any] = {
    "account_state": None,
    "disabled_reason": None,
    "task_state": None,
    "is_open": False,
    "is_planned": True,
}
BY_LEAVING = {"account_state": "disabled", "disabled_reason": "left"}
BEFORE_THE_FIRST_DAY = {"account_state": "disabled", "disabled_reason": "prehire"}

TABLE = [
    (F.TO_PLAN, {"is_planned": False}),
    (F.TO_PLAN, {"is_planned": False, "task_state": "failed"}),
    *[
        (F.IN_PROGRESS, {"task_state": state, "is_open": True})
        for state in ("planned", "waiting", "ready", "running", "unknown")
    ],
    *[
        (F.BLOCKED, {"task_state": state, "is_open": True})
        for state in ("held", "needs_data", "needs_human")
    ],
    (F.ACTIVE, {"account_state": "active", "task_state": "succeeded"}),
    (F.ACTIVE, {"account_state": "active", "task_state": "ready", "is_open": True}),
    (F.ACTIVE, {"account_state": "active", "is_planned": False}),
    (F.IN_PROGRESS, BEFORE_THE_FIRST_DAY),
    (F.FAILED, {"task_state": "failed"}),
    (F.FAILED, {"task_state": "cancelled"}),
    (F.ENDED, BY_LEAVING),
    (F.ENDED, {"account_state": "deleted", "task_state": "succeeded"}),
    (F.IN_PROGRESS, {**BY_LEAVING, "task_state": "ready", "is_open": True}),
    (F.REFUSED, {}),
    (F.REFUSED, {"task_state": "superseded"}),
    (F.REFUSED, {"task_state": "succeeded"}),
]


@pytest.mark.parametrize(("state", "facts"), TABLE)
def test_only_an_active_account_is_active(state: Fulfilment, facts: dict[str, Any]) -> None:
    """PREDECESSOR fault 11: a task that exists, or succeeded, is not yet an account."""
    assert fulfilment(Progress(**NOTHING | facts)) is state


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([F.TO_PLAN, F.TO_PLAN], F.TO_PLAN),
        ([F.TO_PLAN, F.ACTIVE], F.IN_PROGRESS),
        ([F.IN_PROGRESS, F.FAILED], F.IN_PROGRESS),
        ([F.IN_PROGRESS, F.BLOCKED, F.ACTIVE], F.BLOCKED),
        ([F.ACTIVE, F.ACTIVE], F.ACTIVE),
        ([F.ACTIVE, F.ENDED], F.ACTIVE),
        ([F.ENDED], F.ENDED),
        ([F.ACTIVE, F.FAILED], F.PARTLY),
        ([F.ACTIVE, F.REFUSED], F.PARTLY),
        ([F.PARTLY, F.FAILED], F.PARTLY),
        ([F.FAILED, F.REFUSED], F.FAILED),
        ([F.REFUSED], F.REFUSED),
    ],
)
def test_the_whole_is_as_far_as_its_parts(parts: list[Fulfilment], whole: Fulfilment) -> None:
    assert together(parts) is whole


@given(st.lists(st.sampled_from([state for state in F if state is not F.CANCELLED]), min_size=1))
def test_a_whole_is_active_only_if_every_part_is_or_was(parts: list[Fulfilment]) -> None:
    is_done = set(parts) <= {F.ACTIVE, F.ENDED} and F.ACTIVE in parts
    assert (together(parts) is F.ACTIVE) == is_done


@pytest.mark.parametrize(
    ("person", "entitled"),
    [
        ({"source": SOURCE, "status": None, "requested_systems": ["okta"]}, True),
        ({"source": SOURCE, "status": None, "requested_systems": ["other"]}, False),
        ({"source": "hieds", "status": "1", "requested_systems": ["okta"]}, True),
        ({"source": "hieds", "status": "1", "requested_systems": []}, False),
        ({"source": "hieds", "status": "2", "requested_systems": ["okta"]}, False),
    ],
)
def test_a_request_gives_what_it_names_and_brings_no_leaver_back(
    person: dict[str, Any], entitled: bool
) -> None:
    assert entitles("okta", person, ["1"]) is entitled
