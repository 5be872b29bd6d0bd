"""What a person should have, compared with what the person has: the whole truth table."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from accountsync.domain.account import Account
from accountsync.domain.mapping import Context, compile_tree
from accountsync.domain.person import RULE_FIELDS, Unavailable
from accountsync.domain.planning import Action, OpenTask, SystemRule, create_task, decide

STATES = ("planned", "held", "needs_data", "waiting", "ready")
DOUBTFUL = ("running", "unknown", "needs_human")
EXISTING = ("active", "disabled", "deleted")
"""A deleted account existed: what follows is not planning a new one here."""


def an_account(state: str) -> Account:
    return Account(state=state, identifier="z1", remote_id=None, attributes={})


def open_task(state: str | None) -> OpenTask | None:
    return None if state is None else OpenTask(id=1, operation="create", state=state)


def account_of(state: str | None) -> Account | None:
    return None if state is None else an_account(state)


@pytest.mark.parametrize(
    ("entitled", "account", "task", "action"),
    [
        *product((True,), (None, "absent"), (None, *STATES), (Action.CREATE,)),
        *product((True,), EXISTING, (None,), (Action.NOTHING,)),
        *product((True,), EXISTING, STATES, (Action.SUPERSEDE,)),
        *product((False,), (None, "absent", *EXISTING), (None,), (Action.NOTHING,)),
        *product((False,), (None, "absent", *EXISTING), STATES, (Action.SUPERSEDE,)),
        *product((True, False), (None, "absent", *EXISTING), DOUBTFUL, (Action.LATER,)),
    ],
)
def test_three_facts_decide(
    entitled: bool, account: str | None, task: str | None, action: Action
) -> None:
    decided = decide(entitled=entitled, account=account_of(account), open_task=open_task(task))
    assert decided is action


def test_planning_never_touches_what_may_have_happened() -> None:
    """I6, I9: a task that a human has to judge would otherwise be sent again by any HR change."""
    for entitled, state in product((True, False), DOUBTFUL):
        decided = decide(entitled=entitled, account=None, open_task=open_task(state))
        assert decided is Action.LATER


def a_rule(attributes: dict[str, Any], **facts: Any) -> SystemRule:
    compiled = {
        name: compile_tree(node, roots={"person", "names"}) for name, node in attributes.items()
    }
    return SystemRule(
        **{
            "name": "email",
            "depends_on": [],
            "in_scope": lambda _: True,
            "attributes": compiled,
            "late": {},
        }
        | facts
    )


CONTEXT: Context = {
    "person": {"employee_number": "E1", "type": Unavailable("HR gives no person type")},
    "names": {"email": "z@x.cn"},
}
MAPPED = {"number": "person.employee_number", "mail": "names.email"}
LATE = {"SAM": "accounts.idaas.identifier"}


def test_a_task_carries_its_mapped_attributes_and_is_ready() -> None:
    task = create_task(a_rule(MAPPED, late=LATE), person_id=3, context=CONTEXT, accounts={})
    assert (task.person_id, task.system, task.operation) == (3, "email", "create")
    assert task.desired == {"number": "E1", "mail": "z@x.cn"}
    assert task.late_bound == LATE
    assert (task.state, task.waits_for, task.cause) == ("ready", (), None)


@pytest.mark.parametrize(
    ("has", "waits_for"),
    [
        ({}, ("idaas", "ad")),
        ({"ad": "active"}, ("idaas",)),
        ({"ad": "active", "idaas": "disabled"}, ("idaas",)),
        ({"ad": "active", "idaas": "absent"}, ("idaas",)),
        ({"ad": "active", "idaas": "active"}, ()),
    ],
)
def test_a_task_says_which_systems_it_waits_for(
    has: dict[str, str], waits_for: tuple[str, ...]
) -> None:
    """I12."""
    accounts = {system: an_account(state) for system, state in has.items()}
    rule = a_rule(MAPPED, depends_on=["idaas", "ad"])
    task = create_task(rule, person_id=3, context=CONTEXT, accounts=accounts)
    assert task.waits_for == waits_for
    assert task.state == ("waiting" if waits_for else "ready")


@pytest.mark.parametrize(
    ("attribute", "cause"),
    [
        ("person.type.email_domain", "HR gives no person type"),
        ("person.phone", "'person.phone' has no value here"),
    ],
)
def test_a_task_that_lacks_data_says_which_and_waits_for_nothing(
    attribute: str, cause: str
) -> None:
    """PREDECESSOR fault 10."""
    rule = a_rule(MAPPED | {"domain": attribute}, depends_on=["idaas"], late=LATE)
    task = create_task(rule, person_id=3, context=CONTEXT, accounts={})
    assert (task.state, task.cause, task.waits_for) == ("needs_data", cause, ())
    assert (task.desired, task.late_bound) == ({}, {})


def test_an_account_shows_its_attributes_and_its_identifiers() -> None:
    account = Account(
        state="active", identifier="z1", remote_id="r1", attributes={"mail": "m", "identifier": "x"}
    )
    assert account.as_context() == {"mail": "m", "identifier": "z1", "remote_id": "r1"}


def test_unavailable_data_is_empty_until_it_is_looked_into() -> None:
    missing = Unavailable("add a mapping")
    assert not missing
    assert list(missing) == []
    with pytest.raises(Exception, match="add a mapping"):
        missing["email_domain"]


def test_rules_see_every_field_but_the_key_of_the_source() -> None:
    assert {"full_name", "status", "type", "department", "attributes"} <= RULE_FIELDS
    assert "source_key" not in RULE_FIELDS
