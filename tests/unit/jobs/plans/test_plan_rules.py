"""What the rules of a target are compiled to."""

from __future__ import annotations

from typing import Any

from accountsync.jobs.plans.plan_rules import compile_rules
from tests.installation import example_settings


def scim(depends_on: list[str], **attributes: Any) -> dict[str, Any]:
    needed = {"userName": "person.employee_number", "externalId": "person.employee_number"}
    return {
        "kind": "scim", "conn_id": "c", "depends_on": depends_on, "attributes": needed | attributes,
    }  # fmt: skip


def test_what_is_made_from_a_name_is_known_through_any_number_of_accounts() -> None:
    """I7: names of the person, another account's identifier, and what there is made from a name."""
    targets = {
        "chat": scim(
            ["mail", "corp"],
            nickName="{{ accounts.mail.nickName }}",
            title="{{ accounts.mail.remote_id }}",
            emails=[{"value": "{{ accounts.corp.identifier }}@x", "type": "work"}],
            displayName="accounts.corp.externalId",
        ),
        "mail": scim(["corp"], nickName="accounts.corp.nickName", title="accounts.corp.title"),
        "corp": scim([], nickName="{{ names.username }}", title="person.phone"),
    }
    rules = compile_rules(example_settings(targets=targets))
    assert {rule.name: {*rule.named} for rule in rules.targets} == {
        "corp": {"nickName"},
        "mail": {"nickName"},
        "chat": {"nickName", "emails"},
    }


def test_groups_and_roles_are_known_however_they_are_written() -> None:
    """I7: SCIM's names are the same in any case."""
    target = scim([], Roles=[{"display": "person.department_code"}], groups=["a"], title="b")
    (rule,) = compile_rules(example_settings(targets={"corp": target})).targets
    assert {*rule.memberships} == {"Roles", "groups"}
